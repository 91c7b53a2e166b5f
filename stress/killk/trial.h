/* trial.h -- one case: an operation, a survivor, an instruction
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_TRIAL_H
#define KILLK_TRIAL_H

#include "stress/killk/actors.h"
#include "stress/killk/trace.h"

/* Worker. The processes of a case; 0: there is none. */
struct cast {
	pid_t victim;
	pid_t survivor;
};

/* Starts them from the heap's beginning; the victim stands before the first instruction of its operation. False,
 * with a complaint, when it does not come so far; all of them are gone then. */
bool trial_enter(struct cast *cast, struct target *target, const struct operation *operation,
	enum survivor survivor, uint64_t step);
void trial_leave(struct cast *cast);

/* Runs the operation to its end, ACTING_ALONE or ACTING_LOGGED. */
bool trial_play(struct target *target, const struct operation *operation, enum survivor survivor,
	enum acting_way how);

/* image: of the heap file at the death. strayed: it is not the one of the trace, or the place is not. */
struct trial_result {
	struct image image;
	bool strayed;
};

/* The case. Without a trace the victim goes by single steps all the way; with one it runs to the nearest
 * landmark. False, with a complaint, when something is wrong. */
bool trial_run(struct target *target, const struct operation *operation, enum survivor survivor,
	uint64_t step, struct trace *trace, struct trial_result *result);

#endif
