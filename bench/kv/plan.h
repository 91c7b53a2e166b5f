/* plan.h -- which runs there are, in what order they are made, and what they came to
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_PLAN_H
#define SPANHEAP_BENCH_KV_PLAN_H

#include "settings.h"
#include "subject.h"
#include "workload.h"

#define PLAN_RUNS_MAX 64u
#define PLAN_REPETITIONS_MAX 31u

/* A workload with its numbers of workers. */
struct run {
	const struct workload *workload;
	unsigned writers;
	unsigned readers;
	char name[48];
};

/* What a run with a subject came to, by repetition. */
struct outcome {
	unsigned count;
	struct result results[PLAN_REPETITIONS_MAX];
	/* Those that latencies were taken in: the same, or for a workload whose rate is measured
	 * without a clock one more repetition. */
	unsigned timed_count;
	struct result timed[PLAN_REPETITIONS_MAX];
};

struct plan {
	const struct settings *settings;
	const struct subjects *subjects;
	uint64_t entries;
	uint64_t value_bytes;
	unsigned count;
	struct run runs[PLAN_RUNS_MAX];
	struct outcome outcomes[PLAN_RUNS_MAX][SUBJECTS_MAX];
};

/* What there is to run. The plan lives until plan_release(). */
struct plan *plan_make(const struct settings *settings, const struct subjects *subjects,
	uint64_t entries, uint64_t value_bytes);
void plan_release(struct plan *plan);

/* Runs the run number `first` and those that follow it on the same store. Subjects take turns; their order
 * is turned round with each repetition. Returns the number of the next run. */
unsigned plan_run(struct plan *plan, unsigned first, const struct numbers *numbers);

/* Makes the subject's store anew, holding all entries. */
void plan_fill(const struct subject *subject, const struct numbers *numbers, uint64_t value_bytes,
	enum filling filling);

/* The number of the run of that name, or PLAN_RUNS_MAX. */
unsigned plan_find(const struct plan *plan, const char *name);

/* --- medians; NAN when there is nothing ------------------------------------------------------- */

double outcome_latency(const struct outcome *outcome, enum operation operation,
	enum percentile percentile);
double outcome_cpu(const struct outcome *outcome);
double outcome_disk(const struct outcome *outcome);
double outcome_rate(const struct outcome *outcome, enum operation operation);

/* Of the quotients of the rates, repetition by repetition. */
double outcome_rate_ratio(const struct outcome *outcome, const struct outcome *reference,
	enum operation operation);

#endif
