/* test_thread_slots.c -- slots of threads: taken, given back, kept beside a closed heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void *allocate_once(void *argument)
{
	struct sh_heap *heap = argument;
	sh_off off = sh_alloc(heap, 100);

	return off != 0 && sh_free(heap, off) == 0 ? argument : NULL;
}

static void test_thread_exit_gives_the_slot_back(void)
{
	struct sh_heap *heap = files_new_of(0, 2);
	struct sh_reap_report report;

	for (int i = 0; i < 3000; i++)
		CU_ASSERT_PTR_NOT_NULL(files_run_thread(allocate_once, heap));
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.threads, 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void *leave_transaction_open(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 100, 0), 0);
	files_find_words(heap)[0] = 5;
	CU_ASSERT_EQUAL(sh_txn_write(txn, &files_find_words(heap)[0], &(uint64_t){ 6 }, 8), 0);
	return argument;
}

static void test_thread_exit_aborts(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *word = files_new_words(heap);

	files_run_thread(leave_transaction_open, heap);
	CU_ASSERT_EQUAL(word[0], 5);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1);
	files_close(heap);
}

static pthread_barrier_t barrier;

static void *hold_a_slot(void *argument)
{
	void *result = allocate_once(argument);

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return result;
}

static void test_thread_slots(void)
{
	struct sh_txn *txn;
	struct sh_heap *heap = files_new_of(0, 3);
	pthread_t threads[2];

	pthread_barrier_init(&barrier, NULL, 3);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, hold_a_slot, heap), 0);
	pthread_barrier_wait(&barrier);
	/* The opener has the third one. */
	errno = 0;
	CU_ASSERT_PTR_NULL(files_run_thread(allocate_once, heap));
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	sh_txn_abort(txn);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(allocate_once, heap));
	pthread_barrier_destroy(&barrier);
	files_close(heap);
}

static void *refused_a_slot(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	errno = 0;
	return sh_txn_begin(heap, 0, &txn) == SH_ESLOTS && txn == NULL && sh_alloc(heap, 1) == 0 &&
			errno == EAGAIN && sh_reap(heap, NULL) == SH_ESLOTS
		? argument
		: NULL;
}

static void take_slots_and_wait(void *argument)
{
	struct sh_heap *heap = argument;

	REQUIRE(sh_alloc(heap, 10) != 0);
	files_reach(1);
	for (;;)
		pause();
}

/* All slots in use by the living: refused. By the dead: taken back by whoever wants one. */
static void test_thread_slots_of_the_dead(void)
{
	struct sh_heap *heap = files_new_of(0, 2);
	pid_t child;

	files_reset_steps();
	child = files_start(take_slots_and_wait, heap);
	files_wait_for(1);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(refused_a_slot, heap));
	CU_ASSERT_EQUAL(files_finish_killed(child), SIGKILL);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(allocate_once, heap));
	files_expect_good(heap);
	files_close(heap);
}

/* A thread that has a robust mutex of its own on both sides of the library's word. */
struct bystander {
	struct sh_heap *heap;
	pthread_mutex_t before;
	pthread_mutex_t after;
};

static void *hold_robust_mutexes(void *argument)
{
	struct bystander *bystander = argument;

	pthread_mutex_lock(&bystander->before);
	CU_ASSERT_NOT_EQUAL(sh_alloc(bystander->heap, 100), 0);
	pthread_barrier_wait(&barrier);
	/* The heap is closed by another thread. */
	pthread_barrier_wait(&barrier);
	pthread_mutex_lock(&bystander->after);
	if (bystander->heap != NULL)
		CU_ASSERT_NOT_EQUAL(sh_alloc(bystander->heap, 100), 0);
	return NULL;
}

static void robust_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

static void expect_owner_died(pthread_mutex_t *mutex)
{
	CU_ASSERT_EQUAL(pthread_mutex_trylock(mutex), EOWNERDEAD);
	pthread_mutex_consistent(mutex);
	pthread_mutex_unlock(mutex);
	pthread_mutex_destroy(mutex);
}

static void close_beside_idle_threads(bool reopen)
{
	struct bystander bystander = { .heap = files_new() };
	struct sh_heap *heap = bystander.heap;
	pthread_t thread;

	robust_init(&bystander.before);
	robust_init(&bystander.after);
	pthread_barrier_init(&barrier, NULL, 2);
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, hold_robust_mutexes, &bystander), 0);
	pthread_barrier_wait(&barrier);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
	bystander.heap = reopen ? files_open(0) : NULL;
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	expect_owner_died(&bystander.before);
	expect_owner_died(&bystander.after);
	if (!reopen)
		bystander.heap = files_open(0);
	CU_ASSERT_EQUAL(files_live_blocks(bystander.heap), reopen ? 2 : 1);
	files_expect_good(bystander.heap);
	files_close(bystander.heap);
}

static void test_close_beside_idle_threads(void)
{
	close_beside_idle_threads(false);
	close_beside_idle_threads(true);
}

static void close_in_child_then_wait(void *argument)
{
	struct sh_heap *heap = argument;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, hold_a_slot, heap);
	pthread_barrier_wait(&barrier);
	REQUIRE(sh_close(heap) == 0);
	files_reach(1);
	files_wait_for(2);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	files_reach(3);
	files_wait_for(4);
}

/* The slot of a thread that still runs stays its own after the close, in a heap that others use. */
static void test_parked_slot(void)
{
	struct sh_heap *heap = files_new_of(0, 2);
	struct sh_reap_report report;
	pid_t child;

	files_reset_steps();
	child = files_start(close_in_child_then_wait, heap);
	files_wait_for(1);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.threads + report.processes, 0);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(refused_a_slot, heap));
	files_reach(2);
	files_wait_for(3);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(allocate_once, heap));
	files_reach(4);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- */

static CU_TestInfo tests[] = {
	{ "thread exit gives the slot back", test_thread_exit_gives_the_slot_back },
	{ "thread exit aborts", test_thread_exit_aborts },
	{ "thread slots", test_thread_slots },
	{ "thread slots of the dead", test_thread_slots_of_the_dead },
	{ "close beside idle threads", test_close_beside_idle_threads },
	{ "parked slot", test_parked_slot },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo overlay_tests[] = {
	{ "parked slot", test_parked_slot },
	CU_TEST_INFO_NULL,
};

int test_thread_slots_register(void)
{
	return places_register("thread slots", tests, overlay_tests);
}
