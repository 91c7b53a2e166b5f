/* opener.h -- opens an image by sh_open(), as files
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Everybody is dead. The heap file, the control file beside it and one that was being made stand in a folder as a
 * death left them, as long as they were. A process of its own opens them; then
 *   - what the heap shows may be true, and sh_check() finds nothing;
 *   - a block can be allocated and freed, and the heap closes;
 *   - opened once more it is clean, and shows the same.
 * The inodes of which the control file speaks are made those of the files here where they were those of the
 * files there, and are left alone where they were not. */
#ifndef CRASHLOG_OPENER_H
#define CRASHLOG_OPENER_H

#include "stress/crashlog/oracle.h"

/* Process. */
struct opener {
	struct oracle *oracle;
	struct replayed_file heap; /* the heap file in the folder */
	char *said;                /* shared with the process that opens: what is wrong */
	char folder[512];
	char heap_path[600];
	char control_path[600];
	char new_control_path[600];
};

/* In a new folder below `parent`. */
void opener_init(struct opener *opener, struct oracle *oracle, const char *parent);
void opener_free(struct opener *opener);

/* Judges what stands in replay->now. `clean`: it must be taken for a heap that was closed. False: the oracle says
 * why not. */
bool opener_judge(struct opener *opener, const struct operation *operation, unsigned flags,
	bool clean);

#endif
