/* test_timedlock.c -- mutexes of the heap that are not waited for for ever
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "shm/system.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <errno.h>
#include <signal.h>

#define MS UINT64_C(1000000)

/* The words of the heap begin with a mutex. */
static struct sh_mutex *new_mutex(struct sh_heap *heap)
{
	return (struct sh_mutex *)(void *)files_new_words(heap);
}

static struct sh_mutex *find_mutex(struct sh_heap *heap)
{
	return (struct sh_mutex *)(void *)files_find_words(heap);
}

static uint64_t *word_behind(struct sh_mutex *mutex)
{
	return (uint64_t *)(void *)(mutex + 1);
}

static void test_arguments(void)
{
	struct sh_heap *heap = files_new();
	struct sh_mutex *mutex = new_mutex(heap);
	struct sh_mutex outside = { 0, 0 };

	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, &outside, MS), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, 0), 0);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, MS), EDEADLK);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	files_close(heap);
	heap = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, find_mutex(heap), MS), EROFS);
	files_close(heap);
}

static void hold(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_mutex_lock(heap, find_mutex(heap)) == 0);
	files_reach(1);
	files_wait_for(2);
	REQUIRE(sh_mutex_unlock(heap, find_mutex(heap)) == 0);
	files_reach(3);
	files_wait_for(4);
	REQUIRE(sh_close(heap) == 0);
}

/* A stopped holder is alive. */
static void test_times_out(void)
{
	struct sh_heap *heap = files_new();
	struct sh_mutex *mutex = new_mutex(heap);
	uint64_t start;
	pid_t child;

	files_reset_steps();
	child = files_start(hold, NULL);
	files_wait_for(1);
	kill(child, SIGSTOP);
	start = system_now_ns(NULL);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, 30 * MS), ETIMEDOUT);
	CU_ASSERT(system_now_ns(NULL) - start >= 30 * MS);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, 0), ETIMEDOUT);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, 10), ETIMEDOUT);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), EPERM);
	kill(child, SIGCONT);
	files_reach(2);
	CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, UINT64_MAX - 1), 0);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	files_wait_for(3);
	files_reach(4);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_close(heap);
}

static void edit_and_die(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_mutex *mutex = find_mutex(heap);
	struct sh_txn *txn;

	(void)unused;
	REQUIRE(sh_mutex_lock(heap, mutex) == 0);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_add(txn, word_behind(mutex), 8) == 0);
	*word_behind(mutex) = 1;
	files_die();
}

/* The dead holder's transaction is undone before the lock passes on, however short the time. */
static void test_dead_holder(void)
{
	struct sh_heap *heap = files_new();
	struct sh_mutex *mutex = new_mutex(heap);

	for (int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(files_run(edit_and_die, NULL), SIGKILL);
		CU_ASSERT_EQUAL(sh_mutex_timedlock(heap, mutex, (uint64_t)i / 2), SH_EOWNERDIED);
		CU_ASSERT_EQUAL(*word_behind(mutex), 0);
		CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	}
	files_expect_good(heap);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "arguments", test_arguments },
	{ "times out", test_times_out },
	{ "dead holder", test_dead_holder },
	CU_TEST_INFO_NULL,
};

int test_timedlock_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "timedlock",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
