/* process.c -- errors, and processes that start one another
 * SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

void fail(const char *format, ...)
{
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	fflush(stdout);
	fprintf(stderr, "readmostly: %s\n", message);
	exit(EXIT_FAILURE);
}

void must(int error, const char *what)
{
	if (error != 0)
		fail("%s: %s", what, sh_strerror(error));
}

sh_off must_allocate(sh_off off)
{
	if (off == 0)
		fail("allocating in the heap: %s", sh_strerror(errno));
	return off;
}

pid_t process_start(const struct job *job, const char *role, unsigned slot, uint64_t seed)
{
	char parent_text[24];
	char slot_text[24];
	char seed_text[24];
	pid_t pid;

	snprintf(parent_text, sizeof(parent_text), "%d", (int)getpid());
	snprintf(slot_text, sizeof(slot_text), "%u", slot);
	snprintf(seed_text, sizeof(seed_text), "%" PRIu64, seed);
	const char *arguments[] = { "readmostly", role, parent_text, job->heap_path,
		job->ledger_path, job->careless ? "1" : "0", slot_text, seed_text, NULL };

	int error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL,
		(char *const *)(uintptr_t)arguments, environ);
	if (error != 0)
		fail("cannot start a process: %s", strerror(error));
	return pid;
}

void process_follow(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		fail("prctl(PR_SET_PDEATHSIG): %s", strerror(errno));
	/* It may have died before the signal was asked for. */
	if (getppid() != parent)
		raise(SIGKILL);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void sleep_us(uint64_t us)
{
	struct timespec time = {
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000 * 1000),
	};

	nanosleep(&time, NULL);
}
