/* test_check.c -- the checker: every kind of damage, planted by hand, is reported
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A check that cannot fail is a defect. Each case damages one thing in a heap in which the checker
 * found nothing, and expects a problem whose text names it. What is truth must be found offline,
 * too. */
#include "recovery/check.h"

#include "heap/log.h"
#include "heap/object.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "tests/fixture.h"

#include <spanheap.h>
#include <stdio.h>

/* A heap with a span of objects that its thread owns, one that nobody does, a large block, and free
 * pages. */
struct scene {
	struct fixture *f;
	struct heap *heap;
	uint64_t owned; /* first pages */
	uint64_t unowned;
	uint64_t large;
	uint64_t free_page;
	uint64_t cached_page;
};

#define LARGE_PAGES 20u

static struct span *record(const struct scene *s, uint64_t head)
{
	return span_of_head(s->heap, head);
}

static void scene_open(struct scene *s)
{
	s->f = fixture_open(2, 3);
	s->heap = s->f->heap;
	/* Enough pages that nothing below has to grow the heap, which would empty the caches. */
	CU_ASSERT_EQUAL(object_free(&s->f->threads[0],
				fixture_block(&s->f->threads[0], 3 * CHUNK_BYTES)),
		0);
	s->owned = fixture_block(&s->f->threads[0], 200) >> PAGE_SHIFT;
	s->unowned = fixture_block(&s->f->threads[1], 600) >> PAGE_SHIFT;
	object_give_back(&s->f->threads[1]);
	s->large = fixture_block(&s->f->threads[0], LARGE_PAGES * PAGE_BYTES) >> PAGE_SHIFT;
	s->free_page = page_index_find(&s->heap->pages, 1);
	s->cached_page = atomic_load(&s->f->threads[0].words->cache_base) +
		page_bits_lowest(atomic_load(&s->f->threads[0].words->cache_mask));
	CU_ASSERT_NOT_EQUAL_FATAL(atomic_load(&s->f->threads[0].words->cache_mask), 0);
	fixture_expect_good(s->f);
	CU_ASSERT_EQUAL(fixture_problems(s->f, NULL), 0);
}

/* One kind of damage. */
struct damage {
	const char *name;
	void (*plant)(struct scene *s);
	const char *text;
	bool truth;
};

/* --- arenas ------------------------------------------------------------------------------------ */

static void plant_arena_magic(struct scene *s)
{
	arena_header(s->heap, 0)->magic++;
}

static void plant_arena_number(struct scene *s)
{
	arena_header(s->heap, 0)->arena = 1;
}

static void plant_frontier_low(struct scene *s)
{
	atomic_store(&s->heap->directory[0].frontier, arena_first_chunk(s->heap, 0) - 1);
}

static void plant_frontier_high(struct scene *s)
{
	atomic_store(&s->heap->directory[0].frontier, ARENA_CHUNKS + 1);
}

static void plant_head_in_zone(struct scene *s)
{
	head_set(s->heap, fixture_first_page(s->f) - 3);
}

static void plant_head_beyond_frontier(struct scene *s)
{
	head_set(s->heap, (arena_frontier(s->heap, 0) << CHUNK_PAGES_SHIFT) + 5);
}

/* --- spans ------------------------------------------------------------------------------------- */

static void plant_no_pages(struct scene *s)
{
	record(s, s->owned)->pages = 0;
}

static void plant_class(struct scene *s)
{
	record(s, s->unowned)->span_class = SPAN_CLASS_COUNT;
}

static void plant_purpose(struct scene *s)
{
	record(s, s->large)->purpose = 0;
}

static void plant_bytes(struct scene *s)
{
	record(s, s->large)->bytes = 16;
}

static void plant_beyond_frontier(struct scene *s)
{
	record(s, s->large)->pages = (uint32_t)ARENA_PAGES;
	record(s, s->large)->bytes = ARENA_PAGES * PAGE_BYTES;
}

static void plant_head_inside(struct scene *s)
{
	struct span *inner = record(s, s->large + 4);

	inner->pages = 2;
	inner->purpose = SPAN_LARGE;
	inner->span_class = SPAN_CLASS_LARGE;
	inner->bytes = 2 * PAGE_BYTES;
	head_set(s->heap, s->large + 4);
}

static void plant_table(struct scene *s)
{
	atomic_store(span_table_entry(s->heap, s->large + 7), 3);
}

static void plant_allocated_outside(struct scene *s)
{
	const struct size_class *k = span_size_class(s->heap, record(s, s->owned)->span_class);

	atomic_fetch_or(span_allocated(s->heap, s->owned, k->words - 1),
		UINT64_C(1) << (k->objects & 63));
}

static void plant_freed_outside(struct scene *s)
{
	atomic_fetch_or(span_freed(s->heap, s->unowned, 0), UINT64_C(1) << 63);
}

/* A span that no longer begins: its pages are lost, which a living heap notices. */
static void plant_head_lost(struct scene *s)
{
	head_clear(s->heap, s->large);
}

/* --- pages ------------------------------------------------------------------------------------- */

static void set_free(struct scene *s, uint64_t page, bool free)
{
	uint64_t *word = &s->heap->pages.free_words[page / WORD_PAGES];
	uint64_t bit = UINT64_C(1) << page % WORD_PAGES;

	*word = free ? *word | bit : *word & ~bit;
	*s->heap->pages.search_hint = 0;
	page_index_summarize(&s->heap->pages, page, 1);
}

static void plant_free_and_used(struct scene *s)
{
	set_free(s, s->large + 2, true);
}

static void plant_free_and_cached(struct scene *s)
{
	set_free(s, s->cached_page, true);
}

static void plant_lost(struct scene *s)
{
	set_free(s, s->free_page, false);
}

static void plant_lost_from_cache(struct scene *s)
{
	_Atomic uint64_t *mask = &s->f->threads[0].words->cache_mask;

	atomic_store(mask, atomic_load(mask) & (atomic_load(mask) - 1));
}

static void plant_cached_and_used(struct scene *s)
{
	struct slot_words *words = s->f->threads[2].words;

	atomic_store(&words->cache_base, s->large & ~(WORD_PAGES - 1));
	atomic_store(&words->cache_mask, UINT64_C(1) << s->large % WORD_PAGES);
}

static void plant_cached_twice(struct scene *s)
{
	struct slot_words *words = s->f->threads[2].words;

	atomic_store(&words->cache_base, s->cached_page & ~(WORD_PAGES - 1));
	atomic_store(&words->cache_mask, UINT64_C(1) << s->cached_page % WORD_PAGES);
}

static void plant_limbo_and_used(struct scene *s)
{
	struct slot_words *words = s->f->threads[2].words;

	atomic_store(&words->limbo[0], run_make(RUN_PLAIN, s->large, LARGE_PAGES));
	atomic_store(&words->limbo_count, 1);
}

static void plant_summary(struct scene *s)
{
	s->heap->pages.summaries[0][s->free_page >> CHUNK_PAGES_SHIFT] = 0;
}

static void plant_upper_summary(struct scene *s)
{
	s->heap->pages.summaries[PAGE_INDEX_ROOT][0] = page_summary_pack(1, 1, 1);
}

static void plant_hint(struct scene *s)
{
	*s->heap->pages.search_hint = s->free_page + 1;
}

/* --- ownership --------------------------------------------------------------------------------- */

static void plant_unlisted(struct scene *s)
{
	atomic_store(&s->heap->listed[s->unowned], 0);
}

/* Listed, and its class cannot find it: rule E of heap/span.h. */
static void plant_class_chunk(struct scene *s)
{
	uint64_t chunk = s->unowned >> CHUNK_PAGES_SHIFT;

	atomic_store(s->heap->class_chunks +
			((chunk >> ARENA_CHUNKS_SHIFT) * CLASS_CHUNK_ROWS +
				record(s, s->unowned)->span_class) *
				CLASS_CHUNK_WORDS +
			(chunk & (ARENA_CHUNKS - 1)) / 64,
		0);
}

static void plant_forgotten_owner(struct scene *s)
{
	atomic_store(heap_owned(s->heap, 0, record(s, s->owned)->place), 0);
}

/* The hot word names slot 2, and it is slot 0 that names the span. */
static void plant_wrong_owner(struct scene *s)
{
	atomic_store(&record(s, s->owned)->hot,
		heap_hot(s->heap, hot_owned_by(2), record(s, s->owned)->span_class));
}

static void plant_owner_without_slot(struct scene *s)
{
	atomic_store(&record(s, s->unowned)->hot,
		heap_hot(s->heap, hot_owned_by(1000), record(s, s->unowned)->span_class));
}

static void plant_hot_class(struct scene *s)
{
	uint64_t hot = atomic_load(&record(s, s->owned)->hot);

	atomic_store(&record(s, s->owned)->hot, hot ^ 2);
}

static void plant_hot_none(struct scene *s)
{
	atomic_store(&record(s, s->large)->hot, heap_hot(s->heap, HOT_NONE, 0));
}

/* --- logs and roots ---------------------------------------------------------------------------- */

static void plant_log_state(struct scene *s)
{
	atomic_store(&s->heap->logs[5].word, LOG_ROLLBACK + 1);
}

static void plant_log_index(struct scene *s)
{
	log_write(&s->heap->logs[5],
		(struct log_word){ .state = LOG_OPEN, .count = 3, .index = 4 });
}

static void plant_log_count(struct scene *s)
{
	log_write(&s->heap->logs[5],
		(struct log_word){ .state = LOG_OPEN, .count = LOG_INLINE_ENTRIES + 1 });
}

static void plant_intent(struct scene *s)
{
	atomic_store(&s->heap->logs[5].intent[0], run_make(RUN_ALLOC, 3, 1));
}

static void plant_long_intent(struct scene *s)
{
	atomic_store(&s->heap->logs[5].intent[1],
		run_make(RUN_FREE, s->free_page, 2 * ARENA_PAGES));
}

static void plant_root(struct scene *s)
{
	struct root *root = &s->heap->roots[ROOT_COUNT - 1];

	atomic_store(&root->value[1], s->heap->max_bytes);
	atomic_store(&root->sequence, 1);
}

static const struct damage damages[] = {
	{ "magic of an arena", plant_arena_magic, "arena 0", true },
	{ "number of an arena", plant_arena_number, "arena 0", true },
	{ "frontier before the data", plant_frontier_low, "frontier", true },
	{ "frontier behind the arena", plant_frontier_high, "frontier", true },
	{ "head bit in a zone", plant_head_in_zone, "no data", true },
	{ "head bit beyond the frontier", plant_head_beyond_frontier, "no data", true },
	{ "span of no pages", plant_no_pages, "record", true },
	{ "span of no class", plant_class, "record", true },
	{ "span for nothing", plant_purpose, "record", true },
	{ "bytes of a large block", plant_bytes, "record", true },
	{ "span beyond the frontier", plant_beyond_frontier, "record", true },
	{ "span inside a span", plant_head_inside, "inside", true },
	{ "spans table", plant_table, "table", true },
	{ "allocated bit too many", plant_allocated_outside, "bits", true },
	{ "freed bit too many", plant_freed_outside, "bits", true },
	{ "head bit lost", plant_head_lost, "lost", false },
	{ "page free and in use", plant_free_and_used, "free and in use", false },
	{ "page free and cached", plant_free_and_cached, "free and in use", false },
	{ "page lost", plant_lost, "lost", false },
	{ "page lost from a cache", plant_lost_from_cache, "lost", false },
	{ "page cached and in use", plant_cached_and_used, "page", false },
	{ "page cached twice", plant_cached_twice, "page", false },
	{ "page in limbo and in use", plant_limbo_and_used, "page", false },
	{ "summary of a chunk", plant_summary, "summaries", false },
	{ "summary above", plant_upper_summary, "summaries", false },
	{ "search hint", plant_hint, "summaries", false },
	{ "not listed", plant_unlisted, "not listed", false },
	{ "not found by its class", plant_class_chunk, "class", false },
	{ "owner does not know", plant_forgotten_owner, "does not know", false },
	{ "another one knows", plant_wrong_owner, "does not know", false },
	{ "owner is no slot", plant_owner_without_slot, "does not know", false },
	{ "hot word of another class", plant_hot_class, "hot word", false },
	{ "hot word of no span", plant_hot_none, "hot word", false },
	{ "state of a log", plant_log_state, "log", true },
	{ "index of a log", plant_log_index, "log", true },
	{ "entries of a log that are not there", plant_log_count, "log", true },
	{ "intent on no data", plant_intent, "intent", true },
	{ "intent on too many pages", plant_long_intent, "intent", true },
	{ "root outside the heap", plant_root, "root", true },
};

static void expect_found(struct scene *s, const struct damage *damage, struct thread *thread)
{
	uint64_t problems = fixture_problems(s->f, thread);
	/* NOLINTNEXTLINE(clang-analyzer-*): the array member of a live fixture */
	bool found = problems != 0 && strstr(s->f->problem, damage->text) != NULL;

	CU_ASSERT_TRUE(found);
	if (!found)
		printf("\n    %s, %s: %llu problems, the first: %s\n", damage->name,
			thread == NULL ? "offline" : "attached", (unsigned long long)problems,
			s->f->problem);
}

static void test_damages(void)
{
	for (size_t i = 0; i < LENGTH_OF(damages); i++) {
		struct scene s;

		scene_open(&s);
		damages[i].plant(&s);
		expect_found(&s, &damages[i], &s.f->threads[0]);
		if (damages[i].truth)
			expect_found(&s, &damages[i], NULL);
		fixture_close(s.f);
	}
}

/* --- what is in order ---------------------------------------------------------------------------- */

static void test_good(void)
{
	struct scene s;

	scene_open(&s);
	CU_ASSERT_EQUAL(fixture_reopen(s.f, 1), 0);
	fixture_expect_good(s.f);
	CU_ASSERT_EQUAL(fixture_problems(s.f, NULL), 0);
	fixture_close(s.f);
}

/* Offline nothing is written: not a byte of either file. */
static void test_offline_writes_nothing(void)
{
	struct scene s;
	uint64_t lock;

	scene_open(&s);
	lock = fixture_dead_tag();
	atomic_store(&s.heap->derived->page_lock, lock);
	CU_ASSERT_EQUAL(fixture_problems(s.f, NULL), 0);
	CU_ASSERT_EQUAL(atomic_load(&s.heap->derived->page_lock), lock);
	fixture_close(s.f);
}

static int stop_at_first(const struct sh_problem *problem, void *argument)
{
	(void)problem;
	++*(unsigned *)argument;
	return 1;
}

static void test_stopped(void)
{
	struct scene s;
	uint64_t problems;
	unsigned told = 0;

	scene_open(&s);
	plant_no_pages(&s);
	plant_class(&s);
	plant_root(&s);
	CU_ASSERT_EQUAL(check_heap(s.heap, NULL, stop_at_first, &told, &problems), SH_ESTOPPED);
	CU_ASSERT_EQUAL(told, 1);
	told = 0;
	CU_ASSERT_EQUAL(check_heap(s.heap, NULL, NULL, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 3);
	fixture_close(s.f);
}

/* --- walking ------------------------------------------------------------------------------------- */

struct walked {
	struct sh_block blocks[8];
	unsigned count;
	unsigned stop_at;
};

static int keep_block(const struct sh_block *block, void *argument)
{
	struct walked *walked = argument;

	if (walked->count < LENGTH_OF(walked->blocks))
		walked->blocks[walked->count] = *block;
	return ++walked->count == walked->stop_at;
}

static void test_walk(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *thread = &f->threads[0];
	struct walked walked = { .count = 0 };
	int error;
	uint64_t small = fixture_block(thread, 100);
	uint64_t large = fixture_block(thread, 20 * PAGE_BYTES);
	uint64_t freed = fixture_block(thread, 100);
	uint64_t noscan = object_allocate(thread, span_class_make(size_class_of(64), true), &error);
	uint64_t log = span_prepare_large(thread, 8 * PAGE_BYTES, SPAN_LOG, true, &error);

	span_commit_large(thread, log);
	CU_ASSERT_EQUAL(object_free(&f->threads[1], freed), 0);
	CU_ASSERT_EQUAL(walk_heap(f->heap, NULL, keep_block, &walked), 0);
	CU_ASSERT_EQUAL_FATAL(walked.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct sh_block *block = &walked.blocks[i];

		CU_ASSERT_TRUE(i == 0 || block->off > walked.blocks[i - 1].off);
		CU_ASSERT_TRUE(block->off == small || block->off == large || block->off == noscan);
		CU_ASSERT_EQUAL(block->size,
			block->off == small           ? 112
				: block->off == large ? 20 * PAGE_BYTES
						      : 64);
		CU_ASSERT_EQUAL(block->kind, block->off == noscan ? SH_NOSCAN : 0);
	}
	walked = (struct walked){ .stop_at = 2 };
	CU_ASSERT_EQUAL(walk_heap(f->heap, NULL, keep_block, &walked), SH_ESTOPPED);
	CU_ASSERT_EQUAL(walked.count, 2);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "every kind of damage", test_damages },
	{ "a good heap", test_good },
	{ "offline, nothing is written", test_offline_writes_nothing },
	{ "stopped by the callback", test_stopped },
	{ "walk", test_walk },
	CU_TEST_INFO_NULL,
};

int test_check_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "check", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
