/* test_mutex.c -- mutexes of a heap, and their holders that die
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"
#include "tests/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void *trylock_busy(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)files_find_words(heap);

	return sh_mutex_trylock(heap, mutex) == EBUSY && sh_mutex_unlock(heap, mutex) == EPERM
		? argument
		: NULL;
}

static void test_mutex(void)
{
	struct sh_heap *heap = files_new();
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)files_new_words(heap);
	struct sh_mutex outside = { 0, 0 };

	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), EPERM);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), EDEADLK);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, mutex), EDEADLK);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(trylock_busy, heap));
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, &outside), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, &outside), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, &outside), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, (struct sh_mutex *)(void *)((char *)mutex + 4)),
		EINVAL);
	memset(mutex, 0xff, sizeof(*mutex));
	sh_mutex_init(mutex);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), 0);
	files_close(heap);
	/* The holder closed the heap, and a tag never comes again. */
	heap = files_open(0);
	mutex = (struct sh_mutex *)(void *)files_find_words(heap);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), SH_EOWNERDIED);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	files_close(heap);
}

static void die_with_the_mutex(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct account *account = account_of(heap);
	struct sh_txn *txn;

	(void)unused;
	REQUIRE(sh_mutex_lock(heap, &account->mutex) == 0);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_add(txn, &account->left, 16) == 0);
	account->left = 100;
	files_reach(1);
	files_wait_for(2);
	files_die();
}

static void *lock_of_the_dead(void *argument)
{
	struct sh_heap *heap = argument;
	struct account *account = account_of(heap);
	int error = sh_mutex_lock(heap, &account->mutex);

	/* The transaction of the dead is undone before the lock passes on. */
	return error == SH_EOWNERDIED && account->left == 0 &&
			sh_mutex_unlock(heap, &account->mutex) == 0
		? argument
		: NULL;
}

static void mutex_of_the_dead(bool try)
{
	struct sh_heap *heap = files_new();
	struct account *account = (struct account *)(void *)files_new_words(heap);
	void *result = NULL;
	pthread_t waiter;
	pid_t child;

	files_reset_steps();
	child = files_start(die_with_the_mutex, NULL);
	files_wait_for(1);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, &account->mutex), EBUSY);
	if (!try)
		pthread_create(&waiter, NULL, lock_of_the_dead, heap);
	files_reach(2);
	CU_ASSERT_EQUAL(files_finish(child), SIGKILL);
	if (try) {
		CU_ASSERT_EQUAL(sh_mutex_trylock(heap, &account->mutex), SH_EOWNERDIED);
		CU_ASSERT_EQUAL(account->left, 0);
		CU_ASSERT_EQUAL(sh_mutex_unlock(heap, &account->mutex), 0);
	} else {
		pthread_join(waiter, &result);
		CU_ASSERT_PTR_NOT_NULL(result);
	}
	files_expect_good(heap);
	files_close(heap);
}

static void test_mutex_of_the_dead(void)
{
	mutex_of_the_dead(false);
	mutex_of_the_dead(true);
}

static void count_under_the_mutex(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct account *account = account_of(heap);

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		REQUIRE(sh_mutex_lock(heap, &account->mutex) == 0);
		account->left++;
		REQUIRE(sh_mutex_unlock(heap, &account->mutex) == 0);
	}
	REQUIRE(sh_close(heap) == 0);
}

static void test_mutex_excludes(void)
{
	struct sh_heap *heap = files_new();
	struct account *account = (struct account *)(void *)files_new_words(heap);
	pid_t one = files_start(count_under_the_mutex, NULL);
	pid_t other = files_start(count_under_the_mutex, NULL);

	CU_ASSERT_EQUAL(files_finish(one), 0);
	CU_ASSERT_EQUAL(files_finish(other), 0);
	CU_ASSERT_EQUAL(account->left, 40000);
	files_close(heap);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "mutex", test_mutex },
	{ "mutex of the dead", test_mutex_of_the_dead },
	{ "mutex excludes", test_mutex_excludes },
	CU_TEST_INFO_NULL,
};

int test_mutex_register(void)
{
	return places_register("mutex", tests, NULL);
}
