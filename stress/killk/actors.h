/* actors.h -- the processes of a case: who is killed, and who judges
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Bodies for start(). The worker says in `acting` and `tracing` what they do. */
#ifndef KILLK_ACTORS_H
#define KILLK_ACTORS_H

#include "stress/killk/operations.h"

#include <sched.h>

/* Worker. */
extern const struct operation *acting;
extern bool tracing; /* the victim is stepped; else it notes what it stores to */

extern cpu_set_t actor_elsewhere; /* processors for a busy survivor */

void actor_victim(void);
void actor_survivor(void);
void actor_judge(void); /* when nobody survived */

#endif
