/* pause.h -- a reader that pauses while others write
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STEPS_PAUSE_H
#define KV_STEPS_PAUSE_H

#include "stress/kv_steps/looks.h"

/* What became of the pauses of a look. */
struct pauses {
	uint64_t instructions;
	uint64_t count;
	uint64_t strayed; /* at another instruction, since the work left the store another one */
	uint64_t bad;
};

/* The store, in this folder, that all readers share. */
void pause_begin(const char *folder);
void pause_end(void);

#define PAUSE_EVERYWHERE UINT64_MAX

/* Has the look stopped before each of its instructions, or, where there are more than `limit`, before so many of them;
 * `only`, if it is not PAUSE_EVERYWHERE. The work is done meanwhile, then the reader goes on. Says what is wrong. */
struct pauses pause_everywhere(const struct look *look, const struct work *work, uint64_t limit,
	uint64_t only);

#endif
