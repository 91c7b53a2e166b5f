/* common.h -- what the benchmarks share: clock, random numbers, medians, giving up
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_COMMON_H
#define SPANHEAP_BENCH_COMMON_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

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

/* Passes one result from a child process to its parent. */
static inline void result_send(int fd, const void *result, size_t bytes)
{
	if (write(fd, result, bytes) != (ssize_t)bytes)
		die("the pipe to the parent: %s", strerror(errno));
}

static inline void result_receive(int fd, void *result, size_t bytes)
{
	if (read(fd, result, bytes) != (ssize_t)bytes)
		die("the measuring process ended without a result");
}

#endif
