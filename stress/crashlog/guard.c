/* guard.c -- code that may abort, fault or hang
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/guard.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_SECONDS 20
#define PATIENCE_SECONDS_QUIETLY 5

static const int caught[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
#define CAUGHT (sizeof(caught) / sizeof(caught[0]))

/* Process. */
static sigjmp_buf back;
static bool quiet;

static void leave(int signal_number)
{
	siglongjmp(back, signal_number);
}

static const char *name_of(int signal_number)
{
	switch (signal_number) {
	case SIGABRT:
		return "an assertion failed";
	case SIGALRM:
		return "it does not come to an end";
	default:
		return "it crashed";
	}
}

static void set_alarm(int seconds)
{
	struct itimerval timer = { .it_value = { .tv_sec = seconds } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

void guard_quietly(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	quiet = true;
	if (fd >= 0) {
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
}

const char *guarded_run(void (*function)(void *argument), void *argument)
{
	struct sigaction action = { .sa_handler = leave };
	struct sigaction before[CAUGHT];
	volatile int signal_number;

	for (size_t i = 0; i < CAUGHT; i++)
		sigaction(caught[i], &action, &before[i]);
	signal_number = sigsetjmp(back, 1);
	if (signal_number == 0) {
		set_alarm(quiet ? PATIENCE_SECONDS_QUIETLY : PATIENCE_SECONDS);
		function(argument);
	}
	set_alarm(0);
	for (size_t i = 0; i < CAUGHT; i++)
		sigaction(caught[i], &before[i], NULL);
	return signal_number == 0 ? NULL : name_of(signal_number);
}
