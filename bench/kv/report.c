/* report.c -- what the runs came to, as tables
 * SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include "table.h"

#include <math.h>

#define HEADS_MAX 16u

static bool is_first_of_engine(const struct subjects *subjects, unsigned s)
{
	for (unsigned other = 0; other < s; other++)
		if (subjects->of[other].engine == subjects->of[s].engine)
			return false;
	return true;
}

void report_promises(const struct subjects *subjects)
{
	static const char *const heads[] = { "engine", "version", "as", "processes",
		"after the death of processes", "after a loss of power", NULL };
	struct table table = table_begin("Engines, and what they promise", heads);

	for (unsigned s = 0; s < subjects->count; s++) {
		const struct engine *engine = subjects->of[s].engine;

		if (!is_first_of_engine(subjects, s))
			continue;
		table_cell(&table, "%s", engine->name);
		table_cell(&table, "%s", engine->calls->version());
		table_cell(&table, "%s", engine->setup);
		table_cell(&table, "%s", engine->one_process ? "ONE ONLY" : "many");
		table_cell(&table, "%s", engine->process_death);
		table_cell(&table, "%s", engine->power_failure);
	}
	table_end(&table);
}

/* --- a run ------------------------------------------------------------------------------------ */

static bool does(const struct run *run, enum operation operation)
{
	const struct mix *mix = run->workload->mix;

	if (mix != NULL && operation == READ)
		return mix->reads + mix->scans > 0;
	if (mix != NULL)
		return mix->updates + mix->inserts + mix->modifications > 0;
	return (operation == WRITE ? run->writers : run->readers) > 0;
}

static struct table begin(const struct plan *plan, const struct run *run)
{
	static const char
		*const rates[OPERATIONS] = { [WRITE] = "writes k/s", [READ] = "reads k/s" };
	const char *heads[HEADS_MAX] = { "engine" };
	unsigned count = 1;
	char title[256];

	for (unsigned o = 0; o < OPERATIONS; o++) {
		if (!does(run, o))
			continue;
		heads[count++] = rates[o];
		heads[count++] = "to LMDB";
		heads[count++] = "p50 µs";
		heads[count++] = "p99";
		heads[count++] = "p99.9";
	}
	heads[count++] = "CPU µs";
	heads[count++] = "disk MiB";
	heads[count] = "to LMDB";
	snprintf(title, sizeof(title), "%s: %s; %llu entries of %u + %llu bytes", run->name,
		run->workload->what, (unsigned long long)plan->entries, KEY_BYTES,
		(unsigned long long)plan->value_bytes);
	return table_begin(title, heads);
}

static void number(struct table *table, double value)
{
	if (isnan(value))
		table_nothing(table);
	else
		table_number(table, value);
}

static void rate(struct table *table, const struct outcome *outcome, enum operation operation)
{
	double values[PLAN_REPETITIONS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < outcome->count; i++)
		if (!isnan(outcome->results[i].rate[operation]))
			values[count++] = outcome->results[i].rate[operation];
	if (count == 0)
		table_nothing(table);
	else
		table_median(table, values, count);
}

static void label(struct table *table, const struct run *run, const struct subject *subject)
{
	bool threads = subject->engine->one_process && run->writers + run->readers > 1;

	table_cell(table, "%s%s", subject->label, threads ? ", THREADS" : "");
}

/* The reference is NULL when it was not measured. */
static void row(struct table *table, const struct plan *plan, unsigned r, unsigned s,
	const struct outcome *reference)
{
	static const struct outcome nothing;
	const struct run *run = &plan->runs[r];
	const struct outcome *outcome = &plan->outcomes[r][s];

	if (reference == NULL)
		reference = &nothing;
	label(table, run, &plan->subjects->of[s]);
	for (unsigned o = 0; o < OPERATIONS; o++) {
		if (!does(run, o))
			continue;
		rate(table, outcome, o);
		number(table, outcome_rate_ratio(outcome, reference, o));
		for (unsigned p = 0; p < PERCENTILES; p++)
			number(table, outcome_latency(outcome, o, p));
	}
	number(table, outcome_cpu(outcome));
	number(table, outcome_disk(outcome));
	number(table, outcome_disk(outcome) / outcome_disk(reference));
}

void report_runs(const struct plan *plan, unsigned first, unsigned end)
{
	unsigned reference = subjects_reference(plan->subjects);

	for (unsigned r = first; r < end; r++) {
		struct table table = begin(plan, &plan->runs[r]);

		for (unsigned s = 0; s < plan->subjects->count; s++)
			if (plan->outcomes[r][s].count > 0)
				row(&table, plan, r, s,
					reference == SUBJECTS_MAX ? NULL
								  : &plan->outcomes[r][reference]);
		table_end(&table);
	}
}
