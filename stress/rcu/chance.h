/* chance.h -- random numbers that a seed determines, and delays
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef RCU_CHANCE_H
#define RCU_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

/* Stack. A pseudo-random sequence. */
struct chance {
	uint64_t state;
};

/* One of the many sequences of a seed. */
struct chance chance_of(uint64_t seed, uint64_t number);

uint64_t chance_next(struct chance *chance);

/* 0 to limit - 1. */
static inline uint64_t chance_below(struct chance *chance, uint64_t limit)
{
	return chance_next(chance) % limit;
}

/* True once in `odds`. */
static inline bool chance_once_in(struct chance *chance, uint64_t odds)
{
	return chance_below(chance, odds) == 0;
}

uint64_t now_ns(void);
void spin_ns(uint64_t ns);

/* At a point where somebody else must not come in between: mostly no delay at all, now and then one of
 * nanoseconds to half a millisecond, or the processor is given up. */
void chance_window(struct chance *chance);

#endif
