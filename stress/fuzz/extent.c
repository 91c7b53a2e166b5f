/* extent.c -- pieces of a heap that must not overlap
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/fuzz/extent.h"

#include "stress/fuzz/arena.h"

#include <stdlib.h>

void extents_add(struct extents *extents, uint64_t off, uint64_t bytes)
{
	if (extents->count < EXTENTS_MOST)
		extents->extent[extents->count++] = (struct extent){ off, bytes };
}

static int compare(const void *a, const void *b)
{
	const struct extent *x = a;
	const struct extent *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

void extents_expect_disjoint(struct extents *extents, const char *when)
{
	qsort(extents->extent, extents->count, sizeof(extents->extent[0]), compare);
	for (unsigned i = 1; i < extents->count; i++)
		if (extents->extent[i - 1].off + extents->extent[i - 1].bytes >
			extents->extent[i].off)
			fuzz_fail("%s: 0x%llx (%llu bytes) and 0x%llx (%llu bytes) overlap", when,
				(unsigned long long)extents->extent[i - 1].off,
				(unsigned long long)extents->extent[i - 1].bytes,
				(unsigned long long)extents->extent[i].off,
				(unsigned long long)extents->extent[i].bytes);
}
