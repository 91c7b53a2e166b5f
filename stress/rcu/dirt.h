/* dirt.h -- stores that take long, before a section begins
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A processor keeps its stores to itself until each has got its cache line, one after the other, while
 * its loads go on. A section that begins behind slow stores is seen late, and what it reads is read
 * early: what order_all() is there for. */
#ifndef RCU_DIRT_H
#define RCU_DIRT_H

#include "stress/rcu/delay.h"

#include <stdatomic.h>

#define DIRT_LINES 32u

/* Process. Lines of one thread, most of the time in no cache. */
struct dirt {
	struct {
		_Alignas(64) _Atomic uint64_t word;
	} lines[DIRT_LINES];
};

/* Stores into some of the lines, which are in no cache. */
void dirt_spread(struct dirt *dirt, struct chance *chance);

#endif
