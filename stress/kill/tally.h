/* tally.h -- named checks: how often each was made, and whether it always held
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_TALLY_H
#define KILL_TALLY_H

#include "stress/common/chance.h"
#include "stress/common/clock.h"
#include "stress/common/say.h"
#include "stress/kill/shared.h"

/* The check was made once and held. From any process. */
void tally(enum check check);

/* The check did not hold: prints why, and has everybody stop. From any process. */
__attribute__((format(printf, 2, 3))) void fail(enum check check, const char *format, ...);

static inline bool failed(void)
{
	return atomic_load(&shared->failures) != 0;
}

/* Adds a report of what was done for at most `deaths` dead threads. */
void tally_report(const struct sh_reap_report *report, uint64_t deaths);

/* Prints a line for each check, and the line that counts them. Returns how many failed. */
unsigned tally_print(void);

/* The seed of one of the many sequences of a run. */
uint64_t seed_of(uint64_t number);

#endif
