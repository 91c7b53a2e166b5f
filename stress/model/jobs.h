/* jobs.h -- explorations, each in a process of its own, and what they came to
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MODEL_JOBS_H
#define MODEL_JOBS_H

#include "stress/model/explorer.h"

/* The names of operations. */
struct job_names {
	unsigned count;
	const char *(*of)(unsigned operation);
};

/* Whether the operation is one that is meant: a whole name means that operation and no other, a part of names all that have
 * it, NULL all. */
bool job_is_meant(const struct job_names *names, int operation, const char *part);

/* The same of a pair, in one order or the other. */
bool job_pair_is_meant(const struct job_names *names, int i, int j, const char *first,
	const char *second);

/* How the exploration in a child ended: its exit status. */
enum job_end { JOB_PASSED, JOB_FAILED, JOB_CUT_SHORT, JOB_ENDS };

/* In the child: explores, prints the line of the result, and adds to the totals. */
enum job_end jobs_explore(const struct explorer_scenario *scenario);

/* Carries out jobs 0 to count - 1, `parallel` at a time, prints the totals and the line "N passed, N failed",
 * and returns the exit status. `state_limit` is what each was told; 0: none. */
int jobs_run(unsigned count, unsigned parallel, enum job_end (*run)(unsigned job),
	uint64_t state_limit);

#endif
