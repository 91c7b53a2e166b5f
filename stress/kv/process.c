/* process.c -- processes that are started, killed, stopped and replaced
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kv/process.h"

#include "stress/kv/reader.h"
#include "stress/kv/tally.h"
#include "stress/kv/writer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_NS (20 * UINT64_C(1000000000))

void process_follow(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
}

void process_note(const struct sh_reap_report *report)
{
	atomic_fetch_add(&shared->counts.rolled_back, report->rolled_back);
	atomic_fetch_add(&shared->counts.rolled_forward, report->rolled_forward);
}

/* --- a worker ------------------------------------------------------------------------------ */

/* Attached by the fork, it cleans up after the dead itself. */
static int open_store(const struct crew *crew, struct kv **store)
{
	struct sh_reap_report report = { 0 };
	int error;

	*store = crew->store;
	if (*store != NULL) {
		error = sh_reap(kv_heap(*store), &report);
	} else {
		error = kv_open(crew->path, KV_CREATE, NULL, store);
		if (error == 0)
			error = sh_recovery_report(kv_heap(*store), &report, NULL);
	}
	process_note(&report);
	return error;
}

/* Read sections are to be had: the supervisor has the store open. */
static int open_read_only(const struct crew *crew, struct kv **store)
{
	int error = kv_close(crew->store);

	return error != 0 ? error : kv_open(crew->path, KV_RDONLY, NULL, store);
}

static _Noreturn void work(const struct crew *crew, unsigned seat)
{
	uint64_t generation = shared->seats[seat].generation;
	uint64_t seed = crew->seed + generation * WORKERS;
	bool read_only = crew->store != NULL && seat >= WRITERS && generation % 2 == 1;
	struct kv *store;
	int error;

	process_follow();
	error = read_only ? open_read_only(crew, &store) : open_store(crew, &store);
	if (expect_ok(error, "opening the store") == 0) {
		if (seat < WRITERS)
			writer_run(store, seat, seed);
		else
			reader_run(store, seat, seed);
	}
	_exit(0);
}

static void start(struct crew *crew, unsigned number)
{
	struct seat *seat = &shared->seats[number];
	pid_t pid;

	seat->generation++;
	pid = fork();
	if (pid == 0)
		work(crew, number);
	if (pid < 0)
		fail(CHECK_PROGRESS, "fork failed");
	else
		seat->pid = pid;
}

void crew_start(struct crew *crew)
{
	for (unsigned i = 0; i < WORKERS && !failed(); i++)
		if (shared->seats[i].pid == 0)
			start(crew, i);
}

/* --- ends ---------------------------------------------------------------------------------- */

static void send(unsigned number, int number_of_signal)
{
	if (shared->seats[number].pid > 0)
		kill(shared->seats[number].pid, number_of_signal);
}

static void bury(unsigned number, bool killed)
{
	struct seat *seat = &shared->seats[number];
	int status = 0;

	if (seat->pid == 0)
		return;
	waitpid(seat->pid, &status, 0);
	/* After a failure they end as it comes. */
	if (!failed() &&
		(killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0))
		fail(CHECK_CALLS, "worker %u ended by itself, with status %#x", number,
			(unsigned)status);
	if (killed) {
		atomic_fetch_add(&shared->counts.kills, 1);
		atomic_fetch_add(&shared->counts.kills_inside, atomic_load(&seat->inside));
	}
	atomic_store(&seat->inside, 0);
	atomic_store(&seat->call_ns, 0);
	atomic_store(&seat->ready, 0);
	seat->pid = 0;
}

void crew_watch(void)
{
	uint64_t now = now_ns();

	for (unsigned i = 0; i < WORKERS; i++) {
		uint64_t since = atomic_load(&shared->seats[i].call_ns);
		siginfo_t info = { .si_pid = 0 };

		if (since != 0 && since < now && now - since > HANG_NS)
			fail(CHECK_PROGRESS, "worker %u hangs", i);
		if (shared->seats[i].pid != 0 && !told_to_stop() &&
			waitid(P_PID, (id_t)shared->seats[i].pid, &info,
				WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid != 0 && !told_to_stop())
			fail(CHECK_CALLS, "worker %u ended by itself, with status %#x", i,
				(unsigned)info.si_status);
	}
}

static unsigned any_worker(struct crew *crew)
{
	/* Writers die more often. */
	return (unsigned)chance_below(&crew->random,
		chance_once_in(&crew->random, 3) ? WORKERS : WRITERS);
}

void crew_kill_one(struct crew *crew)
{
	unsigned victim = any_worker(crew);

	send(victim, SIGKILL);
	bury(victim, true);
	/* The survivors may find the dead before the successor does. */
	if (chance_once_in(&crew->random, 2))
		sleep_us(chance_below(&crew->random, 1500));
	crew_start(crew);
}

static void kill_those(uint64_t victims)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (victims >> i & 1)
			send(i, SIGKILL);
	for (unsigned i = 0; i < WORKERS; i++)
		if (victims >> i & 1)
			bury(i, true);
}

void crew_kill_several(struct crew *crew)
{
	kill_those(chance_below(&crew->random, UINT64_C(1) << WORKERS));
	crew_start(crew);
}

void crew_kill_all(struct crew *crew)
{
	(void)crew;
	kill_those((UINT64_C(1) << WORKERS) - 1);
}

/* Others may die while it is stopped, and it may itself. */
void crew_stop_one(struct crew *crew)
{
	unsigned victim = any_worker(crew);

	send(victim, SIGSTOP);
	atomic_fetch_add(&shared->counts.stops, 1);
	sleep_us(chance_below(&crew->random, 8000));
	if (chance_once_in(&crew->random, 3)) {
		unsigned other = any_worker(crew);

		send(other, SIGKILL);
		bury(other, true);
		sleep_us(chance_below(&crew->random, 4000));
	}
	send(victim, SIGCONT);
	crew_start(crew);
}

static bool has_ended(unsigned number)
{
	siginfo_t info = { .si_pid = 0 };

	return shared->seats[number].pid == 0 ||
		(waitid(P_PID, (id_t)shared->seats[number].pid, &info,
			 WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid != 0);
}

void crew_dismiss(struct crew *crew)
{
	uint64_t begun = now_ns();

	(void)crew;
	atomic_store(&shared->stop, 1);
	for (unsigned i = 0; i < WORKERS; i++) {
		while (!has_ended(i) && now_ns() - begun < HANG_NS)
			sleep_us(200);
		if (!has_ended(i)) {
			fail(CHECK_PROGRESS, "worker %u does not come to its end", i);
			return;
		}
		bury(i, false);
	}
	tally(CHECK_PROGRESS);
}
