/* fork.c -- a fork child attaches as a process of its own
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/fork.h"

#include "api/open.h"
#include "api/table.h"
#include "api/thread.h"
#include "shm/slot.h"

#include <pthread.h>
#include <sys/mman.h>

/* The dead may fill the process slots. */
static void make_room(struct sh_heap *heap)
{
	int error = 0;
	struct thread_state *state =
		ticket_slots_left(heap) < 2 ? thread_reading(heap, &error) : NULL;

	if (state != NULL)
		heap->heap.reap(&state->thread);
}

static void claim_for_child(struct sh_heap *heap)
{
	heap->ticket.process = SLOT_NONE;
	if (heap->not_for_children)
		return;
	/* The last slot is not for children. Without a ticket the child cannot attach. */
	if (handle_refuses_reading(heap) == 0 && ticket_slots_left(heap) >= 2)
		ticket_claim(heap, &heap->ticket);
}

/* Without others, a process that only reads has no control file. */
static void lock_files(struct sh_heap *heap)
{
	shared_file_lock(&heap->heap_file);
	if (heap->in_run)
		shared_file_lock(&heap->control_file);
}

static void unlock_files(struct sh_heap *heap)
{
	if (heap->in_run)
		shared_file_unlock(&heap->control_file);
	shared_file_unlock(&heap->heap_file);
}

static void before_fork(void)
{
	table_lock_open();
	for (struct sh_heap *heap = table_first(); heap != NULL; heap = heap->next)
		if (handle_refuses_reading(heap) == 0 && !heap->not_for_children)
			make_room(heap);
	table_lock();
	for (struct sh_heap *heap = table_first(); heap != NULL; heap = heap->next) {
		claim_for_child(heap);
		lock_files(heap);
	}
}

static void in_parent(void)
{
	for (struct sh_heap *heap = table_first(); heap != NULL; heap = heap->next) {
		unlock_files(heap);
		ticket_drop(&heap->ticket);
	}
	table_unlock();
	table_unlock_open();
}

static void lose(struct sh_heap *heap)
{
	heap->lost = true;
	mprotect(heap->heap.base, heap->heap.max_bytes, PROT_NONE);
	mprotect(heap->heap.control, heap->control_bytes, PROT_NONE);
}

/* The mappings are not there, and something else may come to be: nothing must touch or unmap it. */
static void leave_out(struct sh_heap *heap)
{
	heap->lost = true;
	heap->heap.base = NULL;
	heap->heap.control = NULL;
}

static void attach_child(struct sh_heap *heap)
{
	heap->presence = NULL;
	if (heap->not_for_children)
		leave_out(heap);
	if (!heap->in_run || (heap->lost && !heap->not_for_children))
		return;
	lock_holder_forget(&heap->attached);
	/* Their descriptions are the parent's, too. */
	file_close_if(heap->opening_fd, &heap->heap_file.identity);
	heap->opening_fd = FILE_NONE;
	ticket_drop_spares(heap);
	file_close_if(heap->old_control_fd, &heap->old_control);
	heap->old_control_fd = FILE_NONE;
	if (heap->not_for_children)
		return;
	if (heap->ticket.process == SLOT_NONE || ticket_redeem(heap, &heap->ticket) != 0)
		lose(heap);
	else
		ticket_keep_spares(heap);
}

static void in_child(void)
{
	table_forget_waiters();
	for (struct sh_heap *heap = table_first(); heap != NULL; heap = heap->next)
		unlock_files(heap);
	thread_forget_all();
	table_forget_presences();
	table_unlock();
	for (struct sh_heap *heap = table_first(); heap != NULL; heap = heap->next)
		attach_child(heap);
	table_unlock_open();
}

int fork_module_init(void)
{
	static bool done;
	int error = done ? 0 : pthread_atfork(before_fork, in_parent, in_child);

	done = error == 0;
	return error;
}
