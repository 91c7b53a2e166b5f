/* memory.h -- how much space the heap takes, over time
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_MEMORY_H
#define READMOSTLY_MEMORY_H

#include <stdint.h>

#include "spanheap.h"

#define MEBIBYTE (UINT64_C(1) << 20)

/* How much more than at the worst moment of the warm-up may be taken later: what a reader that
 * stands still keeps from reuse, when it stands longer than any did before. */
#define MEMORY_SLACK_BYTES (8 * MEBIBYTE)

/* Process. Bytes at one moment, or the worst of many. */
struct space {
	uint64_t blocks; /* live ones, and those that wait for readers */
	uint64_t file;   /* length of the file */
};

/* Process. */
struct memory {
	struct space now;
	struct space warm_up; /* the worst until warm_ns */
	struct space later;   /* the worst since then */
	uint64_t warm_ns;
};

/* Looks, as part of the warm-up or of what follows. */
void memory_look(struct memory *memory, struct sh_heap *heap);

/* Live blocks; what waits for readers is none. */
uint64_t memory_count_blocks(struct sh_heap *heap);

/* These, and those that wait for readers. */
uint64_t memory_count_taken(struct sh_heap *heap);

#endif
