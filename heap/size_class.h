/* size_class.h -- sizes of blocks, and spans to cut them from
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Multiples of 16 up to 128 bytes, then eight steps per doubling, up to four pages: at most 12.5 %
 * of a block is lost to rounding, 6 % on random sizes. Larger blocks are spans of their own. The
 * table is a function of the geometry; its hash stands in the superblock, so that a build with
 * other classes does not read old spans wrongly.
 *
 * A span class is a size class and a kind: span_class = 2 * size_class + noscan. */
#ifndef SPANHEAP_SIZE_CLASS_H
#define SPANHEAP_SIZE_CLASS_H

#include "heap/geometry.h"

#include <stdbool.h>
#include <stdint.h>

#define SMALL_MAX_BYTES (PAGE_BYTES << 2)
#define SIZE_CLASS_COUNT (8u + 8u * (PAGE_SHIFT + 2u - 7u))
#define SPAN_CLASS_COUNT (2u * SIZE_CLASS_COUNT)
#define SPAN_CLASS_LARGE 255u
#define SPAN_OBJECTS_MOST_PAGES 16u

/* Process. What follows from a size class.
 *
 *   objects * bytes <= pages * PAGE_BYTES < (objects + 1) * bytes
 *   n / bytes == n * reciprocal >> 32                            \ for n < pages * PAGE_BYTES,
 *   n % bytes == 0  <=>  n * reciprocal mod 2^32 < reciprocal    / see size_class_index() */
struct size_class {
	uint32_t bytes;
	uint32_t pages;
	uint32_t objects;
	uint32_t words; /* of 64 object bits */
	uint32_t worth; /* free blocks from which on a span is worth an allocator's visit */
	uint64_t reciprocal;
};

/* Half of any span class is an index: a damaged record or hot word may name a class that does not
 * exist, and then finds one without objects. */
#define SIZE_CLASS_LIMIT 128u

struct size_class_table {
	struct size_class of[SIZE_CLASS_LIMIT];
	uint64_t hash;
};

/* Fills the table. Deterministic. */
void size_class_table_init(struct size_class_table *table);

/* The class of blocks of `bytes`, 1 to SMALL_MAX_BYTES. */
static inline unsigned size_class_of(uint64_t bytes)
{
	uint64_t last = bytes - 1;
	unsigned top;

	if (last < 128)
		return (unsigned)(last >> 4);
	top = 63u - (unsigned)__builtin_clzll(last);
	return 8u * (top - 6u) + (unsigned)(last >> (top - 3) & 7);
}

/* Whether a block begins `delta` bytes into its span, and which: for delta < pages * PAGE_BYTES.
 *
 * reciprocal * bytes == 2^32 + e with e < bytes. With delta == q * bytes + r the product is
 * q * 2^32 + q * e + r * reciprocal, and q * e < reciprocal (asserted for each class), so its low half
 * is below the reciprocal exactly when r is 0. */
static inline bool size_class_index(uint64_t reciprocal, uint64_t delta, uint64_t *index)
{
	uint64_t product = delta * reciprocal;

	*index = product >> 32;
	return (uint32_t)product < (uint32_t)reciprocal;
}

static inline unsigned span_class_make(unsigned size_class, bool noscan)
{
	return 2 * size_class + (noscan ? 1u : 0u);
}

#endif
