/* owned.h -- the spans that a thread owns
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Frees in a span of the thread's own are plain stores, so a thread keeps the spans that it filled, up
 * to RETAINED_SPANS and RETAINED_PAGES, and comes back to them when it needs free blocks. Those of one
 * class form a ring in the order in which they were got. A search goes round it, a few spans at a time,
 * and takes the first that is worth it: what was freed there meanwhile, by whomever, makes it so.
 *
 * The words that name the spans to reapers stand in the control file, by place (heap.h). Everything
 * else here is the thread's alone.
 *
 *   place p is used  <=>  heap_owned(p) != 0, but inside owned_take() and owned_drop()
 *   a span with hot word of the thread has a place, and span.place is it
 *   ring of a class: the used places p with next[p] != 0 that were linked for it
 *   at most RETAINED_SPANS places are linked, besides one for each class */
#ifndef SPANHEAP_OWNED_H
#define SPANHEAP_OWNED_H

#include "heap/heap.h"

/* Whether the next owned_take() will find a place. */
bool owned_ready(struct thread *thread);

/* Takes a place and names the span that is about to be the thread's. 0 when there is none.
 * Crash: the word names a page whose hot word is not the slot's; the reaper clears it. */
unsigned owned_take(struct thread *thread, uint64_t head);

/* The span at the place is no longer the thread's, nor in any ring. */
void owned_drop(struct thread *thread, unsigned place);

static inline uint64_t owned_head(const struct thread *thread, unsigned place)
{
	return atomic_load_explicit(heap_owned(thread->heap, thread->slot, place),
		memory_order_relaxed);
}

/* Puts a span into the ring of its class, as the one looked at last. */
void owned_link(struct thread *thread, unsigned span_class, unsigned place, uint32_t pages);

/* Takes it out again, if it is there. */
void owned_unlink(struct thread *thread, unsigned span_class, unsigned place, uint32_t pages);

/* Whether the thread may keep one more filled span. */
static inline bool owned_has_room(const struct thread *thread)
{
	return thread->owned.count < RETAINED_SPANS && thread->owned.pages < RETAINED_PAGES;
}

/* Whether the span at a place is kept though it is empty. */
static inline bool owned_is_empty(const struct thread *thread, unsigned place)
{
	return (thread->owned.empty[place / 64] >> (place % 64) & 1) != 0;
}

/* Keeps an empty span in its ring; false: there are enough. */
bool owned_keep_empty(struct thread *thread, unsigned place, uint32_t pages);

/* It is used again, or goes. */
void owned_forget_empty(struct thread *thread, unsigned place, uint32_t pages);

/* How many spans of a class's ring the next search looks at: fewer after searches in vain. */
unsigned owned_looks(const struct thread *thread, unsigned span_class);

/* Notes how it went. */
void owned_looked(struct thread *thread, unsigned span_class, bool found);

/* Moves on to the next span in the class's ring; 0 when the ring is empty. */
static inline unsigned owned_next(struct thread *thread, unsigned span_class)
{
	uint16_t *position = &thread->owned.position[span_class];

	if (*position != 0)
		*position = thread->owned.next[*position];
	return *position;
}

#endif
