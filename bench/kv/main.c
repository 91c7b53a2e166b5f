/* main.c -- key-value stores side by side: LMDB, spankv, SQLite, RocksDB
 * SPDX-License-Identifier: BSD-3-Clause */
#include "chart.h"
#include "goals.h"
#include "kill.h"
#include "report.h"
#include "table.h"

#include <math.h>

/* What one look at the clock takes. */
static double clock_cost_ns(void)
{
	enum { LOOKS = 1000000 };
	uint64_t start = now_ns();
	uint64_t end = start;

	for (unsigned i = 0; i < LOOKS; i++)
		end = now_ns();
	return (double)(end - start) / LOOKS;
}

/* Everything with a store of one size. */
static void run_size(const struct settings *settings, const struct subjects *subjects,
	const struct numbers *numbers, uint64_t value_bytes)
{
	struct plan *plan = plan_make(settings, subjects, numbers->entries, value_bytes);
	double open_ms = NAN;

	for (unsigned first = 0, next; first < plan->count; first = next) {
		next = plan_run(plan, first, numbers);
		report_runs(plan, first, next);
	}
	if (settings_want(settings, "open", ""))
		open_ms = kill_everybody(settings, subjects, numbers, value_bytes);
	if (settings_want(settings, "death", ""))
		kill_one_writer(settings, subjects, numbers, value_bytes);
	goals_report(plan, open_ms);
	if (settings->pictures != NULL)
		charts_draw(plan, settings->pictures);
	plan_release(plan);
}

static void run_sizes(const struct settings *settings, const struct subjects *subjects,
	uint64_t entries)
{
	struct numbers numbers = numbers_make(entries, true);

	for (unsigned v = 0; v < settings->value_bytes.count; v++) {
		uint64_t value_bytes = settings->value_bytes.of[v];
		struct subjects fitting =
			subjects_with_room(subjects, entries * (KEY_BYTES + value_bytes));

		if (fitting.count > 0)
			run_size(settings, &fitting, &numbers, value_bytes);
	}
	numbers_release(&numbers);
}

int main(int argc, char **argv)
{
	struct settings settings = settings_parse(argc, argv);
	static struct subjects subjects;

	engines_note_missing();
	subjects_pick(&subjects, settings.engines, settings.folders, settings.folder_count);
	report_promises(&subjects);
	note("Rates are medians of %u repetition%s, ± half the distance of the quartiles; of "
	     "SQLite and RocksDB, where they are marks from outside, those of one. "
	     "A look at the clock takes %.0f ns.",
		settings.repetitions, settings.repetitions == 1 ? "" : "s", clock_cost_ns());
	for (unsigned e = 0; e < settings.entries.count; e++)
		run_sizes(&settings, &subjects, settings.entries.of[e]);
	return 0;
}
