/* ticket.c -- what a process needs to be attached, claimed before it uses the heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/ticket.h"

#include "api/handle.h"
#include "api/table.h"
#include "shm/slot.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

/* Below this many descriptors the application needs them more than we do. */
#define SPARES_NEED_FDS 1024u

static const struct ticket no_ticket = { SLOT_NONE, FILE_NONE, FILE_NONE, FILE_NONE };

uint32_t ticket_slots_left(const struct sh_heap *heap)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < heap->heap.process_slots; i++)
		if (atomic_load_explicit(&heap->heap.process_slot[i].owner, memory_order_acquire) ==
			0)
			left++;
	return left;
}

/* --- descriptions -------------------------------------------------------------------------- */

/* The numbers may be the application's by now: after closefrom(3). */
static void close_descriptions(struct sh_heap *heap, struct ticket *ticket)
{
	file_close_if(ticket->process_fd, &heap->control_file.identity);
	file_close_if(ticket->attached_fd, &heap->heap_file.identity);
	file_close_if(ticket->opening_fd, &heap->heap_file.identity);
	*ticket = no_ticket;
}

static int open_descriptions(struct sh_heap *heap, struct ticket *ticket)
{
	int error;

	*ticket = no_ticket;
	error = shared_file_open(&heap->control_file, &ticket->process_fd);
	if (error == 0)
		error = shared_file_open(&heap->heap_file, &ticket->attached_fd);
	if (error == 0)
		error = shared_file_open(&heap->heap_file, &ticket->opening_fd);
	if (error != 0)
		close_descriptions(heap, ticket);
	else
		ticket->opening_fd = file_raise(ticket->opening_fd);
	return error;
}

static bool take_spare(struct sh_heap *heap, struct ticket *ticket)
{
	for (unsigned i = 0; i < TICKET_SPARES; i++) {
		*ticket = heap->spares[i];
		heap->spares[i] = no_ticket;
		if (file_is(ticket->process_fd, &heap->control_file.identity) &&
			file_is(ticket->attached_fd, &heap->heap_file.identity) &&
			file_is(ticket->opening_fd, &heap->heap_file.identity))
			return true;
		close_descriptions(heap, ticket);
	}
	return false;
}

/* --- spares -------------------------------------------------------------------------------- */

/* Whether it is somebody whose rights change: the superuser, or a program with a set-id bit. */
static bool may_lose_rights(void)
{
	uid_t uids[3];
	gid_t gids[3];

	if (geteuid() == 0)
		return true;
	if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 ||
		getresgid(&gids[0], &gids[1], &gids[2]) != 0)
		return false;
	return uids[0] != uids[1] || uids[1] != uids[2] || gids[0] != gids[1] || gids[1] != gids[2];
}

static bool has_many_descriptors(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= SPARES_NEED_FDS;
}

void ticket_init_spares(struct sh_heap *heap)
{
	for (unsigned i = 0; i < TICKET_SPARES; i++)
		heap->spares[i] = no_ticket;
}

void ticket_keep_spares(struct sh_heap *heap)
{
	if (!may_lose_rights() || !has_many_descriptors())
		return;
	for (unsigned i = 0; i < TICKET_SPARES; i++) {
		struct ticket *spare = &heap->spares[i];

		if (open_descriptions(heap, spare) != 0)
			return;
		spare->process_fd = file_raise(spare->process_fd);
		spare->attached_fd = file_raise(spare->attached_fd);
	}
}

void ticket_drop_spares(struct sh_heap *heap)
{
	for (unsigned i = 0; i < TICKET_SPARES; i++)
		close_descriptions(heap, &heap->spares[i]);
}

/* --- claiming ------------------------------------------------------------------------------ */

static int claim_process(struct sh_heap *heap, struct ticket *ticket)
{
	int error = 0;

	ticket->process = presence_claim(heap->heap.header, heap->heap.process_slot,
		ticket->process_fd, handle_next_serial(heap), &error);
	if (ticket->process != SLOT_NONE)
		return 0;
	return error == EBUSY ? SH_ESLOTS : error;
}

static int lock_attached(const struct sh_heap *heap, int fd)
{
	int error = byte_lock_set(fd, BYTE_LOCK_SHARED, BYTE_ATTACHED);

	if (error == 0 && !heap->read_only)
		error = byte_lock_set(fd, BYTE_LOCK_SHARED, BYTE_WRITING);
	return error;
}

int ticket_claim(struct sh_heap *heap, struct ticket *ticket)
{
	int error = open_descriptions(heap, ticket);

	if (error != 0 && !take_spare(heap, ticket))
		return error;
	error = claim_process(heap, ticket);
	if (error == 0) {
		error = lock_attached(heap, ticket->attached_fd);
		if (error == 0)
			return 0;
		atomic_store_explicit(&heap->heap.process_slot[ticket->process].owner, 0,
			memory_order_release);
	}
	close_descriptions(heap, ticket);
	return error;
}

void ticket_drop(struct ticket *ticket)
{
	if (ticket->process == SLOT_NONE)
		return;
	close(ticket->opening_fd);
	close(ticket->process_fd);
	close(ticket->attached_fd);
	*ticket = no_ticket;
}

/* --- redeeming ----------------------------------------------------------------------------- */

int ticket_redeem(struct sh_heap *heap, struct ticket *ticket)
{
	struct presence *presence = NULL;
	struct lock_holder byte;
	uint32_t process = ticket->process;
	int fd = shared_file_use(&heap->control_file);
	int error = lock_holder_keep(&byte, ticket->process_fd, heap->pins_control);

	ticket->process = SLOT_NONE;
	heap->opening_fd = ticket->opening_fd;
	if (error != 0) {
		close(ticket->attached_fd);
		return error;
	}
	error = lock_holder_keep(&heap->attached, ticket->attached_fd, heap->pins_heap);
	if (error == 0)
		error = fd < 0 ? -fd
			       : presence_create(&presence, heap->heap.header, fd, process, &byte);
	if (error != 0) {
		/* The slot of a dead process, to the others. */
		lock_holder_drop(&heap->attached);
		lock_holder_drop(&byte);
		return error;
	}
	atomic_store_explicit(&heap->heap.process_slot[process].pid, (uint64_t)getpid(),
		memory_order_relaxed);
	heap->liveness.own_process = process;
	table_lock();
	table_add_presence(presence);
	heap->presence = presence;
	table_unlock();
	return 0;
}
