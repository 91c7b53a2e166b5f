/* control.c -- the control file of a view's heap, looked at
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tools/control.h"

#include "recovery/recover.h"
#include "shm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whether the header is of the superblock's run, and of a build that lays it out as this one. */
static bool is_of_run(const struct control_header *header, const struct superblock *superblock)
{
	return header->magic == CONTROL_MAGIC &&
		header->format == recover_control_format(superblock) &&
		memcmp(header->nonce, superblock->nonce, sizeof(header->nonce)) == 0 &&
		header->incarnation == superblock->incarnation &&
		header->process_slot_count == superblock->process_slot_count &&
		header->thread_slot_count == superblock->thread_slot_count - 1;
}

static int map_control(struct control *control, int fd)
{
	struct heap *heap = &control->heap;
	struct file_identity identity;
	uint64_t bytes;
	int error = file_identify(fd, &identity, &bytes);

	control->bytes =
		heap_control_bytes(heap->max_bytes, heap->process_slots, heap->thread_slots);
	if (error == 0 && bytes < control->bytes)
		error = ESTALE;
	if (error == 0)
		error = file_map(fd, control->bytes, false, &heap->control);
	if (error == 0)
		file_expect_holes(heap->control, control->bytes);
	return error;
}

static void init_liveness(struct control *control)
{
	const struct heap *heap = &control->heap;

	control->liveness = (struct liveness){
		.thread_slots = heap->thread_slot,
		.words = heap->control +
			control_liveness_offset(heap->process_slots, heap->thread_slots),
		.thread_slot_count = heap->thread_slots,
		.process_slot_count = heap->process_slots,
		.own_process = SLOT_NONE,
		.control = &control->file,
	};
}

int control_open(struct control *control, const struct view *view)
{
	struct control_header header;
	char *path;
	int fd;
	int error = input_open_control(&view->input, view->superblock.heap_id, &header, &path, &fd);

	if (error != 0)
		return error;
	control->heap = view->heap;
	error = is_of_run(&header, &view->superblock) ? map_control(control, fd) : ESTALE;
	if (error == 0)
		error = shared_file_init(&control->file, path, O_RDONLY | O_NOFOLLOW, fd);
	if (error != 0) {
		close(fd);
		free(path);
		return error;
	}
	heap_view_init(&control->heap);
	init_liveness(control);
	return 0;
}

void control_close(struct control *control)
{
	file_unmap(control->heap.control, control->bytes);
	shared_file_destroy(&control->file);
}
