/* attach.c -- joining those who use the heap; a place in the control file
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/control.h"
#include "api/open.h"
#include "api/table.h"
#include "recovery/proof.h"
#include "recovery/reap.h"
#include "recovery/recover.h"
#include "shm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than a heap gives out between two syncs. */
#define SALVAGE_SERIALS (UINT64_C(1) << 32)

/* --- mapping ------------------------------------------------------------------------------- */

/* A description of its own: the mapping refers to it as long as the heap is open, and the one that
 * carries the opening lock must end. */
static int keep_heap_file(struct sh_heap *heap, const struct opening *opening)
{
	int flags = heap->read_only ? O_RDONLY : O_RDWR;
	char *path = strdup(opening->path);
	int fd = FILE_NONE;
	int error = path == NULL ? ENOMEM : file_open(path, flags, &opening->identity, &fd);

	if (error == 0)
		error = shared_file_init(&heap->heap_file, path, flags, fd);
	if (error != 0)
		free(path);
	return error;
}

/* Takes what the handle needs of the superblock, and maps the heap file. */
static int map_heap(struct sh_heap *heap, const struct opening *opening, bool writable)
{
	const struct superblock *superblock = &opening->superblock;
	int error;

	heap->read_only = !writable;
	heap->heap.max_bytes = superblock->max_bytes;
	heap->heap.incarnation = superblock->incarnation;
	heap->heap.process_slots = superblock->process_slot_count;
	heap->heap.thread_slots = superblock->thread_slot_count;
	handle_system_init(heap);
	error = keep_heap_file(heap, opening);
	if (error == 0)
		error = file_map(heap->heap_file.fd, superblock->max_bytes, writable,
			&heap->heap.base);
	return error;
}

/* --- joining the others -------------------------------------------------------------------- */

int attach_to_running(struct sh_heap *heap, const struct opening *opening)
{
	char *path;
	int fd;
	int error = control_open_theirs(opening, &path, &fd);

	if (error != 0)
		return error;
	error = map_heap(heap, opening, true);
	if (error != 0) {
		close(fd);
		free(path);
		return error;
	}
	return control_map(heap, path, fd);
}

/* --- alone --------------------------------------------------------------------------------- */

/* P2, proved: see open.h. */
static bool is_same_run(const struct sh_heap *heap, const struct opening *opening)
{
	const struct superblock *superblock = &opening->superblock;
	uint64_t stamp = atomic_load_explicit(&heap->heap.running->stamp, memory_order_relaxed);
	struct control_header header;

	return control_read_left(opening, &header) && proof_gap(superblock, stamp, &header) == NULL;
}

static bool is_clean(const struct sh_heap *heap, const struct opening *opening)
{
	return opening->superblock.clean == 1 && opening->copies == 2 &&
		proof_directory_inside(&heap->heap, opening->bytes) &&
		recover_arenas_older(&heap->heap, &opening->superblock);
}

static void begin_run(struct superblock *superblock)
{
	superblock_random(superblock->nonce, sizeof(superblock->nonce));
	superblock_boot_id(superblock->boot_id);
}

/* Makes a torn file as long as its directory says, so that no access leads behind its end. */
static int lengthen(const struct sh_heap *heap, const struct opening *opening)
{
	uint64_t needed = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(&heap->heap); arena++) {
		uint64_t end = proof_arena_end(&heap->heap, arena);

		needed = end > needed ? end : needed;
	}
	if (needed <= opening->bytes)
		return 0;
	return file_back(opening->fd, opening->bytes, needed - opening->bytes);
}

/* Names that a torn file may hold from a time after its superblock must not come again: what
 * carries an incarnation would count as of this one, and the tags of the dead as those of the
 * living. */
static void skip_names(const struct sh_heap *heap, struct superblock *superblock)
{
	for (uint64_t arena = 0; arena < heap_arena_count(&heap->heap); arena++) {
		uint64_t seen = !arena_is_ordinary(&heap->heap, arena)
			? 0
			: atomic_load_explicit(&arena_header(&heap->heap, arena)->incarnation,
				  memory_order_relaxed);

		if (seen > superblock->incarnation)
			superblock->incarnation = seen;
	}
	atomic_fetch_add_explicit(&heap->heap.running->next_serial, SALVAGE_SERIALS,
		memory_order_relaxed);
}

static int prepare_salvage(struct sh_heap *heap, struct opening *opening)
{
	int error = lengthen(heap, opening);

	if (error != 0)
		return error;
	opening->salvages = true;
	begin_run(&opening->superblock);
	skip_names(heap, &opening->superblock);
	recover_forget_zeros(&heap->heap);
	return 0;
}

/* Which of the cases of open.h it is; 0 when the heap may be recovered. */
static int judge(struct sh_heap *heap, struct opening *opening)
{
	if (is_clean(heap, opening)) {
		begin_run(&opening->superblock);
		return 0;
	}
	opening->recovers = true;
	if (is_same_run(heap, opening)) {
		if (proof_directory_inside(&heap->heap, opening->bytes))
			return 0;
		if (!(opening->flags & SH_SALVAGE))
			return SH_EBADHEAP;
	}
	if (!(opening->flags & SH_SALVAGE))
		return SH_ETORN;
	return prepare_salvage(heap, opening);
}

/* From here on the file is not clean, and says so on the disk before anything else changes. */
static int begin_incarnation(struct sh_heap *heap, struct opening *opening)
{
	opening->superblock.clean = 0;
	opening->superblock.incarnation++;
	heap->heap.incarnation = opening->superblock.incarnation;
	superblock_write(heap->heap.base, &opening->superblock);
	/* Crash: unclean, and the control file proves the run; recovered by the next one. */
	if (fsync(opening->fd) != 0)
		return file_error();
	recover_stamp_arenas(&heap->heap);
	return 0;
}

static int run_recovery(struct sh_heap *heap, struct opening *opening)
{
	struct recovery recovery = {
		.progress = opening->options->progress,
		.progress_argument = opening->options->progress_argument,
	};
	uint64_t start = system_now_ns(NULL);
	struct thread *thread = malloc(sizeof(*thread));
	int error = thread == NULL ? ENOMEM
				   : recover(&heap->heap, &opening->superblock, thread, &recovery);

	if (error == 0 && opening->recovers) {
		heap->counts = thread->counts;
		heap->recovery_ns = system_now_ns(NULL) - start;
	}
	free(thread);
	return error;
}

int attach_alone(struct sh_heap *heap, struct opening *opening)
{
	int error = map_heap(heap, opening, true);

	if (error != 0)
		return error;
	heap_view_init(&heap->heap);
	error = judge(heap, opening);
	if (error == 0)
		error = control_lay(heap, opening);
	if (error == 0)
		error = begin_incarnation(heap, opening);
	return error != 0 ? error : run_recovery(heap, opening);
}

/* --- read-only ----------------------------------------------------------------------------- */

int attach_read_only(struct sh_heap *heap, const struct opening *opening, bool attached)
{
	int error = map_heap(heap, opening, false);

	if (error != 0)
		return error;
	heap_view_init(&heap->heap);
	/* While others run, the files only ever grow, and the arena count follows the backing. */
	if (!proof_directory_inside(&heap->heap, opening->bytes) && !attached)
		return opening->superblock.clean == 1 ? SH_EBADHEAP : EROFS;
	if (!attached && !is_clean(heap, opening))
		return EROFS;
	return 0;
}

/* --- a place in the control file ----------------------------------------------------------- */

uint32_t attach_slots_left(const struct sh_heap *heap)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < heap->heap.process_slots; i++)
		if (atomic_load_explicit(&heap->heap.process_slot[i].owner, memory_order_acquire) ==
			0)
			left++;
	return left;
}

static int claim_process(struct sh_heap *heap, struct fork_ticket *ticket)
{
	int error = file_open(heap->control_file.path, O_RDWR | O_NOFOLLOW,
		&heap->control_file.identity, &ticket->process_fd);

	if (error != 0)
		return error;
	ticket->process = presence_claim(heap->heap.header, heap->heap.process_slot,
		ticket->process_fd, handle_next_serial(heap), &error);
	if (ticket->process != SLOT_NONE)
		return 0;
	close(ticket->process_fd);
	return error == EBUSY ? SH_ESLOTS : error;
}

static int claim_attached(struct sh_heap *heap, struct fork_ticket *ticket)
{
	int error = file_open(heap->heap_file.path, O_RDWR, &heap->heap_file.identity,
		&ticket->attached_fd);

	if (error != 0)
		return error;
	error = byte_lock_set(ticket->attached_fd, BYTE_LOCK_SHARED, BYTE_ATTACHED);
	if (error != 0)
		close(ticket->attached_fd);
	return error;
}

static int open_opening(struct sh_heap *heap, struct fork_ticket *ticket)
{
	int error = file_open(heap->heap_file.path, O_RDWR, &heap->heap_file.identity,
		&ticket->opening_fd);

	if (error == 0)
		ticket->opening_fd = file_raise(ticket->opening_fd);
	return error;
}

static void free_process(struct sh_heap *heap, struct fork_ticket *ticket)
{
	atomic_store_explicit(&heap->heap.process_slot[ticket->process].owner, 0,
		memory_order_release);
	close(ticket->process_fd);
	ticket->process = SLOT_NONE;
}

int attach_claim(struct sh_heap *heap, struct fork_ticket *ticket)
{
	int error;

	ticket->process = SLOT_NONE;
	error = claim_process(heap, ticket);
	if (error != 0)
		return error;
	error = claim_attached(heap, ticket);
	if (error == 0) {
		error = open_opening(heap, ticket);
		if (error != 0)
			close(ticket->attached_fd);
	}
	if (error != 0)
		free_process(heap, ticket);
	return error;
}

void attach_drop_ticket(struct fork_ticket *ticket)
{
	if (ticket->process == SLOT_NONE)
		return;
	close(ticket->opening_fd);
	close(ticket->process_fd);
	close(ticket->attached_fd);
	ticket->process = SLOT_NONE;
}

int attach_redeem(struct sh_heap *heap, struct fork_ticket *ticket)
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

static int probe(struct sh_heap *heap)
{
	int error = lock_holder_probe(heap->heap_file.path, &heap->heap_file.identity,
		&heap->pins_heap);

	if (error == 0)
		error = lock_holder_probe(heap->control_file.path, &heap->control_file.identity,
			&heap->pins_control);
	return error;
}

int attach_register(struct sh_heap *heap)
{
	struct fork_ticket ticket;
	int error = probe(heap);

	if (error == 0)
		error = attach_claim(heap, &ticket);
	return error != 0 ? error : attach_redeem(heap, &ticket);
}

void attach_unregister(struct sh_heap *heap)
{
	lock_holder_drop(&heap->attached);
	table_lock();
	table_put_presence(heap->presence);
	heap->presence = NULL;
	table_unlock();
}
