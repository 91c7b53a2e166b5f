/* kv_storm.c -- the store of examples/kv under real processes that are killed and stopped at random
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Writers and readers work on one store. What was begun and what was acknowledged is noted outside of it
 * (kv/shared.h), and compared: by readers while others write, by the successors of the dead, and after each round by
 * the supervisor (kv/judge.c). In between, histories of a few keys are recorded call by call, and it
 * is decided whether they are linearizable (kv/history.c, kv/linear.c). At the end faults are built in, which must be
 * noticed. */
#define _GNU_SOURCE
#include "stress/common/arguments.h"
#include "stress/common/totals.h"
#include "stress/common/verdict.h"
#include "stress/kv/storm.h"
#include "stress/kv/tally.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char usage[] =
	"usage: kv_storm [--seed N] [--seconds N] [--limit N] [--folder PATH] [--control NAME]\n"
	"  --seed N        decides what is done (the environment's SH_SEED; else random)\n"
	"  --seconds N     how long it storms, before the controls (30)\n"
	"  --limit N       after how many seconds in all it gives up (240 more than that)\n"
	"  --folder PATH   where the store is made (/dev/shm, else /tmp)\n"
	"  --control NAME  no storm, only this control, which must be caught:";

static _Noreturn void give_up(void)
{
	fputs(usage, stderr);
	for (enum fault fault = FAULT_NONE + 1; fault < FAULTS; fault++)
		fprintf(stderr, " %s", fault_name(fault));
	fputc('\n', stderr);
	exit(2);
}

static enum fault fault_of(const char *name)
{
	enum fault fault = FAULT_NONE + 1;

	while (fault < FAULTS && strcmp(fault_name(fault), name) != 0)
		fault++;
	if (fault == FAULTS)
		give_up();
	return fault;
}

static enum fault read_options(struct storm_options *options, int argc, char **argv)
{
	const char *control = NULL;
	const struct argument known[] = {
		{ .name = "--seed", .number = &options->seed },
		{ .name = "--seconds", .number = &options->seconds },
		{ .name = "--limit", .number = &options->limit_seconds },
		{ .name = "--folder", .text = &options->folder },
		{ .name = "--control", .text = &control },
	};

	if (!arguments_read(argc, argv, known, sizeof(known) / sizeof(known[0])))
		give_up();
	if (options->limit_seconds == 0)
		options->limit_seconds = options->seconds + 240;
	return control == NULL ? FAULT_NONE : fault_of(control);
}

static struct storm_options default_options(void)
{
	struct storm_options options = { .seconds = 30, .folder = arguments_folder() };

	if (!arguments_seed(&options.seed))
		give_up();
	return options;
}

static void make_shared(const struct storm_options *options)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED) {
		perror("kv_storm: mmap");
		exit(2);
	}
	shared->seed = options->seed;
}

/* --- the result ---------------------------------------------------------------------------- */

static void print_counts(void)
{
	const struct counts *counts = &shared->counts;

	say("%llu operations, %llu lookups by readers, %llu keys shown in scans, %llu tables "
	    "dropped",
		(unsigned long long)atomic_load(&counts->operations),
		(unsigned long long)atomic_load(&counts->gets),
		(unsigned long long)atomic_load(&counts->scanned_keys),
		(unsigned long long)atomic_load(&counts->tables_dropped));
	say("%llu kills, %llu of them inside a call that writes; %llu stops; of the dead's "
	    "transactions %llu were rolled back and %llu forward, by who reports it",
		(unsigned long long)atomic_load(&counts->kills),
		(unsigned long long)atomic_load(&counts->kills_inside),
		(unsigned long long)atomic_load(&counts->stops),
		(unsigned long long)atomic_load(&counts->rolled_back),
		(unsigned long long)atomic_load(&counts->rolled_forward));
	say("batches of the dead: %llu made, %llu not; histories: %llu calls, %llu deaths, %llu "
	    "keys undecided",
		(unsigned long long)atomic_load(&counts->batches_whole),
		(unsigned long long)atomic_load(&counts->batches_none),
		(unsigned long long)atomic_load(&counts->history_operations),
		(unsigned long long)atomic_load(&counts->history_deaths),
		(unsigned long long)atomic_load(&counts->histories_undecided));
}

static void print_totals(void)
{
	const struct totals totals = {
		.cases = atomic_load(&shared->counts.operations) +
			atomic_load(&shared->counts.history_operations),
		.images = TOTALS_NONE,
		.states = TOTALS_NONE,
		.deaths = atomic_load(&shared->counts.kills_inside),
		.bad = atomic_load(&shared->failures),
	};

	totals_print(&totals);
	fflush(stdout);
}

/* The supervisor itself hangs, in a call of the store. */
static void on_alarm(int number)
{
	static const char text[] = "FAILED: the supervisor hangs\n0 passed, 1 failed\n";

	(void)number;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(1);
}

static void storm_and_controls(const struct storm_options *options)
{
	storm_run(options);
	tally_verdicts();
	verdict(atomic_load(&shared->counts.kills_inside) > 0, "processes died inside of calls");
	print_counts();
	print_totals();
	for (enum fault fault = FAULT_NONE + 1; fault < FAULTS && !failed(); fault++)
		storm_control(options, fault);
}

int main(int argc, char **argv)
{
	struct storm_options options = default_options();
	enum fault control = read_options(&options, argc, argv);

	make_shared(&options);
	signal(SIGALRM, on_alarm);
	say("seed %llu; to repeat: kv_storm --seed %llu", (unsigned long long)options.seed,
		(unsigned long long)options.seed);
	if (control != FAULT_NONE)
		storm_control(&options, control);
	else
		storm_and_controls(&options);
	return verdict_print() == 0 ? 0 : 1;
}
