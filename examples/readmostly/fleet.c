/* fleet.c -- the readers and writers of a run: started, stopped, killed, replaced
 * SPDX-License-Identifier: BSD-3-Clause */
#include "fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { STOP_ONE_IN = 4, WRITER_ONE_IN = 2, REAP_ONE_IN = 2, AIM_MAX_US = 3000 };

static void member_start(struct fleet *fleet, unsigned i)
{
	bool reads = i < fleet->readers;
	unsigned slot = reads ? i : i - fleet->readers;

	fleet->member[i] = (struct member){
		.pid = process_start(fleet->job, reads ? "read" : "write", slot,
			chance_next(&fleet->chance)),
	};
}

/* Somebody is gone: because it was killed, or for a reason of its own. */
static void member_bury(struct fleet *fleet, unsigned i, int status)
{
	const char *name = i < fleet->readers ? "reader" : "writer";

	fleet->member[i] = (struct member){ 0 };
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	fleet->fate.ended++;
	if (WIFSIGNALED(status))
		printf("  WRONG: a %s was ended by signal %d\n", name, WTERMSIG(status));
	else
		printf("  WRONG: a %s ended by itself with status %d\n", name, WEXITSTATUS(status));
}

/* Waits until it is stopped or gone; false when it is gone. */
static bool member_await(struct fleet *fleet, unsigned i, int flags)
{
	int status;
	pid_t pid = waitpid(fleet->member[i].pid, &status, flags);

	if (pid < 0)
		fail("waitpid: %s", strerror(errno));
	if (pid == 0 || WIFSTOPPED(status))
		return true;
	member_bury(fleet, i, status);
	return false;
}

/* All by one and the same moment, as far as one process can do that. */
static void members_kill(struct fleet *fleet, unsigned first, unsigned behind)
{
	for (unsigned i = first; i < behind; i++)
		if (fleet->member[i].pid != 0)
			kill(fleet->member[i].pid, SIGKILL);
	for (unsigned i = first; i < behind; i++)
		if (fleet->member[i].pid != 0) {
			member_await(fleet, i, 0);
			fleet->fate.kills++;
		}
}

static void members_start(struct fleet *fleet, unsigned first, unsigned behind)
{
	for (unsigned i = first; i < behind; i++)
		if (fleet->member[i].pid == 0)
			member_start(fleet, i);
}

void fleet_start_readers(struct fleet *fleet)
{
	members_start(fleet, 0, fleet->readers);
}

void fleet_start_writers(struct fleet *fleet)
{
	members_start(fleet, fleet->readers, fleet->readers + fleet->writers);
}

static void fleet_reap(struct fleet *fleet)
{
	struct sh_reap_report report;

	must(sh_reap(fleet->heap, &report), "sh_reap");
	ledger_note_settled(fleet->ledger, &report);
}

void fleet_end(struct fleet *fleet)
{
	members_kill(fleet, 0, fleet->readers + fleet->writers);
}

/* Most readers are in a section at most times, so most stops fall into one. */
static void reader_stop(struct fleet *fleet, unsigned i)
{
	struct member *member = &fleet->member[i];

	if (member->pid == 0 || member->stopped_ns != 0)
		return;
	kill(member->pid, SIGSTOP);
	if (!member_await(fleet, i, WUNTRACED))
		return;
	member->stopped_ns = now_ns() + chance_below(&fleet->chance, STOP_MAX_US) * 1000;
	fleet->fate.stops++;
	fleet->fate.stops_inside +=
		__atomic_load_n(&fleet->ledger->reader[i].inside, __ATOMIC_RELAXED);
}

static void readers_resume(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->readers; i++) {
		struct member *member = &fleet->member[i];
		if (member->stopped_ns != 0 && now_ns() >= member->stopped_ns) {
			member->stopped_ns = 0;
			kill(member->pid, SIGCONT);
		}
	}
}

static void ended_replace(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->readers + fleet->writers; i++)
		if (fleet->member[i].pid != 0 && !member_await(fleet, i, WNOHANG))
			member_start(fleet, i);
}

/* A writer rests most of the time; what is to be seen are deaths at work. Where in its work it dies,
 * nobody chooses. */
static void writer_await_burst(const struct fleet *fleet, unsigned slot)
{
	const uint64_t *inside = &fleet->ledger->writer[slot].inside;
	uint64_t late_ns = now_ns() + AIM_MAX_US * 1000;

	while (__atomic_load_n(inside, __ATOMIC_RELAXED) == 0 && now_ns() < late_ns)
		;
}

/* Kills one of those who are there, and starts another in its place. Half of the time nobody is told:
 * whoever needs what the dead had must find out alone. */
static void member_replace(struct fleet *fleet, unsigned i)
{
	if (fleet->member[i].pid == 0)
		return;
	if (i >= fleet->readers)
		writer_await_burst(fleet, i - fleet->readers);
	members_kill(fleet, i, i + 1);
	if (chance_one_in(&fleet->chance, REAP_ONE_IN))
		fleet_reap(fleet);
	member_start(fleet, i);
}

static unsigned victim_choose(struct fleet *fleet)
{
	if (chance_one_in(&fleet->chance, WRITER_ONE_IN))
		return fleet->readers + (unsigned)chance_below(&fleet->chance, fleet->writers);
	return (unsigned)chance_below(&fleet->chance, fleet->readers);
}

void fleet_harass(struct fleet *fleet)
{
	readers_resume(fleet);
	ended_replace(fleet);
	if (chance_one_in(&fleet->chance, STOP_ONE_IN))
		reader_stop(fleet, (unsigned)chance_below(&fleet->chance, fleet->readers));
	else
		member_replace(fleet, victim_choose(fleet));
}
