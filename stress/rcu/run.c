/* run.c -- a run: minutes of kills and stops that nothing may come of, or a fault that must be caught
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/run.h"

#include "stress/common/verdict.h"
#include "stress/rcu/crew.h"
#include "stress/rcu/fault.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define HANG_NS (20 * NS_PER_S)
#define CONTROL_NS (20 * NS_PER_S)
#define CONTROL_HANG_NS (1 * NS_PER_S)
#define STOP_TRIES 200u
#define STOP_ODDS 60u

typedef unsigned long long counted;

/* --- stops --------------------------------------------------------------------------------- */

/* Grace periods of each updater. */
struct progress {
	uint64_t done[UPDATERS];
};

static struct progress progress_now(void)
{
	struct progress progress;

	for (unsigned i = 0; i < UPDATERS; i++)
		progress.done[i] = atomic_load(&shared->seats[i].done);
	return progress;
}

/* At most one more for each: the one that was at its end when the section began. */
static bool is_held_since(const struct progress *before)
{
	struct progress now = progress_now();

	for (unsigned i = 0; i < UPDATERS; i++)
		if (now.done[i] > before->done[i] + 1)
			return false;
	return true;
}

/* Stops the reader inside of a section, if that can be hit. */
static bool stop_in_section(struct crew *crew, unsigned reader)
{
	for (unsigned i = 0; i < STOP_TRIES; i++) {
		crew_stop(crew, reader);
		if (crew_is_inside(reader))
			return true;
		crew_continue(crew, reader);
		spin_ns(chance_below(&crew->chance, 100000));
	}
	crew_stop(crew, reader);
	return false;
}

static void count_kill(unsigned worker, bool inside)
{
	atomic_fetch_add(&shared->counts.kills, 1);
	if (inside && worker < UPDATERS)
		atomic_fetch_add(&shared->counts.kills_in_waits, 1);
	else if (inside)
		atomic_fetch_add(&shared->counts.kills_in_sections, 1);
}

static void stay_stopped(struct crew *crew, unsigned stopped)
{
	unsigned victim = (unsigned)chance_below(&crew->chance, WORKERS);

	usleep((useconds_t)(50000 + chance_below(&crew->chance, 250000)));
	if (victim != stopped && chance_once_in(&crew->chance, 2))
		count_kill(victim, crew_kill(crew, victim));
}

/* What begins to wait while a reader is stopped in a section waits until it goes on. */
static void stop_reader(struct crew *crew, unsigned reader)
{
	bool inside = stop_in_section(crew, reader);
	struct progress before = progress_now();

	atomic_fetch_add(&shared->counts.stops, 1);
	stay_stopped(crew, reader);
	if (inside) {
		atomic_fetch_add(&shared->counts.stops_in_sections, 1);
		if (!is_held_since(&before))
			atomic_fetch_add(&shared->counts.stops_passed, 1);
	}
	crew_continue(crew, reader);
}

static void stop_updater(struct crew *crew, unsigned updater)
{
	atomic_fetch_add(&shared->counts.stops, 1);
	crew_stop(crew, updater);
	stay_stopped(crew, updater);
	crew_continue(crew, updater);
}

/* --- torture ------------------------------------------------------------------------------- */

static void stop_one(struct crew *crew)
{
	unsigned worker = (unsigned)chance_below(&crew->chance, WORKERS);

	if (worker < UPDATERS)
		stop_updater(crew, worker);
	else
		stop_reader(crew, worker);
}

/* Often the dead one is left to who waits for it, before a newcomer can clean up after it. */
static void kill_one(struct crew *crew)
{
	unsigned worker = (unsigned)chance_below(&crew->chance, WORKERS);

	spin_ns(chance_below(&crew->chance, 4 * NS_PER_MS));
	count_kill(worker, crew_kill(crew, worker));
	if (chance_once_in(&crew->chance, 2))
		spin_ns(chance_below(&crew->chance, 3 * NS_PER_MS));
}

/* Until the time is up or something went wrong. */
static void torture(struct crew *crew, uint64_t seconds)
{
	uint64_t end = now_ns() + seconds * NS_PER_S;

	while (now_ns() < end && errors_seen() == 0 && crew_hung(crew, HANG_NS) == SEATS &&
		crew_deserter(crew) == WORKERS && crew_start(crew)) {
		if (chance_once_in(&crew->chance, STOP_ODDS))
			stop_one(crew);
		else
			kill_one(crew);
	}
}

static uint64_t done_in(unsigned first, unsigned limit)
{
	uint64_t done = 0;

	for (unsigned seat = first; seat < limit; seat++)
		done += atomic_load(&shared->seats[seat].done);
	return done;
}

static uint64_t longest_ns(void)
{
	uint64_t longest = 0;

	for (unsigned seat = 0; seat < UPDATERS; seat++) {
		uint64_t ns = atomic_load(&shared->seats[seat].longest_ns);

		longest = ns > longest ? ns : longest;
	}
	return longest;
}

static void judge_readings(const char *way)
{
	uint64_t sections = done_in(UPDATERS, SEATS);

	verdict(sections > 0 && errors_seen() == 0,
		"%s: %llu sections; %llu poisoned, %llu torn, %llu changed readings", way,
		(counted)sections, (counted)atomic_load(&shared->counts.poisoned),
		(counted)atomic_load(&shared->counts.torn),
		(counted)atomic_load(&shared->counts.changed));
}

static void judge_waits(struct crew *crew, const char *way)
{
	uint64_t waits = done_in(0, UPDATERS);
	unsigned hung = crew_hung(crew, HANG_NS);
	unsigned deserter = crew_deserter(crew);

	verdict(hung == SEATS, "%s: nobody hung%s", way,
		hung == SEATS             ? ""
			: hung < UPDATERS ? ", but an updater"
					  : ", but a reader");
	verdict(deserter == WORKERS, "%s: nobody failed%s", way,
		deserter == WORKERS           ? ""
			: deserter < UPDATERS ? ", but an updater"
					      : ", but a reader");
	verdict(waits > 0, "%s: %llu grace periods, the longest of %llu ms", way, (counted)waits,
		(counted)(longest_ns() / NS_PER_MS));
}

static void judge_deaths(const char *way)
{
	const struct counts *counts = &shared->counts;

	verdict(atomic_load(&counts->kills_in_sections) > 0 &&
			atomic_load(&counts->kills_in_waits) > 0,
		"%s: %llu kills, %llu of them in sections, %llu in waits", way,
		(counted)atomic_load(&counts->kills),
		(counted)atomic_load(&counts->kills_in_sections),
		(counted)atomic_load(&counts->kills_in_waits));
	verdict(atomic_load(&counts->stops_in_sections) > 0 &&
			atomic_load(&counts->stops_passed) == 0,
		"%s: %llu stops, %llu of them in sections; %llu did not hold a wait up", way,
		(counted)atomic_load(&counts->stops),
		(counted)atomic_load(&counts->stops_in_sections),
		(counted)atomic_load(&counts->stops_passed));
}

/* Everybody goes, and leaves a heap without a problem. */
static void judge_end(struct crew *crew, const char *way)
{
	uint64_t problems = 0;
	bool dismissed = crew_dismiss(crew, HANG_NS);
	int error = sh_synchronize(crew->heap);

	if (error == 0)
		error = sh_check(crew->heap, 0, NULL, NULL, &problems);
	verdict(dismissed && error == 0 && problems == 0,
		"%s: all went when they were told, and left %llu problems", way, (counted)problems);
	error = crew_end(crew);
	verdict(error == 0, "%s: the heap closes%s%s", way, error == 0 ? "" : ": ",
		error == 0 ? "" : sh_strerror(error));
}

static void add_totals(struct totals *totals)
{
	totals->cases += done_in(UPDATERS, SEATS);
	totals->deaths += atomic_load(&shared->counts.kills_in_sections) +
		atomic_load(&shared->counts.kills_in_waits);
	totals->bad += errors_seen();
}

void run_torture(const struct run_options *options, unsigned barrier, struct totals *totals)
{
	const char *way = barrier == SH_BARRIER_READER ? "fences" : "membarrier";
	struct crew crew;

	if (!crew_make(&crew, options->folder, barrier, FAULT_NONE, options->seed)) {
		verdict(false, "%s: there is a heap", way);
		return;
	}
	if (barrier == SH_BARRIER_AUTO && fault_readers_fence(crew.heap))
		verdict_skip("membarrier(2) does not work here: readers have fences");
	/* One stop in a section at least, however short the run. */
	if (crew_start(&crew))
		stop_reader(&crew, UPDATERS);
	torture(&crew, options->seconds);
	verdict(crew_start(&crew), "%s: all could be started again and again", way);
	judge_readings(way);
	judge_waits(&crew, way);
	judge_deaths(way);
	add_totals(totals);
	judge_end(&crew, way);
}

/* --- controls ------------------------------------------------------------------------------ */

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* Whether the fault can show on this machine; says why not. */
static bool can_show(const struct crew *crew, enum fault fault)
{
	const char *why = NULL;

	if (fault_needs_two_processors(fault) && processors() < 2)
		why = "it needs two processors";
	else if (fault == FAULT_NO_BARRIER && fault_readers_fence(crew->heap))
		why = "membarrier(2) does not work here";
	if (why != NULL)
		verdict_skip("control %s: %s", fault_name(fault), why);
	return why == NULL;
}

static void expect_errors(const struct crew *crew, enum fault fault)
{
	uint64_t begun = now_ns();
	uint64_t end = begun + CONTROL_NS;

	while (errors_seen() == 0 && now_ns() < end && crew_deserter(crew) == WORKERS)
		usleep(1000);
	verdict(errors_seen() > 0,
		"control %s: caught after %llu errors, %llu ms, %llu grace periods",
		fault_name(fault), (counted)errors_seen(),
		(counted)((now_ns() - begun) / NS_PER_MS), (counted)done_in(0, UPDATERS));
}

/* Kills a reader in a section, and leaves its place empty: nobody else cleans up after the dead. */
static void leave_a_corpse(struct crew *crew)
{
	for (;;) {
		spin_ns(chance_below(&crew->chance, 4 * NS_PER_MS));
		if (crew_kill(crew, UPDATERS))
			return;
		crew_start(crew);
	}
}

/* No wait ends for a while, until the dead reader is reaped. */
static void expect_hang(struct crew *crew, enum fault fault)
{
	uint64_t begun;
	uint64_t end = now_ns() + CONTROL_NS;
	struct progress progress;
	bool hung;

	usleep(100000);
	leave_a_corpse(crew);
	begun = now_ns();
	while (crew_hung(crew, CONTROL_HANG_NS) >= UPDATERS && now_ns() < end)
		usleep(1000);
	hung = crew_hung(crew, CONTROL_HANG_NS) < UPDATERS;
	progress = progress_now();
	sh_reap(crew->heap, NULL);
	end = now_ns() + CONTROL_NS;
	while (is_held_since(&progress) && now_ns() < end)
		usleep(1000);
	verdict(hung && !is_held_since(&progress),
		"control %s: caught after 1 error, a wait of %llu ms that ends with a reaper",
		fault_name(fault), (counted)((now_ns() - begun) / NS_PER_MS));
}

void run_control(const struct run_options *options, enum fault fault)
{
	struct crew crew;

	if (!crew_make(&crew, options->folder, fault_barrier(fault), fault, options->seed)) {
		verdict(false, "control %s: there is a heap", fault_name(fault));
		return;
	}
	if (can_show(&crew, fault) && crew_start(&crew)) {
		if (fault == FAULT_UNREAPED)
			expect_hang(&crew, fault);
		else
			expect_errors(&crew, fault);
	}
	crew_kill_all(&crew);
	crew_end(&crew);
}
