/* single_step.c -- a process that goes on by single instructions
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/single_step.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__

#define TRAP_BYTE 0xccL

static void trap(void)
{
	__asm__ volatile("int3");
}

static uint64_t place_of(pid_t victim)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, victim, offsetof(struct user_regs_struct, rip),
		NULL);
}

static void set_place(pid_t victim, uint64_t place)
{
	ptrace(PTRACE_POKEUSER, victim, offsetof(struct user_regs_struct, rip), place);
}

const char *step_refusal(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(errno);
		trap();
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return strerror(errno);
	if (WIFEXITED(status))
		return strerror(WEXITSTATUS(status));
	step_kill(child);
	return NULL;
}

#else

/* Elsewhere a step between the two halves of an exclusive access loses it, so that its loop never ends. */
const char *step_refusal(void)
{
	return "single steps are for x86-64 only";
}

#define TRAP_BYTE 0L

static void trap(void)
{
}

static uint64_t place_of(pid_t victim)
{
	(void)victim;
	return 0;
}

static void set_place(pid_t victim, uint64_t place)
{
	(void)victim;
	(void)place;
}

#endif

/* --- by the victim ------------------------------------------------------------------------- */

__attribute__((noinline)) void step_begin_mark(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(2);
	trap();
}

/* The address is what counts, so it must be a function of its own. */
__attribute__((noinline)) void step_end_mark(void)
{
	__asm__ volatile("");
}

/* --- by who started it --------------------------------------------------------------------- */

/* Waits until it stops. False: it ended. */
static bool stopped(pid_t victim)
{
	int status;

	while (waitpid(victim, &status, __WALL) < 0)
		if (errno != EINTR)
			return false;
	return WIFSTOPPED(status);
}

bool step_begin(pid_t victim)
{
	return stopped(victim);
}

bool step(pid_t victim)
{
	return ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL) == 0 && stopped(victim);
}

uint64_t step_place(pid_t victim)
{
	return place_of(victim);
}

bool step_at_end(pid_t victim)
{
	return place_of(victim) == (uint64_t)(uintptr_t)step_end_mark;
}

/* Stack. */
struct trap_there {
	uint64_t place;
	long word; /* that was there before */
};

static struct trap_there put_trap(pid_t victim, uint64_t place)
{
	struct trap_there there = { .place = place,
		.word = ptrace(PTRACE_PEEKTEXT, victim, place, NULL) };

	ptrace(PTRACE_POKETEXT, victim, place, (there.word & ~0xffL) | TRAP_BYTE);
	return there;
}

static void take_trap(pid_t victim, const struct trap_there *there)
{
	ptrace(PTRACE_POKETEXT, victim, there->place, there->word);
}

/* Runs into the next trap, and stands before it. */
static bool run_to_trap(pid_t victim)
{
	if (ptrace(PTRACE_CONT, victim, NULL, NULL) != 0 || !stopped(victim))
		return false;
	/* Behind the trap. */
	set_place(victim, place_of(victim) - 1);
	return true;
}

bool step_run_to(pid_t victim, uint64_t place, uint64_t visits)
{
	struct trap_there end = put_trap(victim, (uint64_t)(uintptr_t)step_end_mark);
	bool runs = true;

	for (;;) {
		struct trap_there there;

		if (place_of(victim) == place) {
			if (visits-- == 0)
				break;
			runs = step(victim);
		}
		if (!runs || step_at_end(victim))
			break;
		if (place_of(victim) == place)
			continue;
		there = put_trap(victim, place);
		runs = run_to_trap(victim);
		if (!runs)
			break;
		take_trap(victim, &there);
		if (step_at_end(victim))
			break;
	}
	if (runs)
		take_trap(victim, &end);
	return runs;
}

void step_kill(pid_t victim)
{
	int status;

	kill(victim, SIGKILL);
	while (waitpid(victim, &status, __WALL) == victim ? WIFSTOPPED(status) : errno == EINTR)
		;
}

bool step_let_go(pid_t victim)
{
	return ptrace(PTRACE_DETACH, victim, NULL, NULL) == 0;
}

bool step_stop(pid_t victim)
{
	int status;

	if (ptrace(PTRACE_DETACH, victim, NULL, (long)SIGSTOP) != 0)
		return false;
	while (waitpid(victim, &status, WUNTRACED) < 0)
		if (errno != EINTR)
			return false;
	return WIFSTOPPED(status);
}
