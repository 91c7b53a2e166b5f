/* extent.h -- pieces of a heap that must not overlap
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_EXTENT_H
#define FUZZ_EXTENT_H

#include <stdint.h>

#define EXTENTS_MOST 16384u

/* Process. */
struct extent {
	uint64_t off;
	uint64_t bytes;
};

struct extents {
	unsigned count; /* those beyond the limit are left out */
	struct extent extent[EXTENTS_MOST];
};

void extents_add(struct extents *extents, uint64_t off, uint64_t bytes);

/* Sorts them; ends the program when two overlap. */
void extents_expect_disjoint(struct extents *extents, const char *when);

#endif
