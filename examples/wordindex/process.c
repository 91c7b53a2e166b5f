/* process.c -- errors, and processes that start and end one another
 * SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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
	fprintf(stderr, "wordindex: %s\n", message);
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

static pid_t spawn(char *const *arguments, int report_fd, bool own_group)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid = 0;

	int error = posix_spawn_file_actions_init(&actions);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, report_fd, STDOUT_FILENO);
	if (error == 0)
		error = posix_spawnattr_init(&attributes);
	if (error == 0 && own_group)
		error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	if (error == 0)
		error = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments,
			environ);
	if (error != 0)
		fail("cannot start a process: %s", strerror(error));
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

pid_t process_start(const struct job *job, const char *command, uint64_t number, uint64_t limit,
	int report_fd, bool own_group)
{
	enum { OWN_ARGUMENTS = 6 };
	char parent[24];
	char number_text[24];
	char limit_text[24];
	const char **arguments = calloc(OWN_ARGUMENTS + job->text_count + 1, sizeof(char *));

	if (arguments == NULL)
		fail("no memory for %zu arguments", job->text_count);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	snprintf(number_text, sizeof(number_text), "%" PRIu64, number);
	snprintf(limit_text, sizeof(limit_text), "%" PRIu64, limit);
	const char *own[OWN_ARGUMENTS] = { "wordindex", command, parent, job->heap_path,
		number_text, limit_text };
	memcpy(arguments, own, sizeof(own));
	for (size_t i = 0; i < job->text_count; i++)
		arguments[OWN_ARGUMENTS + i] = job->text_names[i];

	pid_t pid = spawn((char *const *)(uintptr_t)arguments, report_fd, own_group);
	free(arguments);
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

void process_expect_end(int status, int signal, const char *name)
{
	if (WIFEXITED(status) && (signal != 0 || WEXITSTATUS(status) != 0))
		fail("%s ended by itself with status %d", name, WEXITSTATUS(status));
	if (WIFSIGNALED(status) && WTERMSIG(status) != signal)
		fail("%s was ended by signal %d", name, WTERMSIG(status));
}

void pipe_open(int fds[2])
{
	if (pipe(fds) != 0)
		fail("pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
			fail("fcntl(F_SETFD): %s", strerror(errno));
}

void report_write(int fd, const void *report, size_t length_bytes)
{
	/* Short enough for a pipe to take it whole or not at all (PIPE_BUF). */
	if (write(fd, report, length_bytes) != (ssize_t)length_bytes)
		fail("cannot report: %s", strerror(errno));
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
