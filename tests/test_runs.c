/* test_runs.c -- page runs and reserved space through the public functions, on a file
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_BYTES (UINT64_C(4) << ARENA_BYTES_SHIFT)

static struct sh_heap *new_heap(void)
{
	struct sh_options options = files_options();

	options.max_size = MAX_BYTES;
	return files_new_with(&options);
}

/* The heap and its control file are all that is left. */
static void close_good(struct sh_heap *heap)
{
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_EQUAL(files_count(), 2);
}

static uint64_t disk_bytes(void)
{
	struct stat status;

	CU_ASSERT_EQUAL(stat(files_path, &status), 0);
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

	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	CU_ASSERT_EQUAL(off % PAGE_BYTES, 0);
	memset(sh_ptr(heap, off), 1, 10 * PAGE_BYTES);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
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
	files_close(heap);
	heap = files_open(SH_RDONLY);
	errno = 0;
	CU_ASSERT_EQUAL(sh_pages_alloc(heap, 1, 0), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_pages_free(heap, off, 4), EROFS);
	CU_ASSERT_EQUAL(sh_reserve(heap, 1), EROFS);
	CU_ASSERT_EQUAL(walk(heap).pages, 4);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	files_close(heap);
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

static void die_with_a_run(void *argument)
{
	struct sh_heap *heap = argument;
	sh_off off = sh_pages_alloc(heap, 6, SH_IO);

	REQUIRE(off != 0);
	memset(sh_ptr(heap, off), 7, 6 * PAGE_BYTES);
	files_die();
}

/* A run stays when its holder is killed, as it was and listed as a target of I/O. */
static void test_killed(void)
{
	struct sh_heap *heap = new_heap();
	struct shown shown;

	CU_ASSERT_EQUAL(files_run(die_with_a_run, heap), SIGKILL);
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
	files_close(heap);
	heap = files_open(0);
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
	files_close(heap);
	heap = files_open(0);
	CU_ASSERT_EQUAL(*(uint64_t *)sh_ptr(heap, word), 7);
	CU_ASSERT(sh_usable_size(heap, off) >= ARENA_BYTES + 100);
	files_expect_good(heap);
	CU_ASSERT_TRUE(disk_bytes() >= ARENA_BYTES);
	CU_ASSERT_EQUAL(sh_free(heap, off), 0);
	/* What lay in the first arena stays. */
	CU_ASSERT_TRUE(disk_bytes() <= before + ARENA_BYTES);
	files_expect_good(heap);
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
	return places_register("page runs", tests, NULL);
}
