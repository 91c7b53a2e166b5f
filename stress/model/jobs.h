/* jobs.h -- explorations, each in a process of its own, and what they came to
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MODEL_JOBS_H
#define MODEL_JOBS_H

#include "stress/model/explorer.h"

/* How the exploration in a child ended: its exit status. */
enum job_end { JOB_PASSED, JOB_FAILED, JOB_CUT_SHORT, JOB_ENDS };

/* In the child: explores, prints the line of the result, and adds to the totals. */
enum job_end jobs_explore(const struct explorer_scenario *scenario);

/* Carries out jobs 0 to count - 1, `parallel` at a time, prints the totals and the line "N passed, N failed",
 * and returns the exit status. `state_limit` is what each was told; 0: none. */
int jobs_run(unsigned count, unsigned parallel, enum job_end (*run)(unsigned job),
	uint64_t state_limit);

#endif
