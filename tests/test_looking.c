/* test_looking.c -- who only reads: SH_RDONLY, sh_walk(), sh_check()
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"
#include "tests/worker.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* --- read-only ----------------------------------------------------------------------------- */

static void expect_refusals(struct sh_heap *heap)
{
	uint64_t word = 0;
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)files_find_words(heap);
	struct sh_txn *txn;

	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc(heap, 10), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word, 10, 0), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_free(heap, 16), EROFS);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word), EROFS);
	CU_ASSERT_EQUAL(sh_root_set(heap, "x", 16), EROFS);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), EROFS);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), EROFS);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, mutex), EROFS);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), EROFS);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), EROFS);
}

static void read_beside_the_writer(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);
	sh_off off;

	(void)unused;
	REQUIRE(sh_root_get(heap, "large", &off) == 0);
	REQUIRE(sh_usable_size(heap, off) >= 100000);
	REQUIRE(*(unsigned char *)sh_ptr(heap, off) == 0x5a);
	REQUIRE(sh_check(heap, 0, NULL, NULL, NULL) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_read_only(void)
{
	struct sh_heap *heap = files_new();
	sh_off freed = files_block(heap, 100);
	sh_off off;

	files_new_words(heap);
	CU_ASSERT_EQUAL(sh_root_set(heap, "large", files_block(heap, 100000)), 0);
	CU_ASSERT_EQUAL(sh_free(heap, freed), 0);
	CU_ASSERT_EQUAL(files_run(read_beside_the_writer, NULL), 0);
	files_close(heap);
	heap = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_root_get(heap, "words", &off), 0);
	CU_ASSERT(sh_usable_size(heap, off) >= 4096);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off + 16), 0);
	CU_ASSERT_EQUAL(sh_usable_size(heap, freed), 0);
	CU_ASSERT_EQUAL(sh_usable_size(heap, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_expect_good(heap);
	expect_refusals(heap);
	files_free_elsewhere(off);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- check and walk ------------------------------------------------------------------------ */

static int stop_at_once(const struct sh_block *found, void *argument)
{
	(void)found;
	(void)argument;
	return 1;
}

static int sum_block(const struct sh_block *found, void *argument)
{
	uint64_t *sum = argument;

	sum[0] += found->off;
	sum[1] += found->size;
	sum[2] += found->kind == SH_NOSCAN;
	return 0;
}

static void test_walk(void)
{
	struct sh_heap *heap = files_new();
	uint64_t sum[3] = { 0, 0, 0 };
	uint64_t offs = 0;
	uint64_t sizes = 0;

	CU_ASSERT_EQUAL(sh_walk(heap, stop_at_once, NULL), 0);
	for (size_t size = 10; size < 3 * SMALL_MAX_BYTES; size *= 2) {
		sh_off off = sh_alloc_ex(heap, size, 0, SH_NOSCAN);

		offs += off;
		sizes += sh_usable_size(heap, off);
		sum[2]--;
	}
	offs += files_block(heap, 10);
	sizes += 16;
	CU_ASSERT_EQUAL(sh_walk(heap, sum_block, sum), 0);
	CU_ASSERT_EQUAL(sum[0], offs);
	CU_ASSERT_EQUAL(sum[1], sizes);
	CU_ASSERT_EQUAL(sum[2], 0);
	CU_ASSERT_EQUAL(sh_walk(heap, stop_at_once, NULL), SH_ESTOPPED);
	files_close(heap);
}

static int stop_check(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	CU_ASSERT_PTR_NOT_NULL(problem->text);
	return 1;
}

static void test_check(void)
{
	struct sh_heap *heap = files_new();
	uint64_t problems = 0;
	sh_off off = files_block(heap, 100000);

	CU_ASSERT_EQUAL(sh_check(heap, 1, NULL, NULL, &problems), EINVAL);
	files_expect_good(heap);
	files_close(heap);
	/* A head bit without a record. */
	heap = files_open(0);
	head_set(&((struct { struct heap heap; } *)(void *)heap)->heap, (off >> PAGE_SHIFT) + 2);
	CU_ASSERT_EQUAL(sh_check(heap, 0, NULL, NULL, &problems), 0);
	CU_ASSERT(problems > 0);
	CU_ASSERT_EQUAL(sh_check(heap, 0, stop_check, NULL, &problems), SH_ESTOPPED);
	head_clear(&((struct { struct heap heap; } *)(void *)heap)->heap, (off >> PAGE_SHIFT) + 2);
	files_expect_good(heap);
	files_close(heap);
}

static void test_check_beside_work(void)
{
	struct random random = random_seeded("check beside work");
	struct sh_heap *heap = files_new();
	pid_t worker;

	files_new_words(heap);
	worker = worker_start(&random);
	for (int i = 0; i < 100; i++)
		files_expect_good(heap);
	CU_ASSERT_EQUAL(files_finish_killed(worker), SIGKILL);
	files_expect_good(heap);
	files_close(heap);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "read-only", test_read_only },
	{ "walk", test_walk },
	{ "check", test_check },
	{ "check beside work", test_check_beside_work },
	CU_TEST_INFO_NULL,
};

int test_looking_register(void)
{
	return places_register("reading", tests, NULL);
}
