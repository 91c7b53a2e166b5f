/* test_stats.c -- what a heap holds, counted
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "recovery/stats.h"

#include "heap/manual.h"
#include "heap/object.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "tests/heap_files.h"
#include "tests/tool_runner.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define LARGE_BYTES (SMALL_MAX_BYTES + 3 * PAGE_BYTES - 32)

static void expect_sums(const struct sh_stats *stats)
{
	struct sh_stats sums = SH_STATS_INIT;

	CU_ASSERT_EQUAL(stats->data_bytes,
		stats->free_bytes + stats->small_span_bytes + stats->large_span_bytes +
			stats->manual_bytes + stats->log_bytes + stats->damaged_bytes);
	CU_ASSERT(stats->largest_free_bytes <= stats->free_bytes);
	CU_ASSERT((stats->free_runs == 0) == (stats->free_bytes == 0));
	for (unsigned i = 0; i < SH_STATS_CLASSES; i++) {
		sums.small_spans += stats->classes[i].spans;
		sums.small_span_bytes += stats->classes[i].span_bytes;
		sums.small_blocks += stats->classes[i].blocks;
		sums.small_block_bytes += stats->classes[i].blocks * stats->classes[i].block_bytes;
	}
	CU_ASSERT_EQUAL(stats->small_spans, sums.small_spans);
	CU_ASSERT_EQUAL(stats->small_span_bytes, sums.small_span_bytes);
	CU_ASSERT_EQUAL(stats->small_blocks, sums.small_blocks);
	CU_ASSERT_EQUAL(stats->small_block_bytes, sums.small_block_bytes);
}

/* --- counting ------------------------------------------------------------------------------ */

static struct sh_stats count(const struct fixture *f)
{
	struct sh_stats stats = SH_STATS_INIT;

	stats_count(f->heap, NULL, &stats);
	expect_sums(&stats);
	return stats;
}

static void test_empty(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct sh_stats stats = count(f);

	CU_ASSERT_EQUAL(stats.max_bytes, f->heap->max_bytes);
	CU_ASSERT_EQUAL(stats.page_bytes, PAGE_BYTES);
	CU_ASSERT_EQUAL(stats.arenas, heap_arena_count(f->heap));
	CU_ASSERT_EQUAL(stats.small_blocks + stats.large_blocks + stats.open_transactions, 0);
	CU_ASSERT_EQUAL(stats.free_bytes, stats.data_bytes);
	CU_ASSERT(stats.metadata_bytes > 0);
	for (unsigned i = 0; i < SH_STATS_CLASSES; i++)
		CU_ASSERT_EQUAL(stats.classes[i].block_bytes,
			i < SIZE_CLASS_COUNT ? f->heap->classes.of[i].bytes : 0);
	fixture_close(f);
}

/* Blocks of every class, some freed by their owner and some by another thread. */
static void test_classes(void)
{
	struct random random = random_seeded("classes");
	struct fixture *f = fixture_open(4, 2);
	uint64_t live[SIZE_CLASS_COUNT] = { 0 };
	struct sh_stats stats;

	for (unsigned i = 0; i < SIZE_CLASS_COUNT; i++) {
		uint64_t made = 1 + random_below(&random, 10);
		uint64_t last = 0;

		for (uint64_t k = 0; k < made; k++)
			last = fixture_block(&f->threads[0], f->heap->classes.of[i].bytes);
		live[i] = made;
		if (i % 3 != 0) {
			CU_ASSERT_EQUAL(object_free(&f->threads[i % 3 - 1], last), 0);
			live[i]--;
		}
	}
	stats = count(f);
	for (unsigned i = 0; i < SIZE_CLASS_COUNT; i++) {
		CU_ASSERT_EQUAL(stats.classes[i].blocks, live[i]);
		CU_ASSERT_EQUAL(stats.classes[i].noscan_blocks, 0);
		CU_ASSERT_EQUAL(stats.classes[i].span_bytes,
			stats.classes[i].spans * f->heap->classes.of[i].pages * PAGE_BYTES);
		CU_ASSERT(live[i] == 0 || stats.classes[i].spans > 0);
	}
	fixture_close(f);
}

static void test_noscan(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct transaction transaction;
	struct sh_stats stats;
	int error;

	fixture_block(&f->threads[0], 64);
	transaction_begin(&transaction, &f->threads[0]);
	CU_ASSERT_NOT_EQUAL(transaction_allocate(&transaction, 64, true, &error), 0);
	CU_ASSERT_NOT_EQUAL(transaction_allocate(&transaction, 64, true, &error), 0);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.classes[size_class_of(64)].blocks, 3);
	CU_ASSERT_EQUAL(stats.classes[size_class_of(64)].noscan_blocks, 2);
	CU_ASSERT_EQUAL(stats.classes[size_class_of(64)].spans, 2);
	CU_ASSERT_EQUAL(stats.open_transactions, 1);
	transaction_abort(&transaction);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.classes[size_class_of(64)].blocks, 1);
	CU_ASSERT_EQUAL(stats.open_transactions, 0);
	fixture_close(f);
}

static void test_large_and_free(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct sh_stats before = count(f);
	uint64_t run_bytes = (LARGE_BYTES + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	uint64_t blocks[5];
	struct sh_stats stats;

	for (unsigned i = 0; i < 5; i++)
		blocks[i] = fixture_block(&f->threads[0], LARGE_BYTES);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.large_blocks, 5);
	CU_ASSERT_EQUAL(stats.large_block_bytes, 5 * LARGE_BYTES);
	CU_ASSERT_EQUAL(stats.large_span_bytes, 5 * run_bytes);
	CU_ASSERT_EQUAL(stats.free_runs, 1);
	CU_ASSERT_EQUAL(stats.fragmentation_ppm, 0);
	if (stats.data_bytes == before.data_bytes)
		CU_ASSERT_EQUAL(stats.largest_free_bytes, before.free_bytes - 5 * run_bytes);
	before = stats;
	/* Two holes between neighbours. */
	CU_ASSERT_EQUAL(object_free(&f->threads[0], blocks[1]), 0);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], blocks[3]), 0);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.large_blocks, 3);
	CU_ASSERT_EQUAL(stats.free_runs, 3);
	CU_ASSERT_EQUAL(stats.largest_free_bytes, before.largest_free_bytes);
	CU_ASSERT_EQUAL(stats.free_bytes, before.free_bytes + 2 * run_bytes);
	CU_ASSERT_EQUAL(stats.fragmentation_ppm, 2 * run_bytes * 1000000 / stats.free_bytes);
	fixture_close(f);
}

static void test_log(void)
{
	struct fixture *f = fixture_open(2, 1);
	uint64_t range = fixture_block(&f->threads[0], 8 * LOG_BYTES);
	struct transaction transaction;
	struct sh_stats stats;

	transaction_begin(&transaction, &f->threads[0]);
	CU_ASSERT_EQUAL(transaction_add(&transaction, range, 8 * LOG_BYTES), 0);
	stats = count(f);
	CU_ASSERT(stats.log_bytes >= 8 * LOG_BYTES);
	CU_ASSERT_EQUAL(stats.open_transactions, 1);
	transaction_commit(&transaction);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.log_bytes, 0);
	fixture_close(f);
}

static void expect_runs(const struct fixture *f, uint64_t runs, uint64_t npages)
{
	struct sh_stats stats = count(f);

	CU_ASSERT_EQUAL(stats.manual_runs, runs);
	CU_ASSERT_EQUAL(stats.manual_bytes, npages * PAGE_BYTES);
}

/* Whole, cut, and one that two arenas hold. */
static void test_runs(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	uint64_t metadata_bytes;
	uint64_t head;
	int error;

	head = manual_allocate(thread, 10, 0, &error);
	CU_ASSERT_NOT_EQUAL(head, 0);
	expect_runs(f, 1, 10);
	CU_ASSERT_EQUAL(manual_free(thread, head + 3, 4), 0);
	expect_runs(f, 2, 6);
	metadata_bytes = count(f).metadata_bytes;
	head = manual_allocate(thread, ARENA_PAGES + 1, 0, &error);
	CU_ASSERT_NOT_EQUAL(head, 0);
	expect_runs(f, 3, ARENA_PAGES + 7);
	/* The arena that continues the run has none of its own. */
	CU_ASSERT(count(f).metadata_bytes <= metadata_bytes + ARENA_CHUNKS * META_STRIDE);
	CU_ASSERT_EQUAL(manual_free(thread, head, ARENA_PAGES + 1), 0);
	expect_runs(f, 2, 6);
	fixture_close(f);
}

/* A cut that a death left: the record of the first run covers the second one. */
static void test_cut_left(void)
{
	struct fixture *f = fixture_open(2, 1);
	int error;
	uint64_t head = manual_allocate(&f->threads[0], 10, 0, &error);

	CU_ASSERT_NOT_EQUAL(head, 0);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head + 3, 4), 0);
	atomic_store(&span_of_head(f->heap, head)->pages, 10);
	expect_runs(f, 2, 10);
	fixture_close(f);
}

static void test_damaged(void)
{
	struct fixture *f = fixture_open(2, 1);
	uint64_t large = fixture_block(&f->threads[0], LARGE_BYTES);
	uint64_t next = fixture_block(&f->threads[0], LARGE_BYTES);
	struct sh_stats stats;

	atomic_store(&span_of_head(f->heap, large >> PAGE_SHIFT)->purpose, 99);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.large_blocks, 1);
	CU_ASSERT_EQUAL(stats.damaged_bytes, next - large);
	/* It would end behind everything. */
	atomic_store(&span_of_head(f->heap, large >> PAGE_SHIFT)->purpose, SPAN_LARGE);
	atomic_store(&span_of_head(f->heap, large >> PAGE_SHIFT)->pages, UINT32_MAX);
	stats = count(f);
	CU_ASSERT_EQUAL(stats.damaged_bytes, next - large);
	fixture_close(f);
}

static CU_TestInfo count_tests[] = {
	{ "empty", test_empty },
	{ "classes", test_classes },
	{ "noscan", test_noscan },
	{ "large blocks and free runs", test_large_and_free },
	{ "logs", test_log },
	{ "page runs", test_runs },
	{ "a cut that a death left", test_cut_left },
	{ "damaged", test_damaged },
	CU_TEST_INFO_NULL,
};

/* --- sh_stats() ---------------------------------------------------------------------------- */

static struct sh_stats stats_of(struct sh_heap *heap)
{
	struct sh_stats stats = SH_STATS_INIT;

	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.struct_bytes, sizeof(stats));
	return stats;
}

static void test_call(void)
{
	struct sh_heap *heap = files_new();
	struct sh_stats stats;
	struct stat status;

	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 100), 0);
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, LARGE_BYTES), 0);
	stats = stats_of(heap);
	expect_sums(&stats);
	CU_ASSERT_EQUAL(stats.small_blocks, 1);
	CU_ASSERT_EQUAL(stats.large_blocks, 1);
	CU_ASSERT_EQUAL(stats.max_bytes, FILES_MAX_BYTES);
	CU_ASSERT_EQUAL(stats.processes, 1);
	CU_ASSERT_EQUAL(stats.threads, 1);
	CU_ASSERT_EQUAL(stats.incarnation, 1);
	CU_ASSERT_EQUAL(stats.recovered, 0);
	CU_ASSERT_EQUAL(stat(files_path, &status), 0);
	CU_ASSERT_EQUAL(stats.file_bytes, (uint64_t)status.st_size);
	CU_ASSERT_EQUAL(stats.disk_bytes, 512 * (uint64_t)status.st_blocks);
	CU_ASSERT(stats.control_disk_bytes > 0);
	CU_ASSERT(stats.disk_bytes >= stats.metadata_bytes / 2 + stats.data_bytes);
	files_close(heap);
	heap = files_open(SH_RDONLY);
	stats = stats_of(heap);
	CU_ASSERT_EQUAL(stats.small_blocks, 1);
	CU_ASSERT_EQUAL(stats.large_blocks, 1);
	CU_ASSERT_EQUAL(stats.processes, 0);
	CU_ASSERT_EQUAL(stats.control_disk_bytes, 0);
	files_close(heap);
}

/* Callers of other versions. */
static void test_versions(void)
{
	struct {
		struct sh_stats stats;
		uint64_t more[2];
	} later;
	struct sh_heap *heap = files_new();
	struct sh_stats stats = SH_STATS_INIT;

	stats.struct_bytes = 4;
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), EINVAL);
	stats.struct_bytes = offsetof(struct sh_stats, page_bytes);
	stats.page_bytes = 77;
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.max_bytes, FILES_MAX_BYTES);
	CU_ASSERT_EQUAL(stats.page_bytes, 77);
	CU_ASSERT_EQUAL(stats.struct_bytes, offsetof(struct sh_stats, page_bytes));
	memset(&later, 0xff, sizeof(later));
	later.stats.struct_bytes = sizeof(later);
	CU_ASSERT_EQUAL(sh_stats(heap, &later.stats), 0);
	CU_ASSERT_EQUAL(later.more[0] | later.more[1], 0);
	files_close(heap);
}

static void attach_and_wait(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_alloc(heap, 10) != 0);
	files_reach(1);
	files_wait_for(2);
	files_die();
}

static void test_users(void)
{
	struct sh_heap *heap = files_new();
	struct sh_stats stats;
	pid_t child;

	files_reset_steps();
	child = files_start(attach_and_wait, NULL);
	files_wait_for(1);
	stats = stats_of(heap);
	CU_ASSERT_EQUAL(stats.processes, 2);
	CU_ASSERT_EQUAL(stats.threads, 2);
	files_reach(2);
	CU_ASSERT_EQUAL(files_finish(child), SIGKILL);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
	stats = stats_of(heap);
	CU_ASSERT_EQUAL(stats.processes, 1);
	CU_ASSERT_EQUAL(stats.threads, 1);
	CU_ASSERT_EQUAL(stats.small_blocks, 1);
	files_close(heap);
}

static void die_in_a_transaction(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_txn *txn;

	(void)unused;
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_alloc(txn, 100, 0) != 0);
	files_die();
}

static void expect_recovery(struct sh_heap *heap)
{
	struct sh_stats stats = stats_of(heap);

	CU_ASSERT_EQUAL(stats.recovered, 1);
	CU_ASSERT(stats.recovery_ns > 0);
	CU_ASSERT_EQUAL(stats.recovery.rolled_back, 1);
	CU_ASSERT_EQUAL(stats.recovery.blocks_freed, 1);
	CU_ASSERT_EQUAL(stats.incarnation, 3);
}

static void look_at_the_recovery(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_stats stats = SH_STATS_INIT;

	(void)unused;
	REQUIRE(sh_stats(heap, &stats) == 0);
	REQUIRE(stats.recovered == 1 && stats.recovery.rolled_back == 1);
	REQUIRE(sh_close(heap) == 0);
}

/* Everybody who attaches later is told, too. */
static void test_recovery(void)
{
	struct sh_heap *heap = files_new();

	files_close(heap);
	CU_ASSERT_EQUAL(files_run(die_in_a_transaction, NULL), SIGKILL);
	heap = files_open(0);
	expect_recovery(heap);
	CU_ASSERT_EQUAL(files_run(look_at_the_recovery, NULL), 0);
	files_close(heap);
	heap = files_open(0);
	CU_ASSERT_EQUAL(stats_of(heap).recovered, 0);
	files_close(heap);
}

static void *churn(void *argument)
{
	struct sh_heap *heap = argument;
	struct random random = { .state = 1 };
	sh_off blocks[64] = { 0 };

	for (int i = 0; i < 40000; i++) {
		uint64_t k = random_below(&random, 64);
		uint64_t bits = random_below(&random, 18);

		sh_free(heap, blocks[k]);
		blocks[k] = sh_alloc(heap, 1 + (random_next(&random) & ((1u << bits) - 1)));
	}
	for (int k = 0; k < 64; k++)
		sh_free(heap, blocks[k]);
	return NULL;
}

/* Beside work: a block that moved on meanwhile may count twice, but nothing counts as damaged; and
 * afterwards all is there. */
static void test_beside_work(void)
{
	struct sh_heap *heap = files_new();
	pthread_t threads[2];
	struct sh_stats stats;

	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, churn, heap), 0);
	for (int i = 0; i < 200; i++) {
		stats = stats_of(heap);
		CU_ASSERT_EQUAL(stats.damaged_bytes, 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	stats = stats_of(heap);
	expect_sums(&stats);
	CU_ASSERT_EQUAL(stats.small_blocks + stats.large_blocks, 0);
	files_close(heap);
}

static CU_TestInfo call_tests[] = {
	{ "sh_stats", test_call },
	{ "other versions of the structure", test_versions },
	{ "processes and threads", test_users },
	{ "recovery", test_recovery },
	{ "beside work", test_beside_work },
	CU_TEST_INFO_NULL,
};

/* --- spanheap stat ------------------------------------------------------------------------- */

static void test_verb(void)
{
	struct fixture *f = fixture_open(2, 2);
	struct sh_stats stats;
	struct run run;

	for (int i = 0; i < 100; i++)
		fixture_block(&f->threads[0], 100);
	fixture_block(&f->threads[1], LARGE_BYTES);
	fixture_give_back(&f->threads[0]);
	fixture_give_back(&f->threads[1]);
	stats = count(f);
	write_image(f, LEFT_CLEAN);
	run = RUN("stat", "--json", runner_path);
	CU_ASSERT_EQUAL(run.status, 0);
	CU_ASSERT_TRUE(json_valid(run.out));
	CU_ASSERT_EQUAL(json_number_of(run.out, "small_blocks"), 100);
	CU_ASSERT_EQUAL(json_number_of(run.out, "large_blocks"), 1);
	CU_ASSERT_EQUAL(json_number_of(run.out, "metadata_bytes"), stats.metadata_bytes);
	CU_ASSERT_EQUAL(json_number_of(run.out, "free_bytes"), stats.free_bytes);
	CU_ASSERT_EQUAL(json_number_of(run.out, "largest_free_bytes"), stats.largest_free_bytes);
	CU_ASSERT_EQUAL(json_number_of(run.out, "fragmentation_ppm"), stats.fragmentation_ppm);
	CU_ASSERT_EQUAL(json_number_of(run.out, "block_bytes"), 112);
	CU_ASSERT_EQUAL(json_number_of(run.out, "used_bytes"), 100 * 112);
	CU_ASSERT_EQUAL(count_text(run.out, "\"block_bytes\""), 1);
	run_free(&run);
	fixture_close(f);
}

static void test_verb_damaged(void)
{
	struct fixture *f = fixture_open(2, 1);
	uint64_t large = fixture_block(&f->threads[0], LARGE_BYTES);

	atomic_store(&span_of_head(f->heap, large >> PAGE_SHIFT)->purpose, 99);
	write_image(f, LEFT_RECOVERABLE);
	EXPECT(3, "stat", runner_path);
	fixture_close(f);
}

static CU_TestInfo verb_tests[] = {
	{ "spanheap stat", test_verb },
	{ "damaged", test_verb_damaged },
	CU_TEST_INFO_NULL,
};

int test_stats_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "stats, counting", .pTests = count_tests },
		{ .pName = "stats, the call",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = call_tests },
		{ .pName = "stats, the verb",
			.pInitFunc = runner_enter,
			.pCleanupFunc = runner_leave,
			.pTests = verb_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
