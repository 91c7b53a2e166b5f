/* jobs.c -- explorations, each in a process of its own, and what they came to
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/model/jobs.h"

#include "stress/common/totals.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared mapping. Of all explorations. */
static struct {
	_Atomic uint64_t states;
	_Atomic uint64_t images;
	_Atomic uint64_t deaths;
} * sums;

enum job_end jobs_explore(const struct explorer_scenario *scenario)
{
	struct explorer_result result;

	explorer_run(scenario, &result);
	explorer_print_result(stdout, scenario, &result);
	fflush(stdout);
	atomic_fetch_add(&sums->states, result.states);
	atomic_fetch_add(&sums->images, result.truth_images);
	atomic_fetch_add(&sums->deaths, result.deaths);
	if (result.violated)
		return JOB_FAILED;
	return result.complete ? JOB_PASSED : JOB_CUT_SHORT;
}

/* Counts how they ended. */
static void run_all(unsigned count, unsigned parallel, enum job_end (*run)(unsigned job),
	unsigned ends[JOB_ENDS])
{
	unsigned started = 0;
	unsigned running = 0;

	while (started < count || running > 0) {
		int status;

		if (started < count && running < parallel) {
			fflush(stdout);
			if (fork() == 0)
				_exit((int)run(started));
			started++;
			running++;
			continue;
		}
		wait(&status);
		running--;
		if (WIFSIGNALED(status))
			printf("FAILED: an exploration was ended by signal %d; -j 1 shows behind "
			       "which\n",
				WTERMSIG(status));
		ends[WIFEXITED(status) && WEXITSTATUS(status) < JOB_ENDS ? WEXITSTATUS(status)
									 : JOB_FAILED]++;
	}
}

static void print_totals(unsigned count, unsigned failed)
{
	const struct totals totals = {
		.cases = count,
		.images = atomic_load(&sums->images),
		.states = atomic_load(&sums->states),
		.deaths = atomic_load(&sums->deaths),
		.bad = failed,
	};

	totals_print(&totals);
}

int jobs_run(unsigned count, unsigned parallel, enum job_end (*run)(unsigned job),
	uint64_t state_limit)
{
	unsigned ends[JOB_ENDS] = { 0 };

	sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sums == MAP_FAILED)
		abort();
	run_all(count, parallel == 0 ? 1 : parallel, run, ends);
	print_totals(count, ends[JOB_FAILED]);
	if (ends[JOB_CUT_SHORT] != 0)
		printf("SKIPPED: the rest of %u explorations, behind %llu states\n",
			ends[JOB_CUT_SHORT], (unsigned long long)state_limit);
	printf("%u passed, %u failed", ends[JOB_PASSED], ends[JOB_FAILED]);
	printf(ends[JOB_CUT_SHORT] != 0 ? ", %u skipped\n" : "\n", ends[JOB_CUT_SHORT]);
	return ends[JOB_FAILED] != 0;
}
