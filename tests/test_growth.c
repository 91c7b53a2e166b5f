/* test_growth.c -- backing chunks: reserving space, arenas that are made, a full disk
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/growth.h"

#include "heap/manual.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "recovery/reap.h"
#include "tests/fixture.h"

#include <errno.h>
#include <spanheap.h>
#include <stdio.h>

static uint64_t backed_chunks(const struct fixture *f)
{
	uint64_t chunks = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(f->heap); arena++)
		chunks += arena_frontier(f->heap, arena) - arena_first_chunk(f->heap, arena);
	return chunks;
}

/* Takes a run and keeps it as a block. */
static void use(struct thread *thread, uint64_t npages)
{
	fixture_block(thread, npages * PAGE_BYTES);
}

static void test_reserve(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t calls;

	CU_ASSERT_EQUAL(growth_reserve(thread, 3 * CHUNK_PAGES - 5), 0);
	CU_ASSERT_EQUAL(pages_count_free(thread), 3 * CHUNK_PAGES);
	CU_ASSERT_EQUAL(backed_chunks(f), 3);
	calls = atomic_load(&f->back_calls);
	/* What is there already is not backed again, and what is used later needs no backing. */
	CU_ASSERT_EQUAL(growth_reserve(thread, 3 * CHUNK_PAGES), 0);
	CU_ASSERT_EQUAL(growth_reserve(thread, 0), 0);
	use(thread, 3 * CHUNK_PAGES);
	CU_ASSERT_EQUAL(atomic_load(&f->back_calls), calls);
	CU_ASSERT_EQUAL(growth_reserve(thread, 1), 0);
	CU_ASSERT_EQUAL(pages_count_free(thread), CHUNK_PAGES);
	fixture_expect_good(f);
	fixture_close(f);
}

/* Through several arenas, of which each has less room than is asked for. */
static void test_reserve_arenas(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	uint64_t room = (2 * ARENA_CHUNKS - f->heap->zone_chunks[0] - ZONE_CHUNKS) * CHUNK_PAGES;

	CU_ASSERT_EQUAL(growth_reserve(thread, room + 1), 0);
	CU_ASSERT_EQUAL(pages_count_free(thread), room + CHUNK_PAGES);
	CU_ASSERT_EQUAL(heap_arena_count(f->heap), 3);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * room), ENOMEM);
	CU_ASSERT_EQUAL(pages_count_free(thread), room + CHUNK_PAGES);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A heap of one arena whose first thread holds five pages. */
static struct fixture *open_used(void)
{
	struct fixture *f = fixture_open(1, 1);

	use(&f->threads[0], 5);
	return f;
}

static void test_reserve_disk_full(void)
{
	struct fixture *f = open_used();
	struct thread *thread = &f->threads[0];

	f->disk_full = true;
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * CHUNK_PAGES), ENOSPC);
	f->disk_full = false;
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * CHUNK_PAGES), 0);
	f->disk_full = true;
	use(thread, 2 * CHUNK_PAGES - 70);
	fixture_expect_good(f);
	fixture_close(f);
}

/* What was in the way: the thread's own cache and limbo count as free. */
static void test_reserve_gives_back(void)
{
	struct fixture *f = open_used();

	CU_ASSERT_EQUAL(growth_reserve(&f->threads[0], CHUNK_PAGES - 5), 0);
	CU_ASSERT_EQUAL(backed_chunks(f), 1);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- runs of several arenas ---------------------------------------------------------------- */

static uint64_t chunks_of(const struct fixture *f, uint64_t arena)
{
	return arena_word_chunks(arena_word(f->heap, arena));
}

static uint64_t big_run(struct thread *thread, uint64_t npages)
{
	int error = 0;
	uint64_t head = manual_allocate(thread, npages, RUN_IO, &error);

	CU_ASSERT_EQUAL(error, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(head, 0);
	return head;
}

/* Pages from there to the end of the arena. */
static uint64_t rest_of_arena(uint64_t page)
{
	return ARENA_PAGES - page % ARENA_PAGES;
}

static uint64_t *word_of_page(const struct fixture *f, uint64_t page)
{
	return (uint64_t *)(void *)(f->image.base + page_offset(page));
}

/* Not all pages of large arenas: the tests would need as much memory. */
#define STRIDE (ARENA_PAGES > 4096 ? UINT64_C(509) : UINT64_C(1))

/* Leaves a word in pages that are multiples of the stride. */
static void dirty(const struct fixture *f, uint64_t page, uint64_t npages)
{
	for (uint64_t at = page; at < page + npages; at++)
		if (at % STRIDE == 0)
			*word_of_page(f, at) = at;
}

static bool arena_is_zero(const struct fixture *f, uint64_t arena)
{
	for (uint64_t page = arena << ARENA_PAGES_SHIFT; page < (arena + 1) << ARENA_PAGES_SHIFT;
		page++)
		if (page % STRIDE == 0 && *word_of_page(f, page) != 0)
			return false;
	return true;
}

static void expect_all_given_back(struct fixture *f)
{
	for (uint64_t arena = 1; arena < heap_arena_count(f->heap); arena++) {
		CU_ASSERT_EQUAL(chunks_of(f, arena), 0);
		if (!arena_is_ordinary(f->heap, arena))
			CU_ASSERT_TRUE(arena_is_zero(f, arena));
	}
	fixture_expect_good(f);
}

static void test_arenas(void)
{
	struct fixture *f = fixture_open(4, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head;
	uint64_t npages;

	use(thread, 5);
	head = arena_frontier(f->heap, 0) << CHUNK_PAGES_SHIFT;
	npages = rest_of_arena(head) + ARENA_PAGES + 3;
	CU_ASSERT_EQUAL(big_run(thread, npages), head);
	CU_ASSERT_EQUAL(thread->zero_from, head);
	CU_ASSERT_EQUAL(arena_frontier(f->heap, 0), ARENA_CHUNKS);
	CU_ASSERT_EQUAL(chunks_of(f, 1), ARENA_CHUNKS);
	CU_ASSERT_EQUAL(chunks_of(f, 2), 1);
	CU_ASSERT_EQUAL(heap_arena_count(f->heap), 3);
	dirty(f, head, npages);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(manual_find(f->heap, head + npages - 1), head);
	CU_ASSERT_EQUAL(manual_find(f->heap, ARENA_PAGES), head);
	CU_ASSERT_EQUAL(manual_find(f->heap, head + npages), 0);
	CU_ASSERT_TRUE(bytes_are_data(f->heap, page_offset(head), page_offset(npages)));
	CU_ASSERT_FALSE(bytes_are_data(f->heap, page_offset(head - 1), ARENA_BYTES * 3));
	CU_ASSERT_FALSE(fixture_is_live(f, page_offset(ARENA_PAGES)));
	/* Small blocks find their place beside it. */
	use(thread, 5);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(manual_free(thread, head, npages), 0);
	expect_all_given_back(f);
	CU_ASSERT_EQUAL(manual_free(thread, head + npages - 1, 1), SH_EBADPTR);
	/* Arenas of either kind are made of them again. */
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * ARENA_PAGES), 0);
	CU_ASSERT_TRUE(arena_is_ordinary(f->heap, 1));
	fixture_expect_good(f);
	fixture_close(f);
}

/* A large block: found by what lies inside, edited by transactions, freed. */
static void test_large_of_arenas(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	uint64_t off = fixture_block(thread, ARENA_BYTES + 16);

	CU_ASSERT_TRUE(fixture_is_live(f, off));
	CU_ASSERT_EQUAL(object_free(thread, ARENA_BYTES), SH_EBADPTR);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_TRUE(fixture_is_live(f, off));
	dirty(f, off >> PAGE_SHIFT, ARENA_PAGES + 1);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(object_free(thread, off), 0);
	/* Its record cannot be true any more. */
	CU_ASSERT_EQUAL(object_free(thread, off), SH_EBADPTR);
	expect_all_given_back(f);
	fixture_close(f);
}

static void test_arenas_in_part(void)
{
	struct fixture *f = fixture_open(4, 1);
	struct thread *thread = &f->threads[0];
	uint64_t npages = 2 * ARENA_PAGES + 5;
	uint64_t head = big_run(thread, npages);
	uint64_t end = head + npages;

	dirty(f, head, npages);
	/* What would be left begins in a continuation. */
	CU_ASSERT_EQUAL(manual_free(thread, head, ARENA_PAGES), ENOTSUP);
	CU_ASSERT_EQUAL(manual_free(thread, head, rest_of_arena(head)), ENOTSUP);
	CU_ASSERT_EQUAL(manual_free(thread, ARENA_PAGES, ARENA_PAGES), ENOTSUP);
	CU_ASSERT_EQUAL(manual_free(thread, end - 1, 1), ENOTSUP);
	CU_ASSERT_EQUAL(manual_free(thread, end - 1, 2), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(manual_find(f->heap, end - 1), head);
	/* Whole arenas at the end. */
	CU_ASSERT_EQUAL(manual_free(thread, 2 * ARENA_PAGES, end - 2 * ARENA_PAGES), 0);
	CU_ASSERT_EQUAL(chunks_of(f, 2), 0);
	CU_ASSERT_TRUE(arena_is_zero(f, 2));
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->pages, 2 * ARENA_PAGES - head);
	fixture_expect_good(f);
	/* In the first arena: front, middle, and everything from a page on. */
	CU_ASSERT_EQUAL(manual_free(thread, head, 2), 0);
	CU_ASSERT_EQUAL(manual_free(thread, head + 10, 5), 0);
	CU_ASSERT_EQUAL(manual_find(f->heap, 2 * ARENA_PAGES - 1), head + 15);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(manual_find(f->heap, 2 * ARENA_PAGES - 1), head + 15);
	CU_ASSERT_EQUAL(*word_of_page(f, ARENA_PAGES - ARENA_PAGES % STRIDE),
		ARENA_PAGES - ARENA_PAGES % STRIDE);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(manual_free(thread, head + 20, 2 * ARENA_PAGES - head - 20), 0);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head + 15)->pages, 5);
	expect_all_given_back(f);
	fixture_close(f);
}

/* Ranges over runs beside each other, of which the last one goes on. */
static void test_arenas_joined(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	uint64_t npages = ARENA_PAGES + 5;
	uint64_t head = big_run(thread, npages);

	CU_ASSERT_EQUAL(manual_free(thread, head + 4, 2), 0);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(big_run(thread, 2), head + 4);
	CU_ASSERT_EQUAL(manual_free(thread, head + 2, npages - 2), 0);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->pages, 2);
	expect_all_given_back(f);
	fixture_close(f);
}

static void test_arenas_shrink(void)
{
	struct fixture *f = fixture_open(4, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = fixture_block(thread, 2 * ARENA_BYTES) >> PAGE_SHIFT;

	/* Shorter, but nothing that could be given back by itself. */
	CU_ASSERT_TRUE(span_resize_large(thread, head, ARENA_BYTES + ARENA_BYTES / 2));
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->pages, 2 * ARENA_PAGES);
	CU_ASSERT_FALSE(span_resize_large(thread, head, 2 * ARENA_BYTES + 16));
	fixture_expect_good(f);
	CU_ASSERT_TRUE(span_resize_large(thread, head, 10 * PAGE_BYTES));
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->pages, 10);
	expect_all_given_back(f);
	fixture_close(f);
}

/* The file system cannot punch holes. */
static void test_arenas_without_holes(void)
{
	struct fixture *f;
	uint64_t head;

	if (ARENA_PAGES > 4096) {
		printf("SKIPPED: it takes gigabytes of memory; build with SPANHEAP_SMALL ");
		return;
	}
	f = fixture_open(3, 1);
	f->heap->system.zero_heap = NULL;
	head = big_run(&f->threads[0], ARENA_PAGES);
	dirty(f, head, ARENA_PAGES);
	CU_ASSERT_EQUAL(manual_free(&f->threads[0], head, ARENA_PAGES), 0);
	expect_all_given_back(f);
	fixture_close(f);
}

static void test_arenas_do_not_fit(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	int error = 0;
	uint64_t head;

	CU_ASSERT_EQUAL(manual_allocate(thread, 3 * ARENA_PAGES, 0, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	head = big_run(thread, ARENA_PAGES);
	CU_ASSERT_EQUAL(manual_allocate(thread, ARENA_PAGES, 0, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(manual_free(thread, head, ARENA_PAGES), 0);
	expect_all_given_back(f);
	fixture_close(f);
}

/* The disk is full at each call in turn. */
static void test_arenas_disk_full(void)
{
	for (uint64_t fail_at = 1; fail_at < 200; fail_at++) {
		struct fixture *f = fixture_open(4, 1);
		struct thread *thread = &f->threads[0];
		int error = 0;
		uint64_t head;

		use(thread, 5);
		atomic_store(&f->back_calls, 0);
		f->fail_at = fail_at;
		head = manual_allocate(thread, 2 * ARENA_PAGES, 0, &error);
		if (head != 0)
			fail_at = 200;
		else
			CU_ASSERT_EQUAL(error, ENOSPC);
		f->fail_at = 0;
		fixture_expect_good(f);
		if (head == 0)
			head = big_run(thread, 2 * ARENA_PAGES);
		dirty(f, head, 2 * ARENA_PAGES);
		CU_ASSERT_EQUAL(manual_free(thread, head, 2 * ARENA_PAGES), 0);
		expect_all_given_back(f);
		fixture_close(f);
	}
}

/* Dead with the run taken and no head bit: reaped, or recovered. */
static void test_arenas_of_the_dead(void)
{
	for (int recovered = 0; recovered < 2; recovered++) {
		struct fixture *f = fixture_open(3, 2);
		int error;
		uint64_t head = pages_allocate(&f->threads[0], ARENA_PAGES + 1, &error);

		CU_ASSERT_NOT_EQUAL(head, 0);
		dirty(f, ARENA_PAGES, 7);
		fixture_expect_good(f);
		fixture_kill(f, 0);
		CU_ASSERT_TRUE(recovered ? fixture_reopen(f, 2) == 0
					 : reap_slot(&f->threads[1], 0));
		CU_ASSERT_EQUAL(chunks_of(f, 1), 0);
		expect_all_given_back(f);
		CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
		fixture_close(f);
	}
}

/* Continuations that a death left nobody's: the next one who needs arenas takes them. */
static void test_arenas_forsaken(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	uint64_t npages = ARENA_PAGES + 1;
	uint64_t head = big_run(thread, npages);

	dirty(f, head, npages);
	span_of_head(f->heap, head)->pages = (uint32_t)rest_of_arena(head);
	CU_ASSERT_FALSE(growth_is_continued(f->heap, 1));
	fixture_expect_good(f);
	CU_ASSERT_NOT_EQUAL(big_run(thread, npages), head);
	CU_ASSERT_TRUE(growth_is_continued(f->heap, 2));
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- zeros --------------------------------------------------------------------------------- */

static uint64_t zeros_from(struct thread *thread, uint64_t npages)
{
	uint64_t head = big_run(thread, npages);

	return thread->zero_from > head ? thread->zero_from - head : 0;
}

static void test_known_zero(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = big_run(thread, 20);

	CU_ASSERT_TRUE(thread->zero_from <= head);
	CU_ASSERT_EQUAL(zeros_from(thread, 30), 0);
	/* Five of thirty were used. */
	CU_ASSERT_EQUAL(manual_free(thread, head + 45, 5), 0);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(zeros_from(thread, 30), 5);
	CU_ASSERT_EQUAL(manual_free(thread, head, 20), 0);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_TRUE(zeros_from(thread, 20) >= 20);
	CU_ASSERT_EQUAL(zeros_from(thread, 20), 0);
	/* Of a torn file nothing is known. */
	recover_forget_zeros(f->heap);
	CU_ASSERT_TRUE(zeros_from(thread, 20) >= 20);
	CU_ASSERT_TRUE(zeros_from(thread, CHUNK_PAGES) >= CHUNK_PAGES);
	fixture_close(f);
}

/* What a torn file holds in arenas that its directory does not know is not taken for a zone. */
static void test_torn_arena(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct thread *thread = &f->threads[0];

	use(thread, 5);
	CU_ASSERT_EQUAL(f->heap->system.back_heap(f, ARENA_BYTES, ARENA_BYTES), 0);
	memset(f->image.base + ARENA_BYTES, 0xff, ARENA_HEAD_BYTES + META_STRIDE);
	recover_forget_zeros(f->heap);
	CU_ASSERT_EQUAL(growth_reserve(thread, ARENA_PAGES), 0);
	CU_ASSERT_TRUE(arena_is_ordinary(f->heap, 1));
	fixture_expect_good(f);
	fixture_close(f);
}

/* Its maker died when the entry was written, and the arena not counted. */
static void test_uncounted_arena(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct thread *thread = &f->threads[0];
	uint64_t room = (ARENA_CHUNKS - f->heap->zone_chunks[0]) * CHUNK_PAGES;
	uint64_t block;

	use(thread, room);
	CU_ASSERT_EQUAL(growth_make_arena(f->heap, 1), 0);
	atomic_store(&f->heap->running->arena_count, 1);
	block = fixture_block(thread, 100);
	CU_ASSERT_EQUAL(block >> ARENA_BYTES_SHIFT, 1);
	CU_ASSERT_EQUAL(heap_arena_count(f->heap), 2);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_TRUE(fixture_is_live(f, block));
	CU_ASSERT_EQUAL(fixture_live_blocks(f), 2);
	fixture_expect_good(f);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "reserve", test_reserve },
	{ "reserve, several arenas", test_reserve_arenas },
	{ "reserve, disk full", test_reserve_disk_full },
	{ "reserve, cached pages", test_reserve_gives_back },
	{ "run of several arenas", test_arenas },
	{ "large block of several arenas", test_large_of_arenas },
	{ "several arenas, freed in part", test_arenas_in_part },
	{ "several arenas, joined runs", test_arenas_joined },
	{ "several arenas, block shrinks", test_arenas_shrink },
	{ "several arenas, no holes", test_arenas_without_holes },
	{ "several arenas that are not there", test_arenas_do_not_fit },
	{ "several arenas, disk full", test_arenas_disk_full },
	{ "several arenas of the dead", test_arenas_of_the_dead },
	{ "several arenas, forsaken", test_arenas_forsaken },
	{ "known zero", test_known_zero },
	{ "torn arena", test_torn_arena },
	{ "an arena that is not counted", test_uncounted_arena },
	CU_TEST_INFO_NULL,
};

int test_growth_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "growth", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
