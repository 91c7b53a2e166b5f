/* goals.c -- what our engine is meant to reach against the reference, and what it reaches
 * SPDX-License-Identifier: BSD-3-Clause */
#include "goals.h"

#include "table.h"

#include <math.h>

#define OPEN_GOAL_MS 2

enum figure { RATE, DISK, P99_LATENCY };

struct goal {
	const char *what;
	const char *run;
	enum figure figure;
	enum operation operation;
	double factor; /* a rate: at least; the others: at most */
};

static const struct goal goals[] = {
	{ "point reads", "readrandom", RATE, READ, 2 },
	{ "scans", "readseq", RATE, READ, 1 },
	{ "scans backward", "readreverse", RATE, READ, 1 },
	{ "random writes, one to a transaction", "fillrandom", RATE, WRITE, 5 },
	{ "random overwrites, one to a transaction", "overwrite", RATE, WRITE, 5 },
	{ "random writes, 1,000 to a transaction", "fillrandbatch", RATE, WRITE, 4 },
	{ "random overwrites, two writers", "2 writers, 0 readers", RATE, WRITE, 8 },
	{ "size on disk after churn", "churn", DISK, WRITE, 0.5 },
	{ "size on disk after churn beside a reader", "churnread", DISK, WRITE, 0.5 },
	{ "readers' p99 while one writes", "readwhilewriting", P99_LATENCY, READ, 1 },
};

/* What the goal's figure is in units of the reference's; NAN when one is missing. */
static double quotient(const struct goal *goal, const struct outcome *own,
	const struct outcome *reference)
{
	switch (goal->figure) {
	case RATE:
		return outcome_rate_ratio(own, reference, goal->operation);
	case DISK:
		return outcome_disk(own) / outcome_disk(reference);
	default:
		return outcome_latency(own, goal->operation, P99) /
			outcome_latency(reference, goal->operation, P99);
	}
}

static void print(struct table *table, const char *what, const char *run, const char *unit,
	bool at_least, double wanted, double measured)
{
	bool met = at_least ? measured >= wanted : measured <= wanted;

	table_cell(table, "%s", what);
	table_cell(table, "%s", run);
	table_cell(table, "%s %g %s", at_least ? "≥" : "≤", wanted, unit);
	table_cell(table, "%.2f", measured);
	table_cell(table, "%s", met ? "yes" : "NO");
}

void goals_report(const struct plan *plan, double open_ms)
{
	static const char *const heads[] = { "goal", "run", "wanted", "measured", "met", NULL };
	unsigned own = subjects_own(plan->subjects);
	unsigned reference = subjects_reference(plan->subjects);
	char title[128];

	if (own == SUBJECTS_MAX)
		return;
	snprintf(title, sizeof(title), "Goals: %s to %s; %llu entries of %u + %llu bytes",
		plan->subjects->of[own].label, plan->subjects->of[reference].label,
		(unsigned long long)plan->entries, KEY_BYTES,
		(unsigned long long)plan->value_bytes);
	struct table table = table_begin(title, heads);

	for (size_t g = 0; g < LENGTH_OF(goals); g++) {
		unsigned run = plan_find(plan, goals[g].run);
		double measured;

		if (run == PLAN_RUNS_MAX)
			continue;
		measured = quotient(&goals[g], &plan->outcomes[run][own],
			&plan->outcomes[run][reference]);
		if (!isnan(measured))
			print(&table, goals[g].what, goals[g].run, "times", goals[g].figure == RATE,
				goals[g].factor, measured);
	}
	if (!isnan(open_ms))
		print(&table, "open after the death of everybody", "open", "ms", false,
			OPEN_GOAL_MS, open_ms);
	table_end(&table);
}
