/* test_deferred_api.c -- deferred frees through the public functions, beside readers in other processes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define BLOCK_BYTES 64u
#define LARGE_BYTES (1u << 20)
#define READING 1u
#define DONE 2u

/* Reads until it is told to end. */
static void read_in_process(void *argument)
{
	struct sh_heap *heap = files_child_open(0);

	(void)argument;
	REQUIRE(sh_read_lock(heap) == 0);
	files_reach(READING);
	files_wait_for(DONE);
	sh_read_unlock(heap);
	REQUIRE(sh_close(heap) == 0);
}

static void read_until_killed(void *argument)
{
	struct sh_heap *heap = files_child_open(0);

	(void)argument;
	REQUIRE(sh_read_lock(heap) == 0);
	files_reach(READING);
	files_wait_for(DONE);
	files_die();
}

/* Allocates and frees blocks of a size; whether one of them is at `off`. */
static bool comes_up(struct sh_heap *heap, sh_off off, size_t bytes)
{
	sh_off blocks[512];
	bool found = false;

	for (unsigned i = 0; i < LENGTH_OF(blocks); i++) {
		blocks[i] = sh_alloc(heap, bytes);
		found |= blocks[i] == off;
	}
	for (unsigned i = 0; i < LENGTH_OF(blocks); i++)
		CU_ASSERT_EQUAL(sh_free(heap, blocks[i]), 0);
	return found;
}

static void test_readers_in_processes(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = sh_alloc(heap, BLOCK_BYTES);
	sh_off large = sh_alloc(heap, LARGE_BYTES);
	struct sh_stats stats = SH_STATS_INIT;
	pid_t child;

	memset(sh_ptr(heap, off), 7, BLOCK_BYTES);
	files_reset_steps();
	child = files_start(read_in_process, NULL);
	files_wait_for(READING);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), 0);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, large), 0);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.limbo_blocks, 2);
	CU_ASSERT_EQUAL(stats.limbo_bytes, BLOCK_BYTES + LARGE_BYTES);
	CU_ASSERT_EQUAL(stats.large_blocks, 0);
	CU_ASSERT_FALSE(comes_up(heap, off, BLOCK_BYTES));
	CU_ASSERT_EQUAL(*(char *)sh_ptr(heap, off), 7);
	files_reach(DONE);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.limbo_blocks, 0);
	CU_ASSERT_EQUAL(stats.limbo_bytes, 0);
	CU_ASSERT_TRUE(stats.grace_periods > 0);
	CU_ASSERT_TRUE(comes_up(heap, off, BLOCK_BYTES));
	files_expect_good(heap);
	files_close(heap);
}

static void test_reader_killed(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = sh_alloc(heap, BLOCK_BYTES);
	pid_t child;

	files_reset_steps();
	child = files_start(read_until_killed, NULL);
	files_wait_for(READING);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), 0);
	files_reach(DONE);
	CU_ASSERT_EQUAL(files_finish(child), SIGKILL);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_TRUE(comes_up(heap, off, BLOCK_BYTES));
	files_expect_good(heap);
	files_close(heap);
}

static void test_arguments(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = sh_alloc(heap, BLOCK_BYTES);
	sh_off run = sh_pages_alloc(heap, 1, 0);
	struct sh_txn *txn;

	CU_ASSERT_EQUAL(sh_free_deferred(heap, 0), 0);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off + 16), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, run), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, 0x80), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, SH_DEFERRED), 0);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), SH_EDOUBLEFREE);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), 0);
	CU_ASSERT_EQUAL(sh_realloc(heap, off, 2 * BLOCK_BYTES), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	files_expect_good(heap);
	files_close(heap);
}

/* The log names the block, the bits do the rest: with any death, all or nothing. */
static void commit_and_die(void *argument)
{
	struct sh_heap *heap = files_child_open(0);
	sh_off *words;
	struct sh_txn *txn;
	sh_off root;

	(void)argument;
	REQUIRE(sh_root_get(heap, "words", &root) == 0);
	words = sh_ptr(heap, root);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_free(txn, words[0], SH_DEFERRED) == 0);
	REQUIRE(sh_txn_free(txn, words[1], SH_DEFERRED) == 0);
	REQUIRE(sh_txn_store(txn, &words[0], 0) == 0);
	REQUIRE(sh_txn_store(txn, &words[1], 0) == 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	files_die();
}

static void test_restart(void)
{
	struct sh_heap *heap = files_new();
	sh_off root = sh_alloc_ex(heap, BLOCK_BYTES, 0, SH_ZERO);
	sh_off *words = sh_ptr(heap, root);
	struct sh_stats stats = SH_STATS_INIT;

	words[0] = sh_alloc(heap, BLOCK_BYTES);
	words[1] = sh_alloc(heap, LARGE_BYTES);
	CU_ASSERT_EQUAL(sh_root_set(heap, "words", root), 0);
	files_close(heap);
	CU_ASSERT_EQUAL(files_run(commit_and_die, NULL), SIGKILL);
	heap = files_open(0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.large_span_bytes, 0);
	files_expect_good(heap);
	files_close(heap);
}

static void note_reader(const struct sh_slow_reader *reader, void *argument)
{
	*(struct sh_slow_reader *)argument = *reader;
	files_reach(DONE);
}

static void test_slow_reader(void)
{
	struct sh_slow_reader seen = { .age_ns = 0 };
	struct sh_options options = files_options();
	struct sh_heap *heap;
	uint64_t bytes;
	sh_off small;
	sh_off large;
	pid_t child;

	options.slow_reader = note_reader;
	options.slow_reader_argument = &seen;
	options.slow_reader_ns = 3000000;
	heap = files_new_with(&options);
	files_reset_steps();
	child = files_start(read_in_process, NULL);
	files_wait_for(READING);
	small = files_block(heap, 100);
	large = files_block(heap, UINT64_C(2) << 20);
	bytes = sh_usable_size(heap, small) + sh_usable_size(heap, large);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, small), 0);
	/* So much that it begins to wait for both. */
	CU_ASSERT_EQUAL(sh_free_deferred(heap, large), 0);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_EQUAL(seen.held_bytes, bytes);
	CU_ASSERT_EQUAL(seen.process_id, (uint64_t)child);
	CU_ASSERT_EQUAL(seen.thread_id, (uint64_t)child);
	CU_ASSERT_TRUE(seen.age_ns >= 3000000);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "readers in processes", test_readers_in_processes },
	{ "a reader is killed", test_reader_killed },
	{ "arguments", test_arguments },
	{ "restart", test_restart },
	{ "a slow reader is told of", test_slow_reader },
	CU_TEST_INFO_NULL,
};

int test_deferred_api_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "deferred frees, public",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
