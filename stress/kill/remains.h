/* remains.h -- what dead processes leave in the middle of
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Looked at when a process has just died, in the words of its thread slots, beside survivors who may clean up at
 * that moment: so what is counted was there, and more may have been. */
#ifndef KILL_REMAINS_H
#define KILL_REMAINS_H

#include "stress/kill/shared.h"

/* Counts what the process that was `pid` left. `heap` is a handle of its heap, by which somebody is attached. */
void remains_count(const struct sh_heap *heap, pid_t pid);

/* Whether something was left too seldom until now; and the pid of a process that would leave that, if it died now, or 0. */
bool remains_behind(void);
pid_t remains_wanted(const struct sh_heap *heap);

/* Whether there was enough of each. */
bool remains_enough(void);

/* Complains under CHECK_REMAINS about what was left too seldom. */
void remains_expect(void);

void remains_print(void);

#endif
