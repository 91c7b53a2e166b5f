/* parked.c -- freed pages that wait until no reader can look at them
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/parked.h"

#include "heap/page_bits.h"
#include "heap/pages.h"
#include "shm/order.h"

#define SETS 2u
#define ARENA_WORDS (ARENA_PAGES / WORD_PAGES)
#define SET_WORDS (ARENA_WORDS + CLASS_CHUNK_WORDS)

uint64_t parked_arena_bytes(void)
{
	return SETS * SET_WORDS * sizeof(uint64_t);
}

/* --- places -------------------------------------------------------------------------------- */

static uint64_t *arena_set(const struct heap *heap, unsigned set, uint64_t arena)
{
	return heap->parked + (arena * SETS + set) * SET_WORDS;
}

static uint64_t *page_word(const struct heap *heap, unsigned set, uint64_t page)
{
	return arena_set(heap, set, page_arena(page)) + (page & (ARENA_PAGES - 1)) / WORD_PAGES;
}

static uint64_t *chunk_words(const struct heap *heap, unsigned set, uint64_t arena)
{
	return arena_set(heap, set, arena) + ARENA_WORDS;
}

static struct parked_sets *sets(const struct heap *heap)
{
	return &heap->derived->parked;
}

static unsigned filling(const struct heap *heap)
{
	return (unsigned)(atomic_load_explicit(&sets(heap)->filling, memory_order_relaxed) & 1);
}

/* --- putting in ---------------------------------------------------------------------------- */

static void add_word(struct heap *heap, unsigned set, uint64_t base, uint64_t mask)
{
	uint64_t chunk = (base & (ARENA_PAGES - 1)) >> CHUNK_PAGES_SHIFT;

	chunk_words(heap, set, page_arena(base))[chunk / 64] |= UINT64_C(1) << (chunk & 63);
	/* Crash: a chunk that is looked through in vain. */
	crash_order();
	*page_word(heap, set, base) |= mask;
}

static void count(struct heap *heap, unsigned set, uint64_t pages)
{
	_Atomic uint64_t *counter = &sets(heap)->pages[set];

	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + pages,
		memory_order_relaxed);
}

void parked_add(struct heap *heap, uint64_t run)
{
	unsigned set = filling(heap);
	uint64_t clip = run_clip(run);
	uint64_t end = run_page(clip) + run_pages(clip);

	/* Of all that is in the set, its unlink came before. */
	atomic_store_explicit(&sets(heap)->tag[set], rcu_tag(&heap->rcu), memory_order_relaxed);
	/* Crash: pages that came before wait longer. */
	crash_order();
	count(heap, set, run_pages(clip));
	for (uint64_t base = run_page(clip) & ~(WORD_PAGES - 1); base < end; base += WORD_PAGES)
		add_word(heap, set, base, run_mask(clip, base));
	/* Crash: parked, and still named by limbo or an intent: taken out by the repair. */
	crash_order();
}

/* --- looking ------------------------------------------------------------------------------- */

uint64_t parked_mask(const struct heap *heap, uint64_t base)
{
	return *page_word(heap, 0, base) | *page_word(heap, 1, base);
}

void parked_take_out(struct heap *heap, uint64_t base, uint64_t mask)
{
	for (unsigned set = 0; set < SETS; set++)
		if (*page_word(heap, set, base) & mask)
			*page_word(heap, set, base) &= ~mask;
}

uint64_t parked_count(const struct heap *heap)
{
	return atomic_load_explicit(&sets(heap)->pages[0], memory_order_relaxed) +
		atomic_load_explicit(&sets(heap)->pages[1], memory_order_relaxed);
}

/* --- freeing ------------------------------------------------------------------------------- */

/* The first chunk that may have pages in the set; UINT64_MAX: none. */
static uint64_t find_chunk(const struct heap *heap, unsigned set)
{
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		const uint64_t *words = chunk_words(heap, set, arena);

		for (uint64_t i = 0; i < CLASS_CHUNK_WORDS; i++)
			if (words[i] != 0)
				return arena * ARENA_CHUNKS + i * 64 + page_bits_lowest(words[i]);
	}
	return UINT64_MAX;
}

static void give_word(struct heap *heap, unsigned set, uint64_t base)
{
	uint64_t mask = *page_word(heap, set, base);

	if (mask == 0)
		return;
	page_index_give_mask(&heap->pages, base, mask);
	/* Crash: free, and still parked: the repair takes them again. */
	crash_order();
	*page_word(heap, set, base) = 0;
}

/* Under the page lock. */
static void give_chunk(struct heap *heap, unsigned set, uint64_t chunk)
{
	uint64_t within = chunk & (ARENA_CHUNKS - 1);
	uint64_t first = chunk << CHUNK_PAGES_SHIFT;
	uint64_t run = run_make(RUN_PLAIN, first, CHUNK_PAGES);

	pages_journal_write(heap, &run, 1);
	for (uint64_t i = 0; i < CHUNK_WORDS; i++)
		give_word(heap, set, first + i * WORD_PAGES);
	pages_journal_clear(heap);
	chunk_words(heap, set, chunk >> ARENA_CHUNKS_SHIFT)[within / 64] &=
		~(UINT64_C(1) << (within & 63));
}

/* Whether the set is one that waits, for the grace period of the tag. Under the page lock. */
static bool is_waiting(const struct heap *heap, unsigned set, uint64_t tag)
{
	return filling(heap) != set &&
		atomic_load_explicit(&sets(heap)->tag[set], memory_order_relaxed) == tag;
}

/* Frees the pages of one chunk of a set whose grace period is over, or, when there is none, has the set
 * filled from now on. False when there is nothing left to do for the caller. */
static bool give_some(struct thread *thread, unsigned set, uint64_t tag)
{
	struct heap *heap = thread->heap;
	uint64_t chunk = UINT64_MAX;

	pages_lock(thread);
	if (is_waiting(heap, set, tag)) {
		chunk = find_chunk(heap, set);
		if (chunk != UINT64_MAX) {
			give_chunk(heap, set, chunk);
		} else {
			atomic_store_explicit(&sets(heap)->pages[set], 0, memory_order_relaxed);
			/* Crash before: found empty once more. */
			crash_order();
			atomic_store_explicit(&sets(heap)->filling, set, memory_order_relaxed);
		}
	}
	pages_unlock(thread);
	return chunk != UINT64_MAX;
}

/* Frees the set that waits, if it has waited long enough. False: *holder's section holds it up. */
static bool release_set(struct thread *thread, uint32_t *holder)
{
	struct heap *heap = thread->heap;
	unsigned set = 1 - filling(heap);
	uint64_t tag = atomic_load_explicit(&sets(heap)->tag[set], memory_order_relaxed);

	/* Counted before they come in: none is none. */
	if (atomic_load_explicit(&sets(heap)->pages[set], memory_order_relaxed) != 0 &&
		rcu_poll(&heap->rcu, &heap->system, tag, holder) != RCU_OVER)
		return false;
	while (give_some(thread, set, tag))
		;
	return true;
}

uint32_t parked_release(struct thread *thread)
{
	uint32_t holder = UINT32_MAX;

	/* The set that waits, and, most often, the one that was filled until now. */
	for (unsigned set = 0; set < SETS && parked_count(thread->heap) != 0; set++)
		if (!release_set(thread, &holder))
			return holder;
	return UINT32_MAX;
}
