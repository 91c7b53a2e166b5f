/* actors.h -- the processes of a case: who is killed, and who judges
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Bodies for start(). The worker says in `acting` and `acting_way` what they do. */
#ifndef KILLK_ACTORS_H
#define KILLK_ACTORS_H

#include "stress/killk/operations.h"

#include <sched.h>

/* The victim's operation is gone through by itself, and the victim notes what it stores to; it is stepped; or
 * the tool logs it. */
enum acting_way { ACTING_ALONE, ACTING_STEPPED, ACTING_LOGGED };

/* Worker. */
extern const struct operation *acting;
extern enum acting_way acting_way;

extern cpu_set_t actor_elsewhere; /* processors for a busy survivor */

void actor_victim(void);
void actor_survivor(void);
void actor_judge(void); /* when nobody survived */

#endif
