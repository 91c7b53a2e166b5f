/* single_step.h -- a process that goes on by single instructions
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The victim has itself traced and stops at step_begin_mark(). After k steps it stands before its instruction
 * k; step_end_mark() is what it comes to after the last one. */
#ifndef STRESS_SINGLE_STEP_H
#define STRESS_SINGLE_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Why this machine cannot do it; NULL: it can. */
const char *step_refusal(void);

/* --- by the victim ------------------------------------------------------------------------- */

void step_begin_mark(void);
void step_end_mark(void);

/* --- by who started it --------------------------------------------------------------------- */

/* Waits until it stands at step_begin_mark(). False: it ended before. */
bool step_begin(pid_t victim);

/* One instruction, an iteration of a repeated one, or a system call. False: it ended. */
bool step(pid_t victim);

/* Where it stands. */
uint64_t step_place(pid_t victim);
bool step_at_end(pid_t victim);

/* Has it run until it comes to `place` after so many `visits` since its mark, or to step_end_mark(). False: it
 * ended. */
bool step_run_to(pid_t victim, uint64_t place, uint64_t visits);

/* Lets go of it: it goes on by itself. False: it ended. */
bool step_let_go(pid_t victim);

/* Kills it, and waits until it is gone. */
void step_kill(pid_t victim);

/* Stops it by SIGSTOP instead and lets go of it. False: it ended. */
bool step_stop(pid_t victim);

#endif
