/* test_deaths.c -- some processes die, or all of them, at any moment
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

/* --- all die (P2) -------------------------------------------------------------------------- */

static void die_in_transaction(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_txn *txn;
	uint64_t *word = files_find_words(heap);

	(void)unused;
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_store(txn, &word[0], sh_txn_alloc(txn, 100, 0)) == 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_alloc(txn, 5 * PAGE_BYTES, 0) != 0);
	REQUIRE(sh_txn_alloc(txn, 200, 0) != 0);
	REQUIRE(sh_txn_add(txn, &word[1], 16) == 0);
	word[1] = 77;
	word[2] = 78;
	files_die();
}

static void test_all_die(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report;
	uint64_t ns;
	uint64_t *word = files_new_words(heap);

	word[1] = 5;
	word[2] = 6;
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, &ns), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 0);
	CU_ASSERT_EQUAL(ns, 0);
	files_close(heap);
	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY, &heap), EROFS);
	heap = files_open(0);
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, &ns), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 1);
	CU_ASSERT_EQUAL(report.blocks_freed, 2);
	CU_ASSERT(ns > 0);
	word = files_find_words(heap);
	CU_ASSERT(sh_usable_size(heap, word[0]) >= 100);
	CU_ASSERT_EQUAL(word[1], 5);
	CU_ASSERT_EQUAL(word[2], 6);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- some die (P1) ------------------------------------------------------------------------- */

static void live_until_told(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	sh_off off = sh_alloc(heap, 64);

	(void)unused;
	REQUIRE(off != 0);
	files_reach(1);
	files_wait_for(2);
	REQUIRE(sh_free(heap, off) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_dead_and_living_peers(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report;
	uint64_t *word = files_new_words(heap);
	pid_t living;

	files_reset_steps();
	living = files_start(live_until_told, NULL);
	files_wait_for(1);
	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes, 1);
	CU_ASSERT_EQUAL(report.threads, 1);
	CU_ASSERT_EQUAL(report.rolled_back, 1);
	CU_ASSERT_EQUAL(report.blocks_freed, 2);
	CU_ASSERT_EQUAL(word[1], 0);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes + report.threads, 0);
	/* A stopped process is alive. */
	kill(living, SIGSTOP);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes + report.threads, 0);
	kill(living, SIGCONT);
	files_expect_good(heap);
	files_reach(2);
	CU_ASSERT_EQUAL(files_finish(living), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void report_of_open(void *unused)
{
	struct sh_heap *heap;
	struct sh_reap_report report;
	uint64_t ns;

	(void)unused;
	heap = files_child_open(0);
	REQUIRE(sh_recovery_report(heap, &report, &ns) == 0);
	REQUIRE(report.processes == 1 && report.threads == 1 && report.rolled_back == 1 && ns > 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_open_reaps(void)
{
	struct sh_heap *heap = files_new();

	files_new_words(heap);
	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	CU_ASSERT_EQUAL(files_run(report_of_open, NULL), 0);
	files_close(heap);
}

/* The last one out finishes what the dead left, also when nobody met them. */
static void test_close_reaps(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report;
	uint64_t *word = files_new_words(heap);

	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	CU_ASSERT_EQUAL(word[1], 77);
	files_close(heap);
	CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, SH_RDONLY, &heap), 0);
	CU_ASSERT_EQUAL(files_find_words(heap)[1], 0);
	files_close(heap);
	heap = files_open(0);
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, NULL), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 0);
	files_close(heap);
}

static void wait_for_the_end(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_alloc(heap, 10) != 0);
	files_reach_next();
	for (;;)
		pause();
}

static void expect_no_process_slot(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	files_wait_for(2);
	REQUIRE(files_open_at(files_path, 0, &heap) == SH_ESLOTS);
}

/* As many processes as the heap has slots for, killed together, again and again. */
static void test_process_slots(void)
{
	struct sh_heap *heap = files_new_of(2, 3);

	files_close(heap);
	for (int round = 0; round < 5; round++) {
		pid_t children[2];
		pid_t late;

		files_reset_steps();
		late = files_start(expect_no_process_slot, NULL);
		for (int i = 0; i < 2; i++)
			children[i] = files_start(wait_for_the_end, NULL);
		CU_ASSERT_EQUAL(files_finish(late), 0);
		kill(children[0], SIGSTOP);
		CU_ASSERT_EQUAL(files_finish_killed(children[0]), SIGKILL);
		if (round % 2 == 0) {
			/* One survives, and its place with the dead one's is not enough for two. */
			files_reach(1);
			children[0] = files_start(wait_for_the_end, NULL);
			files_wait_for(2);
			CU_ASSERT_EQUAL(files_finish_killed(children[0]), SIGKILL);
		}
		CU_ASSERT_EQUAL(files_finish_killed(children[1]), SIGKILL);
	}
	heap = files_open(0);
	files_expect_good(heap);
	files_close(heap);
}

/* --- random deaths ------------------------------------------------------------------------- */

static void kill_round(struct random *random, unsigned deaths)
{
	pid_t workers[2] = { worker_start(random), worker_start(random) };

	for (unsigned i = 0; i < deaths; i++) {
		unsigned which = (unsigned)random_below(random, 2);

		random_sleep(random, 6000);
		CU_ASSERT_EQUAL(files_finish_killed(workers[which]), SIGKILL);
		workers[which] = worker_start(random);
	}
	random_sleep(random, 6000);
	CU_ASSERT_EQUAL(files_finish_killed(workers[0]), SIGKILL);
	CU_ASSERT_EQUAL(files_finish_killed(workers[1]), SIGKILL);
}

/* What a transaction published is there. */
static void expect_roots_live(struct sh_heap *heap)
{
	static const char *const names[] = { "words", "r0", "r1", "r2", "r3" };
	sh_off off;

	for (size_t i = 0; i < LENGTH_OF(names); i++)
		if (sh_root_get(heap, names[i], &off) == 0)
			CU_ASSERT_NOT_EQUAL(sh_usable_size(heap, off), 0);
}

static void test_random_deaths(void)
{
	struct random random = random_seeded("random deaths");
	struct sh_heap *heap = files_new();

	files_new_words(heap);
	files_close(heap);
	for (int round = 0; round < 12; round++) {
		struct account *account;

		kill_round(&random, 4);
		heap = files_open(0);
		account = account_of(heap);
		CU_ASSERT_EQUAL(account->left, account->right);
		files_expect_good(heap);
		expect_roots_live(heap);
		files_close(heap);
	}
	CU_ASSERT_TRUE(files_is_clean());
}

static void open_and_close(void *unused)
{
	(void)unused;
	for (;;)
		REQUIRE(sh_close(files_child_open(0)) == 0);
}

static void create_over_and_over(void *unused)
{
	char name[PATH_MAX];
	struct sh_heap *heap;

	(void)unused;
	for (unsigned i = 0;; i++) {
		files_beside(name, i % 2 == 0 ? "made0" : "made1");
		unlink(name);
		REQUIRE(files_open_at(name, SH_CREATE, &heap) == 0);
		REQUIRE(sh_close(heap) == 0);
	}
}

/* Deaths inside sh_open(), recovery and sh_close(). */
static void test_deaths_in_open(void)
{
	struct random random = random_seeded("deaths in open");

	files_make_closed(FILES_BLOCK_BYTES);
	for (int i = 0; i < 60; i++) {
		pid_t one = files_start(open_and_close, NULL);
		pid_t other = files_start(open_and_close, NULL);

		random_sleep(&random, 4000);
		CU_ASSERT_EQUAL(files_finish_killed(one), SIGKILL);
		random_sleep(&random, 1000);
		CU_ASSERT_EQUAL(files_finish_killed(other), SIGKILL);
		if (i % 4 == 0)
			files_expect_opens(FILES_BLOCK_BYTES);
	}
	files_expect_opens(FILES_BLOCK_BYTES);
}

static void test_deaths_in_create(void)
{
	struct random random = random_seeded("deaths in create");
	char name[PATH_MAX];

	files_make_closed(FILES_BLOCK_BYTES);
	for (int i = 0; i < 30; i++) {
		pid_t one = files_start(create_over_and_over, NULL);

		random_sleep(&random, 4000);
		CU_ASSERT_EQUAL(files_finish_killed(one), SIGKILL);
		for (int k = 0; k < 2; k++) {
			struct sh_heap *heap;
			int error;

			files_beside(name, k == 0 ? "made0" : "made1");
			error = files_open_at(name, 0, &heap);
			CU_ASSERT(error == 0 || error == ENOENT);
			if (error == 0)
				files_close(heap);
		}
	}
}

/* --- */

static CU_TestInfo tests[] = {
	{ "all die", test_all_die },
	{ "dead and living peers", test_dead_and_living_peers },
	{ "open reaps", test_open_reaps },
	{ "close reaps", test_close_reaps },
	{ "process slots", test_process_slots },
	{ "random deaths", test_random_deaths },
	{ "deaths in open", test_deaths_in_open },
	{ "deaths in create", test_deaths_in_create },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo overlay_tests[] = {
	{ "dead and living peers", test_dead_and_living_peers },
	{ "process slots", test_process_slots },
	{ "random deaths", test_random_deaths },
	CU_TEST_INFO_NULL,
};

int test_deaths_register(void)
{
	return places_register("deaths", tests, overlay_tests);
}
