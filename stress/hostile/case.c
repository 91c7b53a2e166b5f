/* case.c -- one scenario: what it expects, what it says, the processes that it starts
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/case.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000u

struct board *board;
char folder[512];

/* --- what happened ------------------------------------------------------------------------- */

void tell(const char *format, ...)
{
	size_t used = strlen(board->text);
	va_list arguments;

	if (atomic_load(&board->writers) != 0)
		return;
	if (used != 0)
		used += (size_t)snprintf(board->text + used, TEXT_BYTES - used, "; ");
	if (used >= TEXT_BYTES)
		return;
	va_start(arguments, format);
	vsnprintf(board->text + used, TEXT_BYTES - used, format, arguments);
	va_end(arguments);
}

_Noreturn static void end(enum outcome outcome, const char *place, const char *text)
{
	if (atomic_fetch_add(&board->writers, 1) == 0) {
		snprintf(board->text, TEXT_BYTES, "%s%s", place, text);
		atomic_store(&board->outcome, outcome);
	}
	_exit(1);
}

_Noreturn void skip(const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	end(OUTCOME_SKIPPED, "", text);
}

_Noreturn void expect_failed(const char *place, const char *text)
{
	end(OUTCOME_FAILED, place, text);
}

void need_root(void)
{
	if (geteuid() != 0)
		skip("wants root");
}

/* --- processes ----------------------------------------------------------------------------- */

pid_t start(body_fn *body, void *argument)
{
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(argument);
		_exit(0);
	}
	return child;
}

int finish(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void finish_well(pid_t child)
{
	EXPECT_EQUAL(finish(child), 0);
}

void finish_killed(pid_t child)
{
	kill(child, SIGKILL);
	EXPECT_EQUAL(finish(child), SIGKILL);
}

void run(body_fn *body, void *argument)
{
	finish_well(start(body, argument));
}

void reach(unsigned post, uint32_t step)
{
	atomic_store(&board->step[post], step);
}

bool stays_below(unsigned post, uint32_t step, unsigned milliseconds)
{
	uint64_t end_us = now_us() + milliseconds * UINT64_C(1000);

	while (atomic_load(&board->step[post]) < step) {
		if (now_us() > end_us)
			return true;
		usleep(100);
	}
	return false;
}

void wait_for(unsigned post, uint32_t step)
{
	if (stays_below(post, step, PATIENCE_MS))
		fail(__FILE__, __LINE__, "nobody came to step %u of signpost %u", step, post);
}

void sleep_ms(unsigned milliseconds)
{
	usleep(milliseconds * 1000);
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int command(const char *format, ...)
{
	char text[4096];
	va_list arguments;
	int used;
	int status;

	va_start(arguments, format);
	used = snprintf(text, sizeof(text), "{ ");
	used += vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
	va_end(arguments);
	snprintf(text + used, sizeof(text) - (size_t)used, "; } >/dev/null 2>&1");
	status = system(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

void stop_process(pid_t child)
{
	int status;

	kill(child, SIGSTOP);
	EXPECT_EQUAL(waitpid(child, &status, WUNTRACED), child);
	if (!WIFSTOPPED(status))
		fail(__FILE__, __LINE__, "a process ended (status %d) before it was stopped",
			status);
}
