/* tally.h -- named checks: how often each was made, and whether it always held
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_TALLY_H
#define KV_STRESS_TALLY_H

#include "stress/common/clock.h"
#include "stress/common/say.h"
#include "stress/kv/shared.h"

/* Says what is wrong, unless that is a control run's purpose, counts it, and ends the run. */
__attribute__((format(printf, 2, 3))) void fail(enum check check, const char *format, ...);

static inline bool failed(void)
{
	return atomic_load_explicit(&shared->failures, memory_order_relaxed) != 0;
}

static inline void tally(enum check check)
{
	atomic_fetch_add_explicit(&shared->counts.made[check], 1, memory_order_relaxed);
}

/* Fails unless the call returned 0; returns what it did. */
int expect_ok(int error, const char *call);

/* A verdict on each check: made at all, and never failed. */
void tally_verdicts(void);

void sleep_us(uint64_t us);

#endif
