/* worker.c -- a process that works on the heap until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/worker.h"

#include "stress/kill/actor.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define PARK_MICROSECONDS 100
#define NICENESS 10
#define HELPER_OPERATIONS 400u
/* After an operation, once in so many. */
#define HELPER_ODDS 200u
#define REOPEN_ODDS 1000u

/* Process. Seats w and WORKERS + w. */
struct worker {
	unsigned number;
	const char *path;
	struct actor actor;
	struct actor helper_actor;
	pthread_t helper;
	bool has_helper;
};

/* --- a thread in its seat ------------------------------------------------------------------ */

static void take_seat(struct actor *actor)
{
	enter_call(actor);
	seat_take(actor->heap, actor->seat);
	leave_call(actor);
}

static void leave_seat(struct actor *actor)
{
	struct sh_mutex *mutex = &seat_directory(actor->heap, actor->seat)->mutex;

	expect_ok(actor, sh_mutex_unlock(actor->heap, mutex), "sh_mutex_unlock of its own");
}

static bool told_to_stop(void)
{
	return atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0;
}

/* Between operations. Parked is said again until the supervisor cannot have missed that we run. */
static void park_if_asked(struct actor *actor)
{
	while (atomic_load(&shared->pause) != 0 && !told_to_stop()) {
		atomic_store(&actor->seat->activity, ACTIVITY_PARKED);
		while (atomic_load(&shared->pause) != 0 && !told_to_stop())
			usleep(PARK_MICROSECONDS);
		atomic_store(&actor->seat->activity, ACTIVITY_RUNNING);
	}
}

static void act(struct actor *actor)
{
	operation_any(actor);
	atomic_fetch_add_explicit(&actor->seat->progress, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&shared->operations, 1, memory_order_relaxed);
	park_if_asked(actor);
}

/* --- the second thread --------------------------------------------------------------------- */

static void *helper_main(void *argument)
{
	struct actor *actor = argument;
	uint64_t count = chance_below(&actor->random, HELPER_OPERATIONS);

	take_seat(actor);
	park_if_asked(actor);
	for (uint64_t i = 0; i < count && !told_to_stop(); i++)
		act(actor);
	leave_seat(actor);
	atomic_store(&actor->seat->activity, ACTIVITY_NONE);
	return NULL;
}

static void start_helper(struct worker *worker)
{
	struct actor *helper = &worker->helper_actor;

	*helper = (struct actor){
		.heap = worker->actor.heap,
		.seat = worker->actor.seat + WORKERS,
		.random = { chance_next(&worker->actor.random) },
	};
	atomic_store(&helper->seat->activity, ACTIVITY_RUNNING);
	worker->has_helper = pthread_create(&worker->helper, NULL, helper_main, helper) == 0;
	if (!worker->has_helper)
		atomic_store(&helper->seat->activity, ACTIVITY_NONE);
}

static void join_helper(struct worker *worker)
{
	if (worker->has_helper)
		pthread_join(worker->helper, NULL);
	worker->has_helper = false;
}

static bool helper_is_done(const struct worker *worker)
{
	return worker->has_helper &&
		atomic_load(&worker->helper_actor.seat->activity) == ACTIVITY_NONE;
}

/* --- the process --------------------------------------------------------------------------- */

static void open_heap(struct worker *worker)
{
	struct actor *actor = &worker->actor;
	struct sh_reap_report report;

	enter_call(actor);
	if (expect_ok(actor, sh_open(worker->path, 0, NULL, &actor->heap), "sh_open") != 0)
		_exit(1);
	leave_call(actor);
	if (expect_ok(actor, sh_recovery_report(actor->heap, &report, NULL),
		    "sh_recovery_report") == 0)
		tally_report(&report, report.threads);
}

static void close_heap(struct worker *worker)
{
	enter_call(&worker->actor);
	expect_ok(&worker->actor, sh_close(worker->actor.heap), "sh_close");
	leave_call(&worker->actor);
}

/* Not while the second thread runs: it must not be inside a call. */
static void reopen(struct worker *worker)
{
	if (worker->has_helper)
		return;
	leave_seat(&worker->actor);
	close_heap(worker);
	open_heap(worker);
	take_seat(&worker->actor);
}

static void work(struct worker *worker)
{
	struct chance *random = &worker->actor.random;

	park_if_asked(&worker->actor);
	while (!told_to_stop()) {
		act(&worker->actor);
		if (helper_is_done(worker))
			join_helper(worker);
		else if (!worker->has_helper && chance_once_in(random, HELPER_ODDS))
			start_helper(worker);
		else if (chance_once_in(random, REOPEN_ODDS))
			reopen(worker);
	}
}

void worker_main(struct sh_heap *heap, const char *path, unsigned number, uint64_t generation)
{
	struct worker worker = {
		.number = number,
		.path = path,
		.actor = {
			.heap = heap,
			.seat = &shared->seats[number],
			.random = { seed_of((uint64_t)(number + 1) << 32 | generation) },
		},
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Behind the supervisor, who would else wait for its turn among those it is to kill. */
	setpriority(PRIO_PROCESS, 0, NICENESS);
	/* Attached by the fork, or by itself. */
	if (chance_once_in(&worker.actor.random, 3)) {
		close_heap(&worker);
		open_heap(&worker);
	}
	take_seat(&worker.actor);
	work(&worker);
	join_helper(&worker);
	leave_seat(&worker.actor);
	close_heap(&worker);
	_exit(failed() ? 1 : 0);
}
