/* chance.h -- a pseudo-random sequence that its seed determines
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_CHANCE_H
#define STRESS_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stack. */
struct chance {
	uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
	uint64_t mixed = chance->state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}

/* 0 to limit - 1. */
static inline uint64_t chance_below(struct chance *chance, uint64_t limit)
{
	return chance_next(chance) % limit;
}

/* From `first` to `last`, both included. */
static inline unsigned chance_between(struct chance *chance, unsigned first, unsigned last)
{
	return first + (unsigned)chance_below(chance, last - first + 1u);
}

/* True once in `odds`. */
static inline bool chance_once_in(struct chance *chance, uint64_t odds)
{
	return chance_below(chance, odds) == 0;
}

/* One of the many sequences of a seed. */
static inline struct chance chance_of(uint64_t seed, uint64_t number)
{
	struct chance chance = { seed ^ number * UINT64_C(0xd6e8feb86659fd93) };

	chance_next(&chance);
	return chance;
}

/* The sequence that follows from some bytes. */
static inline struct chance chance_of_bytes(const uint8_t *data, size_t size)
{
	struct chance chance = { UINT64_C(0xcbf29ce484222325) };

	for (size_t i = 0; i < size; i++)
		chance.state = (chance.state ^ data[i]) * UINT64_C(0x100000001b3);
	return chance;
}

#endif
