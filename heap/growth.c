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

/* Moves the frontier of an arena that has room. */
static int extend_arena(struct heap *heap, uint64_t arena, uint64_t chunks)
{
	uint64_t frontier = arena_frontier(heap, arena);
	int error = back_chunks(heap, frontier, chunks);

	if (error != 0)
		return error;
	/* Crash: backed and not below the frontier; backed again, which changes nothing. */
	crash_order();
	atomic_store_explicit(&heap->directory[arena].frontier, frontier + chunks,
		memory_order_release);
	growth_bump_stamp(heap);
	return 0;
}

static int extend_locked(struct heap *heap, uint64_t chunks, uint64_t *arena)
{
	int error = find_arena(heap, chunks, arena);

	return error != 0 ? error : extend_arena(heap, *arena, chunks);
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

/* A taken-over growth lock needs no repair: the frontier says what is there. */
static void growth_lock(struct thread *thread)
{
	struct heap *heap = thread->heap;

	if (lock_acquire(&heap->derived->growth_lock, thread->tag, &heap->system) ==
		LOCK_TAKEN_OVER)
		thread->met_dead = true;
}

static void growth_unlock(struct thread *thread)
{
	lock_release(&thread->heap->derived->growth_lock, &thread->heap->system);
}

int growth_extend(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	struct heap *heap = thread->heap;
	uint64_t chunks = (npages + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
	uint64_t arena = 0;
	int error;

	growth_lock(thread);
	publish_all(thread);
	error = fits(thread, npages, align_pages) ? 0 : extend_locked(heap, chunks, &arena);
	growth_unlock(thread);
	if (error == 0)
		pages_publish(thread, arena);
	return error;
}

/* --- reserving ----------------------------------------------------------------------------- */

/* Chunks that are backed in one section of the growth lock. */
#define RESERVE_STEP UINT64_C(16)

/* Adds at most `chunks` chunks to the lowest arena that has room. */
static int add_chunks(struct thread *thread, uint64_t chunks)
{
	struct heap *heap = thread->heap;
	uint64_t arena = 0;
	uint64_t first = 0;
	int error;

	growth_lock(thread);
	publish_all(thread);
	error = find_arena(heap, 1, &arena);
	if (error == 0) {
		uint64_t room;

		first = arena_frontier(heap, arena);
		room = arena_end_chunk(heap, arena) - first;
		chunks = chunks < room ? chunks : room;
		error = extend_arena(heap, arena, chunks);
	}
	growth_unlock(thread);
	if (error != 0)
		return error;
	/* Before others can take them: who touches a page that is not present waits for it. */
	if (heap->system.populate_heap != NULL)
		heap->system.populate_heap(heap->system.context, first * CHUNK_BYTES,
			chunks * CHUNK_BYTES);
	pages_publish(thread, arena);
	return 0;
}

int growth_reserve(struct thread *thread, uint64_t npages)
{
	pages_give_back(thread);
	for (;;) {
		uint64_t found = pages_count_free(thread);
		uint64_t chunks = (npages - found + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
		int error;

		if (found >= npages)
			return 0;
		error = add_chunks(thread, chunks < RESERVE_STEP ? chunks : RESERVE_STEP);
		if (error != 0)
			return error;
	}
}
