/* opener.h -- a process that opens an image, with and without SH_SALVAGE
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_OPENER_H
#define TORN_OPENER_H

#include <stdbool.h>
#include <stdint.h>

#define OPENER_TEXT 200u

/* Shared mapping. What came of it. */
struct outcome {
	int read_only;           /* what sh_open() with SH_RDONLY said */
	int opened;              /* what sh_open() said */
	uint64_t problems;       /* of sh_check() then */
	bool closed;             /* it was opened, used and closed */
	uint64_t blocks;         /* that were allocated after a salvage */
	char fault[OPENER_TEXT]; /* what must not be; "": nothing */
};

/* Opens the file read-only, then without flags; closes what could be opened. False when the process was killed
 * by a signal, or by the watchdog: outcome->fault says so. */
bool opener_try(const char *path, struct outcome *outcome);

/* Opens it with SH_SALVAGE; then allocates, with `whole` until it is full, looks at every block, frees all, closes,
 * opens again. */
bool opener_salvage(const char *path, bool whole, struct outcome *outcome);

#endif
