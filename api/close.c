/* close.c -- sh_close(): the last handle of the process, the last process of the heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/close.h"

#include "api/detached.h"
#include "api/end_copy.h"
#include "api/open.h"
#include "api/read.h"
#include "api/table.h"
#include "api/thread.h"
#include "heap/growth.h"
#include "recovery/proof.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Drops one handle; whether it was the last one. */
static bool drop_handle(struct sh_heap *heap)
{
	bool last;

	table_lock();
	last = --heap->handles == 0;
	if (last)
		table_remove(heap);
	table_unlock();
	return last;
}

static int sync_file(int fd)
{
	while (fsync(fd) != 0)
		if (errno != EINTR)
			/* What write-back lost is lost: the file must not be called clean. */
			return EIO;
	return 0;
}

/* Writes the clean mark and nothing after it. */
static int mark_clean(struct sh_heap *heap, int fd)
{
	struct superblock superblock;
	struct file_identity identity;
	uint64_t bytes;
	int copies;
	int error = file_identify(fd, &identity, &bytes);

	growth_bump_stamp(&heap->heap);
	if (error == 0)
		error = sync_file(fd);
	if (error == 0)
		error = superblock_read(heap->heap.base, bytes, &superblock, &copies);
	if (error != 0)
		return error;
	superblock.clean = 1;
	superblock.end_copy = end_copy_reserve(fd, proof_end(&heap->heap));
	superblock_seal(&superblock);
	error = end_copy_write(fd, &superblock);
	if (error != 0)
		return error;
	superblock_put(heap->heap.base, &superblock);
	/* Crash before, and between the copies: unclean, and the control file proves the run. */
	return sync_file(fd);
}

/* Under the opening lock that `fd` carries: the one who finds nobody attached who could write, after
 * letting go, is the last one out. Those who only read change nothing in the file: it is clean while
 * they go on. Crash: unclean, P2. */
static int detach_locked(struct sh_heap *heap, int fd)
{
	bool writing;
	bool reaped;
	int error;

	lock_holder_drop(&heap->attached);
	error = byte_lock_test(fd, BYTE_WRITING, &writing);
	if (error != 0 || writing)
		return error;
	error = thread_reap_alone(heap, &reaped);
	/* With a slot in use the next one recovers: its process is on its way out still. */
	return error == 0 && reaped ? mark_clean(heap, fd) : error;
}

/* The handle's own description, or a new one after closefrom(3). */
static int take_opening_fd(struct sh_heap *heap, int *fd)
{
	*fd = heap->opening_fd;
	heap->opening_fd = FILE_NONE;
	if (file_is(*fd, &heap->heap_file.identity))
		return 0;
	return file_open(heap->heap_file.path, O_RDWR, &heap->heap_file.identity, fd);
}

/* What a process does that wrote, or could have. */
static int detach(struct sh_heap *heap)
{
	int fd;
	int error = take_opening_fd(heap, &fd);

	if (error == 0) {
		/* Most of the work without the lock, so that openers wait for the rest only. */
		error = sync_file(fd);
		if (error == 0)
			error = byte_lock_wait(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OPENING);
		if (error == 0)
			error = detach_locked(heap, fd);
	}
	attach_unregister(heap);
	if (fd >= 0)
		close(fd);
	return error;
}

/* A thread without a slot cannot take the lock; the stamp then tells of this process no more than
 * of one that dies. */
static void bump_stamp(struct sh_heap *heap)
{
	int error;
	struct thread_state *state = thread_here(heap, &error);

	if (state != NULL)
		handle_bump_stamp(heap, &state->thread);
}

static int close_last(struct sh_heap *heap)
{
	int error = 0;

	if (handle_refuses(heap) == 0) {
		bump_stamp(heap);
		detached_drop_idle(heap);
		thread_leave_all(heap);
		error = detach(heap);
	} else if (handle_refuses_reading(heap) == 0) {
		thread_leave_all(heap);
		attach_unregister(heap);
	}
	handle_destroy(heap);
	return error;
}

int close_handle(struct sh_heap *heap)
{
	return drop_handle(heap) ? close_last(heap) : 0;
}

/* Takes table_lock_open(): from then on nobody else changes the number of handles. 0, or EBUSY: the last
 * handle, and not idle. */
static int begin_closing(struct sh_heap *heap)
{
	const struct flavor_calls *flavor;
	bool drained = false;
	int error = 0;

	table_lock_open();
	while (error == 0 && heap->handles == 1) {
		if (heap->readers != NULL || detached_any_open(heap))
			return EBUSY;
		flavor = atomic_load_explicit(&heap->flavor, memory_order_relaxed);
		if (flavor == NULL || (drained && flavor->release(heap)))
			return 0;
		/* What is queued may call anything. */
		table_unlock_open();
		error = flavor->drain(heap);
		drained = true;
		table_lock_open();
	}
	return error;
}

int sh_close(struct sh_heap *heap)
{
	struct thread_state *state = thread_find(heap);
	int error;

	if (state != NULL && (state->txn.open || read_is_reading(heap)))
		return EBUSY;
	error = begin_closing(heap);
	if (error == 0)
		error = close_handle(heap);
	table_unlock_open();
	return error;
}
