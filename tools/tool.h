/* tool.h -- what the verbs of spanheap(1) share: arguments, exit status, complaints
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TOOL_H
#define SPANHEAP_TOOL_H

#include <stdbool.h>
#include <stdint.h>

/* What the tool exits with; the greater one wins. */
enum status {
	STATUS_FINE = 0,
	STATUS_ERROR = 1,   /* usage, or the file cannot be opened or read */
	STATUS_UNCLEAN = 2, /* not closed cleanly; recovery will put it right */
	STATUS_DAMAGED = 3, /* contradicts itself, or torn: recovery alone does not put it right */
};

#define ANY UINT64_MAX

/* Process. The command line behind the verb. */
struct arguments {
	const char *path;
	bool json;
	bool html;
	bool blocks;
	bool salvage;
	bool no_slot; /* look without read sections, and write nothing to the control file either */
	double watch_seconds; /* 0: once */
	uint64_t arena;       /* ANY, or the one to show */
	uint64_t class_bytes; /* ANY, or a block size of the size class to show */
	uint64_t offset;      /* ANY, or a byte that the span to show covers */
};

/* The verbs. Each prints to standard output and complains to standard error. */
enum status info_run(const struct arguments *arguments);
enum status dump_run(const struct arguments *arguments);
enum status stat_run(const struct arguments *arguments);
enum status procs_run(const struct arguments *arguments);
enum status map_run(const struct arguments *arguments);
enum status check_run(const struct arguments *arguments);
enum status reap_run(const struct arguments *arguments);
enum status recover_run(const struct arguments *arguments);

/* Writes "spanheap: PATH: ..." to standard error; `path` may be NULL. */
__attribute__((format(printf, 2, 3))) void complain(const char *path, const char *format, ...);

/* Complains about a result of the library (an errno or SH_E...); the exit status that it means. */
enum status complain_of(const char *path, int error);

#endif
