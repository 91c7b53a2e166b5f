/* growth.h -- backing chunks and making arenas
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Growth is fallocate first, then publication: a full disk is an error code, never a signal. It runs
 * under the growth lock, outside the page lock, so that the others go on allocating meanwhile. */
#ifndef SPANHEAP_GROWTH_H
#define SPANHEAP_GROWTH_H

#include "heap/heap.h"

/* Backs chunks that hold a run of `npages` aligned to `align_pages`, at most a chunk, and adds them to the free pages. 0 or an errno: ENOMEM
 * (the heap is at its maximum size), ENOSPC and others of fallocate(2).
 * Crash: chunks that are backed and not below a frontier are backed again by the next one; those
 * below it and not published are published by the next one. */
int growth_extend(struct thread *thread, uint64_t npages, uint64_t align_pages);

/* Takes a run that no arena has room for: the unbacked rest of an arena and consecutive unused ones behind
 * it, backed, and leaves intent[0] open as RUN_ALLOC on it, as pages_allocate() does. Its pages hold
 * zeros. Returns its first page; 0 with *error ENOMEM, ENOSPC or another of fallocate(2).
 *
 * Under the growth lock: the first arena's frontier and the intent in one section of the page lock; then
 * an entry for each continuation. Whoever finds continuations that neither an intent nor a span at
 * the end of the arena where they begin covers gives them back.
 * Crash: the intent returns what has metadata, and the continuations are given back. */
uint64_t growth_take_arenas(struct thread *thread, uint64_t npages, int *error);

/* Gives continuations back that are nobody's: makes them zero, then says so. The caller holds neither
 * growth lock nor page lock. Crash: done once more by the next one. */
void growth_give_back(struct thread *thread);

/* The same for who holds the growth lock, or has the heap alone and has dropped the intents. */
void growth_give_back_alone(struct heap *heap);

/* Whether a run covers a continuation, or an intent names it. For any directory. */
bool growth_is_continued(const struct heap *heap, uint64_t arena);

/* Sees to it that at least `npages` pages are free: backs as many chunks as are missing, and makes them
 * present in this process. Others may take them at once. 0 or an errno as growth_extend(): ENOMEM
 * before anything is backed; else what was backed stays. Crash: as growth_extend(). */
int growth_reserve(struct thread *thread, uint64_t npages);

/* Backs and writes the head of an arena whose turn it is, and raises the arena count. The caller
 * holds the growth lock, or the heap alone. 0 or an errno. */
int growth_make_arena(struct heap *heap, uint64_t arena);

/* Marks both files as changed by attach, detach or growth. The caller holds the growth lock, or the
 * heap alone: two at once would part the stamps. */
void growth_bump_stamp(struct heap *heap);

#endif
