/* kv_steps.c -- readers of examples/kv that are stopped before each of their instructions while others write
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The code as it is installed, single-stepped. The store's readers look at `state` before and after; here what they
 * looked at is changed at every place in between. */
#include "stress/common/arguments.h"
#include "stress/common/single_step.h"
#include "stress/common/totals.h"
#include "stress/common/verdict.h"
#include "stress/kv_steps/pause.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUICK_PAUSES 100u
#define PAUSES 1000u
/* One pause of so many may be elsewhere. */
#define STRAYED_ODDS 20u

static const char usage[] = "usage: kv_steps [--look NAME] [--work NAME] [--step N] [--pauses N] "
			    "[--quick] [--folder PATH]\n"
			    "  --pauses N   of each look at most, spread over its instructions "
			    "(1000; with --quick 100)\n"
			    "  --step N     only before this instruction\n";

/* Stack. */
struct wish {
	const char *look;
	const char *work;
	uint64_t pauses; /* 0: as many as usual */
	uint64_t step;   /* or PAUSE_EVERYWHERE */
};

static struct totals totals = {
	.images = TOTALS_NONE,
	.states = TOTALS_NONE,
	.deaths = TOTALS_NONE,
};

static void run_one(const struct wish *wish, const struct look *look, const struct work *work)
{
	struct pauses pauses = pause_everywhere(look, work, wish->pauses, wish->step);

	verdict(pauses.bad == 0 && pauses.count > 0 &&
			pauses.strayed * STRAYED_ODDS <= pauses.count,
		"%-36s beside %-26s: %llu instructions, %llu pauses, %llu strayed, %llu wrong",
		look->name, work->name, (unsigned long long)pauses.instructions,
		(unsigned long long)pauses.count, (unsigned long long)pauses.strayed,
		(unsigned long long)pauses.bad);
	fflush(stdout);
	totals.cases += pauses.count;
	totals.bad += pauses.bad;
}

static void run_all(const struct wish *wish)
{
	for (unsigned i = 0; i < look_count; i++)
		for (unsigned j = 0; j < work_count; j++)
			if ((wish->look == NULL || strcmp(wish->look, looks[i].name) == 0) &&
				(wish->work == NULL || strcmp(wish->work, works[j].name) == 0))
				run_one(wish, &looks[i], &works[j]);
}

static int usage_error(void)
{
	fputs(usage, stderr);
	return 2;
}

static bool read_wish(struct wish *wish, const char **folder, int argc, char **argv)
{
	bool quick = false;
	const struct argument known[] = {
		{ .name = "--look", .text = &wish->look },
		{ .name = "--work", .text = &wish->work },
		{ .name = "--step", .number = &wish->step },
		{ .name = "--pauses", .number = &wish->pauses },
		{ .name = "--folder", .text = folder },
		{ .name = "--quick", .flag = &quick },
	};

	if (!arguments_read(argc, argv, known, sizeof(known) / sizeof(known[0])))
		return false;
	if (wish->pauses == 0)
		wish->pauses = quick ? QUICK_PAUSES : PAUSES;
	return true;
}

int main(int argc, char **argv)
{
	struct wish wish = { .step = PAUSE_EVERYWHERE };
	const char *folder = arguments_folder(), *refusal;

	if (!read_wish(&wish, &folder, argc, argv))
		return usage_error();
	refusal = step_refusal();
	if (refusal != NULL) {
		verdict_skip("instruction by instruction: %s", refusal);
		return verdict_print() == 0 ? 0 : 1;
	}
	pause_begin(folder);
	run_all(&wish);
	pause_end();
	if (totals.cases == 0)
		verdict(false, "there is nothing of these names");
	totals_print(&totals);
	return verdict_print() == 0 ? 0 : 1;
}
