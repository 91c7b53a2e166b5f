/* run.h -- a run: minutes of kills and stops that nothing may come of, or a fault that must be caught
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef RCU_RUN_H
#define RCU_RUN_H

#include "stress/common/totals.h"
#include "stress/rcu/shared.h"

/* Stack. */
struct run_options {
	uint64_t seed;
	uint64_t seconds;
	const char *folder;
};

/* Tortures a heap of the barrier for so long, and says what was seen. Adds sections to the cases, deaths in sections and
 * waits to the deaths. */
void run_torture(const struct run_options *options, unsigned barrier, struct totals *totals);

/* Plants a fault, and says when it was caught. */
void run_control(const struct run_options *options, enum fault fault);

#endif
