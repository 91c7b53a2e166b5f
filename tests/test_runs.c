/* test_runs.c -- page runs and reserved space through the public functions, on a file
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/heap.h"
#include "tests/fixture.h"

#include <errno.h>
#include <signal.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BYTES (UINT64_C(4) << ARENA_BYTES_SHIFT)

static char directory[200];
static char path[256];

static int use(const char *parent)
{
	snprintf(directory, sizeof(directory), "%s/spanheap-runs-XXXXXX", parent);
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/heap", directory);
	return 0;
}

static int use_disk(void)
{
	const char *parent = getenv("TMPDIR");

	return use(parent != NULL && parent[0] != '\0' ? parent : "/tmp");
}

static int use_memory(void)
{
	return use("/dev/shm");
}

static void remove_heap(void)
{
	char control[300];

	snprintf(control, sizeof(control), "%s-shm", path);
	unlink(control);
	unlink(path);
}

static int leave(void)
{
	remove_heap();
	return rmdir(directory);
}

static struct sh_heap *open_heap(unsigned flags)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct sh_heap *heap = NULL;

	options.max_size = MAX_BYTES;
	CU_ASSERT_EQUAL_FATAL(sh_open(path, flags, &options, &heap), 0);
	return heap;
}

static struct sh_heap *new_heap(void)
{
	remove_heap();
	return open_heap(SH_CREATE | SH_EXCL);
}

static void expect_good(struct sh_heap *heap)
{
	uint64_t problems = 0;

	CU_ASSERT_EQUAL(sh_check(heap, 0, NULL, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
}

static void close_good(struct sh_heap *heap)
{
	expect_good(heap);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
}

static uint64_t disk_bytes(void)
{
	struct stat status;

	CU_ASSERT_EQUAL(stat(path, &status), 0);
	return (uint64_t)status.st_blocks * 512;
}

/* Stack. The runs that a walk showed. */
struct shown {
	uint64_t runs;
	uint64_t pages;
	unsigned flags; /* of the last one */
	sh_off off;
};

static int show(const struct sh_pages *pages, void *argument)
{
	struct shown *shown = argument;

	shown->runs++;
	shown->pages += pages->npages;
	shown->flags = pages->flags;
	shown->off = pages->off;
	return 0;
}

static struct shown walk(struct sh_heap *heap)
{
	struct shown shown = { .runs = 0 };

	CU_ASSERT_EQUAL(sh_pages_walk(heap, show, &shown), 0);
	return shown;
}

static int count_block(const struct sh_block *block, void *argument)
{
	uint64_t *count = argument;

	(void)block;
	++*count;
	return 0;
}

static bool is_filled(const struct sh_heap *heap, sh_off off, uint64_t bytes, int with)
{
	const char *at = sh_ptr(heap, off);

	for (uint64_t i = 0; i < bytes; i++)
		if (at[i] != with)
			return false;
	return true;
}

/* --- runs ---------------------------------------------------------------------------------- */

static void test_pages(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off = sh_pages_alloc(heap, 10, SH_IO);
	uint64_t blocks = 0;

	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	CU_ASSERT_EQUAL(off % PAGE_BYTES, 0);
	memset(sh_ptr(heap, off), 1, 10 * PAGE_BYTES);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(sh_walk(heap, count_block, &blocks), 0);
	CU_ASSERT_EQUAL(blocks, 0);
	CU_ASSERT_EQUAL(walk(heap).pages, 10);
	CU_ASSERT_EQUAL(walk(heap).flags, SH_IO);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off + 2 * PAGE_BYTES, 3), 0);
	CU_ASSERT_EQUAL(walk(heap).runs, 2);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, 10), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, 2), 0);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off + 5 * PAGE_BYTES, 5), 0);
	CU_ASSERT_EQUAL(walk(heap).runs, 0);
	close_good(heap);
}

static void test_refusals(void)
{
	struct sh_heap *heap = new_heap();
	sh_off block = sh_alloc(heap, 3 * SMALL_MAX_BYTES);
	sh_off off = sh_pages_alloc(heap, 4, 0);

	errno = 0;
	CU_ASSERT_EQUAL(sh_pages_alloc(heap, 0, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	errno = 0;
	CU_ASSERT_EQUAL(sh_pages_alloc(heap, 1, SH_NOSCAN), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	errno = 0;
	CU_ASSERT_EQUAL(sh_pages_alloc(heap, HUGE_PAGES + 1, SH_HUGE), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	errno = 0;
	CU_ASSERT_EQUAL(sh_pages_alloc(heap, SIZE_MAX, 0), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, 0), EINVAL);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off + 16, 1), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_pages_free(heap, block, 1), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_pages_free(heap, 0, 1), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_pages_free(heap, UINT64_MAX - PAGE_BYTES + 1, 1), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, SIZE_MAX), SH_EBADPTR);
	CU_ASSERT_EQUAL(walk(heap).pages, 4);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	heap = open_heap(SH_RDONLY);
	errno = 0;
	CU_ASSERT_EQUAL(sh_pages_alloc(heap, 1, 0), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, 4), EROFS);
	CU_ASSERT_EQUAL(sh_reserve(heap, 1), EROFS);
	CU_ASSERT_EQUAL(walk(heap).pages, 4);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
}

static void test_huge(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off;

	sh_pages_alloc(heap, 1, 0);
	off = sh_pages_alloc(heap, 2 * HUGE_PAGES, SH_HUGE | SH_ZERO);
	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	CU_ASSERT_EQUAL(off % HUGE_BYTES, 0);
	CU_ASSERT_EQUAL((uintptr_t)sh_ptr(heap, off) % HUGE_BYTES, 0);
	CU_ASSERT_TRUE(is_filled(heap, off, 2 * HUGE_BYTES, 0));
	CU_ASSERT_EQUAL(walk(heap).flags, SH_HUGE);
	close_good(heap);
}

/* A run stays when its holder is killed, as it was and listed as a target of I/O. */
static void test_killed(void)
{
	struct sh_heap *heap = new_heap();
	pid_t child = fork();
	struct shown shown;

	if (child == 0) {
		sh_off off = sh_pages_alloc(heap, 6, SH_IO);

		memset(sh_ptr(heap, off), 7, 6 * PAGE_BYTES);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, NULL, 0);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
	shown = walk(heap);
	CU_ASSERT_EQUAL(shown.runs, 1);
	CU_ASSERT_EQUAL(shown.pages, 6);
	CU_ASSERT_EQUAL(shown.flags, SH_IO);
	CU_ASSERT_TRUE(is_filled(heap, shown.off, 6 * PAGE_BYTES, 7));
	CU_ASSERT_EQUAL(sh_pages_free(heap, shown.off, 6), 0);
	close_good(heap);
}

static void test_reopened(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off = sh_pages_alloc(heap, 6, SH_IO);

	memset(sh_ptr(heap, off), 7, 6 * PAGE_BYTES);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	heap = open_heap(0);
	CU_ASSERT_EQUAL(walk(heap).pages, 6);
	CU_ASSERT_TRUE(is_filled(heap, off, 6 * PAGE_BYTES, 7));
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, 6), 0);
	close_good(heap);
}

/* A transaction's edits in a run are put back, and its stores made. */
static void test_transaction(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off = sh_pages_alloc(heap, 6, SH_ZERO);
	uint64_t *words = sh_ptr(heap, off + 5 * PAGE_BYTES);
	struct sh_txn *txn;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_EQUAL(sh_txn_add(txn, words, 16), 0);
	words[1] = 1;
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, 0), SH_EBADPTR);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(words[1], 0);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, words, 2), 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(words[0], 2);
	close_good(heap);
}

/* --- reserve ------------------------------------------------------------------------------- */

static void test_reserve(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t bytes = 5 * CHUNK_BYTES;
	uint64_t before;

	CU_ASSERT_EQUAL(sh_reserve(heap, 0), 0);
	CU_ASSERT_EQUAL(sh_reserve(heap, bytes), 0);
	before = disk_bytes();
	CU_ASSERT_TRUE(before >= bytes);
	CU_ASSERT_NOT_EQUAL(sh_pages_alloc(heap, bytes / PAGE_BYTES, 0), 0);
	CU_ASSERT_EQUAL(disk_bytes(), before);
	CU_ASSERT_EQUAL(sh_reserve(heap, MAX_BYTES), ENOMEM);
	CU_ASSERT_EQUAL(sh_reserve(heap, SIZE_MAX), ENOMEM);
	close_good(heap);
}

/* A block and a run larger than an arena: transactions edit them, a death and a restart leave them, and
 * what is freed is no longer on the disk. */
static void test_arenas(void)
{
	struct sh_heap *heap;
	uint64_t before;
	sh_off off;
	sh_off word;
	struct sh_txn *txn;

	if (ARENA_BYTES > UINT64_C(64) << 20) {
		printf("SKIPPED: it takes gigabytes of disk; build with SPANHEAP_SMALL ");
		return;
	}
	heap = new_heap();
	before = disk_bytes();
	off = sh_alloc_ex(heap, ARENA_BYTES + 100, 0, SH_ZERO);
	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	word = off + ARENA_BYTES;
	CU_ASSERT_EQUAL(*(uint64_t *)sh_ptr(heap, word), 0);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_EQUAL(sh_txn_add(txn, sh_ptr(heap, ARENA_BYTES - 8), 16), 0);
	*(uint64_t *)sh_ptr(heap, ARENA_BYTES) = 1;
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(*(uint64_t *)sh_ptr(heap, ARENA_BYTES), 0);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, sh_ptr(heap, word), 7), 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	heap = open_heap(0);
	CU_ASSERT_EQUAL(*(uint64_t *)sh_ptr(heap, word), 7);
	CU_ASSERT(sh_usable_size(heap, off) >= ARENA_BYTES + 100);
	expect_good(heap);
	CU_ASSERT_TRUE(disk_bytes() >= ARENA_BYTES);
	CU_ASSERT_EQUAL(sh_free(heap, off), 0);
	/* What lay in the first arena stays. */
	CU_ASSERT_TRUE(disk_bytes() <= before + ARENA_BYTES);
	expect_good(heap);
	off = sh_pages_alloc(heap, ARENA_PAGES, SH_ZERO);
	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, ARENA_PAGES - 1), ENOTSUP);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, ARENA_PAGES), 0);
	close_good(heap);
}

static CU_TestInfo tests[] = {
	{ "pages", test_pages },
	{ "refusals", test_refusals },
	{ "huge", test_huge },
	{ "holder killed", test_killed },
	{ "reopened", test_reopened },
	{ "transaction in a run", test_transaction },
	{ "reserve", test_reserve },
	{ "several arenas", test_arenas },
	CU_TEST_INFO_NULL,
};

int test_runs_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "page runs, on disk",
			.pInitFunc = use_disk,
			.pCleanupFunc = leave,
			.pTests = tests },
		{ .pName = "page runs, in memory",
			.pInitFunc = use_memory,
			.pCleanupFunc = leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
