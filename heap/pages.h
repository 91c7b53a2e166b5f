/* pages.h -- the page allocator: free pages, per-thread page caches, limbo, repair
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Free pages stand in the page index (derived), under the page lock. Where a page is:
 *
 *	free bitmap -> page cache -> intent -> head bit -> intent -> limbo -> parked -> free bitmap
 *	            \_______________/                                     \_________/
 *	             large runs                                            nobody reads
 *
 * A. While the page lock is held, a page moves only to the right within "cache -> intent -> head ->
 *    intent -> limbo", and is in the next place before it leaves the last. Whoever reads the places
 *    in that order, under the lock, cannot miss it, and what it saw taken does not become free
 *    before the lock is released. An intent to free has its pages once the slot has marked the span
 *    (span_frees()), which is before the head bit is cleared: read the intents on both sides of that.
 * B. Pages enter a cache under the page lock only. Limbo is appended to by its slot and emptied
 *    under the page lock only.
 * C. The journal names the pages whose free bits are about to change, before they do. Whoever takes
 *    the lock over from the dead rewrites the bits of these pages by rule A: it costs what the dead
 *    one was changing, not the heap. What it was changing may be the records of manual runs, too.
 * D. After a take-over: repair, release, and only then reap. A reaper holds a slot and wants the
 *    lock; who holds the lock must not want a slot.
 *
 * Allocation is address-ordered first fit and deterministic for given free bits. */
#ifndef SPANHEAP_PAGES_H
#define SPANHEAP_PAGES_H

#include "heap/heap.h"

/* Runs of this many pages and more are not taken from the page cache. */
#define CACHE_LIMIT_PAGES 16u
/* Limbo is given back when it holds as much as a page cache. */
#define LIMBO_LIMIT_PAGES WORD_PAGES

/* Takes a run and leaves intent[0] open as RUN_ALLOC on it: the caller sets its head bit and then
 * closes the intent with pages_close_intent(). Grows the heap when nothing fits.
 *
 * Returns the first page; 0 with *error ENOMEM, ENOSPC or another of fallocate(2).
 * Crash: the intent names the run; the reaper returns it, or keeps the span if its head bit is set. */
uint64_t pages_allocate(struct thread *thread, uint64_t npages, int *error);

/* The same for a run that begins at a multiple of `align_pages`, a power of two up to HUGE_PAGES. */
uint64_t pages_allocate_aligned(struct thread *thread, uint64_t npages, uint64_t align_pages,
	int *error);

/* Makes the first `bytes` of the run that the thread allocated last read as zeros: clears what is not
 * known to. */
void pages_zero(const struct thread *thread, uint64_t page, uint64_t bytes);

/* Takes exactly these pages, if all of them are free, and leaves intent[0] open as RUN_ALLOC on them:
 * for a span that grows where it is. Crash: the intent names them. */
bool pages_take_at(struct thread *thread, uint64_t page, uint64_t npages);

/* Puts a run, whose head bit was cleared under an open RUN_FREE intent, into the limbo of `slot`,
 * whose one writer the caller is. There is room: pages_make_room() was called before the intent. */
void pages_to_limbo(struct thread *thread, uint32_t slot, uint64_t page, uint64_t npages);

/* Sees to it that the limbo of `slot` has room for one more run. */
void pages_make_room(struct thread *thread, uint32_t slot);

/* Gives the thread's limbo back when it holds much. Called where no intent is open. */
void pages_settle_limbo(struct thread *thread);

/* Gives limbo and page cache of the thread back: before it leaves, or when memory is short. */
void pages_give_back(struct thread *thread);

/* For a reaper that holds slot `dead`: returns the pages of its limbo, its cache and `run` of each
 * intent whose bit is set in `returned` (bit 0: intent[0], bit 1: intent[1]), and closes both
 * intents, in one section of the page lock. Returns the number of pages. */
uint64_t pages_return_dead(struct thread *thread, uint32_t dead, unsigned returned);

/* Opens and closes an intent of a slot whose one writer the caller is. */
static inline void pages_open_intent(struct slot_log *log, unsigned which, enum run_operation op,
	uint64_t page, uint64_t npages)
{
	atomic_store_explicit(&log->intent[which], run_make(op, page, npages),
		memory_order_release);
}

static inline void pages_close_intent(struct slot_log *log, unsigned which)
{
	atomic_store_explicit(&log->intent[which], 0, memory_order_release);
}

/* Adds chunks between an arena's published mark and its frontier to the free pages. */
void pages_publish(struct thread *thread, uint64_t arena);

/* Moves an arena's frontier from its present place to chunk `end` for a run of `npages` that begins there,
 * and leaves intent[0] open as RUN_ALLOC on it: the chunks are backed, and nobody sees them free. The
 * caller holds the growth lock.
 * Crash: chunks behind the frontier still, or free ones, or the intent's. */
void pages_take_frontier(struct thread *thread, uint64_t arena, uint64_t end, uint64_t npages);

/* How many pages are free now, in all arenas: not those that caches and limbo hold, nor parked ones. */
uint64_t pages_count_free(struct thread *thread);

/* Takes and releases the page lock, for who must see the pages stand still: rule A. */
void pages_lock(struct thread *thread);
void pages_unlock(struct thread *thread);

/* Names runs that are about to change, and none any more. Under the page lock: rule C. */
void pages_journal_write(struct heap *heap, const uint64_t *runs, unsigned count);
void pages_journal_clear(struct heap *heap);

/* Stack. Who names which of 64 pages, read in the order of rule A. */
struct page_places {
	uint64_t cached;
	uint64_t cached_twice; /* by two slots */
	uint64_t intents;
	uint64_t spans;
	uint64_t limbo;
	uint64_t parked;
};

/* The places of the 64 pages from `base`, seen under the page lock. */
struct page_places pages_look(const struct heap *heap, uint64_t base);

static inline uint64_t page_places_all(const struct page_places *places)
{
	return places->cached | places->intents | places->spans | places->limbo | places->parked;
}

/* Pages in two places, where only a move would explain it. Intents overlap their neighbours. */
static inline uint64_t page_places_twice(const struct page_places *places)
{
	return places->cached_twice |
		(places->cached & (places->spans | places->limbo | places->parked)) |
		(places->spans & (places->limbo | places->parked)) |
		(places->limbo & places->parked);
}

#endif
