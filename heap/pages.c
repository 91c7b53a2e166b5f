/* pages.c -- the page allocator: free pages, per-thread page caches, limbo, repair
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/pages.h"

#include "heap/deferred.h"
#include "heap/growth.h"
#include "heap/manual.h"
#include "heap/page_bits.h"
#include "heap/parked.h"
#include "heap/span.h"
#include "shm/lock.h"
#include "shm/order.h"

#include <errno.h>

/* How many listed spans are looked at for empty ones before the heap grows by a chunk. */
#define TRIM_SPANS CHUNK_PAGES

/* --- journal ------------------------------------------------------------------------------- */

void pages_journal_write(struct heap *heap, const uint64_t *runs, unsigned count)
{
	struct derived_header *derived = heap->derived;

	assert(count <= JOURNAL_RUNS);
	for (unsigned i = 0; i < count; i++)
		atomic_store_explicit(&derived->journal[i], runs[i], memory_order_relaxed);
	crash_order();
	atomic_store_explicit(&derived->journal_count, count, memory_order_relaxed);
	/* Crash: the bits of these runs are rewritten as they were. */
	crash_order();
}

void pages_journal_clear(struct heap *heap)
{
	crash_order();
	atomic_store_explicit(&heap->derived->journal_count, 0, memory_order_relaxed);
	crash_order();
}

static uint64_t heap_free_word(const struct heap *heap, uint64_t base)
{
	return heap->pages.free_words[base / WORD_PAGES];
}

/* --- repair (rule A) ----------------------------------------------------------------------- */

static void look_at_caches(const struct heap *heap, uint64_t base, uint32_t high_water,
	struct page_places *places)
{
	for (uint32_t slot = 0; slot < high_water; slot++) {
		struct slot_words *words = heap_slot_words(heap, slot);
		uint64_t mask;

		if (atomic_load_explicit(&words->cache_base, memory_order_acquire) != base)
			continue;
		mask = atomic_load_explicit(&words->cache_mask, memory_order_acquire);
		places->cached_twice |= places->cached & mask;
		places->cached |= mask;
	}
}

static uint64_t intent_mask(const struct heap *heap, uint64_t base, uint32_t high_water)
{
	uint64_t taken = 0;

	for (uint32_t slot = 0; slot < high_water; slot++) {
		for (unsigned i = 0; i < 2; i++) {
			uint64_t run = atomic_load_explicit(&heap->logs[slot].intent[i],
				memory_order_acquire);
			uint64_t mask = run_mask(run, base);

			/* Of two who free one block the second has an intent, too, and may go on for long. */
			if (mask != 0 && run_operation(run) == RUN_FREE &&
				!span_frees(heap, slot, run))
				continue;
			taken |= mask;
		}
	}
	return taken;
}

/* The pages of the word that the span covers. */
static uint64_t covered_mask(const struct heap *heap, uint64_t base, uint64_t head)
{
	uint64_t covered = 0;

	if (hot_owner(span_hot(heap, head)) != HOT_QUARANTINE)
		return run_mask(run_make(RUN_PLAIN, head, span_of_head(heap, head)->pages), base);
	/* Its record is damaged; the table says what it may cover. */
	for (unsigned i = 0; i < WORD_PAGES; i++)
		if (span_find(heap, base + i) == head)
			covered |= UINT64_C(1) << i;
	return covered;
}

/* One look at the word's head bits: a span made later has its pages in a cache or an intent that were
 * seen before, and one freed later in an intent that is seen after. */
static uint64_t span_mask(const struct heap *heap, uint64_t base)
{
	uint64_t first = span_find(heap, base);
	uint64_t taken = first != 0 ? covered_mask(heap, base, first) : 0;
	uint64_t heads = page_is_data(heap, base) ? heads_of_word(heap, base) : 0;

	for (; heads != 0; heads &= heads - 1)
		taken |= covered_mask(heap, base, base + page_bits_lowest(heads));
	return taken;
}

static uint64_t limbo_mask(const struct heap *heap, uint64_t base, uint32_t high_water)
{
	uint64_t taken = 0;

	for (uint32_t slot = 0; slot < high_water; slot++) {
		struct slot_words *words = heap_slot_words(heap, slot);
		uint64_t count = atomic_load_explicit(&words->limbo_count, memory_order_acquire);

		for (uint64_t i = 0; i < count && i < LIMBO_RUNS; i++)
			taken |= run_mask(atomic_load_explicit(&words->limbo[i],
						  memory_order_relaxed),
				base);
	}
	return taken;
}

struct page_places pages_look(const struct heap *heap, uint64_t base)
{
	uint32_t high_water = heap_slot_high_water(heap);
	struct page_places places = { .cached = 0 };

	look_at_caches(heap, base, high_water, &places);
	places.intents = intent_mask(heap, base, high_water);
	places.spans = span_mask(heap, base);
	/* A slot claimed meanwhile may hold a RUN_FREE intent, or have marked what it is about to free: the mark is
	 * read again, and so are the intents. */
	high_water = heap_slot_high_water(heap);
	places.intents |= intent_mask(heap, base, high_water);
	places.limbo = limbo_mask(heap, base, high_water);
	places.parked = parked_mask(heap, base);
	return places;
}

static void repair_run(struct heap *heap, uint64_t run)
{
	uint64_t first = run_page(run);
	uint64_t end = first + run_pages(run);
	_Atomic uint64_t *published = &heap->published[page_arena(first)];

	/* The frontier was about to move. */
	if (!page_is_data(heap, first))
		return;
	for (uint64_t base = first & ~(WORD_PAGES - 1); base < end; base += WORD_PAGES) {
		uint64_t mask = run_mask(run, base);
		uint64_t free_mask = heap_free_word(heap, base) & ~mask;
		struct page_places places = pages_look(heap, base);
		uint64_t elsewhere = places.cached | places.intents | places.spans | places.limbo;

		/* What was being parked still stands where it came from, or it was parked. */
		parked_take_out(heap, base, mask & elsewhere);
		page_index_assign_word(&heap->pages, base,
			free_mask | (mask & ~page_places_all(&places)));
	}
	page_index_summarize(&heap->pages, first, run_pages(run));
	/* The run of a chunk that was being published: it is now. */
	if (first >> CHUNK_PAGES_SHIFT >= atomic_load_explicit(published, memory_order_relaxed))
		atomic_store_explicit(published, end >> CHUNK_PAGES_SHIFT, memory_order_relaxed);
}

/* Crash: the journal stands until the end, the next one starts again. */
static void repair(struct heap *heap)
{
	struct derived_header *derived = heap->derived;
	uint64_t count = atomic_load_explicit(&derived->journal_count, memory_order_relaxed);

	for (uint64_t i = 0; i < count && i < JOURNAL_RUNS; i++) {
		uint64_t run = atomic_load_explicit(&derived->journal[i], memory_order_relaxed);

		if (run_operation(run) == RUN_CUT)
			manual_mend(heap, run_page(run), run_pages(run));
		else
			repair_run(heap, run);
	}
	pages_journal_clear(heap);
}

void pages_lock(struct thread *thread)
{
	struct heap *heap = thread->heap;

	if (lock_acquire(&heap->derived->page_lock, thread->tag, &heap->system) ==
		LOCK_TAKEN_OVER) {
		repair(heap);
		thread->met_dead = true;
	}
}

void pages_unlock(struct thread *thread)
{
	lock_release(&thread->heap->derived->page_lock, &thread->heap->system);
}

/* --- taking -------------------------------------------------------------------------------- */

/* Notes that the pages below `end` of an arena are about to be handed out. Returns the first page that
 * was not before. */
static uint64_t raise_touched(const struct heap *heap, uint64_t end)
{
	_Atomic uint64_t *touched = &heap->directory[page_arena(end - 1)].touched;
	uint64_t before = atomic_load_explicit(touched, memory_order_relaxed);

	if (before < end)
		atomic_store_explicit(touched, end, memory_order_relaxed);
	/* Crash: pages that are still free count as dirty. */
	crash_order();
	return before;
}

/* Fills the thread's empty page cache with all free pages of the lowest word that has one. */
static bool cache_refill(struct thread *thread)
{
	struct heap *heap = thread->heap;
	struct slot_words *words = thread->words;
	uint64_t base;
	uint64_t mask;

	assert(atomic_load_explicit(&words->cache_mask, memory_order_relaxed) == 0);
	pages_lock(thread);
	base = page_index_find_word(&heap->pages, &mask);
	if (mask != 0) {
		uint64_t run = run_make(RUN_PLAIN, base, WORD_PAGES);

		raise_touched(heap, base + WORD_PAGES);
		pages_journal_write(heap, &run, 1);
		page_index_take_mask(&heap->pages, base, mask);
		/* Crash: in nobody's hands; the repair frees them again. */
		crash_order();
		atomic_store_explicit(&words->cache_base, base, memory_order_release);
		atomic_store_explicit(&words->cache_mask, mask, memory_order_release);
		/* Crash: in the cache of the dead; its reaper returns them. */
		pages_journal_clear(heap);
	}
	pages_unlock(thread);
	return mask != 0;
}

static uint64_t take_cached(struct thread *thread, uint64_t npages)
{
	struct slot_words *words = thread->words;
	uint64_t mask = atomic_load_explicit(&words->cache_mask, memory_order_relaxed);
	uint64_t base = atomic_load_explicit(&words->cache_base, memory_order_relaxed);
	uint64_t at = page_bits_lowest_run(mask, npages);

	if (at == WORD_PAGES)
		return 0;
	/* They count as touched since they were cached. */
	thread->zero_from = base + WORD_PAGES;
	pages_open_intent(thread->log, 0, RUN_ALLOC, base + at, npages);
	/* Crash: in the cache and in the intent; returned once. */
	crash_order();
	atomic_store_explicit(&words->cache_mask, mask & ~page_bits_mask(at, npages),
		memory_order_release);
	return base + at;
}

static uint64_t take_from_cache(struct thread *thread, uint64_t npages)
{
	if (atomic_load_explicit(&thread->words->cache_mask, memory_order_relaxed) == 0 &&
		!cache_refill(thread))
		return 0;
	return take_cached(thread, npages);
}

/* Takes a free run for intent[0]. Under the page lock. */
static void take_run(struct thread *thread, uint64_t page, uint64_t npages)
{
	struct heap *heap = thread->heap;
	uint64_t run = run_make(RUN_PLAIN, page, npages);

	thread->zero_from = raise_touched(heap, page + npages);
	pages_journal_write(heap, &run, 1);
	pages_open_intent(thread->log, 0, RUN_ALLOC, page, npages);
	/* Crash: taken, by the intent; the reaper returns it. */
	crash_order();
	page_index_take(&heap->pages, page, npages);
	pages_journal_clear(heap);
}

static uint64_t take_large(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	struct heap *heap = thread->heap;
	uint64_t page;

	pages_lock(thread);
	page = page_index_find_aligned(&heap->pages, npages, align_pages);
	if (page != 0)
		take_run(thread, page, npages);
	pages_unlock(thread);
	return page;
}

/* Whether the thread has the page in its cache. */
static bool is_cached(const struct thread *thread, uint64_t page)
{
	const struct slot_words *words = thread->words;
	uint64_t base = atomic_load_explicit(&words->cache_base, memory_order_relaxed);
	uint64_t mask = atomic_load_explicit(&words->cache_mask, memory_order_relaxed);

	return page - base < WORD_PAGES && (mask >> (page - base) & 1) != 0;
}

bool pages_take_at(struct thread *thread, uint64_t page, uint64_t npages)
{
	struct heap *heap = thread->heap;
	bool taken;

	if (!run_is_data(heap, run_make(RUN_PLAIN, page, npages)))
		return false;
	if (is_cached(thread, page))
		pages_give_back(thread);
	pages_lock(thread);
	taken = page_bits_range_is_set(heap->pages.free_words, page, npages);
	if (taken)
		take_run(thread, page, npages);
	pages_unlock(thread);
	return taken;
}

static uint64_t take(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	uint64_t page = 0;

	if (npages < CACHE_LIMIT_PAGES && align_pages == 1)
		page = take_from_cache(thread, npages);
	return page != 0 ? page : take_large(thread, npages, align_pages);
}

/* Before the heap grows: what the dead hold, what waits for readers, empty spans, what is ours in
 * limbo. */
static void look_for_pages(struct thread *thread)
{
	struct heap *heap = thread->heap;
	uint32_t holder;

	if (heap->reap != NULL)
		heap->reap(thread);
	deferred_drain_all(thread);
	span_trim(thread, TRIM_SPANS);
	pages_give_back(thread);
	holder = parked_release(thread);
	if (holder != UINT32_MAX && heap->slow_reader != NULL)
		heap->slow_reader(thread, holder);
}

uint64_t pages_allocate_aligned(struct thread *thread, uint64_t npages, uint64_t align_pages,
	int *error)
{
	struct heap *heap = thread->heap;
	uint64_t page;

	*error = 0;
	if (npages > (ARENA_CHUNKS - heap->zone_chunks[1]) << CHUNK_PAGES_SHIFT)
		return growth_take_arenas(thread, npages, error);
	page = take(thread, npages, align_pages);
	if (page == 0) {
		look_for_pages(thread);
		page = take(thread, npages, align_pages);
	}
	while (page == 0) {
		*error = growth_extend(thread, npages, align_pages);
		if (*error != 0)
			return 0;
		page = take(thread, npages, align_pages);
	}
	return page;
}

uint64_t pages_allocate(struct thread *thread, uint64_t npages, int *error)
{
	return pages_allocate_aligned(thread, npages, 1, error);
}

void pages_zero(const struct thread *thread, uint64_t page, uint64_t bytes)
{
	uint64_t dirty = thread->zero_from > page ? page_offset(thread->zero_from - page) : 0;

	memset(heap_at(thread->heap, page_offset(page)), 0, dirty < bytes ? dirty : bytes);
}

/* --- giving back --------------------------------------------------------------------------- */

/* Ascending. Stack. */
struct run_list {
	uint64_t runs[JOURNAL_RUNS];
	unsigned count;
};

static bool run_list_has(const struct run_list *list, uint64_t run)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->runs[i] == run_clip(run))
			return true;
	return false;
}

static void run_list_add(struct run_list *list, uint64_t run)
{
	uint64_t plain = run_clip(run);
	unsigned at = list->count;

	/* A run can stand in limbo and in the intent that brought it there. */
	if (run_list_has(list, run))
		return;
	list->count++;
	for (; at > 0 && run_page(list->runs[at - 1]) > run_page(plain); at--)
		list->runs[at] = list->runs[at - 1];
	list->runs[at] = plain;
}

/* What a slot holds, as runs and one mask, before it goes back to the free pages. Stack.
 *
 * at_once: nobody can look at them. later: they were spans; the same list as at_once, unless somebody
 * reads. */
struct returning {
	struct run_list lists[2];
	struct run_list *at_once;
	struct run_list *later;
	uint64_t base; /* of the cache */
	uint64_t mask; /* of the cache, less what a run names */
};

/* The spans whose pages are going to be added are unlinked. */
static void returning_init(struct returning *back, const struct heap *heap)
{
	back->lists[0].count = 0;
	back->lists[1].count = 0;
	back->at_once = &back->lists[0];
	back->later = rcu_nobody_reads(&heap->rcu) ? &back->lists[0] : &back->lists[1];
	back->base = 0;
	back->mask = 0;
}

static void returning_limbo(struct returning *back, const struct slot_words *words)
{
	uint64_t count = atomic_load_explicit(&words->limbo_count, memory_order_acquire);

	for (uint64_t i = 0; i < count && i < LIMBO_RUNS; i++)
		run_list_add(back->later,
			atomic_load_explicit(&words->limbo[i], memory_order_relaxed));
}

static void returning_intent(struct returning *back, uint64_t run)
{
	/* A log's run can be in limbo already, freed for the dead who had just made it. */
	bool was_span = run_operation(run) != RUN_ALLOC || run_list_has(back->later, run);

	run_list_add(was_span ? back->later : back->at_once, run);
}

static void returning_cache(struct returning *back, const struct slot_words *words)
{
	back->base = atomic_load_explicit(&words->cache_base, memory_order_relaxed);
	back->mask = atomic_load_explicit(&words->cache_mask, memory_order_relaxed);
	for (unsigned list = 0; list < 2; list++)
		for (unsigned i = 0; i < back->lists[list].count && back->mask != 0; i++)
			back->mask &= ~run_mask(back->lists[list].runs[i], back->base);
}

static void returning_journal(struct heap *heap, const struct returning *back)
{
	uint64_t runs[JOURNAL_RUNS];
	unsigned count = 0;

	for (unsigned list = 0; list < 2; list++)
		for (unsigned i = 0; i < back->lists[list].count; i++)
			runs[count++] = back->lists[list].runs[i];
	if (back->mask != 0)
		runs[count++] = run_make(RUN_PLAIN, back->base, WORD_PAGES);
	pages_journal_write(heap, runs, count);
}

static uint64_t give_list(struct heap *heap, const struct run_list *list)
{
	struct page_index_run runs[JOURNAL_RUNS];
	uint64_t pages = 0;

	for (unsigned i = 0; i < list->count; i++) {
		runs[i].page = run_page(list->runs[i]);
		runs[i].npages = run_pages(list->runs[i]);
		pages += runs[i].npages;
	}
	page_index_give_runs(&heap->pages, runs, list->count);
	return pages;
}

static uint64_t park_list(struct heap *heap, const struct run_list *list)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < list->count; i++) {
		parked_add(heap, list->runs[i]);
		pages += run_pages(list->runs[i]);
	}
	return pages;
}

/* Frees or parks all of it in one section whose end is up to the caller: journal_clear, pages_unlock.
 * Returns the number of pages. */
static uint64_t returning_give(struct heap *heap, const struct returning *back)
{
	uint64_t pages = page_bits_count(back->mask);

	returning_journal(heap, back);
	pages += give_list(heap, back->at_once);
	if (back->later != back->at_once)
		pages += park_list(heap, back->later);
	if (back->mask != 0)
		page_index_give_mask(&heap->pages, back->base, back->mask);
	/* Crash: free, and still named by limbo, cache or intent: the repair takes them again. */
	crash_order();
	return pages;
}

static void limbo_clear(struct slot_words *words)
{
	atomic_store_explicit(&words->limbo_count, 0, memory_order_release);
}

/* Empties limbo, and the cache if `cache`, of a slot whose one writer the caller is. */
static void give_back(struct thread *thread, uint32_t slot, bool cache)
{
	struct heap *heap = thread->heap;
	struct slot_words *words = heap_slot_words(heap, slot);
	struct returning back;

	returning_init(&back, heap);
	pages_lock(thread);
	returning_limbo(&back, words);
	if (cache)
		returning_cache(&back, words);
	returning_give(heap, &back);
	if (cache)
		atomic_store_explicit(&words->cache_mask, 0, memory_order_release);
	limbo_clear(words);
	pages_journal_clear(heap);
	pages_unlock(thread);
	if (slot == thread->slot)
		thread->limbo_pages = 0;
	if (parked_count(heap) >= PARKED_LIMIT_PAGES)
		parked_release(thread);
}

void pages_give_back(struct thread *thread)
{
	struct slot_words *words = thread->words;

	if (atomic_load_explicit(&words->limbo_count, memory_order_relaxed) != 0 ||
		atomic_load_explicit(&words->cache_mask, memory_order_relaxed) != 0)
		give_back(thread, thread->slot, true);
}

void pages_make_room(struct thread *thread, uint32_t slot)
{
	struct slot_words *words = heap_slot_words(thread->heap, slot);

	if (atomic_load_explicit(&words->limbo_count, memory_order_relaxed) >= LIMBO_RUNS)
		give_back(thread, slot, false);
}

void pages_to_limbo(struct thread *thread, uint32_t slot, uint64_t page, uint64_t npages)
{
	struct slot_words *words = heap_slot_words(thread->heap, slot);
	uint64_t count = atomic_load_explicit(&words->limbo_count, memory_order_relaxed);
	uint64_t run = run_clip(run_make(RUN_PLAIN, page, npages));

	assert(count < LIMBO_RUNS);
	atomic_store_explicit(&words->limbo[count], run, memory_order_relaxed);
	/* Crash: not counted; the intent still names the run. */
	atomic_store_explicit(&words->limbo_count, count + 1, memory_order_release);
	if (slot == thread->slot)
		thread->limbo_pages += run_pages(run);
}

void pages_settle_limbo(struct thread *thread)
{
	if (thread->limbo_pages >= LIMBO_LIMIT_PAGES)
		give_back(thread, thread->slot, false);
}

uint64_t pages_return_dead(struct thread *thread, uint32_t dead, unsigned returned)
{
	struct heap *heap = thread->heap;
	struct slot_words *words = heap_slot_words(heap, dead);
	struct slot_log *log = &heap->logs[dead];
	struct returning back;
	uint64_t pages;

	returning_init(&back, heap);
	pages_lock(thread);
	returning_limbo(&back, words);
	for (unsigned i = 0; i < 2; i++)
		if (returned >> i & 1)
			returning_intent(&back,
				atomic_load_explicit(&log->intent[i], memory_order_relaxed));
	returning_cache(&back, words);
	pages = returning_give(heap, &back);
	atomic_store_explicit(&words->cache_mask, 0, memory_order_release);
	limbo_clear(words);
	pages_close_intent(log, 0);
	pages_close_intent(log, 1);
	pages_journal_clear(heap);
	pages_unlock(thread);
	return pages;
}

/* --- publication --------------------------------------------------------------------------- */

static void publish_chunk(struct heap *heap, uint64_t chunk)
{
	uint64_t arena = chunk >> ARENA_CHUNKS_SHIFT;
	uint64_t run = run_make(RUN_PLAIN, chunk << CHUNK_PAGES_SHIFT, CHUNK_PAGES);

	pages_journal_write(heap, &run, 1);
	page_index_give(&heap->pages, run_page(run), CHUNK_PAGES);
	/* Crash: the repair sees the chunk above the mark, and raises the mark. */
	crash_order();
	atomic_store_explicit(&heap->published[arena], chunk + 1, memory_order_release);
	pages_journal_clear(heap);
}

void pages_publish(struct thread *thread, uint64_t arena)
{
	struct heap *heap = thread->heap;
	uint64_t frontier = arena_frontier(heap, arena);

	pages_lock(thread);
	for (;;) {
		uint64_t chunk =
			atomic_load_explicit(&heap->published[arena], memory_order_relaxed);

		if (chunk < arena_first_chunk(heap, arena))
			chunk = arena_first_chunk(heap, arena);
		if (chunk >= frontier)
			break;
		publish_chunk(heap, chunk);
	}
	pages_unlock(thread);
}

void pages_take_frontier(struct thread *thread, uint64_t arena, uint64_t end, uint64_t npages)
{
	struct heap *heap = thread->heap;
	uint64_t page = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t run = run_make(RUN_PLAIN, page, (end << CHUNK_PAGES_SHIFT) - page);

	pages_lock(thread);
	raise_touched(heap, end << CHUNK_PAGES_SHIFT);
	pages_journal_write(heap, &run, 1);
	/* Crash: not data yet, so the repair leaves them alone. */
	atomic_store_explicit(&heap->directory[arena].frontier, end, memory_order_release);
	/* Crash: the repair makes them free. Only now may an intent name them: behind the frontier they
	 * could become somebody else's before the intent is looked at. */
	crash_order();
	pages_open_intent(thread->log, 0, RUN_ALLOC, page, npages);
	/* Crash: taken, by the intent; the reaper returns them. */
	crash_order();
	atomic_store_explicit(&heap->published[arena], end, memory_order_release);
	pages_journal_clear(heap);
	pages_unlock(thread);
}

/* --- counting ------------------------------------------------------------------------------ */

uint64_t pages_count_free(struct thread *thread)
{
	const struct heap *heap = thread->heap;
	uint64_t count = 0;

	/* An arena at a time, so that the others wait for moments only. */
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t first = arena_first_chunk(heap, arena);
		uint64_t end;

		pages_lock(thread);
		end = atomic_load_explicit(&heap->published[arena], memory_order_relaxed);
		if (end > first)
			count += page_index_count(&heap->pages, first << CHUNK_PAGES_SHIFT,
				(end - first) << CHUNK_PAGES_SHIFT);
		pages_unlock(thread);
	}
	return count;
}
