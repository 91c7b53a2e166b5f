/* test_pages.c -- the page allocator: caches, limbo, growth, and repair from any torn state
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A word of 64 pages is carved into a pattern first: 64 one-page spans are allocated, and those
 * whose bit is set are freed again. The free pages below are none, so the next refill of a cache
 * finds exactly the pattern. */
#include "heap/growth.h"
#include "heap/object.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "recovery/reap.h"
#include "tests/fixture.h"

#include <errno.h>
#include <stdlib.h>

#define SWISS UINT64_C(0x5555555555555555)
#define SWISS_PAIRS UINT64_C(0x3333333333333333)
#define FIRST(n) ((UINT64_C(1) << (n)) - 1)

/* Takes a run as a span of one large block; its first page, or 0. */
static uint64_t take(struct thread *thread, uint64_t npages)
{
	int error;
	uint64_t head = span_prepare_large(thread, npages * PAGE_BYTES, SPAN_LARGE, false, &error);

	if (head != 0)
		span_commit_large(thread, head);
	return head;
}

static void give(struct thread *thread, uint64_t head)
{
	CU_ASSERT_EQUAL(object_free(thread, page_offset(head)), 0);
}

static uint64_t cache_mask(const struct thread *thread)
{
	return atomic_load(&thread->words->cache_mask);
}

static uint64_t cache_base(const struct thread *thread)
{
	return atomic_load(&thread->words->cache_base);
}

static uint64_t limbo_count(const struct thread *thread)
{
	return atomic_load(&thread->words->limbo_count);
}

/* Makes the pages of `mask` the free ones of the lowest word that is wholly free; its first page.
 * The thread's cache is empty before and after. */
static uint64_t carve(struct thread *thread, uint64_t mask)
{
	uint64_t base = 0;

	for (uint64_t i = 0; i < WORD_PAGES; i++) {
		uint64_t page = take(thread, 1);

		base = i == 0 ? page : base;
		CU_ASSERT_EQUAL_FATAL(page, base + i);
	}
	CU_ASSERT_EQUAL_FATAL(base % WORD_PAGES, 0);
	CU_ASSERT_EQUAL_FATAL(cache_mask(thread), 0);
	for (uint64_t i = 0; i < WORD_PAGES; i++)
		if (mask >> i & 1)
			give(thread, base + i);
	pages_give_back(thread);
	return base;
}

/* --- page cache ---------------------------------------------------------------------------- */

#define ELSEWHERE UINT64_MAX

/* Requests against a cache that holds `mask`: where in the word each run must lie, or that the cache
 * cannot serve it and must not change. */
struct cache_case {
	const char *name;
	uint64_t mask;
	struct {
		uint64_t npages;
		uint64_t at;
	} requests[8];
};

static const struct cache_case cache_cases[] = {
	{ "lowest bit", 1, { { 1, 0 } } },
	{ "highest bit", UINT64_C(1) << 63, { { 1, 63 } } },
	{ "lowest bit, two pages", 1, { { 2, ELSEWHERE }, { 1, 0 } } },
	{ "swiss", SWISS, { { 1, 0 }, { 1, 2 }, { 2, ELSEWHERE }, { 1, 4 } } },
	{ "swiss in pairs", SWISS_PAIRS,
		{ { 2, 0 }, { 1, 4 }, { 2, 8 }, { 1, 5 }, { 3, ELSEWHERE }, { 2, 12 } } },
	{ "53 at 10", FIRST(53) << 10, { { 15, 10 }, { 15, 25 }, { 15, 40 }, { 8, 55 } } },
	{ "53 at 10, too many", FIRST(53) << 10,
		{ { 1, 10 }, { 16, ELSEWHERE }, { 53, ELSEWHERE }, { 15, 11 } } },
	{ "full, whole word", ~UINT64_C(0), { { 1, 0 }, { 53, ELSEWHERE }, { 15, 1 }, { 2, 16 } } },
	{ "full, 64", ~UINT64_C(0), { { 1, 0 }, { 64, ELSEWHERE }, { 1, 1 } } },
	{ "mixed", FIRST(3) | FIRST(5) << 10 | FIRST(15) << 49,
		{ { 1, 0 }, { 4, 10 }, { 6, 49 }, { 10, ELSEWHERE }, { 9, 55 }, { 2, 1 },
			{ 2, ELSEWHERE }, { 1, 14 } } },
};

static void play_cache_case(const struct cache_case *c)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t left = c->mask;
	uint64_t base;

	/* Enough pages that no request has to grow the heap, which would empty the cache. */
	give(thread, take(thread, 4 * CHUNK_PAGES));
	base = carve(thread, c->mask);
	for (size_t i = 0; i < LENGTH_OF(c->requests) && c->requests[i].npages != 0; i++) {
		uint64_t npages = c->requests[i].npages;
		uint64_t at = c->requests[i].at;
		uint64_t page = take(thread, npages);

		if (at == ELSEWHERE) {
			CU_ASSERT_TRUE(page >= base + WORD_PAGES);
		} else {
			CU_ASSERT_EQUAL(page, base + at);
			left &= ~page_bits_mask(at, npages);
		}
		CU_ASSERT_EQUAL(cache_base(thread), base);
		CU_ASSERT_EQUAL(cache_mask(thread), left);
	}
	fixture_expect_good(f);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(cache_mask(thread), 0);
	CU_ASSERT_EQUAL(f->heap->pages.free_words[base / WORD_PAGES], left);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_cache(void)
{
	for (size_t i = 0; i < LENGTH_OF(cache_cases); i++)
		play_cache_case(&cache_cases[i]);
}

static void test_cache_bypassed(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];

	CU_ASSERT_NOT_EQUAL(take(thread, CACHE_LIMIT_PAGES), 0);
	CU_ASSERT_EQUAL(cache_mask(thread), 0);
	CU_ASSERT_NOT_EQUAL(take(thread, CACHE_LIMIT_PAGES - 1), 0);
	CU_ASSERT_NOT_EQUAL(cache_mask(thread), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_flush(void)
{
	struct random random = random_seeded("flush");
	struct fixture *f = fixture_open(8, 1);
	struct thread *thread = &f->threads[0];

	/* Empty. */
	pages_give_back(thread);
	CU_ASSERT_EQUAL(fixture_free_pages(f), 0);
	for (int i = 0; i < 100; i++) {
		uint64_t mask = i == 0 ? ~UINT64_C(0) : random_next(&random);
		uint64_t pages = 0;
		uint64_t page;

		mask |= i == 1 ? UINT64_C(1) << 63 : 0;
		carve(thread, mask);
		pages = fixture_free_pages(f);
		page = take(thread, 1);
		CU_ASSERT_EQUAL(cache_mask(thread), mask & (mask - 1));
		give(thread, page);
		pages_give_back(thread);
		CU_ASSERT_EQUAL(fixture_free_pages(f), pages);
		CU_ASSERT_EQUAL(cache_mask(thread), 0);
		CU_ASSERT_EQUAL(limbo_count(thread), 0);
		/* The next round carves a word above. */
		while (mask != 0) {
			take(thread, 1);
			mask &= mask - 1;
		}
	}
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- refill -------------------------------------------------------------------------------- */

static void test_refill_whole_word(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t first = fixture_first_page(f);

	CU_ASSERT_EQUAL(take(thread, 1), first);
	CU_ASSERT_EQUAL(cache_base(thread), first);
	CU_ASSERT_EQUAL(cache_mask(thread), ~UINT64_C(1));
	CU_ASSERT_EQUAL(fixture_free_pages(f), CHUNK_PAGES - WORD_PAGES);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_refill_last_word_of_third_chunk(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t last = fixture_first_page(f) + 3 * CHUNK_PAGES - WORD_PAGES;

	CU_ASSERT_NOT_EQUAL(take(thread, 3 * CHUNK_PAGES - WORD_PAGES), 0);
	CU_ASSERT_EQUAL(take(thread, 1), last);
	CU_ASSERT_EQUAL(cache_base(thread), last);
	CU_ASSERT_EQUAL(cache_mask(thread), ~UINT64_C(1));
	CU_ASSERT_EQUAL(fixture_free_pages(f), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_refill_far_away(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct thread *thread = &f->threads[0];
	uint64_t run = CHUNK_PAGES;
	uint64_t before = 0;
	uint64_t page = 0;

	/* Full up to the second arena, where one page in the middle of a word becomes free. */
	while ((page = take(thread, run)) < ARENA_PAGES)
		CU_ASSERT_NOT_EQUAL_FATAL(page, 0);
	while (take(thread, WORD_PAGES) != 0 && fixture_free_pages(f) != 0)
		;
	before = heap_arena_count(f->heap);
	page = carve(thread, UINT64_C(1) << 40);
	if (CHUNK_PAGES > WORD_PAGES)
		take(thread, CHUNK_PAGES - WORD_PAGES);
	CU_ASSERT_EQUAL(fixture_free_pages(f), 1);
	CU_ASSERT_EQUAL(take(thread, 1), page + 40);
	CU_ASSERT_EQUAL(cache_base(thread), page);
	CU_ASSERT_EQUAL(heap_arena_count(f->heap), before);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_refill_two_words_in_turn(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t low = carve(thread, 0);
	uint64_t high = carve(thread, 0);

	give(thread, low + 7);
	give(thread, high + 9);
	give(thread, high + 50);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(take(thread, 1), low + 7);
	CU_ASSERT_EQUAL(cache_mask(thread), 0);
	CU_ASSERT_EQUAL(take(thread, 1), high + 9);
	CU_ASSERT_EQUAL(cache_mask(thread), UINT64_C(1) << 50);
	give(thread, low + 7);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(take(thread, 1), low + 7);
	CU_ASSERT_EQUAL(take(thread, 1), high + 50);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_nothing_free(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *thread = &f->threads[0];
	uint64_t last = 0;
	uint64_t page;
	int error = 0;

	while ((page = take(thread, CHUNK_PAGES)) != 0)
		last = page;
	CU_ASSERT_EQUAL(fixture_free_pages(f), 0);
	CU_ASSERT_EQUAL(cache_mask(thread), 0);
	CU_ASSERT_EQUAL(fixture_data_pages(f),
		(ARENA_CHUNKS - f->heap->zone_chunks[0]) * CHUNK_PAGES);
	CU_ASSERT_EQUAL(span_prepare_large(thread, 1, SPAN_LARGE, false, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	fixture_expect_good(f);
	give(&f->threads[1], last);
	CU_ASSERT_EQUAL(take(thread, 1), last);
	fixture_close(f);
}

static void test_too_large(void)
{
	struct fixture *f = fixture_open(2, 1);
	int error = 0;

	CU_ASSERT_EQUAL(pages_allocate(&f->threads[0], 2 * ARENA_PAGES, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	CU_ASSERT_EQUAL(pages_allocate(&f->threads[0], UINT64_MAX, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- limbo --------------------------------------------------------------------------------- */

static void test_limbo_batches(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t pages[LIMBO_RUNS + 2];
	uint64_t free_pages;

	for (size_t i = 0; i < LENGTH_OF(pages); i++)
		pages[i] = take(thread, 1);
	free_pages = fixture_free_pages(f);
	for (uint64_t i = 0; i < LIMBO_RUNS; i++) {
		give(thread, pages[i]);
		CU_ASSERT_EQUAL(limbo_count(thread), i + 1);
		CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	}
	fixture_expect_good(f);
	give(thread, pages[LIMBO_RUNS]);
	CU_ASSERT_EQUAL(limbo_count(thread), 1);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages + LIMBO_RUNS);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_limbo_of_many_pages(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t page = take(thread, LIMBO_LIMIT_PAGES);
	uint64_t half = take(thread, LIMBO_LIMIT_PAGES / 2);
	uint64_t other = take(thread, LIMBO_LIMIT_PAGES / 2);
	uint64_t free_pages = fixture_free_pages(f);

	give(thread, page);
	CU_ASSERT_EQUAL(limbo_count(thread), 0);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages + LIMBO_LIMIT_PAGES);
	give(thread, half);
	CU_ASSERT_EQUAL(limbo_count(thread), 1);
	give(thread, other);
	CU_ASSERT_EQUAL(limbo_count(thread), 0);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages + 2 * LIMBO_LIMIT_PAGES);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- growth -------------------------------------------------------------------------------- */

/* Whatever call of the growth finds the disk full: an error, nothing lost, and it works later. */
static void fail_call(uint64_t max_arenas, uint64_t npages, uint64_t prior_chunks, uint64_t k,
	bool *failed)
{
	struct fixture *f = fixture_open((unsigned)max_arenas, 1);
	struct thread *thread = &f->threads[0];
	int error = 0;
	uint64_t head;

	if (prior_chunks != 0)
		CU_ASSERT_NOT_EQUAL_FATAL(take(thread, prior_chunks * CHUNK_PAGES), 0);
	atomic_store(&f->back_calls, 0);
	f->fail_at = k;
	head = pages_allocate(thread, npages, &error);
	*failed = head == 0;
	CU_ASSERT_EQUAL(error, *failed ? ENOSPC : 0);
	if (head != 0)
		pages_close_intent(thread->log, 0);
	else
		fixture_expect_good(f);
	f->fail_at = 0;
	CU_ASSERT_NOT_EQUAL(take(thread, npages), 0);
	fixture_close(f);
}

static void test_disk_full(void)
{
	uint64_t rest = ARENA_CHUNKS - ZONE_CHUNKS - 2;
	bool failed = true;
	uint64_t k;

	for (k = 1; failed; k++)
		fail_call(2, 1, 0, k, &failed);
	CU_ASSERT_TRUE(k > 5);
	failed = true;
	for (k = 1; failed; k++)
		fail_call(2, 3 * CHUNK_PAGES, 1, k, &failed);
	CU_ASSERT_TRUE(k > 2);
	/* The first arena is full: a second one is made. */
	failed = true;
	for (k = 1; failed; k++)
		fail_call(2, 8 * CHUNK_PAGES, rest, k, &failed);
	CU_ASSERT_TRUE(k > 5);
}

/* A heap whose size is no multiple of an arena ends where it says it ends. */
static void fill_to_the_end(uint64_t max_bytes)
{
	struct fixture *f = fixture_open_bytes(max_bytes, 1);
	struct thread *thread = &f->threads[0];
	uint64_t pages = 0;
	int error = 0;

	for (uint64_t run = CHUNK_PAGES; run != 0; run /= 2)
		while (take(thread, run) != 0)
			pages += run;
	CU_ASSERT_EQUAL(pages_allocate(thread, 1, &error), 0);
	CU_ASSERT_EQUAL(error, ENOMEM);
	CU_ASSERT_TRUE(atomic_load(&f->backed_end) <= max_bytes);
	CU_ASSERT_EQUAL(fixture_data_pages(f), pages);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_limits(void)
{
	fill_to_the_end(ARENA_BYTES);
	fill_to_the_end(ARENA_BYTES - CHUNK_BYTES);
	fill_to_the_end(ARENA_BYTES + (ZONE_CHUNKS + 3) * CHUNK_BYTES);
}

static void test_limit_inside_a_zone(void)
{
	fill_to_the_end(ARENA_BYTES + CHUNK_BYTES);
	fill_to_the_end(ARENA_BYTES + ZONE_CHUNKS * CHUNK_BYTES);
}

/* Chunks that somebody backed and could not publish are published by the next one. */
static void test_unpublished(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct heap *heap = f->heap;
	struct thread *thread = &f->threads[0];
	uint64_t frontier;

	take(thread, 1);
	frontier = arena_frontier(heap, 0);
	CU_ASSERT_EQUAL(heap->system.back_heap(f, frontier * CHUNK_BYTES, 2 * CHUNK_BYTES), 0);
	CU_ASSERT_EQUAL(heap->system.back_heap(f, chunk_meta_offset(heap, frontier),
				2 * META_STRIDE),
		0);
	CU_ASSERT_EQUAL(heap->system.back_heap(f, chunk_table_offset(heap, frontier),
				2 * TABLE_CHUNK_BYTES),
		0);
	atomic_store(&heap->directory[0].frontier, frontier + 2);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(growth_extend(thread, 2 * CHUNK_PAGES, 1), 0);
	CU_ASSERT_EQUAL(arena_frontier(heap, 0), frontier + 2);
	CU_ASSERT_EQUAL(fixture_data_pages(f), 3 * CHUNK_PAGES);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_growth_lock_of_the_dead(void)
{
	struct fixture *f = fixture_open(1, 1);

	atomic_store(&f->heap->derived->growth_lock, fixture_dead_tag());
	CU_ASSERT_NOT_EQUAL(take(&f->threads[0], 1), 0);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->derived->growth_lock), 0);
	CU_ASSERT_TRUE(f->threads[0].met_dead);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- repair -------------------------------------------------------------------------------- */

/* Words of the free bits below the published marks of arena 0. */
static uint64_t words_of(const struct fixture *f)
{
	return (atomic_load(&f->heap->published[0]) << CHUNK_PAGES_SHIFT) / WORD_PAGES;
}

static uint64_t *copy_free_words(const struct fixture *f)
{
	uint64_t *copy = malloc(words_of(f) * sizeof(uint64_t));

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	/* NOLINTNEXTLINE(clang-analyzer-*): a fatal assertion ends the test before */
	memcpy(copy, f->heap->pages.free_words, words_of(f) * sizeof(uint64_t));
	return copy;
}

/* The page lock is held by the dead, whose journal names `count` runs. */
static void die_in_section(struct fixture *f, const uint64_t *runs, unsigned count)
{
	struct derived_header *derived = f->heap->derived;

	atomic_store(&derived->page_lock, fixture_dead_tag());
	for (unsigned i = 0; i < count; i++)
		atomic_store(&derived->journal[i], runs[i]);
	atomic_store(&derived->journal_count, count);
}

/* The next one takes the lock over and finds everything in order. */
static void expect_repaired(struct fixture *f)
{
	struct thread *thread = &f->threads[0];

	thread->met_dead = false;
	pages_lock(thread);
	pages_unlock(thread);
	CU_ASSERT_TRUE(thread->met_dead);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->derived->journal_count), 0);
	fixture_expect_good(f);
}

static void test_dead_before_journal(void)
{
	struct fixture *f = fixture_open(1, 1);

	take(&f->threads[0], 1);
	die_in_section(f, NULL, 0);
	expect_repaired(f);
	fixture_close(f);
}

/* Death in a refill: before the bits, after some, after the cache was written. */
static void test_repair_refill(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct heap *heap = f->heap;
	struct slot_words *dead = heap_slot_words(heap, 1);
	uint64_t base = carve(&f->threads[0], SWISS);
	uint64_t run = run_make(RUN_PLAIN, base, WORD_PAGES);

	die_in_section(f, &run, 1);
	expect_repaired(f);
	die_in_section(f, &run, 1);
	heap->pages.free_words[base / WORD_PAGES] &= ~FIRST(20);
	expect_repaired(f);
	CU_ASSERT_EQUAL(heap->pages.free_words[base / WORD_PAGES], SWISS);
	die_in_section(f, &run, 1);
	heap->pages.free_words[base / WORD_PAGES] = 0;
	atomic_store(&dead->cache_base, base);
	expect_repaired(f);
	CU_ASSERT_EQUAL(heap->pages.free_words[base / WORD_PAGES], SWISS);
	die_in_section(f, &run, 1);
	heap->pages.free_words[base / WORD_PAGES] = 0;
	atomic_store(&dead->cache_mask, SWISS);
	expect_repaired(f);
	CU_ASSERT_EQUAL(heap->pages.free_words[base / WORD_PAGES], 0);
	fixture_close(f);
}

/* Death while a large run is taken: with the intent open the run is its. */
static void test_repair_large(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct heap *heap = f->heap;
	uint64_t page = take(&f->threads[0], 30) + 30;
	uint64_t run = run_make(RUN_PLAIN, page, 20);
	uint64_t free_pages = fixture_free_pages(f);

	die_in_section(f, &run, 1);
	page_index_take(&heap->pages, page, 20);
	expect_repaired(f);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	die_in_section(f, &run, 1);
	pages_open_intent(&heap->logs[1], 0, RUN_ALLOC, page, 20);
	expect_repaired(f);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages - 20);
	fixture_close(f);
}

/* Of two who free one block the second one's intent names pages that are not its. */
static void test_repair_beside_late_free(void)
{
	struct fixture *f = fixture_open(1, 3);
	struct heap *heap = f->heap;
	struct thread *dead = &f->threads[1];
	uint64_t head = take(dead, 20);
	uint64_t run = run_make(RUN_PLAIN, head, 20);
	uint64_t free_pages = fixture_free_pages(f);

	give(dead, head);
	die_in_section(f, &run, 1);
	atomic_store(&dead->words->limbo_count, 0);
	pages_open_intent(&heap->logs[2], 0, RUN_FREE, head, 20);
	expect_repaired(f);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages + 20);
	pages_close_intent(&heap->logs[2], 0);
	/* The first one's are its. */
	die_in_section(f, &run, 1);
	pages_open_intent(&heap->logs[1], 0, RUN_FREE, head, 20);
	expect_repaired(f);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	fixture_close(f);
}

/* Death while limbo goes back: what limbo still names is taken. */
static void test_repair_limbo(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct heap *heap = f->heap;
	struct thread *dead = &f->threads[1];
	uint64_t first = take(dead, 20);
	uint64_t second = take(dead, 20);
	uint64_t runs[2] = { run_make(RUN_PLAIN, first, 20), run_make(RUN_PLAIN, second, 20) };
	uint64_t free_pages = fixture_free_pages(f);

	give(dead, first);
	give(dead, second);
	CU_ASSERT_EQUAL(limbo_count(dead), 2);
	die_in_section(f, runs, 2);
	page_index_give(&heap->pages, first, 20);
	page_index_assign_word(&heap->pages, second & ~(WORD_PAGES - 1), ~UINT64_C(0));
	expect_repaired(f);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	die_in_section(f, runs, 2);
	page_index_give(&heap->pages, first, 20);
	atomic_store(&dead->words->limbo_count, 0);
	expect_repaired(f);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages + 40);
	fixture_close(f);
}

/* Death while a chunk is published. */
static void test_repair_publication(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct heap *heap = f->heap;
	uint64_t chunk;
	uint64_t run;

	take(&f->threads[0], 1);
	chunk = arena_frontier(heap, 0);
	run = run_make(RUN_PLAIN, chunk << CHUNK_PAGES_SHIFT, CHUNK_PAGES);
	CU_ASSERT_EQUAL(heap->system.back_heap(f, chunk * CHUNK_BYTES, CHUNK_BYTES), 0);
	CU_ASSERT_EQUAL(heap->system.back_heap(f, chunk_meta_offset(heap, chunk), META_STRIDE), 0);
	CU_ASSERT_EQUAL(heap->system.back_heap(f, chunk_table_offset(heap, chunk),
				TABLE_CHUNK_BYTES),
		0);
	atomic_store(&heap->directory[0].frontier, chunk + 1);
	die_in_section(f, &run, 1);
	heap->pages.free_words[(chunk << CHUNK_PAGES_SHIFT) / WORD_PAGES] = SWISS;
	expect_repaired(f);
	CU_ASSERT_EQUAL(atomic_load(&heap->published[0]), chunk + 1);
	CU_ASSERT_EQUAL(page_index_count(&heap->pages, chunk << CHUNK_PAGES_SHIFT, CHUNK_PAGES),
		CHUNK_PAGES);
	fixture_close(f);
}

/* A span whose record cannot be true keeps its pages, whoever rewrites the word beside them. */
static void test_repair_beside_quarantine(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t base = carve(&f->threads[0], SWISS);
	uint64_t run = run_make(RUN_PLAIN, base, WORD_PAGES);
	uint64_t free_mask;

	span_of_head(f->heap, base + 1)->purpose = 77;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 1);
	free_mask = f->heap->pages.free_words[base / WORD_PAGES];
	/* Up to the next head nothing is known. */
	CU_ASSERT_EQUAL(free_mask, SWISS & ~UINT64_C(4));
	die_in_section(f, &run, 1);
	pages_lock(&f->threads[0]);
	pages_unlock(&f->threads[0]);
	CU_ASSERT_EQUAL(f->heap->pages.free_words[base / WORD_PAGES], free_mask);
	fixture_close(f);
}

/* --- against a model ----------------------------------------------------------------------- */

#define MODEL_RUNS 400u
#define MODEL_THREADS 3u
#define MODEL_ARENAS 6u

/* Process. What was handed out: runs, and who has which page. */
struct model {
	struct fixture *f;
	struct random random;
	uint64_t pages[MODEL_RUNS];
	uint64_t lengths[MODEL_RUNS];
	unsigned count;
	bool *taken;
};

static void model_open(struct model *m, const char *test)
{
	m->random = random_seeded(test);
	m->f = fixture_open(MODEL_ARENAS, MODEL_THREADS);
	m->count = 0;
	m->taken = calloc(MODEL_ARENAS * ARENA_PAGES, sizeof(bool));
	CU_ASSERT_PTR_NOT_NULL_FATAL(m->taken);
}

static void model_close(struct model *m)
{
	free(m->taken);
	fixture_close(m->f);
}

static struct thread *model_thread(struct model *m)
{
	return &m->f->threads[random_below(&m->random, MODEL_THREADS)];
}

static void model_take(struct model *m)
{
	uint64_t npages = 1 + random_below(&m->random, random_below(&m->random, 8) == 0 ? 80 : 12);
	uint64_t page = take(model_thread(m), npages);

	CU_ASSERT_NOT_EQUAL_FATAL(page, 0);
	for (uint64_t i = 0; i < npages; i++) {
		if (m->taken[page + i] || !page_is_data(m->f->heap, page + i))
			CU_FAIL_FATAL("a page was handed out twice, or is none");
		m->taken[page + i] = true;
	}
	m->pages[m->count] = page;
	m->lengths[m->count++] = npages;
}

static void model_give(struct model *m)
{
	uint64_t i = random_below(&m->random, m->count);

	give(model_thread(m), m->pages[i]);
	memset(&m->taken[m->pages[i]], 0, m->lengths[i]);
	m->count--;
	m->pages[i] = m->pages[m->count];
	m->lengths[i] = m->lengths[m->count];
}

static void model_step(struct model *m)
{
	bool grow = m->count == 0 || (m->count < MODEL_RUNS && random_below(&m->random, 9) < 5);

	if (grow)
		model_take(m);
	else
		model_give(m);
	if (random_below(&m->random, 50) == 0)
		pages_give_back(model_thread(m));
}

static void test_model(void)
{
	struct model m;

	model_open(&m, "pages model");
	for (int i = 0; i < 20000; i++) {
		model_step(&m);
		if (i % 1000 == 0)
			fixture_expect_good(m.f);
	}
	while (m.count != 0)
		model_give(&m);
	for (unsigned i = 0; i < MODEL_THREADS; i++)
		pages_give_back(&m.f->threads[i]);
	fixture_expect_good(m.f);
	CU_ASSERT_EQUAL(fixture_free_pages(m.f), fixture_data_pages(m.f));
	model_close(&m);
}

/* The summaries of the chunks of a run, at random. */
static void tear_summaries(struct model *m, uint64_t run)
{
	struct page_index *index = &m->f->heap->pages;
	uint64_t first = run_page(run) >> CHUNK_PAGES_SHIFT;
	uint64_t last = (run_page(run) + run_pages(run) - 1) >> CHUNK_PAGES_SHIFT;

	for (unsigned level = 0; level < PAGE_INDEX_LEVELS; level++)
		for (uint64_t i = first >> 3 * level; i <= last >> 3 * level; i++)
			if (random_below(&m->random, 2) == 0)
				index->summaries[level][i] =
					page_summary_pack(0, random_below(&m->random, 2), 0);
}

/* Some bits and summaries of random runs, which a journal names, are anything: afterwards they are
 * what they were. */
static void tear_and_repair(struct model *m)
{
	uint64_t *before = copy_free_words(m->f);
	uint64_t *words = m->f->heap->pages.free_words;
	uint64_t first = fixture_first_page(m->f);
	uint64_t end = words_of(m->f) * WORD_PAGES;
	uint64_t runs[JOURNAL_RUNS];
	unsigned count = 1 + (unsigned)random_below(&m->random, JOURNAL_RUNS);

	for (unsigned i = 0; i < count; i++) {
		uint64_t page = first + random_below(&m->random, end - first - 80);

		runs[i] = run_make(RUN_PLAIN, page, 1 + random_below(&m->random, 80));
	}
	die_in_section(m->f, runs, count);
	for (unsigned i = 0; i < count; i++) {
		uint64_t last = run_page(runs[i]) + run_pages(runs[i]) - 1;

		for (uint64_t w = run_page(runs[i]) / WORD_PAGES; w <= last / WORD_PAGES; w++)
			words[w] ^= run_mask(runs[i], w * WORD_PAGES) & random_next(&m->random);
		tear_summaries(m, runs[i]);
	}
	/* Too low is right at every store. */
	*m->f->heap->pages.search_hint = 0;
	expect_repaired(m->f);
	CU_ASSERT_EQUAL(memcmp(before, words, words_of(m->f) * sizeof(uint64_t)), 0);
	free(before);
}

static void test_repair_random(void)
{
	struct model m;

	model_open(&m, "repair");
	for (int i = 0; i < 60; i++) {
		for (int j = 0; j < 50; j++)
			model_step(&m);
		if (words_of(m.f) * WORD_PAGES - fixture_first_page(m.f) > 80)
			tear_and_repair(&m);
	}
	model_close(&m);
}

/* --- the dead ------------------------------------------------------------------------------ */

/* Cache, limbo and both intents of a dead slot come back in one section. */
static void test_return_dead(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *thread = &f->threads[0];
	struct thread *dead = &f->threads[1];
	uint64_t freed = take(dead, 20);
	uint64_t kept = take(dead, 1);
	int error;

	give(dead, freed);
	CU_ASSERT_EQUAL(limbo_count(dead), 1);
	CU_ASSERT_NOT_EQUAL(cache_mask(dead), 0);
	CU_ASSERT_NOT_EQUAL(pages_allocate(dead, 3, &error), 0);
	fixture_expect_good(f);
	fixture_kill(f, 1);
	reap_all(thread);
	CU_ASSERT_EQUAL(thread->counts.threads, 1);
	CU_ASSERT_EQUAL(thread->counts.operations_undone, 1);
	CU_ASSERT_EQUAL(atomic_load(&dead->log->intent[0]), 0);
	CU_ASSERT_EQUAL(limbo_count(dead), 0);
	CU_ASSERT_EQUAL(cache_mask(dead), 0);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f) - 1);
	CU_ASSERT_TRUE(fixture_is_live(f, page_offset(kept)));
	fixture_expect_good(f);
	fixture_close(f);
}

/* A page in the cache and in the intent, a run in limbo and in the intent: each comes back once. */
static void test_return_dead_once(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *dead = &f->threads[1];
	uint64_t run = take(dead, 20);
	uint64_t base = take(dead, 1) & ~(WORD_PAGES - 1);
	uint64_t page = base + page_bits_lowest(cache_mask(dead));

	give(dead, run);
	pages_open_intent(dead->log, 0, RUN_ALLOC, page, 1);
	pages_open_intent(dead->log, 1, RUN_FREE, run, 20);
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f) - 1);
	fixture_expect_good(f);
	fixture_close(f);
}

static CU_TestInfo cache_tests[] = {
	{ "requests", test_cache },
	{ "large requests pass by", test_cache_bypassed },
	{ "flush", test_flush },
	{ "refill: whole word", test_refill_whole_word },
	{ "refill: last word of the third chunk", test_refill_last_word_of_third_chunk },
	{ "refill: far away", test_refill_far_away },
	{ "refill: two words in turn", test_refill_two_words_in_turn },
	{ "refill: nothing free", test_nothing_free },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo pages_tests[] = {
	{ "too many pages", test_too_large },
	{ "limbo goes back in batches", test_limbo_batches },
	{ "limbo goes back when it holds much", test_limbo_of_many_pages },
	{ "disk full at each call", test_disk_full },
	{ "maximum size", test_limits },
	{ "maximum size inside a zone", test_limit_inside_a_zone },
	{ "chunks nobody published", test_unpublished },
	{ "growth lock of the dead", test_growth_lock_of_the_dead },
	{ "against a model", test_model },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo repair_tests[] = {
	{ "dead before the journal", test_dead_before_journal },
	{ "refill", test_repair_refill },
	{ "large run", test_repair_large },
	{ "beside a late free", test_repair_beside_late_free },
	{ "limbo", test_repair_limbo },
	{ "publication", test_repair_publication },
	{ "beside a damaged span", test_repair_beside_quarantine },
	{ "random", test_repair_random },
	{ "what the dead held", test_return_dead },
	{ "what the dead held in two places", test_return_dead_once },
	CU_TEST_INFO_NULL,
};

int test_pages_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "page cache", .pTests = cache_tests },
		{ .pName = "pages", .pTests = pages_tests },
		{ .pName = "repair of pages", .pTests = repair_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
