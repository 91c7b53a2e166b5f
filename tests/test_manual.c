/* test_manual.c -- manual page runs: allocation, parts freed, refusals; what deaths leave
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/manual.h"

#include "heap/object.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "recovery/reap.h"
#include "tests/fixture.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t run(struct thread *thread, uint64_t npages, unsigned flags)
{
	int error = 0;
	uint64_t head = manual_allocate(thread, npages, flags, &error);

	CU_ASSERT_EQUAL(error, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(head, 0);
	return head;
}

static uint64_t pages_at(const struct fixture *f, uint64_t head)
{
	return atomic_load(&span_of_head(f->heap, head)->pages);
}

static uint32_t hot_at(const struct fixture *f, uint64_t head)
{
	return hot_owner(atomic_load(&span_of_head(f->heap, head)->hot));
}

static void expect_run(const struct fixture *f, uint64_t head, uint64_t npages)
{
	CU_ASSERT_TRUE(manual_is_set(f->heap, head));
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(pages_at(f, head), npages);
	for (uint64_t i = 0; i < npages; i++)
		CU_ASSERT_EQUAL(manual_find(f->heap, head + i), head);
}

/* --- allocation ---------------------------------------------------------------------------- */

static void test_allocate(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t small = run(thread, 3, 0);
	uint64_t large = run(thread, 2 * WORD_PAGES + 5, RUN_IO);

	expect_run(f, small, 3);
	expect_run(f, large, 2 * WORD_PAGES + 5);
	CU_ASSERT_EQUAL(span_of_head(f->heap, small)->purpose, SPAN_MANUAL);
	CU_ASSERT_EQUAL(span_of_head(f->heap, small)->run_flags, 0);
	CU_ASSERT_EQUAL(span_of_head(f->heap, large)->run_flags, RUN_IO);
	CU_ASSERT_EQUAL(hot_at(f, large), HOT_NONE);
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_huge(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t first;
	uint64_t second;

	run(thread, 1, 0);
	first = run(thread, HUGE_PAGES, RUN_HUGE);
	run(thread, 1, 0);
	second = run(thread, 2 * HUGE_PAGES, RUN_HUGE);
	CU_ASSERT_EQUAL(first % HUGE_PAGES, 0);
	CU_ASSERT_EQUAL(second % HUGE_PAGES, 0);
	/* A hole that fits exactly is taken. */
	CU_ASSERT_EQUAL(manual_free(thread, first, HUGE_PAGES), 0);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(run(thread, HUGE_PAGES, RUN_HUGE), first);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_no_memory(void)
{
	struct fixture *f = fixture_open(1, 1);
	int error = 0;

	CU_ASSERT_EQUAL(manual_allocate(&f->threads[0], ARENA_PAGES, 0, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	f->disk_full = true;
	CU_ASSERT_EQUAL(manual_allocate(&f->threads[0], CHUNK_PAGES, 0, &error), 0);
	CU_ASSERT_EQUAL(error, ENOSPC);
	f->disk_full = false;
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- freeing ------------------------------------------------------------------------------- */

static void test_free_whole(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = run(thread, 20, 0);

	CU_ASSERT_EQUAL(manual_free(thread, head, 20), 0);
	CU_ASSERT_FALSE(manual_is_set(f->heap, head));
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	CU_ASSERT_EQUAL(manual_free(thread, head, 20), SH_EDOUBLEFREE);
	fixture_give_back(thread);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_free_parts(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = run(thread, 30, RUN_IO);

	CU_ASSERT_EQUAL(manual_free(thread, head, 3), 0);
	expect_run(f, head + 3, 27);
	CU_ASSERT_EQUAL(manual_free(thread, head + 25, 5), 0);
	expect_run(f, head + 3, 22);
	CU_ASSERT_EQUAL(manual_free(thread, head + 10, 1), 0);
	expect_run(f, head + 3, 7);
	expect_run(f, head + 11, 14);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head + 11)->run_flags, RUN_IO);
	CU_ASSERT_EQUAL(manual_find(f->heap, head + 10), 0);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(manual_free(thread, head + 3, 7), 0);
	CU_ASSERT_EQUAL(manual_free(thread, head + 11, 14), 0);
	fixture_give_back(thread);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_expect_good(f);
	fixture_close(f);
}

/* Runs beside each other, taken from the lowest free pages. */
static uint64_t three_runs(struct thread *thread)
{
	uint64_t first = run(thread, 4, 0);

	CU_ASSERT_EQUAL_FATAL(run(thread, 5, RUN_IO), first + 4);
	CU_ASSERT_EQUAL_FATAL(run(thread, 6, 0), first + 9);
	return first;
}

static void test_free_across(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t first = three_runs(thread);

	CU_ASSERT_EQUAL(manual_free(thread, first + 2, 10), 0);
	expect_run(f, first, 2);
	expect_run(f, first + 12, 3);
	for (uint64_t i = 2; i < 12; i++)
		CU_ASSERT_EQUAL(manual_find(f->heap, first + i), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- refusals ------------------------------------------------------------------------------ */

static void test_refusals(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = run(thread, 20, 0);
	uint64_t block = fixture_block(thread, 20 * PAGE_BYTES) >> PAGE_SHIFT;
	uint64_t small = fixture_block(thread, 64) >> PAGE_SHIFT;
	uint64_t free_pages = fixture_free_pages(f);
	const uint64_t bad[] = { 0, 1, block, block + 1, small, fixture_first_page(f) - 1,
		arena_frontier(f->heap, 0) << CHUNK_PAGES_SHIFT, ARENA_PAGES, UINT64_MAX,
		UINT64_MAX >> PAGE_SHIFT };

	for (size_t i = 0; i < LENGTH_OF(bad); i++)
		CU_ASSERT_EQUAL(manual_free(thread, bad[i], 1), SH_EBADPTR);
	CU_ASSERT_EQUAL(manual_free(thread, head, 0), SH_EBADPTR);
	CU_ASSERT_EQUAL(manual_free(thread, head, UINT64_MAX), SH_EBADPTR);
	CU_ASSERT_EQUAL(manual_free(thread, head + 10, block - head), SH_EBADPTR);
	CU_ASSERT_EQUAL(object_free(thread, page_offset(head)), SH_EBADPTR);
	CU_ASSERT_EQUAL(object_free(thread, page_offset(head + 1)), SH_EBADPTR);
	CU_ASSERT_FALSE(fixture_is_live(f, page_offset(head)));
	expect_run(f, head, 20);
	CU_ASSERT_EQUAL(manual_free(thread, head + 4, 4), 0);
	CU_ASSERT_EQUAL(manual_free(thread, head + 2, 4), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(manual_free(thread, head + 7, 4), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(manual_free(thread, head, 20), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(thread, page_offset(head + 4)), SH_EBADPTR);
	expect_run(f, head, 4);
	expect_run(f, head + 8, 12);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A run that cannot be true is set aside by recovery, and not freed. */
static void test_quarantine(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = run(&f->threads[0], 20, 0);

	run(&f->threads[0], 20, 0);
	span_of_head(f->heap, head)->purpose = SPAN_OBJECTS;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 1);
	CU_ASSERT_EQUAL(manual_find(f->heap, head), 0);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head, 20), SH_EBADPTR);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head + 3, 1), SH_EBADPTR);
	CU_ASSERT_TRUE(fixture_problems(f, &f->threads[0]) > 0);
	fixture_close(f);
}

/* Both bitmaps claim the page. */
static void test_both_bits(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = run(&f->threads[0], 20, 0);

	head_set(f->heap, head);
	CU_ASSERT_TRUE(fixture_problems(f, NULL) > 0);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 1);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head, 20), SH_EBADPTR);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], page_offset(head)), SH_EBADPTR);
	fixture_close(f);
}

/* --- deaths -------------------------------------------------------------------------------- */

static void test_restart(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = run(&f->threads[0], 20, RUN_IO);

	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head + 5, 5), 0);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	expect_run(f, head, 5);
	expect_run(f, head + 10, 10);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head + 10)->run_flags, RUN_IO);
	CU_ASSERT_EQUAL(fixture_data_pages(f) - fixture_free_pages(f), 15);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head, 5), 0);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head + 10, 10), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* The second half of a run whose cut was not finished: head bit set, nothing else done. */
static uint64_t leave_cut(struct fixture *f)
{
	uint64_t head = run(&f->threads[0], 20, 0);
	struct span_record record = span_record_read(f->heap, head);

	record.pages = 12;
	span_write_record(f->heap, head + 8, &record);
	manual_set(f->heap, head + 8);
	return head;
}

static void test_cut_recovered(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = leave_cut(f);

	CU_ASSERT_EQUAL(fixture_problems(f, NULL), 0);
	CU_ASSERT_EQUAL(fixture_problems(f, &f->threads[0]), 1);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	expect_run(f, head, 8);
	expect_run(f, head + 8, 12);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_cut_repaired(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = leave_cut(f);

	atomic_store(&f->heap->derived->journal[0], run_make(RUN_CUT, head, 20));
	atomic_store(&f->heap->derived->journal_count, 1);
	atomic_store(&f->heap->derived->page_lock, fixture_dead_tag());
	CU_ASSERT_EQUAL(manual_free(&f->threads[1], head + 8, 12), 0);
	expect_run(f, head, 8);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->derived->journal_count), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* What a death leaves between two steps of a free of a whole run. */
enum step { OPENED, MARKED, CLEARED, IN_LIMBO, STEPS };

static void leave_free(struct fixture *f, uint64_t head, enum step step)
{
	struct thread *thread = &f->threads[0];

	pages_open_intent(thread->log, 0, RUN_FREE, head, pages_at(f, head));
	if (step >= MARKED)
		atomic_store(&span_of_head(f->heap, head)->hot,
			heap_hot(f->heap, hot_dying_by(0), 0));
	if (step >= CLEARED)
		manual_clear(f->heap, head);
	if (step >= IN_LIMBO)
		pages_to_limbo(thread, 0, head, pages_at(f, head));
	fixture_kill(f, 0);
}

static void test_free_reaped(void)
{
	for (enum step step = OPENED; step < STEPS; step++) {
		struct fixture *f = fixture_open(1, 2);
		uint64_t head = run(&f->threads[0], 20, RUN_IO);

		leave_free(f, head, step);
		if (step == MARKED)
			CU_ASSERT_EQUAL(manual_free(&f->threads[1], head, 20), SH_EDOUBLEFREE);
		CU_ASSERT_TRUE(reap_slot(&f->threads[1], 0));
		CU_ASSERT_EQUAL(manual_is_set(f->heap, head), step == OPENED);
		CU_ASSERT_EQUAL(fixture_data_pages(f) - fixture_free_pages(f),
			step == OPENED ? 20u : 0u);
		fixture_expect_good(f);
		fixture_close(f);
	}
}

static void test_free_recovered(void)
{
	for (enum step step = OPENED; step < STEPS; step++) {
		struct fixture *f = fixture_open(1, 1);
		uint64_t head = run(&f->threads[0], 20, RUN_IO);
		bool stands = step < CLEARED;

		leave_free(f, head, step);
		CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
		CU_ASSERT_EQUAL(manual_find(f->heap, head), stands ? head : 0);
		CU_ASSERT_EQUAL(fixture_data_pages(f) - fixture_free_pages(f), stands ? 20u : 0u);
		fixture_expect_good(f);
		fixture_close(f);
	}
}

/* A free that the dead one only announced, and that somebody else made meanwhile, is not the
 * reaper's. */
static void test_free_of_both(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = run(&f->threads[0], 20, 0);

	leave_free(f, head, OPENED);
	CU_ASSERT_EQUAL(manual_free(&f->threads[1], head, 20), 0);
	pages_give_back(&f->threads[1]);
	CU_ASSERT_TRUE(reap_slot(&f->threads[1], 0));
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- against a naive model ----------------------------------------------------------------- */

#define MODEL_PAGES (3 * CHUNK_PAGES)
#define NOBODY 0u
#define BLOCK 1u
#define RUN 2u

/* Process. What each page of the first chunks holds, and what a run's page is flagged with. */
struct model {
	struct fixture *f;
	uint64_t first;
	uint64_t used; /* pages, wherever they are */
	uint8_t holds[MODEL_PAGES];
	uint8_t flags[MODEL_PAGES];
};

static void mark(struct model *model, uint64_t page, uint64_t npages, uint8_t holds, unsigned flags)
{
	model->used = holds != NOBODY ? model->used + npages : model->used - npages;
	for (uint64_t i = 0; i < npages; i++) {
		if (page - model->first + i >= MODEL_PAGES)
			continue;
		if (holds != NOBODY)
			CU_ASSERT_EQUAL(model->holds[page - model->first + i], NOBODY);
		model->holds[page - model->first + i] = holds;
		model->flags[page - model->first + i] = (uint8_t)flags;
	}
}

static void play_allocate(struct model *model, struct random *random)
{
	struct thread *thread = &model->f->threads[random_below(random, 2)];
	uint64_t npages = 1 + random_below(random, random_below(random, 8) == 0 ? 90 : 12);
	unsigned flags = random_below(random, 3) == 0 ? RUN_IO : 0;

	if (random_below(random, 40) == 0) {
		uint64_t off = fixture_block(thread, npages * PAGE_BYTES + SMALL_MAX_BYTES);

		mark(model, off >> PAGE_SHIFT,
			span_of_head(model->f->heap, off >> PAGE_SHIFT)->pages, BLOCK, 0);
		return;
	}
	mark(model, run(thread, npages, flags), npages, RUN, flags);
}

/* What a free of the range must answer. */
static int expected(const struct model *model, uint64_t page, uint64_t npages)
{
	for (uint64_t i = page - model->first; i < page - model->first + npages; i++) {
		if (model->holds[i] == RUN)
			continue;
		return model->holds[i] == BLOCK ? SH_EBADPTR : SH_EDOUBLEFREE;
	}
	return 0;
}

static void play_free(struct model *model, struct random *random)
{
	struct thread *thread = &model->f->threads[random_below(random, 2)];
	uint64_t end = arena_frontier(model->f->heap, 0) << CHUNK_PAGES_SHIFT;
	uint64_t limit = end - model->first < MODEL_PAGES ? end - model->first : MODEL_PAGES;
	uint64_t at = random_below(random, limit);
	uint64_t npages = 1 + random_below(random, random_below(random, 5) == 0 ? 60 : 6);
	uint64_t page = model->first + at;
	int answer;

	if (at + npages > limit)
		npages = limit - at;
	answer = expected(model, page, npages);
	CU_ASSERT_EQUAL(manual_free(thread, page, npages), answer);
	if (answer == 0)
		mark(model, page, npages, NOBODY, 0);
}

static void compare(struct model *model)
{
	const struct heap *heap = model->f->heap;

	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		uint64_t head = manual_find(heap, model->first + i);

		CU_ASSERT_EQUAL(head != 0, model->holds[i] == RUN);
		if (head != 0)
			CU_ASSERT_EQUAL(span_of_head(heap, head)->run_flags & RUN_IO,
				model->flags[i]);
	}
	fixture_expect_good(model->f);
}

static void test_random(void)
{
	struct random random = random_seeded("manual");

	for (int round = 0; round < 10; round++) {
		struct model *model = calloc(1, sizeof(*model));

		model->f = fixture_open(1, 2);
		model->first = fixture_first_page(model->f);
		run(&model->f->threads[0], 1, 0);
		mark(model, model->first, 1, RUN, 0);
		for (int step = 0; step < 400; step++) {
			if (random_below(&random, 3) == 0 && model->used < MODEL_PAGES)
				play_allocate(model, &random);
			else
				play_free(model, &random);
			if (step % 100 == 99) {
				compare(model);
				CU_ASSERT_EQUAL(fixture_reopen(model->f, 2), 0);
				compare(model);
			}
		}
		fixture_close(model->f);
		free(model);
	}
}

/* --- listing ------------------------------------------------------------------------------- */

/* Stack. What a walk showed. */
struct seen {
	uint64_t runs;
	uint64_t pages;
	uint64_t io_pages;
};

static int see(const struct sh_pages *pages, void *argument)
{
	struct seen *seen = argument;

	seen->runs++;
	seen->pages += pages->npages;
	seen->io_pages += pages->flags & SH_IO ? pages->npages : 0;
	return seen->runs == 3;
}

static void test_walk(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct seen seen = { 0, 0, 0 };

	fixture_block(&f->threads[0], 64);
	run(&f->threads[0], 4, 0);
	run(&f->threads[0], 30, RUN_IO);
	CU_ASSERT_EQUAL(walk_manual(f->heap, NULL, see, &seen), 0);
	CU_ASSERT_EQUAL(seen.runs, 2);
	CU_ASSERT_EQUAL(seen.pages, 34);
	CU_ASSERT_EQUAL(seen.io_pages, 30);
	CU_ASSERT_EQUAL(walk_manual(f->heap, NULL, see, &seen), SH_ESTOPPED);
	fixture_close(f);
}

static CU_TestInfo allocation_tests[] = {
	{ "allocate", test_allocate },
	{ "huge", test_huge },
	{ "no memory", test_no_memory },
	{ "walk", test_walk },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo free_tests[] = {
	{ "whole", test_free_whole },
	{ "parts", test_free_parts },
	{ "across runs", test_free_across },
	{ "refusals", test_refusals },
	{ "set aside", test_quarantine },
	{ "both bitmaps", test_both_bits },
	{ "random", test_random },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo death_tests[] = {
	{ "restart", test_restart },
	{ "cut, recovered", test_cut_recovered },
	{ "cut, repaired", test_cut_repaired },
	{ "free, reaped", test_free_reaped },
	{ "free, recovered", test_free_recovered },
	{ "free of both", test_free_of_both },
	CU_TEST_INFO_NULL,
};

int test_manual_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "manual runs: allocation", .pTests = allocation_tests },
		{ .pName = "manual runs: frees", .pTests = free_tests },
		{ .pName = "manual runs: deaths", .pTests = death_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
