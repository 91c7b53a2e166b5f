/* kill_stress.c -- random SIGKILLs of real processes, against a model of who owns what
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Three roles. The watchdog starts the supervisor, sees to it that everybody makes progress, and
 * prints the result. The supervisor starts workers, kills, stops and replaces them, and compares the
 * heap with the model. The workers (kill/worker.c) work, and record what they do in memory outside of
 * the heap (kill/shared.h). */
#define _GNU_SOURCE
#include "stress/kill/model.h"
#include "stress/kill/round.h"
#include "stress/kill/tally.h"
#include "stress/kill/worker.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER_BYTES 256
#define PATH_BYTES (FOLDER_BYTES + 16)
#define HEAP_MIN_BYTES (UINT64_C(64) << 20)
#define HEAP_STEP_BYTES (UINT64_C(16) << 20)
#define HEAP_STEPS 4
#define ROUND_KILLS 24u    /* between two rounds */
#define UNREAPED_KILLS 12u /* before the supervisor reaps, whatever chance says */
#define HANG_SECONDS 20
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* Process. */
struct options {
	uint64_t seed;
	uint64_t kills;
	unsigned seconds;
	unsigned limit_seconds;
	const char *folder;
};

/* Process. The supervisor's own. */
struct supervisor {
	const struct options *options;
	char folder[FOLDER_BYTES]; /* of this run */
	char path[PATH_BYTES];     /* of the heap */
	uint64_t heap_bytes;
	struct sh_heap *heap; /* NULL while all may die */
	struct random random;
	uint64_t begun_ns;
	uint64_t kills_at_round;
	unsigned unreaped;
};

/* --- waiting ------------------------------------------------------------------------------- */

/* Not slept: a sleep ends when the scheduler likes, and the victim may wait for the processor. */
static void spin_ns(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

/* Of all orders of magnitude, up to `limit_us`. */
static void spin_some(struct random *random, uint64_t limit_us)
{
	uint64_t scale_us = 10;

	while (scale_us < limit_us && !random_once_in(random, 4))
		scale_us *= 4;
	spin_ns(random_below(random, (scale_us < limit_us ? scale_us : limit_us) * 1000));
}

static void step(void)
{
	atomic_fetch_add(&shared->steps, 1);
}

/* --- files --------------------------------------------------------------------------------- */

static void name_heap(char path[PATH_BYTES], const char folder[FOLDER_BYTES], const char *name)
{
	snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

static void make_folder(struct supervisor *supervisor)
{
	snprintf(supervisor->folder, FOLDER_BYTES, "%s/kill_stress.XXXXXX",
		supervisor->options->folder);
	if (mkdtemp(supervisor->folder) == NULL)
		fail(CHECK_CALLS, "mkdtemp: %s: %s", supervisor->folder, strerror(errno));
	name_heap(supervisor->path, supervisor->folder, "heap");
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

/* With what killed creators left there. */
static void remove_folder(const struct supervisor *supervisor)
{
	nftw(supervisor->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- the heap of the supervisor ------------------------------------------------------------ */

static bool open_heap(struct supervisor *supervisor, unsigned flags, enum check check)
{
	struct sh_options options = SH_OPTIONS_INIT;
	int error;

	options.max_size = supervisor->heap_bytes;
	error = sh_open(supervisor->path, flags, &options, &supervisor->heap);
	if (error != 0)
		fail(check, "sh_open: %s", sh_strerror(error));
	return error == 0;
}

static void close_heap(struct supervisor *supervisor)
{
	int error = sh_close(supervisor->heap);

	if (error != 0)
		fail(CHECK_CALLS, "sh_close: %s", sh_strerror(error));
	supervisor->heap = NULL;
}

static void reap(struct supervisor *supervisor)
{
	struct sh_reap_report report;
	int error = sh_reap(supervisor->heap, &report);

	if (error != 0)
		fail(CHECK_CALLS, "sh_reap: %s", sh_strerror(error));
	else
		tally_report(&report, report.threads);
	supervisor->unreaped = 0;
}

/* --- laying out ---------------------------------------------------------------------------- */

/* A zeroed block and its root, in one transaction. */
static sh_off make_block(struct supervisor *supervisor, size_t size, const char *root)
{
	struct sh_txn *txn;
	sh_off off = 0;
	int error = sh_txn_begin(supervisor->heap, 0, &txn);

	if (error == 0) {
		off = sh_txn_alloc(txn, size, SH_ZERO);
		error = off == 0 ? errno : sh_txn_root(txn, root, off);
	}
	if (error == 0)
		error = sh_txn_commit(txn);
	if (error != 0)
		fail(CHECK_CALLS, "making %s: %s", root, sh_strerror(error));
	return off;
}

static void lay_out(struct supervisor *supervisor)
{
	char name[ROOT_TEXT_BYTES];

	for (unsigned seat = 0; seat < SEATS; seat++)
		shared->seats[seat].directory = make_block(supervisor, sizeof(struct directory),
			root_of_directory(name, seat));
	for (unsigned pair = 0; pair < PAIRS; pair++)
		shared->pairs[pair] =
			make_block(supervisor, sizeof(struct pair), root_of_pair(name, pair));
}

static void expect_root(struct supervisor *supervisor, const char *name, sh_off expected)
{
	sh_off off = 0;

	sh_root_get(supervisor->heap, name, &off);
	if (off != expected)
		fail(CHECK_MODEL, "root %s is %#llx, not %#llx", name, (unsigned long long)off,
			(unsigned long long)expected);
}

/* Everything is found again by its name. */
static void expect_layout(struct supervisor *supervisor)
{
	char name[ROOT_TEXT_BYTES];

	for (unsigned seat = 0; seat < SEATS; seat++)
		expect_root(supervisor, root_of_directory(name, seat),
			shared->seats[seat].directory);
	for (unsigned pair = 0; pair < PAIRS; pair++)
		expect_root(supervisor, root_of_pair(name, pair), shared->pairs[pair]);
}

/* Another heap, small enough to grow again, or to be full at times. Nobody else is attached. */
static bool make_heap(struct supervisor *supervisor)
{
	memset(shared->seats, 0, sizeof(shared->seats));
	memset(shared->entries, 0, sizeof(shared->entries));
	shared->few_sizes = random_once_in(&supervisor->random, 2);
	supervisor->heap_bytes =
		HEAP_MIN_BYTES + random_below(&supervisor->random, HEAP_STEPS) * HEAP_STEP_BYTES;
	if (!open_heap(supervisor, SH_CREATE | SH_EXCL, CHECK_CALLS))
		return false;
	lay_out(supervisor);
	return true;
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
		worker_main(supervisor->heap, supervisor->path, worker, generation);
	if (pid < 0) {
		fail(CHECK_PROGRESS, "fork: %s", strerror(errno));
		atomic_store(&shared->seats[worker].activity, ACTIVITY_NONE);
	} else {
		atomic_store(&shared->pids[worker], pid);
	}
}

static void start_missing(struct supervisor *supervisor)
{
	for (unsigned worker = 0; worker < WORKERS && !failed(); worker++)
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
		count_kill(died_inside(seat) || died_inside(helper));
		supervisor->unreaped++;
	}
	vacate(seat);
	vacate(helper);
	atomic_store(&shared->pids[worker], 0);
}

static void kill_worker(unsigned worker)
{
	kill(worker_pid(worker), SIGKILL);
}

/* A worker ends only when it is told or killed to. */
static void expect_living(void)
{
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		siginfo_t info = { .si_pid = 0 };

		if (worker_pid(worker) != 0 &&
			waitid(P_PID, (id_t)worker_pid(worker), &info,
				WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid != 0)
			fail(CHECK_CALLS, "worker %u ended by itself, with status %#x", worker,
				(unsigned)info.si_status);
	}
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
	expect_layout(supervisor);
	round_run(supervisor->heap);
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
	uint64_t who_reaps = random_below(&supervisor->random, 4);

	kill_worker(worker);
	if (who_reaps == 0)
		reap(supervisor);
	bury(supervisor, worker, true);
	if (who_reaps == 3 && supervisor->unreaped < UNREAPED_KILLS)
		spin_some(&supervisor->random, 4000);
	else
		reap(supervisor);
}

static void kill_one(struct supervisor *supervisor)
{
	unsigned worker = (unsigned)random_below(&supervisor->random, WORKERS);

	spin_some(&supervisor->random, 8000);
	kill_and_bury(supervisor, worker);
	start_missing(supervisor);
}

/* Again and again the one that just came, while it attaches and takes its seat over. */
static void kill_newcomers(struct supervisor *supervisor)
{
	unsigned worker = (unsigned)random_below(&supervisor->random, WORKERS);

	for (uint64_t i = 1 + random_below(&supervisor->random, 4); i > 0; i--) {
		kill_and_bury(supervisor, worker);
		start_missing(supervisor);
		spin_ns(random_below(&supervisor->random, 600 * 1000));
	}
}

static void kill_several(struct supervisor *supervisor)
{
	uint64_t victims = random_below(&supervisor->random, UINT64_C(1) << WORKERS);

	spin_some(&supervisor->random, 8000);
	for (unsigned worker = 0; worker < WORKERS; worker++)
		if (victims >> worker & 1)
			kill_worker(worker);
	for (unsigned worker = 0; worker < WORKERS; worker++)
		if (victims >> worker & 1)
			bury(supervisor, worker, true);
	reap(supervisor);
	start_missing(supervisor);
}

/* A stopped worker keeps what it holds; others may die meanwhile, and it goes on afterwards. The
 * supervisor stays out of the heap: it might wait for a lock of the stopped one. */
static void stop_one(struct supervisor *supervisor)
{
	struct random *random = &supervisor->random;
	unsigned worker = (unsigned)random_below(random, WORKERS);
	unsigned victim = (unsigned)random_below(random, WORKERS);
	struct seat *seat = &shared->seats[worker];
	uint64_t progress;

	spin_some(random, 2000);
	kill(worker_pid(worker), SIGSTOP);
	spin_some(random, 8000);
	if (victim != worker && random_once_in(random, 2)) {
		kill_worker(victim);
		bury(supervisor, victim, true);
		spin_some(random, 8000);
	}
	progress = atomic_load(&seat->progress);
	kill(worker_pid(worker), SIGCONT);
	while (atomic_load(&seat->progress) == progress && !failed())
		expect_living();
	tally(CHECK_STOPS);
	start_missing(supervisor);
}

/* --- the death of all ---------------------------------------------------------------------- */

/* Opens the heap, and stays until it is killed. */
__attribute__((noreturn)) static void open_and_wait(const char *path, unsigned flags)
{
	struct sh_heap *heap;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	atomic_store(&shared->opening, 1);
	error = sh_open(path, flags, NULL, &heap);
	atomic_store(&shared->opening, 0);
	if (error != 0)
		fail(CHECK_REOPENS, "sh_open by one who will be killed: %s", sh_strerror(error));
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
	spin_some(&supervisor->random, 3000);
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
	for (unsigned worker = 0; worker < WORKERS; worker++)
		bury(supervisor, worker, true);
	return threads;
}

static void recover(struct supervisor *supervisor, uint64_t deaths)
{
	struct sh_reap_report report;

	if (!open_heap(supervisor, 0, CHECK_REOPENS))
		return;
	if (sh_recovery_report(supervisor->heap, &report, NULL) == 0)
		tally_report(&report, deaths);
	compare(supervisor);
	if (!failed())
		tally(CHECK_REOPENS);
}

static void kill_all(struct supervisor *supervisor)
{
	uint64_t deaths;

	close_heap(supervisor);
	spin_some(&supervisor->random, 8000);
	for (unsigned worker = 0; worker < WORKERS; worker++)
		kill_worker(worker);
	deaths = bury_all(supervisor);
	for (uint64_t i = random_below(&supervisor->random, 4); i > 0; i--)
		kill_opener(supervisor, supervisor->path, 0);
	recover(supervisor, deaths);
	if (!failed() && random_once_in(&supervisor->random, 4)) {
		close_heap(supervisor);
		unlink(supervisor->path);
		make_heap(supervisor);
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

	name_heap(path, supervisor->folder, "created");
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

/* What must be seen besides the kills. */
static bool seen_enough(void)
{
	const struct reported *reported = &shared->reported;
	uint64_t kills = atomic_load(&shared->kills);

	return atomic_load(&reported->rolled_back) > 0 &&
		atomic_load(&reported->rolled_forward) > 0 &&
		atomic_load(&reported->operations_finished) > 0 &&
		atomic_load(&reported->operations_undone) > 0 &&
		atomic_load(&reported->inside) >= 100 &&
		atomic_load(&reported->inside) * 10 >= kills &&
		atomic_load(&shared->kills_inside) * 4 >= kills;
}

static bool finished(const struct supervisor *supervisor)
{
	if (failed() || elapsed_s(supervisor) >= supervisor->options->limit_seconds)
		return true;
	return elapsed_s(supervisor) >= supervisor->options->seconds &&
		atomic_load(&shared->kills) >= supervisor->options->kills && seen_enough();
}

static void act(struct supervisor *supervisor)
{
	uint64_t percent = random_below(&supervisor->random, 100);

	if (percent < 62)
		kill_one(supervisor);
	else if (percent < 72)
		kill_newcomers(supervisor);
	else if (percent < 80)
		kill_several(supervisor);
	else if (percent < 88)
		stop_one(supervisor);
	else if (percent < 94)
		kill_all(supervisor);
	else if (percent < 96)
		kill_creator(supervisor);
	else
		round_check(supervisor->heap, CHECK_HEAP_BUSY);
	step();
	expect_living();
}

static void bury_told(struct supervisor *supervisor)
{
	for (unsigned worker = 0; worker < WORKERS; worker++)
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
	close_heap(supervisor);
	if (!open_heap(supervisor, 0, CHECK_CLEAN_END))
		return;
	sh_recovery_report(supervisor->heap, &report, NULL);
	if (memcmp(&report, &nothing, sizeof(report)) != 0)
		fail(CHECK_CLEAN_END, "closed by all, and yet there was something to recover");
	compare(supervisor);
	close_heap(supervisor);
	if (!failed())
		tally(CHECK_CLEAN_END);
}

static void supervise(struct supervisor *supervisor)
{
	if (!make_heap(supervisor))
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
	if (failed())
		say("the heap is kept: %s", supervisor->path);
	else
		remove_folder(supervisor);
}

/* --- the watchdog -------------------------------------------------------------------------- */

/* Process. When somebody was last seen to make progress. */
struct pulse {
	uint64_t progress;
	uint64_t since_ns;
	uint64_t longest_ns;
};

static void feel(struct pulse *pulse, uint64_t progress, bool runs)
{
	uint64_t now = now_ns();

	if (runs && pulse->since_ns != 0 && pulse->progress == progress) {
		if (now - pulse->since_ns > pulse->longest_ns)
			pulse->longest_ns = now - pulse->since_ns;
		return;
	}
	pulse->progress = progress;
	pulse->since_ns = now;
}

/* What a seat's occupant did; a new occupant is progress, too. */
static uint64_t seat_progress(unsigned seat)
{
	return atomic_load(&shared->seats[seat].progress) +
		(atomic_load(&shared->generations[seat % WORKERS]) << 40);
}

static void feel_all(struct pulse pulses[SEATS + 1])
{
	for (unsigned seat = 0; seat < SEATS; seat++)
		feel(&pulses[seat], seat_progress(seat),
			atomic_load(&shared->seats[seat].activity) == ACTIVITY_RUNNING);
	feel(&pulses[SEATS], atomic_load(&shared->steps), true);
}

static uint64_t longest_ns(const struct pulse pulses[SEATS + 1], unsigned count)
{
	uint64_t longest = 0;

	for (unsigned i = 0; i < count; i++)
		if (pulses[i].longest_ns > longest)
			longest = pulses[i].longest_ns;
	return longest;
}

/* If there is a debugger. */
static void print_stack(pid_t pid)
{
	char command[128];

	snprintf(command, sizeof(command),
		"gdb -p %d -batch -ex 'thread apply all backtrace' 2>/dev/null", (int)pid);
	say("process %d:", (int)pid);
	if (system(command) != 0)
		say("no stack: is gdb installed?");
}

static void print_stacks(pid_t supervisor)
{
	print_stack(supervisor);
	for (unsigned worker = 0; worker < WORKERS; worker++)
		if (worker_pid(worker) != 0)
			print_stack(worker_pid(worker));
}

static void print_progress(uint64_t seconds)
{
	say("%4llu s  %llu kills, %llu of them inside; %llu operations, %llu rounds, %llu reopens",
		(unsigned long long)seconds, (unsigned long long)atomic_load(&shared->kills),
		(unsigned long long)atomic_load(&shared->kills_inside),
		(unsigned long long)atomic_load(&shared->operations),
		(unsigned long long)atomic_load(&shared->rounds[CHECK_MODEL]),
		(unsigned long long)atomic_load(&shared->rounds[CHECK_REOPENS]));
}

/* Watches until the supervisor ends. Returns the longest time that a seat made no progress. */
static uint64_t watch(pid_t supervisor)
{
	struct pulse pulses[SEATS + 1] = { { 0 } };
	uint64_t begun = now_ns();
	uint64_t said = 0;
	int status;

	while (waitpid(supervisor, &status, WNOHANG) == 0) {
		uint64_t seconds = (now_ns() - begun) / NS_PER_S;

		usleep(5000);
		feel_all(pulses);
		if (seconds >= said + 5) {
			said = seconds;
			print_progress(seconds);
		}
		if (longest_ns(pulses, SEATS + 1) < HANG_SECONDS * NS_PER_S)
			continue;
		fail(CHECK_PROGRESS, "somebody made no progress for %d s", HANG_SECONDS);
		print_stacks(supervisor);
		/* The workers die with it. */
		kill(supervisor, SIGKILL);
		waitpid(supervisor, &status, 0);
		return longest_ns(pulses, SEATS);
	}
	if (status != 0)
		fail(CHECK_PROGRESS, "the supervisor ended with status %#x", (unsigned)status);
	return longest_ns(pulses, SEATS);
}

/* --- the result ---------------------------------------------------------------------------- */

/* Checks a number that the run must have reached. */
static void expect_reached(enum check check, uint64_t reached, uint64_t expected)
{
	atomic_store(&shared->rounds[check], reached);
	if (reached < expected)
		fail(check, "%llu were reached, not %llu", (unsigned long long)reached,
			(unsigned long long)expected);
}

/* A run that failed ended early, and has reached nothing. */
static void expect_numbers(const struct options *options)
{
	const struct reported *reported = &shared->reported;
	uint64_t kills = atomic_load(&shared->kills);
	uint64_t one = failed() ? 0 : 1;

	expect_reached(CHECK_KILLS, kills, one * options->kills);
	expect_reached(CHECK_INSIDE_JOURNALS, atomic_load(&shared->kills_inside),
		one * (kills + 3) / 4);
	expect_reached(CHECK_INSIDE_REPORTS, atomic_load(&reported->inside),
		one * (kills / 10 > 100 ? kills / 10 : 100));
	expect_reached(CHECK_ROLLED_BACK, atomic_load(&reported->rolled_back), one);
	expect_reached(CHECK_ROLLED_FORWARD, atomic_load(&reported->rolled_forward), one);
	expect_reached(CHECK_FINISHED, atomic_load(&reported->operations_finished), one);
	expect_reached(CHECK_UNDONE, atomic_load(&reported->operations_undone), one);
}

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

	say("kills %llu; inside an operation: %llu (%llu %%) by the journals, %llu (%llu %%) by "
	    "the "
	    "reports of %llu threads",
		(unsigned long long)kills, (unsigned long long)atomic_load(&shared->kills_inside),
		(unsigned long long)(atomic_load(&shared->kills_inside) * 100 / percent),
		(unsigned long long)atomic_load(&shared->reported.inside),
		(unsigned long long)(atomic_load(&shared->reported.inside) * 100 / percent),
		(unsigned long long)atomic_load(&shared->reported.threads));
	say("operations %llu; %llu records told by the heap; %llu blocks leaked by sh_alloc(), "
	    "freed; "
	    "%llu times no space; longest time without progress %llu ms",
		(unsigned long long)atomic_load(&shared->operations),
		(unsigned long long)atomic_load(&shared->doubts),
		(unsigned long long)atomic_load(&shared->leaks),
		(unsigned long long)atomic_load(&shared->out_of_memory),
		(unsigned long long)(longest / NS_PER_MS));
}

/* --- start --------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: kill_stress [--seed N] [--kills N] [--seconds N] [--limit N] [--folder PATH]\n"
	"  --seed N       decides what is done (the environment's SH_SEED; else random)\n"
	"  --kills N      how many processes are killed, at least (2000)\n"
	"  --seconds N    how long it runs, at least (30)\n"
	"  --limit N      after how many seconds it gives up (150)\n"
	"  --folder PATH  where the heap is made (/dev/shm, else /tmp)\n";

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 0);

	if (end == text || *end != '\0') {
		fprintf(stderr, "kill_stress: '%s' is no number\n%s", text, usage);
		exit(2);
	}
	return number;
}

static struct options read_options(int argc, char **argv)
{
	const char *seed = getenv("SH_SEED");
	struct options options = {
		.seed = seed != NULL ? number_of(seed) : now_ns() ^ (uint64_t)getpid() << 40,
		.kills = 2000,
		.seconds = 30,
		.limit_seconds = 150,
		.folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
	};

	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--seed") == 0) {
			options.seed = number_of(value);
		} else if (strcmp(argv[i], "--kills") == 0) {
			options.kills = number_of(value);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			options.seconds = (unsigned)number_of(value);
		} else if (strcmp(argv[i], "--limit") == 0) {
			options.limit_seconds = (unsigned)number_of(value);
		} else if (strcmp(argv[i], "--folder") == 0) {
			options.folder = value;
		} else {
			fputs(usage, stderr);
			exit(2);
		}
	}
	return options;
}

static void make_shared(uint64_t seed)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED) {
		perror("kill_stress: mmap");
		exit(2);
	}
	shared->seed = seed;
}

static pid_t start_supervisor(const struct options *options)
{
	struct supervisor supervisor = {
		.options = options,
		.random = { seed_of(0) },
		.begun_ns = now_ns(),
	};
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	make_folder(&supervisor);
	if (!failed())
		supervise(&supervisor);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct options options = read_options(argc, argv);
	uint64_t longest;
	pid_t supervisor;

	make_shared(options.seed);
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
	expect_numbers(&options);
	expect_rounds();
	print_summary(longest);
	return tally_print() == 0 ? 0 : 1;
}
