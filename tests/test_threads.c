/* test_threads.c -- several threads, standing in for processes, over one heap
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each thread has a slot of its own. Blocks pass between them through cells: whoever takes a block
 * out of a cell by an exchange has it to itself. Every block tells its offset and what it is filled
 * with. Failures are counted and asserted after the threads ended, as CUnit is not made for more
 * than one. This is what runs under ThreadSanitizer. */
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/check.h"
#include "recovery/reap.h"
#include "shm/lock.h"
#include "tests/fixture.h"

#include <pthread.h>
#include <spanheap.h>
#include <stdio.h>

/* Room for what is freed while a walker or checker stands in a section: small arenas hold 2 MiB. */
#ifdef SH_GEOMETRY_SMALL
#define ARENAS 64u
#else
#define ARENAS 8u
#endif
#define WORKERS 4u
#define CELLS 512u
#define MUTEXES 4u
#define STEPS 150000

/* Process. What all workers share. */
struct arena_of_work {
	struct fixture *f;
	_Atomic uint64_t cells[CELLS];
	uint64_t guarded; /* a block: MUTEXES lock words, MUTEXES counters, MUTEXES copies */
	_Atomic uint64_t failures;
	_Atomic uint64_t additions; /* to the counters */
	_Atomic bool stop;
};

/* Stack. One worker. */
struct worker {
	struct arena_of_work *work;
	struct thread *thread;
	struct random random;
	uint64_t private_words; /* a block that no other worker uses */
};

static struct arena_of_work work;

/* Prints the first failure, which the others often follow from. A macro: the place is the caller's. */
#define expect(w, condition) expect_at((w), (condition), #condition, __LINE__)

static void expect_at(struct worker *w, bool holds, const char *condition, int line)
{
	if (!holds && atomic_fetch_add(&w->work->failures, 1) == 0)
		printf("\n    slot %u, line %d: %s\n", w->thread->slot, line, condition);
}

static char *at(struct worker *w, uint64_t off)
{
	return heap_at(w->thread->heap, off);
}

/* --- blocks -------------------------------------------------------------------------------------- */

/* What stands at the beginning of a block, and its last byte. */
struct stamp {
	uint64_t off;
	uint64_t bytes;
};

static uint64_t random_size(struct worker *w)
{
	uint64_t kind = random_below(&w->random, 200);

	if (kind == 0)
		return SMALL_MAX_BYTES + random_below(&w->random, 2 * SMALL_MAX_BYTES) + 16;
	return sizeof(struct stamp) + 1 +
		random_below(&w->random, kind < 10 ? SMALL_MAX_BYTES : 200);
}

static void stamp_block(struct worker *w, uint64_t off, uint64_t bytes)
{
	struct stamp stamp = { .off = off, .bytes = bytes };
	char *block = at(w, off);

	memset(block, (int)(off >> 4), bytes);
	memcpy(block, &stamp, sizeof(stamp));
}

static void expect_stamped(struct worker *w, uint64_t off)
{
	struct stamp stamp;
	const char *block = at(w, off);

	memcpy(&stamp, block, sizeof(stamp));
	expect(w, stamp.off == off);
	if (stamp.off == off)
		expect(w, block[stamp.bytes - 1] == (char)(off >> 4));
}

static _Atomic uint64_t *random_cell(struct worker *w)
{
	return &w->work->cells[random_below(&w->random, CELLS)];
}

/* Frees what was in the cell, twice; the second time is refused unless somebody has it again. */
static void step_block(struct worker *w)
{
	uint64_t bytes = random_size(w);
	int error = 0;
	uint64_t off = 0;
	uint64_t old;

	if (random_below(&w->random, 2) == 0) {
		off = fixture_allocate(w->thread, bytes, &error);
		expect(w, off != 0);
		if (off == 0)
			return;
		stamp_block(w, off, bytes);
	}
	old = atomic_exchange(random_cell(w), off);
	if (old == 0)
		return;
	expect_stamped(w, old);
	expect(w, object_free(w->thread, old) == 0);
}

/* --- transactions -------------------------------------------------------------------------------- */

#define TAKEN_MAX 8u

/* Takes blocks out of cells, frees them and allocates others in one transaction; on abort the old
 * ones come back. */
static void step_transaction(struct worker *w)
{
	struct transaction transaction;
	_Atomic uint64_t *cells[TAKEN_MAX];
	uint64_t old[TAKEN_MAX];
	uint64_t fresh[TAKEN_MAX];
	unsigned count = 1 + (unsigned)random_below(&w->random, TAKEN_MAX);
	bool commit = random_below(&w->random, 3) != 0;
	uint64_t value = random_next(&w->random);
	uint64_t *words = (uint64_t *)(void *)at(w, w->private_words);
	uint64_t before = words[0];
	int error = 0;

	transaction_begin(&transaction, w->thread);
	for (unsigned i = 0; i < count; i++) {
		uint64_t bytes = random_size(w);

		cells[i] = random_cell(w);
		old[i] = atomic_exchange(cells[i], 0);
		if (old[i] != 0) {
			expect_stamped(w, old[i]);
			expect(w, transaction_free(&transaction, old[i]) == 0);
		}
		fresh[i] = transaction_allocate(&transaction, bytes, false, &error);
		expect(w, fresh[i] != 0);
		stamp_block(w, fresh[i], bytes);
	}
	expect(w, transaction_add(&transaction, w->private_words, 8) == 0);
	words[0] = value;
	expect(w, transaction_store(&transaction, w->private_words + 8, value) == 0);
	if (commit)
		transaction_commit(&transaction);
	else
		transaction_abort(&transaction);
	expect(w, words[0] == (commit ? value : before));
	expect(w, words[1] == words[0]);
	for (unsigned i = 0; i < count; i++) {
		uint64_t kept = commit ? fresh[i] : old[i];
		uint64_t other = atomic_exchange(cells[i], kept);

		if (other != 0)
			expect(w, object_free(w->thread, other) == 0);
	}
}

/* --- roots --------------------------------------------------------------------------------------- */

/* Roots of a few names; a value is 16 times the name's number plus a multiple of 4096. */
static void step_root(struct worker *w)
{
	uint64_t words[ROOT_NAME_BYTES / 8];
	uint64_t number = 1 + random_below(&w->random, 8);
	uint64_t value = 4096 * (1 + random_below(&w->random, 100)) + 16 * number;
	char name[16];
	uint64_t seen = 0;

	snprintf(name, sizeof(name), "root %u", (unsigned)number);
	root_name(name, words);
	switch (random_below(&w->random, 4)) {
	case 0:
		expect(w, root_set(w->thread, words, value) == 0);
		break;
	case 1:
		expect(w, root_set(w->thread, words, 0) == 0);
		break;
	default:
		if (root_get(w->thread->heap, words, &seen))
			expect(w, seen % 4096 == 16 * number);
	}
}

/* --- mutexes ------------------------------------------------------------------------------------- */

/* Plain words in a block, guarded by a lock word in it. */
static void step_mutex(struct worker *w)
{
	uint64_t i = random_below(&w->random, MUTEXES);
	uint64_t *words = (uint64_t *)(void *)at(w, w->work->guarded);
	_Atomic uint64_t *lock = (_Atomic uint64_t *)(void *)&words[i];
	const struct system *system = &w->thread->heap->system;

	expect(w, lock_acquire(lock, w->thread->tag, system) == LOCK_TAKEN);
	expect(w, words[MUTEXES + i] == words[2 * MUTEXES + i]);
	words[MUTEXES + i]++;
	words[2 * MUTEXES + i] = words[MUTEXES + i];
	lock_release(lock, system);
	atomic_fetch_add(&w->work->additions, 1);
}

/* --- the whole ----------------------------------------------------------------------------------- */

static void step(struct worker *w)
{
	switch (random_below(&w->random, 40)) {
	case 0:
		step_transaction(w);
		break;
	case 1:
		step_root(w);
		break;
	case 2:
	case 3:
		step_mutex(w);
		break;
	default:
		step_block(w);
	}
	if (random_below(&w->random, 2000) == 0)
		fixture_give_back(w->thread);
}

static void *run_worker(void *argument)
{
	struct worker *w = argument;

	for (int i = 0; i < STEPS; i++)
		step(w);
	return NULL;
}

static void *run_checker(void *argument)
{
	struct worker *w = argument;

	while (!atomic_load(&w->work->stop)) {
		uint64_t problems = 0;

		w->work->f->problem[0] = '\0';
		problems = fixture_problems(w->work->f, w->thread);
		expect(w, problems == 0);
		if (problems != 0) {
			printf("\n    beside others: %s\n", w->work->f->problem);
			break;
		}
	}
	return NULL;
}

static void *run_walker(void *argument)
{
	struct worker *w = argument;

	while (!atomic_load(&w->work->stop))
		fixture_live_blocks(w->work->f);
	return NULL;
}

static void work_open(const char *test, struct worker *workers)
{
	struct random random = random_seeded(test);

	memset(&work, 0, sizeof(work));
	work.f = fixture_open(ARENAS, WORKERS + 2);
	work.guarded = fixture_block(&work.f->threads[0], 3 * MUTEXES * 8);
	memset(heap_at(work.f->heap, work.guarded), 0, 3 * MUTEXES * 8);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){
			.work = &work,
			.thread = &work.f->threads[i],
			.random = { .state = random_next(&random) },
			.private_words = fixture_block(&work.f->threads[i], 64),
		};
		memset(heap_at(work.f->heap, workers[i].private_words), 0, 64);
	}
}

static void work_run(struct worker *workers, void *(*beside)(void *argument))
{
	pthread_t threads[WORKERS];
	pthread_t other;
	struct worker watcher = { .work = &work, .thread = &work.f->threads[WORKERS] };

	if (beside != NULL)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, beside, &watcher), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run_worker, &workers[i]),
			0);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&work.stop, true);
	if (beside != NULL)
		pthread_join(other, NULL);
	CU_ASSERT_EQUAL(atomic_load(&work.failures), 0);
}

/* Every block is in one cell, or one of the test's own; then none is left. */
static void work_close(void)
{
	uint64_t live = 1 + WORKERS;
	uint64_t sum = 0;
	const uint64_t *guarded = heap_at(work.f->heap, work.guarded);

	for (unsigned i = 0; i < CELLS; i++)
		live += atomic_load(&work.cells[i]) != 0;
	CU_ASSERT_EQUAL(fixture_live_blocks(work.f), live);
	for (unsigned i = 0; i < MUTEXES; i++)
		sum += guarded[MUTEXES + i];
	CU_ASSERT_EQUAL(sum, atomic_load(&work.additions));
	fixture_expect_good(work.f);
	for (unsigned i = 0; i < CELLS; i++)
		if (atomic_load(&work.cells[i]) != 0)
			CU_ASSERT_EQUAL(object_free(&work.f->threads[i % WORKERS],
						atomic_load(&work.cells[i])),
				0);
	CU_ASSERT_EQUAL(fixture_live_blocks(work.f), 1 + WORKERS);
	for (unsigned i = 0; i < WORKERS; i++)
		fixture_give_back(&work.f->threads[i]);
	span_trim(&work.f->threads[0], UINT64_MAX);
	fixture_expect_good(work.f);
	CU_ASSERT_EQUAL(fixture_reopen(work.f, 1), 0);
	CU_ASSERT_EQUAL(fixture_live_blocks(work.f), 1 + WORKERS);
	fixture_expect_good(work.f);
	fixture_close(work.f);
}

static void test_work(void)
{
	struct worker workers[WORKERS];

	work_open("threads", workers);
	work_run(workers, NULL);
	work_close();
}

/* After a restart every span is laid anew by whoever comes first. */
static void test_work_after_reopen(void)
{
	struct worker workers[WORKERS];

	work_open("threads after a restart", workers);
	work_run(workers, NULL);
	CU_ASSERT_EQUAL_FATAL(fixture_reopen(work.f, WORKERS + 2), 0);
	work_run(workers, NULL);
	work_close();
}

static void test_check_beside(void)
{
	struct worker workers[WORKERS];

	work_open("check beside", workers);
	work_run(workers, run_checker);
	work_close();
}

static void test_walk_beside(void)
{
	struct worker workers[WORKERS];

	work_open("walk beside", workers);
	work_run(workers, run_walker);
	work_close();
}

/* --- deaths -------------------------------------------------------------------------------------- */

#define DEATHS 60

/* A thread whose slot is declared dead between two steps, with all it holds, and the next one in its
 * slot, while others reap and work. */
static void *run_mortal(void *argument)
{
	struct worker *w = argument;
	struct fixture *f = w->work->f;
	uint32_t slot = w->thread->slot;

	for (int death = 0; death < DEATHS; death++) {
		uint64_t tag = w->thread->tag;

		for (uint64_t i = random_below(&w->random, 300); i > 0; i--)
			step(w);
		fixture_kill(f, slot);
		reap_thread(&f->threads[WORKERS + 1], tag);
		w->thread = fixture_attach(f, slot);
	}
	return NULL;
}

static void test_deaths(void)
{
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];

	work_open("deaths", workers);
	for (unsigned i = 0; i < WORKERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL,
					      i == 0 ? run_mortal : run_worker, &workers[i]),
			0);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&work.failures), 0);
	work_close();
}

static CU_TestInfo tests[] = {
	{ "work", test_work },
	{ "work after a restart", test_work_after_reopen },
	{ "deaths", test_deaths },
	{ "walk beside others", test_walk_beside },
	{ "check beside others", test_check_beside },
	CU_TEST_INFO_NULL,
};

int test_threads_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "threads", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
