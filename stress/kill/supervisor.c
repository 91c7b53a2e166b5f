/* supervisor.c -- starts workers, kills, stops and replaces them, and compares heap and model
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/supervisor.h"

#include "stress/common/clock.h"
#include "stress/kill/ambush.h"
#include "stress/kill/deaths.h"
#include "stress/kill/model.h"
#include "stress/kill/numbers.h"
#include "stress/kill/remains.h"
#include "stress/kill/round.h"
#include "stress/kill/target.h"
#include "stress/kill/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUND_KILLS 24u        /* between two rounds */
#define UNREAPED_KILLS 12u     /* before the supervisor reaps, whatever chance says */
#define LIVE_US UINT64_C(2000) /* between two acts, at most */
#define NEW_BLOCKS 12
#define NEW_BLOCK_BYTES (UINT64_C(512) << 10)
#define NS_PER_S UINT64_C(1000000000)

/* Process. */
struct supervisor {
	const struct options *options;
	struct target target;
	struct chance random;
	uint64_t begun_ns;
	uint64_t kills_at_round;
	unsigned unreaped;
};

/* --- waiting ------------------------------------------------------------------------------- */

/* Of all orders of magnitude, up to `limit_us`. */
static void spin_some(struct chance *random, uint64_t limit_us)
{
	uint64_t scale_us = 10;

	while (scale_us < limit_us && !chance_once_in(random, 4))
		scale_us *= 4;
	spin_ns(chance_below(random, (scale_us < limit_us ? scale_us : limit_us) * 1000));
}

static void step(void)
{
	atomic_fetch_add(&shared->steps, 1);
}

/* --- workers ------------------------------------------------------------------------------- */

static pid_t worker_pid(unsigned worker)
{
	return (pid_t)atomic_load(&shared->pids[worker]);
}

static void start_worker(struct supervisor *supervisor, unsigned worker)
{
	uint64_t generation = atomic_fetch_add(&shared->generations[worker], 1);
	pid_t pid;

	atomic_store(&shared->seats[worker].activity, ACTIVITY_RUNNING);
	pid = fork();
	if (pid == 0)
		worker_main(supervisor->target.heap, supervisor->target.path, worker, generation);
	if (pid < 0) {
		fail(CHECK_PROGRESS, "fork: %s", strerror(errno));
		atomic_store(&shared->seats[worker].activity, ACTIVITY_NONE);
	} else {
		atomic_store(&shared->pids[worker], pid);
	}
}

static void start_missing(struct supervisor *supervisor)
{
	for (unsigned worker = 0; worker < shared->workers && !failed(); worker++)
		if (worker_pid(worker) == 0)
			start_worker(supervisor, worker);
}

/* Whether the thread in the seat, which runs no more, was inside an operation or a call. */
static bool died_inside(const struct seat *seat)
{
	return atomic_load(&seat->activity) != ACTIVITY_NONE &&
		(record_in_flight(seat) || atomic_load(&seat->in_call) != 0);
}

static void vacate(struct seat *seat)
{
	atomic_store(&seat->in_call, 0);
	atomic_store(&seat->activity, ACTIVITY_NONE);
}

static void count_death(const struct seat *seat)
{
	if (atomic_load(&seat->activity) != ACTIVITY_NONE)
		deaths_count(seat);
}

static void count_kill(bool inside)
{
	atomic_fetch_add(&shared->kills, 1);
	if (inside)
		atomic_fetch_add(&shared->kills_inside, 1);
}

/* Waits for the end of a worker that was killed, or told to stop. */
static void bury(struct supervisor *supervisor, unsigned worker, bool killed)
{
	struct seat *seat = &shared->seats[worker];
	struct seat *helper = &shared->seats[WORKERS + worker];
	int status = 0;

	waitpid(worker_pid(worker), &status, 0);
	if (killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0)
		fail(CHECK_CALLS, "worker %u ended by itself, with status %#x", worker,
			(unsigned)status);
	if (killed) {
		if (supervisor->target.heap != NULL)
			remains_count(supervisor->target.heap, worker_pid(worker));
		count_kill(died_inside(seat) || died_inside(helper));
		count_death(seat);
		count_death(helper);
		supervisor->unreaped++;
	}
	vacate(seat);
	vacate(helper);
	atomic_store(&shared->pids[worker], 0);
}

/* A dying process waits for its turn on a processor like others. Where that is allowed this one comes first. */
static void kill_worker(unsigned worker)
{
	setpriority(PRIO_PROCESS, (id_t)worker_pid(worker), 0);
	kill(worker_pid(worker), SIGKILL);
}

/* A worker ends only when it is told or killed to. */
static void expect_living(void)
{
	for (unsigned worker = 0; worker < shared->workers; worker++) {
		siginfo_t info = { .si_pid = 0 };

		if (worker_pid(worker) != 0 &&
			waitid(P_PID, (id_t)worker_pid(worker), &info,
				WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid != 0)
			fail(CHECK_CALLS, "worker %u ended by itself, with status %#x", worker,
				(unsigned)info.si_status);
	}
}

static void reap(struct supervisor *supervisor)
{
	struct sh_reap_report report;
	int error = sh_reap(supervisor->target.heap, &report);

	if (error != 0)
		fail(CHECK_CALLS, "sh_reap: %s", sh_strerror(error));
	else
		tally_report(&report, report.threads);
	supervisor->unreaped = 0;
}

/* --- rounds -------------------------------------------------------------------------------- */

static bool all_quiet(void)
{
	for (unsigned seat = 0; seat < SEATS; seat++)
		if (atomic_load(&shared->seats[seat].activity) == ACTIVITY_RUNNING)
			return false;
	return true;
}

static void compare(struct supervisor *supervisor)
{
	reap(supervisor);
	target_expect_layout(&supervisor->target);
	round_run(supervisor->target.heap);
	supervisor->kills_at_round = atomic_load(&shared->kills);
	step();
}

/* Compares everything while the workers are parked. */
static void run_round(struct supervisor *supervisor)
{
	atomic_store(&shared->pause, 1);
	while (!all_quiet() && !failed()) {
		expect_living();
		usleep(100);
	}
	if (!failed())
		compare(supervisor);
	atomic_store(&shared->pause, 0);
}

/* --- ways to die --------------------------------------------------------------------------- */

/* Reaps before or after the corpse is gone, or leaves it to the survivors, for a while, and to the
 * successor. */
static void kill_and_bury(struct supervisor *supervisor, unsigned worker)
{
	uint64_t who_reaps = chance_below(&supervisor->random, 4);

	kill_worker(worker);
	if (who_reaps == 0)
		reap(supervisor);
	bury(supervisor, worker, true);
	if (who_reaps == 3 && supervisor->unreaped < UNREAPED_KILLS)
		spin_some(&supervisor->random, LIVE_US / 2);
	else
		reap(supervisor);
}

static void kill_one(struct supervisor *supervisor)
{
	unsigned worker = (unsigned)chance_below(&supervisor->random, shared->workers);

	spin_some(&supervisor->random, LIVE_US);
	kill_and_bury(supervisor, worker);
	start_missing(supervisor);
}

/* One that is where few die by chance. */
static void kill_ambushed(struct supervisor *supervisor)
{
	unsigned worker;

	if (!ambush_wanted())
		return kill_one(supervisor);
	worker = ambush(supervisor->target.heap);
	if (worker < WORKERS)
		kill_and_bury(supervisor, worker);
	start_missing(supervisor);
}

/* Again and again the one that just came, while it attaches and takes its seat over. */
static void kill_newcomers(struct supervisor *supervisor)
{
	unsigned worker = (unsigned)chance_below(&supervisor->random, shared->workers);

	for (uint64_t i = 1 + chance_below(&supervisor->random, 4); i > 0; i--) {
		kill_and_bury(supervisor, worker);
		start_missing(supervisor);
		spin_ns(chance_below(&supervisor->random, 600 * 1000));
	}
}

static void kill_several(struct supervisor *supervisor)
{
	uint64_t victims = chance_below(&supervisor->random, UINT64_C(1) << shared->workers);

	spin_some(&supervisor->random, LIVE_US);
	for (unsigned worker = 0; worker < shared->workers; worker++)
		if (victims >> worker & 1)
			kill_worker(worker);
	for (unsigned worker = 0; worker < shared->workers; worker++)
		if (victims >> worker & 1)
			bury(supervisor, worker, true);
	reap(supervisor);
	start_missing(supervisor);
}

/* A stopped worker keeps what it holds; others may die meanwhile, and it goes on afterwards. The
 * supervisor stays out of the heap: it might wait for a lock of the stopped one. */
static void stop_one(struct supervisor *supervisor)
{
	struct chance *random = &supervisor->random;
	unsigned worker = (unsigned)chance_below(random, shared->workers);
	unsigned victim = (unsigned)chance_below(random, shared->workers);
	struct seat *seat = &shared->seats[worker];
	uint64_t progress;

	spin_some(random, LIVE_US);
	kill(worker_pid(worker), SIGSTOP);
	spin_some(random, LIVE_US);
	if (victim != worker && chance_once_in(random, 2)) {
		kill_worker(victim);
		bury(supervisor, victim, true);
		spin_some(random, LIVE_US);
	}
	progress = atomic_load(&seat->progress);
	kill(worker_pid(worker), SIGCONT);
	while (atomic_load(&seat->progress) == progress && !failed())
		expect_living();
	tally(CHECK_STOPS);
	start_missing(supervisor);
}

/* --- the death of all ---------------------------------------------------------------------- */

/* Opens the heap, has it grow if it is a new one, and stays until it is killed. */
__attribute__((noreturn)) static void open_and_wait(const char *path, unsigned flags)
{
	struct sh_heap *heap;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	atomic_store(&shared->opening, 1);
	error = sh_open(path, flags, NULL, &heap);
	if (error != 0)
		fail(CHECK_REOPENS, "sh_open by one who will be killed: %s", sh_strerror(error));
	for (int i = 0; i < NEW_BLOCKS && error == 0 && (flags & SH_CREATE); i++)
		sh_alloc(heap, NEW_BLOCK_BYTES);
	atomic_store(&shared->opening, 0);
	for (;;)
		pause();
}

/* Kills one that opens or makes the heap at `path`, wherever it is. Nobody else is attached. */
static void kill_opener(struct supervisor *supervisor, const char *path, unsigned flags)
{
	pid_t pid = fork();

	if (pid == 0)
		open_and_wait(path, flags);
	if (pid < 0) {
		fail(CHECK_PROGRESS, "fork: %s", strerror(errno));
		return;
	}
	spin_some(&supervisor->random, LIVE_US);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	count_kill(atomic_exchange(&shared->opening, 0) != 0);
	step();
}

/* Threads that a recovery may find inside something. */
static uint64_t bury_all(struct supervisor *supervisor)
{
	uint64_t threads = 0;

	for (unsigned seat = 0; seat < SEATS; seat++)
		if (atomic_load(&shared->seats[seat].activity) != ACTIVITY_NONE)
			threads++;
	for (unsigned worker = 0; worker < shared->workers; worker++)
		bury(supervisor, worker, true);
	return threads;
}

static void recover(struct supervisor *supervisor, uint64_t deaths)
{
	struct sh_reap_report report;

	if (!target_open(&supervisor->target, 0, CHECK_REOPENS))
		return;
	if (sh_recovery_report(supervisor->target.heap, &report, NULL) == 0)
		tally_report(&report, deaths);
	compare(supervisor);
	if (!failed())
		tally(CHECK_REOPENS);
}

static void kill_all(struct supervisor *supervisor)
{
	uint64_t deaths;

	target_close(&supervisor->target);
	spin_some(&supervisor->random, LIVE_US);
	for (unsigned worker = 0; worker < shared->workers; worker++)
		kill_worker(worker);
	deaths = bury_all(supervisor);
	for (uint64_t i = chance_below(&supervisor->random, 4); i > 0; i--)
		kill_opener(supervisor, supervisor->target.path, 0);
	recover(supervisor, deaths);
	if (!failed() && chance_once_in(&supervisor->random, 4)) {
		target_close(&supervisor->target);
		target_make(&supervisor->target, &supervisor->random);
	}
	start_missing(supervisor);
}

/* Another heap, whose maker is killed. */
static void kill_creator(struct supervisor *supervisor)
{
	char path[PATH_BYTES];
	struct sh_heap *heap;
	uint64_t problems = 0;
	int error;

	target_path(&supervisor->target, path, "created");
	kill_opener(supervisor, path, SH_CREATE);
	error = sh_open(path, 0, NULL, &heap);
	if (error == 0) {
		error = sh_check(heap, 0, NULL, NULL, &problems);
		sh_close(heap);
	}
	if ((error != 0 && error != ENOENT) || problems != 0)
		fail(CHECK_CREATIONS,
			"killed while it was created, it opens with %s, %llu problems",
			sh_strerror(error), (unsigned long long)problems);
	else
		tally(CHECK_CREATIONS);
	unlink(path);
}

/* --- the supervisor ------------------------------------------------------------------------ */

static uint64_t elapsed_s(const struct supervisor *supervisor)
{
	return (now_ns() - supervisor->begun_ns) / NS_PER_S;
}

static bool finished(const struct supervisor *supervisor)
{
	if (failed() || elapsed_s(supervisor) >= supervisor->options->limit_seconds)
		return true;
	return elapsed_s(supervisor) >= supervisor->options->seconds &&
		numbers_enough(supervisor->options->kills);
}

static void act(struct supervisor *supervisor)
{
	uint64_t percent = chance_below(&supervisor->random, 100);

	if (percent < 35)
		kill_one(supervisor);
	else if (percent < 62)
		kill_ambushed(supervisor);
	else if (percent < 72)
		kill_newcomers(supervisor);
	else if (percent < 80)
		kill_several(supervisor);
	else if (percent < 89)
		stop_one(supervisor);
	else if (percent < 93)
		kill_all(supervisor);
	else if (percent < 95)
		kill_creator(supervisor);
	else
		round_check(supervisor->target.heap, CHECK_HEAP_BUSY);
	step();
	expect_living();
}

static void bury_told(struct supervisor *supervisor)
{
	for (unsigned worker = 0; worker < shared->workers; worker++)
		if (worker_pid(worker) != 0)
			bury(supervisor, worker, false);
}

/* The workers leave in order, the supervisor is the last one out, and nothing is to be recovered. */
static void end_cleanly(struct supervisor *supervisor)
{
	static const struct sh_reap_report nothing;
	struct sh_reap_report report;

	atomic_store(&shared->stop, 1);
	bury_told(supervisor);
	if (failed())
		return;
	compare(supervisor);
	target_close(&supervisor->target);
	if (!target_open(&supervisor->target, 0, CHECK_CLEAN_END))
		return;
	sh_recovery_report(supervisor->target.heap, &report, NULL);
	if (memcmp(&report, &nothing, sizeof(report)) != 0)
		fail(CHECK_CLEAN_END, "closed by all, and yet there was something to recover");
	compare(supervisor);
	target_close(&supervisor->target);
	if (!failed())
		tally(CHECK_CLEAN_END);
}

static void run(struct supervisor *supervisor)
{
	if (!target_make(&supervisor->target, &supervisor->random))
		return;
	start_missing(supervisor);
	while (!finished(supervisor)) {
		act(supervisor);
		if (atomic_load(&shared->kills) >= supervisor->kills_at_round + ROUND_KILLS &&
			!failed())
			run_round(supervisor);
	}
	if (!failed())
		end_cleanly(supervisor);
}

void supervise(const struct options *options)
{
	struct supervisor supervisor = {
		.options = options,
		.random = { seed_of(0) },
		.begun_ns = now_ns(),
	};

	if (!target_make_folder(&supervisor.target, options->folder))
		return;
	run(&supervisor);
	if (failed())
		say("the heap is kept: %s", supervisor.target.path);
	else
		target_remove_folder(&supervisor.target);
}
