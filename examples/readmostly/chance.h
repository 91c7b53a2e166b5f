/* chance.h -- random numbers that a seed fixes
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_CHANCE_H
#define READMOSTLY_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

/* Process. */
struct chance {
	uint64_t state;
};

/* SplitMix64's last step: every bit of the result depends on every bit of `z`. */
static inline uint64_t chance_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t chance_next(struct chance *chance)
{
	chance->state += UINT64_C(0x9e3779b97f4a7c15);
	return chance_mix(chance->state);
}

static inline uint64_t chance_below(struct chance *chance, uint64_t limit)
{
	return chance_next(chance) % limit;
}

static inline bool chance_one_in(struct chance *chance, uint64_t limit)
{
	return chance_below(chance, limit) == 0;
}

#endif
