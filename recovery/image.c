/* image.c -- a heap in plain memory: no files, no kernel
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/image.h"

#include "recovery/proof.h"
#include "recovery/reap.h"
#include "recovery/superblock.h"
#include "shm/slot.h"

#include <errno.h>

static bool always_alive(void *context, uint64_t tag)
{
	const struct image *image = context;

	return tag_plausible(tag, image->heap.thread_slots) &&
		atomic_load_explicit(&image->heap.thread_slot[tag_slot(tag)].owner,
			memory_order_acquire) == tag;
}

static bool process_always_alive(void *context, uint32_t process)
{
	(void)context;
	(void)process;
	return true;
}

static int back_heap(void *context, uint64_t offset, uint64_t bytes)
{
	const struct image *image = context;

	return offset <= image->bytes && bytes <= image->bytes - offset ? 0 : ENOSPC;
}

static int back_control(void *context, uint64_t offset, uint64_t bytes)
{
	const struct image *image = context;

	return offset <= image->control_bytes && bytes <= image->control_bytes - offset ? 0
											: ENOSPC;
}

/* Leaves zeros alone: the buffer may be sparse. */
static int zero_heap(void *context, uint64_t offset, uint64_t bytes)
{
	const struct image *image = context;
	uint64_t *words = (uint64_t *)(void *)(image->base + offset);

	if (image->make_zero != NULL) {
		image->make_zero(image, offset, bytes);
		return 0;
	}
	for (uint64_t i = 0; i < bytes / sizeof(*words); i++)
		if (words[i] != 0)
			words[i] = 0;
	return 0;
}

static struct system image_system(struct image *image)
{
	return (struct system){
		.context = image,
		.alive = always_alive,
		.process_alive = process_always_alive,
		.futex_wait = system_futex_wait,
		.futex_wake = system_futex_wake,
		.now_ns = system_now_ns,
		.back_heap = back_heap,
		.back_control = back_control,
		.zero_heap = zero_heap,
	};
}

void image_format(char *base, uint64_t max_bytes, uint32_t process_slots, uint32_t thread_slots)
{
	struct superblock superblock;

	superblock_init(&superblock, max_bytes, process_slots, thread_slots);
	superblock_write(base, &superblock);
}

static void view(struct image *image, const struct superblock *superblock)
{
	image->heap.base = image->base;
	image->heap.control = image->control;
	image->heap.max_bytes = superblock->max_bytes;
	image->heap.incarnation = superblock->incarnation;
	image->heap.process_slots = superblock->process_slot_count;
	image->heap.thread_slots = superblock->thread_slot_count;
	image->heap.reap = reap_all;
	heap_view_init(&image->heap);
}

int image_open(struct image *image, const struct system *system)
{
	struct superblock superblock;
	int copies;
	int error = superblock_read(image->base, image->bytes, &superblock, &copies);

	if (error != 0)
		return error;
	image->heap.system = system != NULL ? *system : image_system(image);
	superblock.incarnation++;
	superblock.clean = 0;
	view(image, &superblock);
	if (!proof_directory_inside(&image->heap, image->bytes))
		return SH_EBADHEAP;
	if (heap_control_fixed_bytes(&image->heap) > image->control_bytes)
		return ENOMEM;
	superblock_write(image->base, &superblock);
	recover_stamp_arenas(&image->heap);
	error = heap_back_arenas(&image->heap);
	if (error == 0)
		recover(&image->heap, &superblock, &image->thread, &image->recovery);
	return error;
}

void image_attach_thread(struct image *image, struct thread *thread, uint32_t slot)
{
	struct heap *heap = &image->heap;
	uint64_t serial =
		atomic_fetch_add_explicit(&heap->running->next_serial, 1, memory_order_relaxed) + 1;
	uint64_t tag = tag_make(slot, serial);

	atomic_store(&heap->thread_slot[slot].owner, THREAD_CLAIM);
	slot_confirm(&heap->thread_slot[slot], tag, 0, false);
	if (heap_slot_high_water(heap) <= slot)
		atomic_store(&heap->header->thread_high_water, slot + 1);
	thread_init(thread, heap, slot, tag);
}
