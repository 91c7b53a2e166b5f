/* storm.c -- rounds of work, deaths and judgements
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kv/storm.h"

#include "stress/common/heap_files.h"
#include "stress/common/verdict.h"
#include "stress/kv/judge.h"
#include "stress/kv/process.h"
#include "stress/kv/scan.h"
#include "stress/kv/tally.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define PATH_BYTES 256u
#define CONTROL_SECONDS 20u
#define HISTORY_ODDS 3u
#define ANEW_ODDS 12u
#define HANG_SECONDS 60u

/* Process. A store and the rounds on it. */
struct storm {
	char path[PATH_BYTES];
	struct chance random;
	uint64_t seed;
	uint64_t rounds;
};

static const char *const fault_names[FAULTS] = {
	[FAULT_NONE] = "none",
	[FAULT_STALE] = "stale",
	[FAULT_LOST] = "lost",
	[FAULT_HALF] = "half",
	[FAULT_GAP] = "gap",
};

const char *fault_name(enum fault fault)
{
	return fault_names[fault];
}

/* --- the store ----------------------------------------------------------------------------- */

/* A new store, of which nothing is acknowledged but the keys that stay. */
static void make_anew(struct storm *storm)
{
	struct desk desk;
	struct kv *store;

	heap_files_remove(storm->path);
	memset(shared->standing, 0, sizeof(shared->standing));
	memset(shared->lock_holder, 0, sizeof(shared->lock_holder));
	for (unsigned i = 0; i < WORKERS; i++) {
		memset(&shared->seats[i].journal, 0, sizeof(shared->seats[i].journal));
		memset(&shared->seats[i].group, 0, sizeof(shared->seats[i].group));
	}
	if (expect_ok(kv_open(storm->path, KV_CREATE, NULL, &store), "kv_open") != 0)
		return;
	if (desk_open(&desk, store, WRITERS) == 0)
		scan_prepare(&desk);
	expect_ok(kv_close(store), "kv_close");
}

/* --- a round ------------------------------------------------------------------------------- */

/* Mostly short times, of all orders of magnitude. */
static void wait_some(struct storm *storm)
{
	uint64_t limit_us = UINT64_C(50) << chance_below(&storm->random, 9);

	sleep_us(chance_below(&storm->random, limit_us));
}

static void strike(struct storm *storm, struct crew *crew)
{
	uint64_t percent = chance_below(&storm->random, 100);

	if (percent < 70)
		crew_kill_one(crew);
	else if (percent < 85)
		crew_kill_several(crew);
	else
		crew_stop_one(crew);
}

static void work(struct storm *storm, struct crew *crew, bool deadly)
{
	uint64_t end = now_ns() +
		chance_between(&storm->random, deadly ? 100 : 50, deadly ? 900 : 300) *
			UINT64_C(1000000);

	crew_start(crew);
	while (now_ns() < end && !failed()) {
		wait_some(storm);
		crew_watch();
		if (deadly && !failed())
			strike(storm, crew);
	}
}

/* How all come to their end: with an open store of the supervisor's, or without. */
static void end_work(struct storm *storm, struct crew *crew, bool deadly)
{
	if (failed() || (deadly && chance_once_in(&storm->random, 2)))
		crew_kill_all(crew);
	else
		crew_dismiss(crew);
	if (!failed())
		atomic_store(&shared->stop, 0);
}

static int open_again(struct storm *storm, struct crew *crew)
{
	struct sh_reap_report report = { 0 };
	int error;

	if (crew->store != NULL) {
		error = sh_reap(kv_heap(crew->store), &report);
	} else {
		error = kv_open(storm->path, KV_CREATE, NULL, &crew->store);
		if (error == 0)
			error = sh_recovery_report(kv_heap(crew->store), &report, NULL);
		tally(CHECK_REOPENED);
	}
	process_note(&report);
	return expect_ok(error, "opening the store after a round");
}

static void round_run(struct storm *storm)
{
	struct crew crew = {
		.path = storm->path,
		.random = { chance_next(&storm->random) },
		.seed = storm->seed + storm->rounds * 1000003,
	};
	bool deadly = !chance_once_in(&storm->random, 4);

	atomic_store(&shared->hot, (unsigned)chance_next(&storm->random));
	if (chance_once_in(&storm->random, 3) &&
		expect_ok(kv_open(storm->path, KV_CREATE, NULL, &crew.store), "kv_open") != 0)
		return;
	work(storm, &crew, deadly);
	end_work(storm, &crew, deadly);
	if (!failed() && open_again(storm, &crew) == 0)
		judge_store(crew.store);
	/* After a failure it stays as it was found. */
	if (!failed() || shared->fault != FAULT_NONE)
		expect_ok(kv_close(crew.store), "kv_close");
}

static void print_progress(const struct storm *storm, uint64_t seconds)
{
	const struct counts *counts = &shared->counts;

	say("%4llu s  %llu rounds, %llu kills, %llu of them inside; %llu operations; histories of "
	    "%llu calls",
		(unsigned long long)seconds, (unsigned long long)storm->rounds,
		(unsigned long long)atomic_load(&counts->kills),
		(unsigned long long)atomic_load(&counts->kills_inside),
		(unsigned long long)atomic_load(&counts->operations),
		(unsigned long long)atomic_load(&counts->history_operations));
}

static void rounds_run(struct storm *storm, uint64_t seconds)
{
	uint64_t begun = now_ns(), said = 0;

	while (now_ns() - begun < seconds * NS_PER_S && !failed()) {
		alarm(HANG_SECONDS);
		if (storm->rounds++ % HISTORY_ODDS == 1)
			history_run(storm->path, chance_next(&storm->random));
		else
			round_run(storm);
		if (!failed() && chance_once_in(&storm->random, ANEW_ODDS))
			make_anew(storm);
		if ((now_ns() - begun) / NS_PER_S >= said + 5) {
			said = (now_ns() - begun) / NS_PER_S;
			print_progress(storm, said);
		}
	}
	alarm(0);
}

static void begin(struct storm *storm, const struct storm_options *options)
{
	*storm = (struct storm){ .random = chance_of(options->seed, 5), .seed = options->seed };
	snprintf(storm->path, sizeof(storm->path), "%s/kv_storm.%d.heap", options->folder,
		(int)getpid());
	atomic_store(&shared->stop, 0);
	make_anew(storm);
}

void storm_run(const struct storm_options *options)
{
	struct storm storm;

	begin(&storm, options);
	rounds_run(&storm, options->seconds);
	if (failed())
		say("the store is left at %s; to repeat: kv_storm --seed %llu", storm.path,
			(unsigned long long)options->seed);
	else
		heap_files_remove(storm.path);
}

void storm_control(const struct storm_options *options, enum fault fault)
{
	struct counts before;
	struct storm storm;
	unsigned failures;
	uint64_t begun = now_ns();

	memcpy(&before, &shared->counts, sizeof(before));
	shared->fault = fault;
	begin(&storm, options);
	rounds_run(&storm, CONTROL_SECONDS);
	failures = atomic_load(&shared->failures);
	memcpy(&shared->counts, &before, sizeof(before));
	atomic_store(&shared->failures, 0);
	shared->fault = FAULT_NONE;
	verdict(failures > 0, "control %s: caught after %llu ms", fault_name(fault),
		(unsigned long long)((now_ns() - begun) / (NS_PER_S / 1000)));
	heap_files_remove(storm.path);
}
