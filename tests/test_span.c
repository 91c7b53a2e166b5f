/* test_span.c -- spans: creation, ownership, collecting, hints, retirement
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/span.h"

#include "heap/object.h"
#include "heap/owned.h"
#include "heap/pages.h"
#include "recovery/reap.h"
#include "tests/fixture.h"

#define CLASS 5u /* a span class of 48 bytes, no offsets inside */

/* Whether the record of the span can be true. */
static bool plausible(const struct heap *heap, uint64_t head)
{
	struct span_record record = span_record_read(heap, head);

	return span_record_plausible(heap, head, &record);
}

static uint64_t hot_of(const struct fixture *f, uint64_t head)
{
	return atomic_load(&span_of_head(f->heap, head)->hot);
}

static uint32_t owner_of(const struct fixture *f, uint64_t head)
{
	return hot_owner(hot_of(f, head));
}

/* Whether a word that reapers look at names the span. */
static bool names(const struct thread *thread, uint64_t head)
{
	for (unsigned place = 1; place <= thread->words->owned_limit; place++)
		if (atomic_load(heap_owned(thread->heap, thread->slot, place)) == head)
			return true;
	return false;
}

static bool listed(const struct fixture *f, uint64_t head)
{
	return atomic_load(&f->heap->listed[head]) != 0;
}

static _Atomic uint64_t *class_chunks(const struct fixture *f, uint64_t head, unsigned span_class)
{
	uint64_t chunk = head >> CHUNK_PAGES_SHIFT;

	return f->heap->class_chunks +
		((chunk >> ARENA_CHUNKS_SHIFT) * CLASS_CHUNK_ROWS + span_class) *
		CLASS_CHUNK_WORDS +
		(chunk & (ARENA_CHUNKS - 1)) / 64;
}

static bool in_class_chunks(const struct fixture *f, uint64_t head, unsigned span_class)
{
	return atomic_load(class_chunks(f, head, span_class)) >>
		(head >> CHUNK_PAGES_SHIFT & (ARENA_CHUNKS - 1) & 63) &
		1;
}

static const struct size_class *class_of(const struct fixture *f)
{
	return span_size_class(f->heap, CLASS);
}

static uint64_t create(struct thread *thread)
{
	int error;
	uint64_t head = span_create(thread, CLASS, &error);

	CU_ASSERT_NOT_EQUAL_FATAL(head, 0);
	return head;
}

static void set_bits(const struct fixture *f, uint64_t head, uint64_t allocated, uint64_t freed)
{
	atomic_store(span_allocated(f->heap, head, 0), allocated);
	atomic_store(span_freed(f->heap, head, 0), freed);
}

static void fill(const struct fixture *f, uint64_t head)
{
	for (unsigned word = 0; word < class_of(f)->words; word++)
		atomic_store(span_allocated(f->heap, head, word),
			span_word_mask(class_of(f), word));
}

/* --- creation ------------------------------------------------------------------------------ */

static void test_create(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = create(thread);
	const struct span *span = span_of_head(f->heap, head);

	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(span->pages, class_of(f)->pages);
	CU_ASSERT_EQUAL(span->purpose, SPAN_OBJECTS);
	CU_ASSERT_EQUAL(span->span_class, CLASS);
	CU_ASSERT_TRUE(plausible(f->heap, head));
	CU_ASSERT_EQUAL(owner_of(f, head), hot_owned_by(0));
	CU_ASSERT_EQUAL(hot_class(hot_of(f, head)), CLASS);
	CU_ASSERT_TRUE(names(thread, head));
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	CU_ASSERT_FALSE(listed(f, head));
	for (uint64_t i = 0; i < span->pages; i++)
		CU_ASSERT_EQUAL(span_find(f->heap, head + i), head);
	CU_ASSERT_EQUAL(span_find(f->heap, head + span->pages), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_find_any_number(void)
{
	struct fixture *f = fixture_open(2, 1);
	static const uint64_t pages[] = { 0, 1, ARENA_PAGES, 2 * ARENA_PAGES, UINT64_MAX,
		UINT64_MAX >> PAGE_SHIFT };

	create(&f->threads[0]);
	for (size_t i = 0; i < LENGTH_OF(pages); i++)
		CU_ASSERT_EQUAL(span_find(f->heap, pages[i]), 0);
	CU_ASSERT_EQUAL(span_find(f->heap, fixture_first_page(f) - 1), 0);
	CU_ASSERT_EQUAL(span_find(f->heap, arena_frontier(f->heap, 0) << CHUNK_PAGES_SHIFT), 0);
	fixture_close(f);
}

static void test_large(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *thread = &f->threads[0];
	int error;
	uint64_t head = span_prepare_large(thread, 5 * PAGE_BYTES - 16, SPAN_LARGE, true, &error);
	uint64_t generation = span_of_head(f->heap, head)->generation;

	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), run_make(RUN_ALLOC, head, 5));
	fixture_expect_good(f);
	span_commit_large(thread, head);
	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_LARGE);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->span_class, SPAN_CLASS_LARGE);
	fixture_expect_good(f);
	/* By another thread; the second time it is not there. */
	CU_ASSERT_TRUE(span_free_begin(&f->threads[1], 1, 0, head));
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	CU_ASSERT_FALSE(span_free_begin(thread, 0, 0, head));
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	fixture_expect_good(f);
	span_free_end(&f->threads[1], 1, 0);
	CU_ASSERT_EQUAL(atomic_load(&f->threads[1].words->limbo_count), 1);
	fixture_expect_good(f);
	pages_give_back(&f->threads[1]);
	pages_give_back(thread);
	CU_ASSERT_EQUAL_FATAL(span_prepare_large(thread, 5 * PAGE_BYTES, SPAN_LARGE, false, &error),
		head);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->generation, generation + 1);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->span_class, SPAN_CLASS_LARGE - 1);
	span_commit_large(thread, head);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- ownership ----------------------------------------------------------------------------- */

static void test_give_up_and_claim(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *one = &f->threads[0];
	struct thread *other = &f->threads[1];
	uint64_t head = create(one);

	CU_ASSERT_FALSE(span_claim(other, head, span_hot(f->heap, head)));
	CU_ASSERT_FALSE(names(other, head));
	set_bits(f, head, 1, 0);
	span_give_up(one, head);
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_UNOWNED);
	CU_ASSERT_FALSE(names(one, head));
	CU_ASSERT_TRUE(listed(f, head));
	CU_ASSERT_TRUE(in_class_chunks(f, head, CLASS));
	fixture_expect_good(f);
	CU_ASSERT_TRUE(span_claim(other, head, span_hot(f->heap, head)));
	CU_ASSERT_EQUAL(owner_of(f, head), hot_owned_by(1));
	CU_ASSERT_TRUE(names(other, head));
	CU_ASSERT_FALSE(listed(f, head));
	CU_ASSERT_FALSE(span_claim(one, head, span_hot(f->heap, head)));
	CU_ASSERT_FALSE(names(one, head));
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_claim_listed(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = create(&f->threads[0]);

	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS), 0);
	span_give_up(&f->threads[0], head);
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS ^ 1u), 0);
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS), head);
	CU_ASSERT_EQUAL(owner_of(f, head), hot_owned_by(1));
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[0], CLASS), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* Blocks [from, to) of the span. */
static void free_blocks(struct fixture *f, struct thread *thread, uint64_t head, unsigned from,
	unsigned to)
{
	for (unsigned i = from; i < to; i++)
		CU_ASSERT_EQUAL(object_free(thread, page_offset(head) + i * class_of(f)->bytes), 0);
}

/* A full span is not listed; the free that makes it worth a visit lists it. */
static void test_full_span(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = create(&f->threads[0]);
	unsigned worth = class_of(f)->worth;

	CU_ASSERT_TRUE(worth > 1);
	fill(f, head);
	span_give_up(&f->threads[0], head);
	CU_ASSERT_FALSE(listed(f, head));
	fixture_expect_good(f);
	free_blocks(f, &f->threads[1], head, 0, worth - 1);
	CU_ASSERT_FALSE(listed(f, head));
	free_blocks(f, &f->threads[1], head, worth - 1, worth);
	CU_ASSERT_TRUE(listed(f, head));
	CU_ASSERT_EQUAL(atomic_load(&f->threads[1].words->touching), 0);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS), head);
	fixture_close(f);
}

/* Frees that land between the owner's last collect and the give-up are not forgotten. */
static void test_give_up_sees_freed(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = create(&f->threads[0]);

	fill(f, head);
	free_blocks(f, &f->threads[1], head, 0, class_of(f)->worth);
	CU_ASSERT_FALSE(listed(f, head));
	span_give_up(&f->threads[0], head);
	CU_ASSERT_TRUE(listed(f, head));
	fixture_close(f);
}

/* --- collecting ---------------------------------------------------------------------------- */

static void test_collect(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = create(&f->threads[0]);
	uint64_t all = span_word_mask(class_of(f), 0);

	CU_ASSERT_EQUAL(span_collect(&f->threads[0], head, 0), all);
	set_bits(f, head, 0xff, 0x11);
	CU_ASSERT_EQUAL(span_collect(&f->threads[0], head, 0), all & ~UINT64_C(0xee));
	CU_ASSERT_EQUAL(atomic_load(span_allocated(f->heap, head, 0)), 0xee);
	CU_ASSERT_EQUAL(atomic_load(span_freed(f->heap, head, 0)), 0);
	/* Left by an owner that died between its two stores: freed where nothing is allocated. */
	set_bits(f, head, 0xe0, 0x0f);
	CU_ASSERT_EQUAL(span_collect(&f->threads[0], head, 0), all & ~UINT64_C(0xe0));
	CU_ASSERT_EQUAL(atomic_load(span_freed(f->heap, head, 0)), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A block that an open log frees is not given out, whether its slot's thread lives or not. */
static void test_collect_hazard(void)
{
	struct fixture *f = fixture_open(1, 3);
	struct thread *thread = &f->threads[0];
	struct slot_log *log = &f->heap->logs[2];
	uint64_t head = create(thread);
	uint64_t off = page_offset(head) + 3 * class_of(f)->bytes;
	uint64_t all = span_word_mask(class_of(f), 0);
	bool empty;

	set_bits(f, head, 0x8, 0x8);
	atomic_store(&log->applying, off);
	atomic_store(&f->heap->derived->active[0], 1u << 2);
	CU_ASSERT_EQUAL(span_collect(thread, head, 0), all & ~UINT64_C(8));
	CU_ASSERT_EQUAL(atomic_load(span_allocated(f->heap, head, 0)), 8);
	CU_ASSERT_EQUAL(atomic_load(span_freed(f->heap, head, 0)), 8);
	span_collect_all(thread, head, &empty);
	CU_ASSERT_FALSE(empty);
	fixture_kill(f, 2);
	CU_ASSERT_EQUAL(span_collect(thread, head, 0), all & ~UINT64_C(8));
	/* The hazard of another word or span is none of this one's. */
	atomic_store(&log->applying, page_offset(head + class_of(f)->pages));
	CU_ASSERT_EQUAL(span_collect(thread, head, 0), all);
	set_bits(f, head, 0x8, 0x8);
	atomic_store(&log->applying, off);
	atomic_store(&f->heap->derived->active[0], 0);
	CU_ASSERT_EQUAL(span_collect(thread, head, 0), all);
	fixture_close(f);
}

static void test_collect_all(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	const struct size_class *smallest = span_size_class(f->heap, 0);
	int error;
	uint64_t head = span_create(thread, 0, &error);
	bool empty;

	CU_ASSERT_EQUAL(span_collect_all(thread, head, &empty), 0);
	CU_ASSERT_TRUE(empty);
	for (unsigned word = 0; word < smallest->words; word++)
		atomic_store(span_allocated(f->heap, head, word), span_word_mask(smallest, word));
	CU_ASSERT_EQUAL(span_collect_all(thread, head, &empty), smallest->words);
	CU_ASSERT_FALSE(empty);
	atomic_store(span_freed(f->heap, head, smallest->words - 1), UINT64_C(1) << 63);
	CU_ASSERT_EQUAL(span_collect_all(thread, head, &empty), smallest->words - 1);
	CU_ASSERT_FALSE(empty);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- hints --------------------------------------------------------------------------------- */

/* Listings that are wrong: pages of no span, of a large block, of somebody. */
static void test_stale_hints(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *one = &f->threads[0];
	uint64_t head = create(one);
	uint64_t large = fixture_block(one, SMALL_MAX_BYTES + 1) >> PAGE_SHIFT;
	int error;
	uint64_t other_class = span_create(one, CLASS + 1, &error);
	uint64_t last = (arena_frontier(f->heap, 0) << CHUNK_PAGES_SHIFT) - 1;

	span_give_up(one, other_class);
	for (uint64_t page = fixture_first_page(f); page <= last; page++)
		if (page != other_class)
			atomic_store(&f->heap->listed[page], span_listing(CLASS));
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS), 0);
	CU_ASSERT_EQUAL(owner_of(f, head), hot_owned_by(0));
	CU_ASSERT_EQUAL(owner_of(f, large), HOT_LARGE);
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS + 1), other_class);
	span_trim(&f->threads[1], UINT64_MAX);
	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	CU_ASSERT_TRUE(head_is_set(f->heap, large));
	fixture_close(f);
}

static void test_drop_class_chunk(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = create(thread);

	atomic_store(class_chunks(f, head, CLASS), ~UINT64_C(0) >> (64 - ARENA_CHUNKS % 64) % 64);
	CU_ASSERT_EQUAL(span_claim_listed(thread, CLASS), 0);
	CU_ASSERT_EQUAL(atomic_load(class_chunks(f, head, CLASS)), 0);
	CU_ASSERT_EQUAL(atomic_load(&thread->words->searching), 0);
	span_give_up(thread, head);
	CU_ASSERT_TRUE(in_class_chunks(f, head, CLASS));
	fixture_close(f);
}

/* Died while the bit was clear: the reaper sets it again. */
static void test_searching_of_the_dead(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = create(&f->threads[0]);

	span_give_up(&f->threads[0], head);
	atomic_store(class_chunks(f, head, CLASS), 0);
	atomic_store(&f->threads[1].words->searching,
		(uint64_t)(CLASS + 1) << 48 | head >> CHUNK_PAGES_SHIFT);
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_TRUE(in_class_chunks(f, head, CLASS));
	CU_ASSERT_EQUAL(atomic_load(&heap_slot_words(f->heap, 1)->searching), 0);
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[0], CLASS), head);
	fixture_close(f);
}

/* Spans without a free block are tried a bounded number of times. */
static void test_claim_tries_are_bounded(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *thread = &f->threads[0];
	uint64_t heads[40];
	uint64_t last;

	for (size_t i = 0; i < LENGTH_OF(heads); i++) {
		heads[i] = create(thread);
		fill(f, heads[i]);
		span_give_up(thread, heads[i]);
		atomic_store(&f->heap->listed[heads[i]], span_listing(CLASS));
		atomic_fetch_or(class_chunks(f, heads[i], CLASS), ~UINT64_C(0));
	}
	last = create(thread);
	span_give_up(thread, last);
	/* One of the first calls gives up early; none loses the listed span. */
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS), 0);
	CU_ASSERT_EQUAL(span_claim_listed(&f->threads[1], CLASS), last);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- retirement ---------------------------------------------------------------------------- */

static void test_retire(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = create(thread);

	span_retire(thread, head);
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	CU_ASSERT_FALSE(names(thread, head));
	CU_ASSERT_EQUAL(atomic_load(&thread->words->limbo_count), 1);
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	CU_ASSERT_EQUAL(span_find(f->heap, head), 0);
	fixture_expect_good(f);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_close(f);
}

static void test_retire_if_empty(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *one = &f->threads[0];
	struct thread *other = &f->threads[1];
	uint64_t head = create(one);

	span_retire_if_empty(other, head);
	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	set_bits(f, head, 3, 1);
	span_give_up(one, head);
	span_retire_if_empty(other, head);
	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_UNOWNED);
	atomic_fetch_or(span_freed(f->heap, head, 0), 2);
	span_retire_if_empty(other, head);
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	fixture_expect_good(f);
	/* Retired: nothing to do. */
	span_retire_if_empty(other, head);
	fixture_expect_good(f);
	fixture_close(f);
}

/* All free, but one block is still being freed by a log: not empty. */
static void test_retire_waits_for_logs(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t head = create(&f->threads[0]);

	set_bits(f, head, 1, 1);
	span_give_up(&f->threads[0], head);
	atomic_store(&f->heap->logs[1].applying, page_offset(head));
	atomic_store(&f->heap->derived->active[0], 1u << 1);
	span_retire_if_empty(&f->threads[0], head);
	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_UNOWNED);
	CU_ASSERT_TRUE(listed(f, head));
	atomic_store(&f->heap->logs[1].applying, 0);
	span_retire_if_empty(&f->threads[0], head);
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	fixture_close(f);
}

static void test_trim(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t heads[10];

	for (size_t i = 0; i < LENGTH_OF(heads); i++) {
		heads[i] = create(thread);
		set_bits(f, heads[i], i == 4 ? 1 : 0, 0);
		span_give_up(thread, heads[i]);
	}
	span_trim(thread, 3);
	CU_ASSERT_FALSE(head_is_set(f->heap, heads[2]));
	CU_ASSERT_TRUE(head_is_set(f->heap, heads[3]));
	span_trim(thread, 100);
	for (size_t i = 0; i < LENGTH_OF(heads); i++)
		CU_ASSERT_EQUAL(head_is_set(f->heap, heads[i]), i == 4);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- the dead ------------------------------------------------------------------------------ */

static void test_release_dead(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *dead = &f->threads[1];
	uint64_t held = create(dead);
	uint64_t scratch = create(&f->threads[0]);
	uint64_t touched = create(&f->threads[0]);

	set_bits(f, held, 1, 0);
	set_bits(f, touched, 3, 1);
	span_give_up(&f->threads[0], scratch);
	CU_ASSERT_TRUE(span_claim(dead, scratch, span_hot(f->heap, scratch)));
	/* Freed in a full, unowned span, and not yet listed. */
	span_give_up(&f->threads[0], touched);
	atomic_store(&f->heap->listed[touched], 0);
	atomic_store(&dead->words->touching, touched);
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(owner_of(f, held), HOT_UNOWNED);
	CU_ASSERT_EQUAL(owner_of(f, scratch), HOT_UNOWNED);
	CU_ASSERT_TRUE(listed(f, held));
	CU_ASSERT_TRUE(listed(f, scratch));
	CU_ASSERT_TRUE(listed(f, touched));
	CU_ASSERT_FALSE(names(dead, held));
	CU_ASSERT_FALSE(names(dead, scratch));
	CU_ASSERT_EQUAL(atomic_load(&dead->words->touching), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* Died before the claim's store: the span is nobody's or another's. */
static void test_release_not_claimed(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *dead = &f->threads[1];
	uint64_t others = create(&f->threads[0]);

	owned_take(dead, others);
	owned_take(dead, 1);
	owned_take(dead, UINT64_MAX);
	atomic_store(&dead->words->touching, UINT64_MAX);
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(owner_of(f, others), hot_owned_by(0));
	fixture_expect_good(f);
	fixture_close(f);
}

/* Died in each state of a creation and of a retirement. */
static void test_dead_in_creation(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *dead = &f->threads[1];
	uint64_t head = create(dead);
	uint64_t run = run_make(RUN_ALLOC, head, class_of(f)->pages);

	/* The hot word is the dead one's, the head bit is not set. */
	head_clear(f->heap, head);
	atomic_store(&dead->log->intent[0], run);
	fixture_expect_good(f);
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_NONE);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_expect_good(f);
	/* The head bit is set, the intent open. */
	dead = fixture_attach(f, 1);
	head = create(dead);
	atomic_store(&dead->log->intent[0], run_make(RUN_ALLOC, head, class_of(f)->pages));
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_UNOWNED);
	CU_ASSERT_TRUE(head_is_set(f->heap, head));
	fixture_expect_good(f);
	fixture_close(f);
}

static void play_dead_in_retirement(unsigned stage)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *dead = &f->threads[1];
	uint64_t head = create(dead);
	uint64_t pages = class_of(f)->pages;

	atomic_store(&dead->log->intent[0], run_make(RUN_FREE, head, pages));
	if (stage >= 1)
		atomic_store(&span_of_head(f->heap, head)->hot,
			heap_hot(f->heap, hot_dying_by(1), CLASS));
	if (stage >= 2)
		head_clear(f->heap, head);
	if (stage >= 3)
		pages_to_limbo(dead, 1, head, pages);
	if (stage >= 4)
		atomic_store(heap_owned(f->heap, 1, span_of_head(f->heap, head)->place), 0);
	fixture_expect_good(f);
	fixture_kill(f, 1);
	reap_all(&f->threads[0]);
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(atomic_load(&dead->log->intent[0]), 0);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	CU_ASSERT_EQUAL(atomic_load(&f->heap->thread_slot[1].owner), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_dead_in_retirement(void)
{
	for (unsigned stage = 0; stage <= 4; stage++)
		play_dead_in_retirement(stage);
}

/* --- damage -------------------------------------------------------------------------------- */

static void test_quarantine(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t damaged = fixture_block(&f->threads[0], 100);
	uint64_t head = damaged >> PAGE_SHIFT;
	struct block block;
	uint64_t off;

	span_of_head(f->heap, head)->span_class = SPAN_CLASS_COUNT;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 1);
	CU_ASSERT_EQUAL(owner_of(f, head), HOT_QUARANTINE);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], damaged), SH_EBADPTR);
	CU_ASSERT_EQUAL(block_find(f->heap, damaged, &block), SH_EBADPTR);
	CU_ASSERT_FALSE(span_claim(&f->threads[0], head, span_hot(f->heap, head)));
	for (int i = 0; i < 1000; i++) {
		off = fixture_block(&f->threads[0], 100);
		CU_ASSERT_NOT_EQUAL(off >> PAGE_SHIFT, head);
	}
	CU_ASSERT_EQUAL(fixture_problems(f, &f->threads[0]), 1);
	fixture_close(f);
}

/* Records that cannot be true, for the check that everything else relies on. */
static void test_plausible(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = create(&f->threads[0]);
	struct span *span = span_of_head(f->heap, head);
	struct span good;

	memcpy(&good, span, sizeof(good));
	CU_ASSERT_TRUE(plausible(f->heap, head));
	span->pages = 0;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	span->pages = UINT32_MAX;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	span->pages = good.pages + 1;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	memcpy(span, &good, sizeof(good));
	span->purpose = 0;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	span->purpose = SPAN_LARGE;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	span->span_class = SPAN_CLASS_LARGE;
	span->bytes = span->pages * PAGE_BYTES;
	CU_ASSERT_TRUE(plausible(f->heap, head));
	span->bytes++;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	span->bytes = (span->pages - 1) * PAGE_BYTES;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	span->bytes = UINT64_MAX;
	CU_ASSERT_FALSE(plausible(f->heap, head));
	fixture_close(f);
}

/* --- resizing ------------------------------------------------------------------------------ */

static uint64_t large(struct thread *thread, uint64_t npages)
{
	return fixture_block(thread, npages * PAGE_BYTES) >> PAGE_SHIFT;
}

static void expect_large(const struct fixture *f, uint64_t head, uint64_t npages, uint64_t bytes)
{
	CU_ASSERT_TRUE(fixture_is_live(f, page_offset(head)));
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->pages, npages);
	CU_ASSERT_EQUAL(span_of_head(f->heap, head)->bytes, bytes);
	CU_ASSERT_EQUAL(span_find(f->heap, head + npages - 1), head);
	CU_ASSERT_NOT_EQUAL(span_find(f->heap, head + npages), head);
}

static void test_shrink(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = large(thread, 30);

	CU_ASSERT_TRUE(span_resize_large(thread, head, 29 * PAGE_BYTES + 1));
	expect_large(f, head, 30, 29 * PAGE_BYTES + 16);
	CU_ASSERT_TRUE(span_resize_large(thread, head, 20 * PAGE_BYTES));
	expect_large(f, head, 20, 20 * PAGE_BYTES);
	CU_ASSERT_TRUE(span_resize_large(thread, head, 1));
	expect_large(f, head, 1, 16);
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	CU_ASSERT_EQUAL(atomic_load(&thread->words->touching), 0);
	fixture_give_back(thread);
	CU_ASSERT_EQUAL(fixture_data_pages(f) - fixture_free_pages(f), 1);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(object_free(thread, page_offset(head)), 0);
	fixture_close(f);
}

static void test_grow(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = large(thread, 20);
	uint64_t behind;

	CU_ASSERT_TRUE(span_resize_large(thread, head, 25 * PAGE_BYTES));
	expect_large(f, head, 25, 25 * PAGE_BYTES);
	behind = large(thread, 20);
	CU_ASSERT_EQUAL(behind, head + 25);
	CU_ASSERT_FALSE(span_resize_large(thread, head, 26 * PAGE_BYTES));
	expect_large(f, head, 25, 25 * PAGE_BYTES);
	/* Up to the end of what is backed, and no further. */
	CU_ASSERT_FALSE(span_resize_large(thread, behind, CHUNK_PAGES * PAGE_BYTES));
	CU_ASSERT_TRUE(span_resize_large(thread, behind, (CHUNK_PAGES - 25) * PAGE_BYTES));
	fixture_expect_good(f);
	fixture_close(f);
}

/* The pages behind the block are in the thread's own cache. */
static void test_grow_into_cache(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = large(thread, 5);

	CU_ASSERT_NOT_EQUAL(atomic_load(&thread->words->cache_mask), 0);
	CU_ASSERT_TRUE(span_resize_large(thread, head, 20 * PAGE_BYTES));
	expect_large(f, head, 20, 20 * PAGE_BYTES);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_resize_refused(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t head = large(thread, 20);
	const uint64_t bad[] = { 0, 1, head + 1, create(thread), UINT64_MAX };

	for (size_t i = 0; i < LENGTH_OF(bad); i++)
		CU_ASSERT_FALSE(span_resize_large(thread, bad[i], 10 * PAGE_BYTES));
	CU_ASSERT_FALSE(span_resize_large(thread, head, 0));
	CU_ASSERT_FALSE(span_resize_large(thread, head, UINT64_MAX));
	expect_large(f, head, 20, 20 * PAGE_BYTES);
	CU_ASSERT_EQUAL(object_free(thread, page_offset(head)), 0);
	CU_ASSERT_FALSE(span_resize_large(thread, head, 10 * PAGE_BYTES));
	fixture_expect_good(f);
	fixture_close(f);
}

/* Dead in a shrink: marked, and shrunk or not. The block of an open transaction is rolled back. */
static void test_dead_in_resize(void)
{
	for (int shrunk = 0; shrunk < 2; shrunk++) {
		struct fixture *f = fixture_open(1, 2);
		uint64_t head = large(&f->threads[0], 20);

		atomic_store(&f->threads[0].words->touching, head);
		atomic_store(&span_of_head(f->heap, head)->hot,
			heap_hot(f->heap, hot_dying_by(0), SPAN_CLASS_LARGE));
		if (shrunk)
			atomic_store(&span_of_head(f->heap, head)->bytes, 17 * PAGE_BYTES);
		fixture_kill(f, 0);
		CU_ASSERT_EQUAL(object_free(&f->threads[1], page_offset(head)), SH_EBADPTR);
		CU_ASSERT_TRUE(reap_slot(&f->threads[1], 0));
		expect_large(f, head, shrunk ? 17 : 20, (shrunk ? 17 : 20) * PAGE_BYTES);
		fixture_expect_good(f);
		fixture_close(f);
	}
}

static void test_shrink_recovered(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t head = large(&f->threads[0], 20);

	atomic_store(&span_of_head(f->heap, head)->hot,
		heap_hot(f->heap, hot_dying_by(0), SPAN_CLASS_LARGE));
	atomic_store(&span_of_head(f->heap, head)->bytes, 16 * PAGE_BYTES + 16);
	CU_ASSERT_EQUAL(fixture_problems(f, NULL), 0);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	expect_large(f, head, 17, 16 * PAGE_BYTES + 16);
	CU_ASSERT_EQUAL(fixture_data_pages(f) - fixture_free_pages(f), 17);
	fixture_expect_good(f);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "creation", test_create },
	{ "find, any number", test_find_any_number },
	{ "large", test_large },
	{ "give up and claim", test_give_up_and_claim },
	{ "claim a listed one", test_claim_listed },
	{ "a full one is not listed", test_full_span },
	{ "a give-up sees frees", test_give_up_sees_freed },
	{ "collect", test_collect },
	{ "collect leaves hazards", test_collect_hazard },
	{ "collect all words", test_collect_all },
	{ "hints may be wrong", test_stale_hints },
	{ "chunk without listed spans", test_drop_class_chunk },
	{ "searching of the dead", test_searching_of_the_dead },
	{ "tries are bounded", test_claim_tries_are_bounded },
	{ "retire", test_retire },
	{ "retire if empty", test_retire_if_empty },
	{ "retire not while a log frees", test_retire_waits_for_logs },
	{ "trim", test_trim },
	{ "spans of the dead", test_release_dead },
	{ "spans the dead had not claimed", test_release_not_claimed },
	{ "dead in a creation", test_dead_in_creation },
	{ "dead in a retirement", test_dead_in_retirement },
	{ "quarantine", test_quarantine },
	{ "plausible records", test_plausible },
	{ "shrink", test_shrink },
	{ "grow", test_grow },
	{ "grow into the cache", test_grow_into_cache },
	{ "resize, refused", test_resize_refused },
	{ "dead in a resize", test_dead_in_resize },
	{ "shrink, recovered", test_shrink_recovered },
	CU_TEST_INFO_NULL,
};

int test_span_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "span", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
