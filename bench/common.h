/* common.h -- what the benchmarks share: options, clock, random numbers, medians, giving up
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_COMMON_H
#define SPANHEAP_BENCH_COMMON_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Every sequence of random numbers begins here: the same blocks in each run and for each peer. */
#define SEED UINT64_C(0x9e3779b97f4a7c15)
#define REPETITIONS_MAX 101u
#define FOLDERS_MAX 4u
#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)
#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

#define TMPFS_MAGIC_NUMBER 0x01021994
#define EXT4_MAGIC_NUMBER 0xef53

/* Prints "PROGRAM: what" and ends the process with status 1. */
__attribute__((format(printf, 1, 2))) static inline _Noreturn void die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* What the process took of a processor, the kernel's work for it included: in loops without waits
 * it is what now_ns() would tell on a machine that does nothing else. */
static inline uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* The same of the calling thread alone. */
static inline uint64_t thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* xorshift64: the next number of a sequence that begins with any seed but 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A number below `limit`, at most 2^32, from the upper half of a random number. */
static inline uint64_t random_below(uint64_t number, uint64_t limit)
{
	return (number >> 32) * limit >> 32;
}

/* A size from `min` to `max` bytes, each as likely, from the lower half of a random number. */
static inline size_t random_size(uint64_t number, size_t min, size_t max)
{
	return min + random_below(number << 32, max - min + 1);
}

static inline int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

/* The value that `part` of the values are below; sorts them. 0.5: the median. */
static inline double quantile(double *values, size_t count, double part)
{
	double at = part * (double)(count - 1);
	size_t below = (size_t)at;
	size_t above = below + 1 < count ? below + 1 : below;

	qsort(values, count, sizeof(values[0]), compare_doubles);
	return values[below] + (at - (double)below) * (values[above] - values[below]);
}

/* What kind of file system a folder is on. Static text. */
static inline const char *file_system_name(const char *folder)
{
	struct statfs status;

	if (statfs(folder, &status) != 0)
		die("%s: %s", folder, strerror(errno));
	switch (status.f_type) {
	case TMPFS_MAGIC_NUMBER:
		return "tmpfs";
	case EXT4_MAGIC_NUMBER:
		return "ext4";
	default:
		return "disk";
	}
}

#define PATH_BYTES 4096u

static inline void heap_path(const char *folder, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/heap", folder);
}

/* Removes both files of the heap in the folder. */
static inline void heap_remove(const char *folder)
{
	char path[PATH_BYTES];

	heap_path(folder, path);
	unlink(path);
	snprintf(path, sizeof(path), "%s/heap-shm", folder);
	unlink(path);
}

/* Reads the number after an option; dies when it is none or not above 0. */
static inline unsigned number_argument(const char *option, const char *text)
{
	char *end;
	unsigned long number = text == NULL ? 0 : strtoul(text, &end, 10);

	if (number == 0 || number > 1000000000 || *end != '\0')
		die("%s needs a number above 0", option);
	return (unsigned)number;
}

/* What every benchmark is told. */
struct options {
	unsigned repetitions;
	bool quick;       /* a look in seconds: smaller, and not to be quoted */
	const char *only; /* rows and tables whose name holds this */
	const char *tool; /* path of spanheap(1) */
	const char *svg;  /* path of the picture to be drawn */
	const char *folders[FOLDERS_MAX];
	unsigned folder_count;
};

/* Takes one option with its value; false when `text` is none. */
static inline bool option_take(struct options *options, const char *text, const char *value)
{
	if (strcmp(text, "--repetitions") == 0)
		options->repetitions = number_argument(text, value);
	else if (strcmp(text, "--only") == 0)
		options->only = value;
	else if (strcmp(text, "--tool") == 0)
		options->tool = value;
	else if (strcmp(text, "--svg") == 0)
		options->svg = value;
	else
		return false;
	if (value == NULL)
		die("%s needs a value", text);
	return true;
}

/* PROGRAM [--repetitions N] [--only NAME] [--quick] [--tool PATH] [--svg PATH] FOLDER... */
static inline struct options options_parse(int argc, char **argv)
{
	struct options options = { .repetitions = 5, .only = "" };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			options.quick = true;
		else if (option_take(&options, argv[i], argv[i + 1]))
			i++;
		else if (argv[i][0] == '-')
			die("%s: no such option", argv[i]);
		else if (options.folder_count == FOLDERS_MAX)
			die("at most %u folders", FOLDERS_MAX);
		else
			options.folders[options.folder_count++] = argv[i];
	}
	if (options.repetitions > REPETITIONS_MAX)
		die("at most %u repetitions", REPETITIONS_MAX);
	if (options.folder_count == 0)
		die("usage: %s [--repetitions N] [--only NAME] [--quick] [--tool PATH] [--svg "
		    "PATH] "
		    "FOLDER...",
			program_invocation_short_name);
	return options;
}

/* The repetitions of a measurement that takes long. */
static inline unsigned options_few(const struct options *options)
{
	return options->repetitions < 3 ? options->repetitions : 3;
}

/* Whether a row or table of this name is wanted. */
static inline bool options_want(const struct options *options, const char *name)
{
	return strstr(name, options->only) != NULL;
}

/* fork(2); the child does not outlive its parent. */
static inline pid_t fork_mortal(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

/* The same; *fd is what the child writes to and the parent reads from. */
static inline pid_t fork_with_pipe(int *fd)
{
	int pipe_fd[2];
	pid_t child;

	if (pipe(pipe_fd) != 0)
		die("%s", strerror(errno));
	child = fork_mortal();
	close(pipe_fd[child != 0]);
	*fd = pipe_fd[child == 0];
	return child;
}

/* Passes results from a child process to its parent. */
static inline void result_send(int fd, const void *result, size_t bytes)
{
	const char *next = result;

	while (bytes > 0) {
		ssize_t written = write(fd, next, bytes);

		if (written <= 0)
			die("the pipe to the parent: %s", strerror(errno));
		next += written;
		bytes -= (size_t)written;
	}
}

static inline void result_receive(int fd, void *result, size_t bytes)
{
	char *next = result;

	while (bytes > 0) {
		ssize_t got = read(fd, next, bytes);

		if (got <= 0)
			die("the measuring process ended without a result");
		next += got;
		bytes -= (size_t)got;
	}
}

#endif
