/* watchdog.c -- sees to it that everybody makes progress
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/watchdog.h"

#include "stress/kill/tally.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 20
#define SAY_SECONDS 5
#define POLL_MICROSECONDS 5000
#define NS_PER_S UINT64_C(1000000000)

/* --- progress ------------------------------------------------------------------------------ */

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

/* The seat that hangs, SEATS for the supervisor, or SEATS + 1. */
static unsigned hung(const struct pulse pulses[SEATS + 1])
{
	unsigned i = 0;

	while (i <= SEATS && pulses[i].longest_ns < HANG_SECONDS * NS_PER_S)
		i++;
	return i;
}

static uint64_t longest_ns(const struct pulse pulses[SEATS + 1])
{
	uint64_t longest = 0;

	for (unsigned i = 0; i < SEATS; i++)
		if (pulses[i].longest_ns > longest)
			longest = pulses[i].longest_ns;
	return longest;
}

/* --- output -------------------------------------------------------------------------------- */

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

static pid_t pid_of(unsigned worker)
{
	return (pid_t)atomic_load(&shared->pids[worker]);
}

static void print_stacks(pid_t supervisor)
{
	print_stack(supervisor);
	for (unsigned worker = 0; worker < shared->workers; worker++)
		if (pid_of(worker) != 0)
			print_stack(pid_of(worker));
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

/* --- watching ------------------------------------------------------------------------------ */

static void end_hang(pid_t supervisor, unsigned who)
{
	if (who == SEATS)
		fail(CHECK_PROGRESS, "the supervisor made no progress for %d s", HANG_SECONDS);
	else
		fail(CHECK_PROGRESS, "seat %u made no progress for %d s", who, HANG_SECONDS);
	print_stacks(supervisor);
	/* The workers die with it. */
	kill(supervisor, SIGKILL);
	waitpid(supervisor, NULL, 0);
}

uint64_t watch(pid_t supervisor)
{
	struct pulse pulses[SEATS + 1] = { { 0 } };
	uint64_t begun = now_ns();
	uint64_t said = 0;
	int status;

	while (waitpid(supervisor, &status, WNOHANG) == 0) {
		uint64_t seconds = (now_ns() - begun) / NS_PER_S;

		usleep(POLL_MICROSECONDS);
		feel_all(pulses);
		if (hung(pulses) <= SEATS) {
			end_hang(supervisor, hung(pulses));
			return longest_ns(pulses);
		}
		if (seconds >= said + SAY_SECONDS) {
			said = seconds;
			print_progress(seconds);
		}
	}
	if (status != 0)
		fail(CHECK_PROGRESS, "the supervisor ended with status %#x", (unsigned)status);
	return longest_ns(pulses);
}
