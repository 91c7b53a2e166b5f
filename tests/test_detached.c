/* test_detached.c -- transactions that no thread owns
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of api/handle.h; the contract says it, too. */
#define IDLE 8u

static struct sh_stats stats_of(struct sh_heap *heap)
{
	struct sh_stats stats = SH_STATS_INIT;

	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	return stats;
}

/* --- one process --------------------------------------------------------------------------- */

static void test_begin_and_end(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *words = files_new_words(heap);
	struct sh_txn *txn;
	sh_off off;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, SH_DETACHED | 0x100, &txn), EINVAL);
	CU_ASSERT_PTR_NULL(txn);
	txn = files_begin(heap, SH_DETACHED);
	off = sh_txn_alloc(txn, 100, SH_ZERO);
	CU_ASSERT_NOT_EQUAL(off, 0);
	/* Its user sees the block at once. */
	CU_ASSERT(sh_usable_size(heap, off) >= 100);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &words[0], off), 0);
	CU_ASSERT_EQUAL(sh_txn_write(txn, &words[1], &(uint64_t){ 7 }, 8), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "root", off), 0);
	CU_ASSERT_EQUAL(words[0], 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(words[0], off);
	CU_ASSERT_EQUAL(words[1], 7);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), EINVAL);
	txn = files_begin(heap, SH_DETACHED);
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, 0), SH_EDOUBLEFREE);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 40, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_write(txn, &words[1], &(uint64_t){ 8 }, 8), 0);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(words[1], 7);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_expect_good(heap);
	files_close(heap);
}

#define MANY 30u

/* Any number, beside the thread's own. */
static void test_many(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *words = files_new_words(heap);
	struct sh_txn *txns[MANY];
	struct sh_txn *own;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &own), 0);
	for (unsigned i = 0; i < MANY; i++) {
		txns[i] = files_begin(heap, SH_DETACHED);
		CU_ASSERT_EQUAL(sh_txn_store(txns[i], &words[i],
					sh_txn_alloc(txns[i], (size_t)8 << i % 16, 0)),
			0);
	}
	CU_ASSERT_EQUAL(stats_of(heap).detached_slots, MANY);
	CU_ASSERT_EQUAL(stats_of(heap).open_transactions, MANY + 1);
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			sh_txn_abort(txns[i]);
		else
			CU_ASSERT_EQUAL(sh_txn_commit(txns[i]), 0);
		CU_ASSERT_EQUAL(words[i] != 0, i % 3 != 0);
	}
	CU_ASSERT_EQUAL(sh_txn_commit(own), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1 + MANY - MANY / 3);
	/* Not more are kept than the contract says. */
	CU_ASSERT_EQUAL(stats_of(heap).detached_slots, IDLE);
	CU_ASSERT_EQUAL(stats_of(heap).open_transactions, 0);
	files_expect_good(heap);
	files_close(heap);
}

static void test_slots_are_used_again(void)
{
	struct sh_heap *heap = files_new();

	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(sh_txn_commit(files_begin(heap, SH_DETACHED)), 0);
	CU_ASSERT_EQUAL(stats_of(heap).detached_slots, 1);
	files_close(heap);
}

static void *commit_in_thread(void *argument)
{
	return sh_txn_commit(argument) == 0 ? argument : NULL;
}

/* Begins one, allocates in it, and ends. */
static void *begin_in_thread(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	if (sh_txn_begin(heap, SH_DETACHED, &txn) != 0)
		return NULL;
	if (sh_txn_root(txn, "made", sh_txn_alloc(txn, 100, 0)) != 0)
		return NULL;
	return txn;
}

/* The threads of the parts come and go. */
static void test_moves_between_threads(void)
{
	struct sh_heap *heap = files_new();
	struct sh_txn *txn = files_run_thread(begin_in_thread, heap);
	sh_off off;

	CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 200, 0), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "made", &off), SH_ENOTFOUND);
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(commit_in_thread, txn));
	CU_ASSERT_EQUAL(sh_root_get(heap, "made", &off), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_close(heap);
}

static void test_close(void)
{
	struct sh_heap *heap = files_new();
	struct sh_txn *txn = files_begin(heap, SH_DETACHED);
	struct sh_heap *again;

	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 100, 0), 0);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	/* The last handle alone counts. */
	CU_ASSERT_EQUAL(sh_open(files_path, 0, NULL, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	CU_ASSERT_EQUAL(sh_close(again), 0);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_close(heap);
	/* Closed cleanly, though slots were kept: otherwise it could not be opened like this. */
	heap = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, SH_DETACHED, &txn), EROFS);
	CU_ASSERT_PTR_NULL(txn);
	files_close(heap);
}

#define FEW 6u

static void *allocate_in_thread(void *argument)
{
	return sh_alloc(argument, 10) != 0 ? argument : NULL;
}

static void test_slots(void)
{
	struct sh_txn *txns[FEW + 1];
	struct sh_heap *heap = files_new_of(0, FEW);
	unsigned count = 0;

	while (count <= FEW && sh_txn_begin(heap, SH_DETACHED, &txns[count]) == 0)
		count++;
	/* One is the calling thread's. */
	CU_ASSERT_EQUAL(count, FEW - 1);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, SH_DETACHED, &txns[FEW]), SH_ESLOTS);
	CU_ASSERT_PTR_NULL(txns[FEW]);
	CU_ASSERT_PTR_NULL(files_run_thread(allocate_in_thread, heap));
	for (unsigned i = 0; i < count; i++)
		sh_txn_abort(txns[i]);
	/* What is kept for later does not keep a thread out. */
	CU_ASSERT_PTR_NOT_NULL(files_run_thread(allocate_in_thread, heap));
	files_expect_good(heap);
	files_close(heap);
}

/* --- fork ---------------------------------------------------------------------------------- */

static void use_in_child(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	for (unsigned i = 0; i < 3; i++) {
		REQUIRE(sh_txn_begin(heap, SH_DETACHED, &txn) == 0);
		REQUIRE(sh_txn_root(txn, "child", sh_txn_alloc(txn, 100, 0)) == 0);
		REQUIRE(sh_txn_commit(txn) == 0);
	}
	/* Its parent's open one is not its own. */
	REQUIRE(sh_close(heap) == 0);
}

static void test_fork(void)
{
	struct sh_heap *heap = files_new();
	struct sh_txn *txn = files_begin(heap, SH_DETACHED);
	struct sh_txn *idle = files_begin(heap, SH_DETACHED);
	sh_off off;

	sh_txn_abort(idle);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 100, 0), 0);
	CU_ASSERT_EQUAL(files_run(use_in_child, heap), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "child", &off), 0);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 100, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 5);
	files_expect_good(heap);
	files_close(heap);
}

static void expect_lost(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_stats stats = SH_STATS_INIT;
	struct sh_txn *txn;
	struct sh_mutex mutex = { 0, 0 };

	REQUIRE(sh_txn_begin(heap, SH_DETACHED, &txn) == ECHILD && txn == NULL);
	REQUIRE(sh_realloc(heap, 0, 10) == 0 && errno == ECHILD);
	REQUIRE(sh_realloc_to(heap, &(sh_off){ 0 }, 10) == 0 && errno == ECHILD);
	REQUIRE(sh_mutex_timedlock(heap, &mutex, 0) == ECHILD);
	REQUIRE(sh_stats(heap, &stats) == ECHILD);
	REQUIRE(sh_close(heap) == 0);
}

/* A child for which there is no process slot has no heap. */
static void test_lost_child(void)
{
	struct sh_heap *heap = files_new_of(1, 0);
	struct sh_txn *txn;

	txn = files_begin(heap, SH_DETACHED);
	CU_ASSERT_EQUAL(files_run(expect_lost, heap), 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	files_close(heap);
}

/* --- deaths -------------------------------------------------------------------------------- */

static void die_with_open_ones(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	uint64_t *words = files_find_words(heap);
	struct sh_txn *txns[3];

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		REQUIRE(sh_txn_begin(heap, SH_DETACHED, &txns[i]) == 0);
		REQUIRE(sh_txn_store(txns[i], &words[i], sh_txn_alloc(txns[i], 100, 0)) == 0);
		REQUIRE(sh_txn_write(txns[i], &words[8 + i], &(uint64_t){ 1 }, 8) == 0);
	}
	REQUIRE(sh_txn_commit(txns[1]) == 0);
	files_die();
}

static void expect_settled(struct sh_heap *heap)
{
	uint64_t *words = files_find_words(heap);

	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(words[i] != 0, i == 1);
		CU_ASSERT_EQUAL(words[8 + i], i == 1);
	}
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_expect_good(heap);
}

static void test_death(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report;

	files_new_words(heap);
	CU_ASSERT_EQUAL(files_run(die_with_open_ones, NULL), SIGKILL);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 2);
	CU_ASSERT_EQUAL(report.processes, 1);
	expect_settled(heap);
	files_close(heap);
}

static void test_death_of_all(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report;

	files_new_words(heap);
	files_close(heap);
	CU_ASSERT_EQUAL(files_run(die_with_open_ones, NULL), SIGKILL);
	heap = files_open(0);
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, NULL), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 2);
	expect_settled(heap);
	files_close(heap);
}

/* words: a mutex (2), two that are equal for who holds it. */
#define BALLAST_BYTES ((size_t)96 << 20)

static void edit_under_the_mutex(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	uint64_t *words = files_find_words(heap);
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)words;
	char *ballast = mmap(NULL, BALLAST_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct sh_txn *txn;
	int error;

	(void)unused;
	/* It takes the kernel a while to end the process: the thread is dead long before. */
	REQUIRE(ballast != MAP_FAILED);
	for (;;) {
		error = sh_mutex_lock(heap, mutex);
		REQUIRE(error == 0 || error == SH_EOWNERDIED);
		REQUIRE(sh_txn_begin(heap, SH_DETACHED, &txn) == 0);
		REQUIRE(sh_txn_add(txn, &words[2], 8) == 0);
		words[2]++;
		files_reach(1);
		REQUIRE(sh_txn_add(txn, &words[3], 8) == 0);
		words[3]++;
		REQUIRE(sh_txn_commit(txn) == 0);
		REQUIRE(sh_mutex_unlock(heap, mutex) == 0);
	}
}

/* A mutex of the dead passes on when what was done under it is settled, though the thread that held
 * it is found dead before the process. */
static void test_death_under_a_mutex(void)
{
	struct random random = random_seeded("death under a mutex");
	struct sh_heap *heap = files_new();
	uint64_t *words = files_new_words(heap);
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)words;
	unsigned inherited = 0;

	for (int i = 0; i < 40; i++) {
		pid_t child;
		int error;

		files_reset_steps();
		child = files_start(edit_under_the_mutex, NULL);
		files_wait_for(1);
		usleep((useconds_t)random_below(&random, 100));
		kill(child, SIGKILL);
		error = sh_mutex_timedlock(heap, mutex, UINT64_MAX);
		CU_ASSERT(error == 0 || error == SH_EOWNERDIED);
		inherited += error == SH_EOWNERDIED;
		CU_ASSERT_EQUAL(words[2], words[3]);
		words[2] = words[3] = 1000;
		/* Nobody puts an old value back later. */
		CU_ASSERT_EQUAL(files_finish(child), SIGKILL);
		CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
		CU_ASSERT_EQUAL(words[2], 1000);
		CU_ASSERT_EQUAL(words[3], 1000);
		CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	}
	CU_ASSERT(inherited > 0);
	files_expect_good(heap);
	files_close(heap);
}

/* --- threads beside each other ------------------------------------------------------------- */

#define THREADS 4u
#define ROUNDS 3000u

struct worker {
	struct sh_heap *heap;
	uint64_t *word; /* of the heap, its own */
	uint64_t seed;
	bool failed;
};

/* Each round replaces the block that the word names. */
static void *replace(void *argument)
{
	struct worker *worker = argument;
	struct random random = { .state = worker->seed };

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sh_txn *txn;
		sh_off before = *worker->word;
		sh_off off;

		if (sh_txn_begin(worker->heap, SH_DETACHED, &txn) != 0)
			worker->failed = true;
		off = sh_txn_alloc(txn, 1 + random_below(&random, 3000), 0);
		worker->failed |= off == 0 || sh_txn_store(txn, worker->word, off) != 0 ||
			sh_txn_free(txn, before, 0) != 0;
		if (random_below(&random, 4) == 0)
			sh_txn_abort(txn);
		else
			worker->failed |= sh_txn_commit(txn) != 0;
	}
	return NULL;
}

static void test_threads(void)
{
	struct random random = random_seeded("threads");
	struct sh_heap *heap = files_new();
	uint64_t *words = files_new_words(heap);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ heap, &words[64 * i], random_next(&random), false };
		CU_ASSERT_NOT_EQUAL(sh_alloc_to(heap, workers[i].word, 10, 0), 0);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, replace, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_FALSE(workers[i].failed);
	}
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1 + THREADS);
	CU_ASSERT(stats_of(heap).detached_slots <= THREADS);
	files_expect_good(heap);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "begin and end", test_begin_and_end },
	{ "many", test_many },
	{ "slots are used again", test_slots_are_used_again },
	{ "between threads", test_moves_between_threads },
	{ "close", test_close },
	{ "slots", test_slots },
	{ "fork", test_fork },
	{ "lost child", test_lost_child },
	{ "death", test_death },
	{ "death of all", test_death_of_all },
	{ "death under a mutex", test_death_under_a_mutex },
	{ "threads", test_threads },
	CU_TEST_INFO_NULL,
};

int test_detached_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "detached",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
