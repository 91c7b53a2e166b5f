/* deaths.h -- what threads died in
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_DEATHS_H
#define KILL_DEATHS_H

#include "stress/kill/shared.h"

/* Counts the death of the seat's occupant under the call that it was in, by its record. */
void deaths_count(const struct seat *seat);

/* Whether there is a call in which too few died until now; and whether the seat's occupant is in that. */
bool deaths_behind(void);
bool deaths_wanted(const struct seat *seat);

/* Whether there was a death in each, as often as a run must have. */
bool deaths_enough(void);

/* Complains under CHECK_DEATHS about those in which too few died. */
void deaths_expect(void);

/* Prints how many died in each. */
void deaths_print(void);

#endif
