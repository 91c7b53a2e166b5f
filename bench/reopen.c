/* reopen.c -- time to open a heap whose only process was killed
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * usage: reopen [--repetitions N] FOLDER...
 *
 * For each repetition one process fills a new heap in FOLDER and is killed; another one opens it, is
 * timed, and counts the blocks afterwards. What the file holds is still in the page cache. */
#define _GNU_SOURCE
#include "common.h"

#include <signal.h>
#include <spanheap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SEED UINT64_C(0x9e3779b97f4a7c15)
#define REPETITIONS_MAX 101u

struct content {
	const char *name;
	uint64_t blocks;
	size_t min_bytes;
	size_t max_bytes;
};

static const struct content contents[] = {
	{ "10^5 of 64 B", 100000, 64, 64 },
	{ "10^5 of 16 B to 1 KiB", 100000, 16, 1024 },
	{ "10^7 of 64 B", 10000000, 64, 64 },
};

#define CONTENTS (sizeof(contents) / sizeof(contents[0]))

/* What one repetition found; times in nanoseconds. */
struct result {
	uint64_t open_ns;     /* sh_open(), with sync and recovery */
	uint64_t sync_ns;     /* in it, msync(2) */
	uint64_t recovery_ns; /* in it, as sh_recovery_report() says */
	uint64_t first_ns;    /* the first allocation, afterwards */
};

/* Process. Time in msync(2) and fsync(2). */
static uint64_t sync_ns;

/* These stand before the C library's for the shared library, too: so the wait for the disk is told
 * apart. */
__attribute__((visibility("default"))) int msync(void *address, size_t bytes, int flags)
{
	uint64_t start = now_ns();
	int status = (int)syscall(SYS_msync, address, bytes, flags);

	sync_ns += now_ns() - start;
	return status;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	uint64_t start = now_ns();
	int status = (int)syscall(SYS_fsync, fd);

	sync_ns += now_ns() - start;
	return status;
}

static struct sh_heap *open_heap(const char *path, unsigned flags)
{
	struct sh_heap *heap;
	int error = sh_open(path, flags, NULL, &heap);

	if (error != 0)
		die("%s: %s", path, sh_strerror(error));
	return heap;
}

/* --- the process that is killed -------------------------------------------------------------- */

/* Returns how many bytes the blocks can hold. */
static uint64_t fill(struct sh_heap *heap, const struct content *content)
{
	uint64_t state = SEED;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < content->blocks; i++) {
		size_t size = content->min_bytes +
			random_below(random_next(&state),
				content->max_bytes - content->min_bytes + 1);
		sh_off block = sh_alloc(heap, size);

		if (block == 0)
			die("no block of %zu bytes: %s", size, strerror(errno));
		memset(sh_ptr(heap, block), 1, size);
		bytes += sh_usable_size(heap, block);
	}
	return bytes;
}

static void be_killed(const char *path, const struct content *content, int fd)
{
	uint64_t bytes = fill(open_heap(path, SH_CREATE | SH_EXCL), content);

	result_send(fd, &bytes, sizeof(bytes));
	for (;;)
		pause();
}

/* --- the process that opens ------------------------------------------------------------------ */

static int count_block(const struct sh_block *block, void *argument)
{
	(void)block;
	++*(uint64_t *)argument;
	return 0;
}

/* The heap must hold what it held, and the block that was timed. */
static void check_count(struct sh_heap *heap, const struct content *content)
{
	uint64_t count = 0;
	int error = sh_walk(heap, count_block, &count);

	if (error != 0)
		die("sh_walk: %s", sh_strerror(error));
	if (count != content->blocks + 1)
		die("%s: %llu blocks were found", content->name, (unsigned long long)count);
}

static void reopen(const char *path, const struct content *content, int fd)
{
	struct result result;
	uint64_t start;
	uint64_t opened;

	sync_ns = 0;
	start = now_ns();
	struct sh_heap *heap = open_heap(path, 0);

	opened = now_ns();
	if (sh_alloc(heap, 64) == 0)
		die("the first allocation: %s", strerror(errno));
	result.first_ns = now_ns() - opened;
	result.open_ns = opened - start;
	result.sync_ns = sync_ns;
	sh_recovery_report(heap, NULL, &result.recovery_ns);
	check_count(heap, content);
	result_send(fd, &result, sizeof(result));
	_exit(0);
}

/* --- the process that waits for both --------------------------------------------------------- */

typedef void child_fn(const char *path, const struct content *content, int fd);

/* Runs a process until it has sent its result, and kills it. */
static void run_child(child_fn *run, const char *path, const struct content *content, void *result,
	size_t bytes)
{
	int pipe_fd[2];
	pid_t child;

	fflush(stdout);
	if (pipe(pipe_fd) != 0 || (child = fork()) < 0)
		die("%s", strerror(errno));
	if (child == 0)
		run(path, content, pipe_fd[1]);
	close(pipe_fd[1]);
	result_receive(pipe_fd[0], result, bytes);
	close(pipe_fd[0]);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static struct result repeat(const char *folder, const struct content *content, uint64_t *bytes)
{
	char path[PATH_BYTES];
	struct result result;

	heap_path(folder, path);
	run_child(be_killed, path, content, bytes, sizeof(*bytes));
	run_child(reopen, path, content, &result, sizeof(result));
	heap_remove(folder);
	return result;
}

static void measure_row(const char *folder, const struct content *content, unsigned repetitions)
{
	static double open_ms[REPETITIONS_MAX];
	static double sync_ms[REPETITIONS_MAX];
	static double recovery_ms[REPETITIONS_MAX];
	static double first_us[REPETITIONS_MAX];
	static double ready_ms[REPETITIONS_MAX];
	uint64_t bytes = 0;

	for (unsigned r = 0; r < repetitions; r++) {
		struct result result = repeat(folder, content, &bytes);

		open_ms[r] = (double)result.open_ns / 1e6;
		sync_ms[r] = (double)result.sync_ns / 1e6;
		recovery_ms[r] = (double)result.recovery_ns / 1e6;
		first_us[r] = (double)result.first_ns / 1e3;
		ready_ms[r] = (double)(result.open_ns - result.sync_ns + result.first_ns) / 1e6;
	}
	double ready = quantile(ready_ms, repetitions, 0.5);

	printf("%-6s %-22s %8.1f %9.3f %9.3f %9.3f %9.1f %9.3f %9.2f\n", file_system_name(folder),
		content->name, (double)bytes / (1 << 20), quantile(open_ms, repetitions, 0.5),
		quantile(sync_ms, repetitions, 0.5), quantile(recovery_ms, repetitions, 0.5),
		quantile(first_us, repetitions, 0.5), ready, ready / ((double)bytes / (1 << 30)));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned repetitions = 7;
	int first = 1;

	if (argc > 1 && strcmp(argv[1], "--repetitions") == 0) {
		repetitions = number_argument(argv[1], argv[2]);
		first = 3;
	}
	if (repetitions > REPETITIONS_MAX)
		die("at most %u repetitions", REPETITIONS_MAX);
	if (first >= argc)
		die("usage: reopen [--repetitions N] FOLDER...");
	printf("medians of %u repetitions; ready: to the first allocation, without the sync\n",
		repetitions);
	printf("%-6s %-22s %8s %9s %9s %9s %9s %9s %9s\n", "file", "blocks", "MiB", "open ms",
		"sync ms", "recover ms", "first us", "ready ms", "ms/GiB");
	for (int i = first; i < argc; i++)
		for (size_t c = 0; c < CONTENTS; c++)
			measure_row(argv[i], &contents[c], repetitions);
	return 0;
}
