/* parked.h -- freed pages that wait until no reader can look at them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Control file: two sets of pages, one bit per page, and for each set one bit per chunk, which may be
 * set in vain. One set is being filled, the other one waits for the grace period of its tag; when that
 * is over, its pages become free, and the two change places. So a page waits for two grace periods at
 * most, however many are freed behind it, and no list can be full.
 *
 *   a page's bit is set in one of the sets, or in none
 *   a set's tag is that of the last page that was put in, or a later one
 *
 * Everything here changes under the page lock, in pages that the journal names; who takes the lock
 * over from the dead takes out of the sets what is named elsewhere (rule A of heap/pages.h, whose last
 * places these are). */
#ifndef SPANHEAP_PARKED_H
#define SPANHEAP_PARKED_H

#include "heap/heap.h"

/* From this many parked pages on, a thread that frees looks whether the others can go. */
#define PARKED_LIMIT_PAGES CHUNK_PAGES

/* Bytes of the sets for one arena. */
uint64_t parked_arena_bytes(void);

/* Puts a run into the set that is being filled. Under the page lock; the journal names the run. */
void parked_add(struct heap *heap, uint64_t run);

/* Which of the 64 pages from `base` are parked. Under the page lock. */
uint64_t parked_mask(const struct heap *heap, uint64_t base);

/* Takes pages out of the sets that are named elsewhere. Under the page lock. */
void parked_take_out(struct heap *heap, uint64_t base, uint64_t mask);

/* How many pages are parked; a death may leave it wrong. */
uint64_t parked_count(const struct heap *heap);

/* Frees the parked pages that no reader can look at any more; never waits. Without the page lock.
 * Returns the slot whose section holds up the others, or UINT32_MAX. */
uint32_t parked_release(struct thread *thread);

#endif
