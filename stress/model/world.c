/* world.c -- a small heap for the model checker: memory, processes, oracle
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/world.h"

#include "stress/model/kernel.h"

#include "heap/object.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "shm/slot.h"

#include <stdio.h>
#include <stdlib.h>

/* --- making -------------------------------------------------------------------------------- */

void world_make_heap(struct world *world, unsigned setting)
{
	uint64_t max_bytes = setting & SETTING_ARENAS ? 2 * ARENA_BYTES : ARENA_BYTES;
	struct image *image = &world->image;
	uint64_t chunks = CHUNKS_BACKED + (setting & SETTING_GROWTH ? 1 : 0);

	world->buffer_bytes = max_bytes;
	image->bytes = max_bytes;
	image->base = kernel_memory(max_bytes);
	image->control_bytes = heap_control_bytes(max_bytes, WORLD_PROCESSES, WORLD_THREAD_SLOTS);
	image->control = kernel_memory(image->control_bytes);
	image_format(image->base, max_bytes, WORLD_PROCESSES, WORLD_THREAD_SLOTS);
	kernel.image = image;
	world_must(image_open(image, &kernel_system) == 0, 0);
	if ((setting & SETTING_ARENAS) == 0)
		image->bytes = (image->heap.zone_chunks[0] + chunks) * CHUNK_BYTES;
	world->dead = kernel.dead;
	world->lives = kernel.lives;
	world->detached_lives = kernel.detached_lives;
}

void world_attach_all(struct world *world)
{
	struct thread_slot *slots = world->image.heap.thread_slot;

	for (unsigned i = 0; i < WORLD_PROCESSES; i++) {
		image_attach_thread(&world->image, &world->threads[i], i);
		atomic_store(&slots[i].process, i);
		kernel.lives[i] = world->threads[i].tag;
		if (kernel.detaching)
			atomic_store(&slots[i].liveness_tag, kernel.lives[i]);
	}
}

void world_grow_first(struct world *world)
{
	struct thread *thread = &world->threads[0];
	int error;

	for (unsigned i = 0; i < CHUNKS_BACKED; i++) {
		uint64_t page = pages_allocate(thread, CHUNK_PAGES, &error);

		pages_close_intent(thread->log, 0);
		pages_open_intent(thread->log, 0, RUN_FREE, page, CHUNK_PAGES);
		pages_to_limbo(thread, 0, page, CHUNK_PAGES);
		pages_close_intent(thread->log, 0);
		if (i + 1 == CHUNKS_BACKED)
			pages_give_back(thread);
	}
}

void world_remember_chunks(struct world *world)
{
	static _Atomic(char *) remembered[ARENA_CHUNKS];
	struct heap *heap = &world->image.heap;
	uint64_t end = arena_frontier(heap, 0);

	for (uint64_t chunk = arena_first_chunk(heap, 0); chunk < end; chunk++)
		remembered[chunk] = heap->base + chunk_meta_offset(heap, chunk);
	heap->chunk_meta = remembered;
	heap->chunk_limit = end;
}

/* --- asking -------------------------------------------------------------------------------- */

bool world_holds_slot(const struct world *world, unsigned process, unsigned slot)
{
	const struct thread_slot *words = &world->image.heap.thread_slot[slot];
	uint64_t reaper = atomic_load(&words->reaper);

	return (reaper != 0 ? reaper : atomic_load(&words->owner)) == kernel.lives[process];
}

static bool owns_slot(const struct world *world, uint64_t tag)
{
	return tag != 0 && atomic_load(&world->image.heap.thread_slot[tag_slot(tag)].owner) == tag;
}

bool world_has_dead(const struct world *world)
{
	for (unsigned i = 0; i < WORLD_PROCESSES; i++)
		if ((kernel.dead[i] && owns_slot(world, kernel.lives[i])) ||
			(kernel.detaching && kernel.gone[i] &&
				owns_slot(world, kernel.detached_lives[i])))
			return true;
	return false;
}

bool world_live(const struct heap *heap, uint64_t off)
{
	struct block block;

	return block_find(heap, off, &block) == 0 && block_is_live(&block);
}

enum progress world_progress(const struct world *world, unsigned process)
{
	return (enum progress)world->ghosts[process].progress;
}

/* --- preparing ----------------------------------------------------------------------------- */

void world_must(bool done, unsigned process)
{
	if (done)
		return;
	fprintf(stderr, "what process %u needs cannot be prepared\n", process);
	exit(1);
}

uint64_t world_allocate(struct world *world, unsigned process, uint64_t bytes)
{
	int error;
	uint64_t off = object_allocate(&world->threads[process],
		span_class_make(size_class_of(bytes), false), &error);

	world_must(off != 0, process);
	memset(heap_at(&world->image.heap, off), 0, bytes);
	return off;
}

uint64_t world_allocate_large(struct world *world, unsigned process, uint64_t bytes)
{
	int error;
	uint64_t head =
		span_prepare_large(&world->threads[process], bytes, SPAN_LARGE, false, &error);

	world_must(head != 0, process);
	span_commit_large(&world->threads[process], head);
	return page_offset(head);
}
