/* plan.c -- which runs there are, in what order they are made, and what they came to
 * SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include "crew.h"

#include <math.h>

/* One step of so many is timed in runs by time: a look at the clock takes 25 ns or so. */
#define SAMPLING_STRIDE 8u
/* Engines that wait for the disk do so many times fewer, as in dbbench. */
#define SYNC_SLOWNESS 100u
#define SYNC_GROUP_SLOWNESS 10u

/* --- what there is to run --------------------------------------------------------------------- */

static void add(struct plan *plan, const struct workload *workload, unsigned writers,
	unsigned readers)
{
	struct run *run = &plan->runs[plan->count++];

	if (plan->count == PLAN_RUNS_MAX || writers + readers > WORKERS_MAX)
		die("too many runs, or workers");
	run->workload = workload;
	run->writers = writers;
	run->readers = readers;
	if (workload == workload_mixed())
		snprintf(run->name, sizeof(run->name), "%u writer%s, %u reader%s", writers,
			writers == 1 ? "" : "s", readers, readers == 1 ? "" : "s");
	else
		snprintf(run->name, sizeof(run->name), "%s", workload->name);
}

static void add_grid(struct plan *plan)
{
	const struct settings *settings = plan->settings;

	for (unsigned w = 0; w < settings->writers.count; w++)
		for (unsigned r = 0; r < settings->readers.count; r++)
			if (settings->writers.of[w] + settings->readers.of[r] > 0)
				add(plan, workload_mixed(), settings->writers.of[w],
					settings->readers.of[r]);
}

struct plan *plan_make(const struct settings *settings, const struct subjects *subjects,
	uint64_t entries, uint64_t value_bytes)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	const struct workload *workload;

	if (plan == NULL)
		die("no memory");
	plan->settings = settings;
	plan->subjects = subjects;
	plan->entries = entries;
	plan->value_bytes = value_bytes;
	for (unsigned w = 0; (workload = workload_number(w)) != NULL; w++) {
		unsigned clients = workload->mix != NULL ? settings->clients : 1;

		if (settings_want(settings, workload->name, workload->set))
			add(plan, workload, workload->write != NULL ? clients : 0,
				workload->read != NULL ? 1 : 0);
	}
	if (settings_want(settings, workload_mixed()->name, workload_mixed()->set))
		add_grid(plan);
	return plan;
}

void plan_release(struct plan *plan)
{
	free(plan);
}

unsigned plan_find(const struct plan *plan, const char *name)
{
	for (unsigned r = 0; r < plan->count; r++)
		if (strcmp(plan->runs[r].name, name) == 0)
			return r;
	return PLAN_RUNS_MAX;
}

/* --- one run ---------------------------------------------------------------------------------- */

static uint64_t operations_of(const struct plan *plan, const struct run *run,
	const struct engine *engine)
{
	const struct workload *workload = run->workload;
	uint64_t operations = plan->entries * (workload->rounds == 0 ? 1 : workload->rounds);

	if (workload->by_time)
		return UINT64_MAX;
	if (plan->settings->operations != 0 && plan->settings->operations < operations)
		operations = plan->settings->operations;
	if (engine->syncs && workload->write != NULL)
		operations /= workload->group == 1 ? SYNC_SLOWNESS : SYNC_GROUP_SLOWNESS;
	return operations == 0 ? 1 : operations;
}

static struct task task_of(const struct plan *plan, const struct run *run,
	const struct numbers *numbers, const struct engine *engine)
{
	return (struct task){
		.workload = run->workload,
		.numbers = numbers,
		.value_bytes = plan->value_bytes,
		.operations = operations_of(plan, run, engine),
		.writers = run->writers,
		.readers = run->readers,
		.seconds = plan->settings->seconds,
		.stride = run->workload->by_time ? SAMPLING_STRIDE : 0,
	};
}

void plan_fill(const struct subject *subject, const struct numbers *numbers, uint64_t value_bytes,
	enum filling filling)
{
	struct task task = {
		.workload = workload_filling(filling, subject->engine->syncs),
		.numbers = numbers,
		.value_bytes = value_bytes,
		.operations = numbers->entries,
		.writers = 1,
	};
	struct extent extent = task_extent(&task);

	subject_reset(subject);
	store_make(subject, &extent);
	crew_run(subject, &task);
}

static void prepare(const struct subject *subject, const struct task *task, enum filling wanted)
{
	struct extent extent = task_extent(task);

	if (wanted != EMPTY) {
		plan_fill(subject, task->numbers, task->value_bytes, wanted);
		return;
	}
	subject_reset(subject);
	store_make(subject, &extent);
}

/* Runs and notes what it came to. Returns what the store holds then. */
static enum filling run_once(struct plan *plan, unsigned r, unsigned s,
	const struct numbers *numbers, enum filling filling, bool for_latency)
{
	const struct run *run = &plan->runs[r];
	const struct subject *subject = &plan->subjects->of[s];
	struct outcome *outcome = &plan->outcomes[r][s];
	struct task task = task_of(plan, run, numbers, subject->engine);
	struct result result;
	bool partly;

	/* A store that an unknown run has left is no place to begin. */
	if (filling != run->workload->before || filling == EMPTY)
		prepare(subject, &task, run->workload->before);
	if (for_latency)
		task.stride = 1;
	result = crew_run(subject, &task);
	partly = run->workload->before == EMPTY && task.operations < plan->entries;
	if (partly)
		result.disk_mib = NAN;
	if (!for_latency)
		outcome->results[outcome->count++] = result;
	if (task.stride != 0)
		outcome->timed[outcome->timed_count++] = result;
	return partly ? SPOILED : run->workload->after;
}

/* --- chains of them ------------------------------------------------------------------------------ */

/* Runs that follow each other on one store: a new chain begins with each that needs another store than
 * the one before it leaves, and with each set. */
static unsigned chain_end(const struct plan *plan, unsigned first)
{
	unsigned r = first + 1;

	while (r < plan->count && plan->runs[r].workload->before != EMPTY &&
		plan->runs[r].workload->before == plan->runs[r - 1].workload->after &&
		strcmp(plan->runs[r].workload->set, plan->runs[r - 1].workload->set) == 0)
		r++;
	return r;
}

static void run_chain(struct plan *plan, unsigned first, unsigned s, const struct numbers *numbers,
	unsigned repetition)
{
	bool for_latency = repetition == plan->settings->repetitions;
	enum filling filling = EMPTY;

	for (unsigned r = first; r < chain_end(plan, first); r++)
		if (!for_latency || !plan->runs[r].workload->by_time)
			filling = run_once(plan, r, s, numbers, filling, for_latency);
	subject_remove(&plan->subjects->of[s]);
}

/* Marks from outside, which take most of the time, do it once, and once more for the percentiles. */
static bool takes_part(const struct plan *plan, unsigned s, unsigned repetition)
{
	return repetition == 0 || repetition == plan->settings->repetitions ||
		!plan->subjects->of[s].engine->outside_mark;
}

unsigned plan_run(struct plan *plan, unsigned first, const struct numbers *numbers)
{
	unsigned subjects = plan->subjects->count;

	/* One more for those whose rate is measured without a clock. */
	for (unsigned repetition = 0; repetition <= plan->settings->repetitions; repetition++) {
		fprintf(stderr, "%s, repetition %u\n", plan->runs[first].name, repetition + 1);
		for (unsigned i = 0; i < subjects; i++) {
			unsigned s = repetition % 2 == 0 ? i : subjects - 1 - i;

			if (takes_part(plan, s, repetition))
				run_chain(plan, first, s, numbers, repetition);
		}
	}
	return chain_end(plan, first);
}

/* --- medians ---------------------------------------------------------------------------------- */

/* Leaves out what is none; NAN when nothing is left. */
static double median(double *values, unsigned count)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++)
		if (!isnan(values[i]))
			values[kept++] = values[i];
	return kept == 0 ? NAN : quantile(values, kept, 0.5);
}

double outcome_latency(const struct outcome *outcome, enum operation operation,
	enum percentile percentile)
{
	double values[PLAN_REPETITIONS_MAX];

	for (unsigned i = 0; i < outcome->timed_count; i++)
		values[i] = outcome->timed[i].latency_us[operation][percentile];
	return median(values, outcome->timed_count);
}

double outcome_cpu(const struct outcome *outcome)
{
	double values[PLAN_REPETITIONS_MAX];

	for (unsigned i = 0; i < outcome->count; i++)
		values[i] = outcome->results[i].cpu_us;
	return median(values, outcome->count);
}

double outcome_disk(const struct outcome *outcome)
{
	double values[PLAN_REPETITIONS_MAX];

	for (unsigned i = 0; i < outcome->count; i++)
		values[i] = outcome->results[i].disk_mib;
	return median(values, outcome->count);
}

double outcome_rate(const struct outcome *outcome, enum operation operation)
{
	double values[PLAN_REPETITIONS_MAX];

	for (unsigned i = 0; i < outcome->count; i++)
		values[i] = outcome->results[i].rate[operation];
	return median(values, outcome->count);
}

double outcome_rate_ratio(const struct outcome *outcome, const struct outcome *reference,
	enum operation operation)
{
	double values[PLAN_REPETITIONS_MAX];
	unsigned count = outcome->count < reference->count ? outcome->count : reference->count;

	for (unsigned i = 0; i < count; i++)
		values[i] =
			outcome->results[i].rate[operation] / reference->results[i].rate[operation];
	return median(values, count);
}
