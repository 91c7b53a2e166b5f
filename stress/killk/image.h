/* image.h -- what identifies a content of the heap file
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_IMAGE_H
#define KILLK_IMAGE_H

#include "stress/common/chance.h"

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t mix(uint64_t number)
{
	return chance_next(&(struct chance){ number });
}

/* The words that differ from those at the operation's beginning, added up: the same in whatever order they
 * changed. All zero: none does. */
struct image {
	uint64_t half[2];
};

static inline bool image_equal(struct image a, struct image b)
{
	return a.half[0] == b.half[0] && a.half[1] == b.half[1];
}

/* The word at `offset` differs; with a `sign` of UINT64_MAX: does so no longer. */
static inline void image_add_word(struct image *image, uint64_t offset, uint64_t word,
	uint64_t sign)
{
	uint64_t mixed = mix(mix(offset) ^ word);

	image->half[0] += sign * mixed;
	image->half[1] += sign * mix(~mixed);
}

/* Sorts them, keeps one of each, and returns how many are left. */
uint64_t images_distinct(struct image *images, uint64_t count);

/* How many of the one are not among the other; both are sorted and distinct. */
uint64_t images_missing(const struct image *images, uint64_t count, const struct image *among,
	uint64_t among_count);

#endif
