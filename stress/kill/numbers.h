/* numbers.h -- what a run must have reached besides holding every check
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_NUMBERS_H
#define KILL_NUMBERS_H

#include "stress/kill/shared.h"

/* Of what must happen `times` when 20,000 die inside operations: how often in a run that is to have as many such deaths
 * as this one. It goes on until that is reached, so what counts is what was asked for, not how many there are by then. */
static inline uint64_t in_proportion(uint64_t times)
{
	return times * shared->inside_wanted / 20000;
}

/* The same of those that died until now, and at least 1. */
static inline uint64_t so_far(uint64_t times)
{
	return (times * atomic_load(&shared->kills_inside) + 19999) / 20000;
}

/* Whether all of it is reached; `kills`: how many processes are to be killed. */
bool numbers_enough(uint64_t kills);

/* Complains about what is not. A run that failed ended early, and has reached nothing: of it nothing is asked. */
void numbers_expect(uint64_t kills);

#endif
