/* growth.c -- backing chunks and making arenas
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/growth.h"

#include "heap/pages.h"
#include "shm/lock.h"
#include "shm/order.h"

#include <errno.h>

void growth_bump_stamp(struct heap *heap)
{
	uint64_t stamp = atomic_load_explicit(&heap->running->stamp, memory_order_relaxed) + 1;

	atomic_store_explicit(&heap->running->stamp, stamp, memory_order_relaxed);
	/* Crash: the control file is one behind, which open accepts. */
	crash_order();
	atomic_store_explicit(&heap->header->stamp, stamp, memory_order_relaxed);
}

static int back_arena_head(struct heap *heap, uint64_t arena)
{
	const struct system *system = &heap->system;
	int error = system->back_heap(system->context, arena_zone(heap, arena), ARENA_HEAD_BYTES);

	if (error != 0)
		return error;
	return heap_back_control(heap, arena);
}

int growth_make_arena(struct heap *heap, uint64_t arena)
{
	struct arena_header *header;
	int error;

	/* The maximum size may end inside the arena's zone. */
	if (arena >= heap->max_arenas ||
		arena_first_chunk(heap, arena) >= arena_end_chunk(heap, arena))
		return ENOMEM;
	error = back_arena_head(heap, arena);
	if (error != 0)
		return error;
	header = arena_header(heap, arena);
	header->magic = ARENA_MAGIC;
	header->arena = arena;
	atomic_store_explicit(&header->incarnation, heap->incarnation, memory_order_relaxed);
	atomic_store_explicit(&heap->published[arena], arena_first_chunk(heap, arena),
		memory_order_relaxed);
	/* Crash: an arena that is not counted; it is made again. */
	atomic_store_explicit(&heap->directory[arena].frontier, arena_first_chunk(heap, arena),
		memory_order_release);
	atomic_store_explicit(&heap->running->arena_count, arena + 1, memory_order_release);
	return 0;
}

/* The lowest arena, made if need be, whose unbacked rest has room for `chunks`. */
static int find_arena(struct heap *heap, uint64_t chunks, uint64_t *found)
{
	if (chunks > ARENA_CHUNKS - heap->zone_chunks[1])
		return ENOMEM;
	for (uint64_t arena = 0; arena < heap->max_arenas; arena++) {
		if (arena >= heap_arena_count(heap)) {
			int error = growth_make_arena(heap, arena);

			if (error != 0)
				return error;
		}
		if (arena_frontier(heap, arena) + chunks <= arena_end_chunk(heap, arena)) {
			*found = arena;
			return 0;
		}
	}
	return ENOMEM;
}

static int back_chunks(struct heap *heap, uint64_t first, uint64_t count)
{
	const struct system *system = &heap->system;
	int error = system->back_heap(system->context, first * CHUNK_BYTES, count * CHUNK_BYTES);

	if (error != 0)
		return error;
	return system->back_heap(system->context, chunk_meta_offset(heap, first),
		count * META_STRIDE);
}

static int extend_locked(struct heap *heap, uint64_t chunks, uint64_t *arena)
{
	int error = find_arena(heap, chunks, arena);
	uint64_t frontier;

	if (error != 0)
		return error;
	frontier = arena_frontier(heap, *arena);
	error = back_chunks(heap, frontier, chunks);
	if (error != 0)
		return error;
	/* Crash: backed and not below the frontier; backed again, which changes nothing. */
	crash_order();
	atomic_store_explicit(&heap->directory[*arena].frontier, frontier + chunks,
		memory_order_release);
	growth_bump_stamp(heap);
	return 0;
}

static bool fits(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	bool found;

	pages_lock(thread);
	found = page_index_find_aligned(&thread->heap->pages, npages, align_pages) != 0;
	pages_unlock(thread);
	return found;
}

/* Others may have grown the heap, or have died before they published, while we waited. */
static void publish_all(struct thread *thread)
{
	struct heap *heap = thread->heap;

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		if (atomic_load_explicit(&heap->published[arena], memory_order_relaxed) <
			arena_frontier(heap, arena))
			pages_publish(thread, arena);
}

int growth_extend(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	struct heap *heap = thread->heap;
	uint64_t chunks = (npages + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
	uint64_t arena = 0;
	int error;

	/* A taken-over growth lock needs no repair: the frontier says what is there. */
	if (lock_acquire(&heap->derived->growth_lock, thread->tag, &heap->system) ==
		LOCK_TAKEN_OVER)
		thread->met_dead = true;
	publish_all(thread);
	error = fits(thread, npages, align_pages) ? 0 : extend_locked(heap, chunks, &arena);
	lock_release(&heap->derived->growth_lock, &heap->system);
	if (error == 0)
		pages_publish(thread, arena);
	return error;
}
