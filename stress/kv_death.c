/* kv_death.c -- calls of examples/kv that die behind every store, really
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The code as it is installed; the heap file is write-protected while the call runs, each store faults and is let through
 * by one step of the processor (stress/common/stepper.h), and behind the k-th the process kills itself. */
#include "stress/common/arguments.h"
#include "stress/common/names.h"
#include "stress/common/stepper.h"
#include "stress/common/totals.h"
#include "stress/common/verdict.h"
#include "stress/kv_death/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUICK_DEATHS 24u
#define DEATHS 100u

static const char usage[] =
	"usage: kv_death [--call NAME] [--survivor none|idle] [--store N] [--deaths N] "
	"[--quick]\n"
	"                [--folder PATH]\n"
	"  --call NAME  of this name, or, if there is none, of those of which it is a part\n"
	"  --deaths N   of each call at most, spread over its stores (100; with --quick 24)\n"
	"  --store N    only behind this store\n";

/* Stack. */
struct wish {
	const char *call;
	int survivor;    /* -1: both */
	uint64_t deaths; /* 0: as many as usual */
	uint64_t store;
};

static struct totals totals = { .images = TOTALS_NONE, .states = TOTALS_NONE };

static void run_call(const struct wish *wish, const struct call *call, enum survivor survivor)
{
	struct outcome outcome = trial_run(call, survivor, wish->deaths, wish->store);

	verdict(outcome.bad == 0 && outcome.deaths > 0 &&
			outcome.before + outcome.after == outcome.deaths,
		"%-32s %s: %llu stores, %llu deaths, %llu as before, %llu as afterwards",
		call->name, survivor == SURVIVOR_NONE ? "nobody left" : "a survivor ",
		(unsigned long long)outcome.stores, (unsigned long long)outcome.deaths,
		(unsigned long long)outcome.before, (unsigned long long)outcome.after);
	fflush(stdout);
	totals.cases += outcome.deaths;
	totals.deaths += outcome.deaths;
	totals.bad += outcome.bad;
}

static const char *name_of(unsigned call)
{
	return calls[call].name;
}

static void run_all(const struct wish *wish)
{
	const struct names names = { call_count, name_of };

	for (unsigned i = 0; i < call_count; i++)
		for (int survivor = SURVIVOR_NONE; survivor <= SURVIVOR_IDLE; survivor++)
			if (name_is_meant(&names, i, wish->call) &&
				(wish->survivor < 0 || wish->survivor == survivor))
				run_call(wish, &calls[i], (enum survivor)survivor);
}

static int usage_error(void)
{
	fputs(usage, stderr);
	return 2;
}

static bool read_wish(struct wish *wish, const char **folder, int argc, char **argv)
{
	const char *survivor = NULL;
	bool quick = false;
	const struct argument known[] = {
		{ .name = "--call", .text = &wish->call },
		{ .name = "--survivor", .text = &survivor },
		{ .name = "--store", .number = &wish->store },
		{ .name = "--deaths", .number = &wish->deaths },
		{ .name = "--folder", .text = folder },
		{ .name = "--quick", .flag = &quick },
	};

	if (!arguments_read(argc, argv, known, sizeof(known) / sizeof(known[0])))
		return false;
	if (survivor != NULL)
		wish->survivor = strcmp(survivor, "idle") == 0 ? SURVIVOR_IDLE : SURVIVOR_NONE;
	if (wish->deaths == 0)
		wish->deaths = quick ? QUICK_DEATHS : DEATHS;
	return true;
}

int main(int argc, char **argv)
{
	struct wish wish = { .survivor = -1 };
	const char *folder = arguments_folder();

	if (!read_wish(&wish, &folder, argc, argv))
		return usage_error();
	if (!stepper_works()) {
		verdict_skip("store by store: this needs x86-64");
		return verdict_print() == 0 ? 0 : 1;
	}
	trial_folder(folder);
	run_all(&wish);
	if (totals.cases == 0)
		verdict(false, "there is nothing of these names");
	totals_print(&totals);
	return verdict_print() == 0 ? 0 : 1;
}
