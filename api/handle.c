/* handle.c -- an open heap of this process
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/handle.h"

#include "heap/growth.h"
#include "shm/lock.h"

#include <stdlib.h>
#include <sys/mman.h>

void handle_bump_stamp(struct sh_heap *heap, struct thread *thread)
{
	_Atomic uint64_t *lock = &heap->heap.derived->growth_lock;

	if (lock_acquire(lock, thread->tag, &heap->heap.system) == LOCK_TAKEN_OVER)
		thread->met_dead = true;
	growth_bump_stamp(&heap->heap);
	lock_release(lock, &heap->heap.system);
}

static bool alive(void *context, uint64_t tag)
{
	struct sh_heap *heap = context;

	return liveness_thread_alive(&heap->liveness, tag);
}

static bool process_alive(void *context, uint32_t process)
{
	struct sh_heap *heap = context;

	return liveness_process_alive(&heap->liveness, process);
}

static int back_heap(void *context, uint64_t offset, uint64_t bytes)
{
	struct sh_heap *heap = context;

	return shared_file_back(&heap->heap_file, offset, bytes);
}

static int back_control(void *context, uint64_t offset, uint64_t bytes)
{
	struct sh_heap *heap = context;

	return shared_file_back(&heap->control_file, offset, bytes);
}

static void remember_chunks(struct heap *heap)
{
	uint64_t arenas = (heap->max_bytes + ARENA_BYTES - 1) >> ARENA_BYTES_SHIFT;

	/* Without memory for it, it is worked out each time. */
	heap->chunk_meta = calloc(arenas * ARENA_CHUNKS, sizeof(heap->chunk_meta[0]));
	heap->chunk_limit = heap->chunk_meta == NULL ? 0 : arenas * ARENA_CHUNKS;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* Before Linux 5.14, or under a memory limit, the pages come at the first touch. */
static void populate_heap(void *context, uint64_t offset, uint64_t bytes)
{
	struct sh_heap *heap = context;
	int before = errno;

	madvise(heap->heap.base + offset, bytes, MADV_POPULATE_WRITE);
	errno = before;
}

static int zero_heap(void *context, uint64_t offset, uint64_t bytes)
{
	struct sh_heap *heap = context;

	return shared_file_punch(&heap->heap_file, offset, bytes);
}

void handle_system_init(struct sh_heap *heap)
{
	remember_chunks(&heap->heap);
	heap->heap.system = (struct system){
		.context = heap,
		.alive = alive,
		.process_alive = process_alive,
		.futex_wait = system_futex_wait,
		.futex_wake = system_futex_wake,
		.now_ns = system_now_ns,
		.order_all = system_order_all,
		.back_heap = back_heap,
		.back_control = back_control,
		.populate_heap = populate_heap,
		.zero_heap = zero_heap,
	};
}

void handle_destroy(struct sh_heap *heap)
{
	if (heap->heap.control != NULL)
		file_unmap(heap->heap.control, heap->control_bytes);
	if (heap->heap.base != NULL)
		file_unmap(heap->heap.base, heap->heap.max_bytes);
	if (heap->control_file.path != NULL)
		shared_file_destroy(&heap->control_file);
	free((void *)heap->heap.chunk_meta);
	file_close_if(heap->opening_fd, &heap->heap_file.identity);
	file_close_if(heap->old_control_fd, &heap->old_control);
	ticket_drop_spares(heap);
	if (heap->heap_file.path != NULL)
		shared_file_destroy(&heap->heap_file);
	free(heap);
}
