/* chance.c -- random numbers that a seed determines, and delays
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/chance.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

uint64_t chance_next(struct chance *chance)
{
	uint64_t mixed = chance->state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}

struct chance chance_of(uint64_t seed, uint64_t number)
{
	struct chance chance = { seed ^ number * UINT64_C(0xd6e8feb86659fd93) };

	chance_next(&chance);
	return chance;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void spin_ns(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

void chance_window(struct chance *chance)
{
	uint64_t kind = chance_below(chance, 256);

	if (kind >= 32)
		return;
	if (kind == 0)
		usleep((useconds_t)chance_below(chance, 500));
	else if (kind == 1)
		sched_yield();
	else if (kind < 8)
		spin_ns(chance_below(chance, 20000));
	else
		spin_ns(chance_below(chance, 1000));
}
