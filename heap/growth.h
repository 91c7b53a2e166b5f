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

/* Sees to it that at least `npages` pages are free: backs as many chunks as are missing, and makes them
 * present in this process. Others may take them at once. 0 or an errno as growth_extend(), and then
 * what was backed stays. Crash: as growth_extend(). */
int growth_reserve(struct thread *thread, uint64_t npages);

/* Backs and writes the head of an arena whose turn it is, and raises the arena count. The caller
 * holds the growth lock, or the heap alone. 0 or an errno. */
int growth_make_arena(struct heap *heap, uint64_t arena);

/* Marks both files as changed by attach, detach or growth. The caller holds the growth lock, or the
 * heap alone: two at once would part the stamps. */
void growth_bump_stamp(struct heap *heap);

#endif
