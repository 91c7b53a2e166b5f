/* kill_stress.c -- random SIGKILLs of real processes, against a model of who owns what
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Three roles. This process starts the supervisor, is the watchdog, and prints the result. The
 * supervisor (kill/supervisor.c) starts workers, kills, stops and replaces them, and compares the heap
 * with the model. The workers (kill/worker.c) work, and record what they do in memory outside of the
 * heap (kill/shared.h). */
#define _GNU_SOURCE
#include "stress/common/arguments.h"
#include "stress/common/totals.h"
#include "stress/kill/deaths.h"
#include "stress/kill/numbers.h"
#include "stress/kill/remains.h"
#include "stress/kill/supervisor.h"
#include "stress/kill/tally.h"
#include "stress/kill/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define INSIDE 20000u

/* --- the result ---------------------------------------------------------------------------- */

/* Every kind of round must have come up. */
static void expect_rounds(void)
{
	for (unsigned check = CHECK_CALLS; check < CHECKS; check++)
		if (atomic_load(&shared->rounds[check]) == 0 && !failed())
			fail((enum check)check, "never came up");
}

static void print_summary(uint64_t longest)
{
	uint64_t kills = atomic_load(&shared->kills);
	uint64_t percent = kills == 0 ? 1 : kills;

	say("%llu kills, inside an operation: %llu (%llu %%) by journals, %llu (%llu %%) by "
	    "reports",
		(unsigned long long)kills, (unsigned long long)atomic_load(&shared->kills_inside),
		(unsigned long long)(atomic_load(&shared->kills_inside) * 100 / percent),
		(unsigned long long)atomic_load(&shared->reported.inside),
		(unsigned long long)(atomic_load(&shared->reported.inside) * 100 / percent));
	say("%llu threads were reaped or recovered by somebody who reports it",
		(unsigned long long)atomic_load(&shared->reported.threads));
	say("%llu operations; of %llu the heap had to tell what became of them",
		(unsigned long long)atomic_load(&shared->operations),
		(unsigned long long)atomic_load(&shared->doubts));
	say("%llu blocks were leaked in sh_alloc(), and freed; %llu times there was no space",
		(unsigned long long)atomic_load(&shared->leaks),
		(unsigned long long)atomic_load(&shared->out_of_memory));
	say("%llu page runs were leaked in sh_pages_alloc(), and freed; of %llu deaths in "
	    "sh_pages_free() %llu had freed",
		(unsigned long long)atomic_load(&shared->leaked_runs),
		(unsigned long long)(atomic_load(&shared->freed_runs) +
			atomic_load(&shared->whole_runs)),
		(unsigned long long)atomic_load(&shared->freed_runs));
	say("%llu deaths in sh_realloc() left the old block, %llu the new one alone",
		(unsigned long long)atomic_load(&shared->resizes_old),
		(unsigned long long)atomic_load(&shared->resizes_new));
	deaths_print();
	remains_print();
	say("longest time that one made no progress: %llu ms",
		(unsigned long long)(longest / NS_PER_MS));
}

static void print_totals(void)
{
	const struct totals totals = {
		.cases = atomic_load(&shared->operations),
		.images = TOTALS_NONE,
		.states = TOTALS_NONE,
		.deaths = atomic_load(&shared->kills_inside),
		.bad = atomic_load(&shared->failures),
	};

	totals_print(&totals);
	fflush(stdout);
}

/* --- start --------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: kill_stress [--seed N] [--workers N] [--inside N] [--kills N] [--seconds N]\n"
	"                   [--limit N] [--folder PATH]\n"
	"  --seed N       decides what is done (the environment's SH_SEED; else random)\n"
	"  --workers N    processes at once, 2 to 8, each of one or two threads (8)\n"
	"  --inside N     how many die inside an operation, at least (20000; with --kills a "
	"quarter of those)\n"
	"  --kills N      how many processes are killed, at least\n"
	"  --seconds N    how long it runs, at least (10)\n"
	"  --limit N      after how many seconds it gives up (1200)\n"
	"  --folder PATH  where the heap is made (/dev/shm, else /tmp)\n";

static bool read_options(struct options *options, int argc, char **argv)
{
	const struct argument known[] = {
		{ .name = "--seed", .number = &options->seed },
		{ .name = "--workers", .number = &options->workers },
		{ .name = "--kills", .number = &options->kills },
		{ .name = "--inside", .number = &options->inside },
		{ .name = "--seconds", .number = &options->seconds },
		{ .name = "--limit", .number = &options->limit_seconds },
		{ .name = "--folder", .text = &options->folder },
	};

	*options = (struct options){
		.workers = 8,
		.seconds = 10,
		.limit_seconds = 1200,
		.folder = arguments_folder(),
	};
	if (!arguments_seed(&options->seed) ||
		!arguments_read(argc, argv, known, sizeof(known) / sizeof(known[0])))
		return false;
	if (options->inside == 0 && options->kills == 0)
		options->inside = INSIDE;
	return options->workers >= 2 && options->workers <= WORKERS;
}

static void make_shared(const struct options *options)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED) {
		perror("kill_stress: mmap");
		exit(2);
	}
	shared->seed = options->seed;
	shared->workers = (unsigned)options->workers;
	shared->inside_wanted =
		options->inside > options->kills / 4 ? options->inside : options->kills / 4;
}

static pid_t start_supervisor(const struct options *options)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	supervise(options);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct options options;
	uint64_t longest;
	pid_t supervisor;

	if (!read_options(&options, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	make_shared(&options);
	say("seed %llu; to repeat: kill_stress --seed %llu", (unsigned long long)options.seed,
		(unsigned long long)options.seed);
	supervisor = start_supervisor(&options);
	if (supervisor < 0) {
		perror("kill_stress: fork");
		return 2;
	}
	longest = watch(supervisor);
	if (!failed())
		tally(CHECK_PROGRESS);
	numbers_expect(options.kills);
	expect_rounds();
	print_summary(longest);
	print_totals();
	return tally_print() == 0 ? 0 : 1;
}
