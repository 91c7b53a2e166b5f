/* delay.c -- time, and delays where somebody must not come in between
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/delay.h"

#include <sched.h>
#include <unistd.h>

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
