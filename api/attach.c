/* attach.c -- joining those who use the heap; a place in the control file
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/control.h"
#include "api/end_copy.h"
#include "api/open.h"
#include "api/table.h"
#include "recovery/place.h"
#include "recovery/proof.h"
#include "recovery/reap.h"
#include "recovery/recover.h"
#include "shm/order.h"
#include "shm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* More than a heap gives out, and more often than it is opened, between the moments that a mixture is of. */
#define SALVAGE_SERIALS (UINT64_C(1) << 32)
#define SALVAGE_INCARNATIONS (UINT64_C(1) << 16)

/* --- mapping ------------------------------------------------------------------------------- */

/* A description of its own: the mapping refers to it as long as the heap is open, and the one that
 * carries the opening lock must end. */
static int keep_heap_file(struct sh_heap *heap, const struct opening *opening)
{
	int flags = heap->read_only ? O_RDONLY : O_RDWR;
	char *path = strdup(opening->path);
	int fd = FILE_NONE;
	int error = path == NULL ? ENOMEM : file_open(path, flags, &opening->identity, &fd);

	if (error == 0) {
		error = shared_file_init(&heap->heap_file, path, flags, fd);
		if (error != 0)
			close(fd);
	}
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

/* --- barriers ------------------------------------------------------------------------------ */

/* What the others rely on, this process must be able to do. */
static int join_barrier(struct sh_heap *heap)
{
	if (heap->heap.rcu.words->fences) {
		heap->heap.system.order_all = NULL;
		return 0;
	}
	return system_order_register() == 0 ? 0 : SH_EBARRIER;
}

static void choose_barrier(struct sh_heap *heap, const struct opening *opening)
{
	if (opening->options->barrier == SH_BARRIER_READER || system_order_register() != 0)
		heap->heap.system.order_all = NULL;
}

/* --- the clean mark ------------------------------------------------------------------------ */

/* Puts copy A of the superblock on the disk, and nothing else: what the dead left unwritten, which
 * may be gigabytes, is none of our business now.
 *
 * That is enough for "the mark is gone before anything else is stored". msync(2) of a range writes
 * its pages, whatever the file system needs to find them again, and has the disk empty its cache
 * before it returns. And a file is called clean only when both copies agree, so one of them, new or
 * torn, takes the mark away. */
static int sync_mark(const struct sh_heap *heap)
{
	return msync(heap->heap.base, SUPERBLOCK_STRIDE, MS_SYNC) == 0 ? 0 : file_error();
}

/* Takes the mark away, and says so on the disk before anything else changes. */
static int clear_mark(struct sh_heap *heap, struct opening *opening)
{
	int error;

	opening->superblock.clean = 0;
	opening->superblock.end_copy = 0;
	superblock_write(heap->heap.base, &opening->superblock);
	/* Crash: unclean, and the control file proves the run; recovered by the next one. */
	error = sync_mark(heap);
	return error != 0 ? error : end_copy_wipe(opening->fd, proof_end(&heap->heap));
}

/* --- joining the others -------------------------------------------------------------------- */

/* The last one who could write marked the file clean, and only readers stayed. The run goes on: what the
 * control file says is what that one left. */
static int resume_run(struct sh_heap *heap, struct opening *opening)
{
	return opening->superblock.clean == 1 ? clear_mark(heap, opening) : 0;
}

int attach_to_running(struct sh_heap *heap, struct opening *opening)
{
	char *path;
	int fd;
	int error = control_open_theirs(opening, &path, &fd);

	if (error != 0)
		return error;
	error = map_heap(heap, opening, (opening->flags & SH_RDONLY) == 0);
	if (error != 0) {
		close(fd);
		free(path);
		return error;
	}
	error = control_map(heap, path, fd);
	if (error == 0)
		error = join_barrier(heap);
	if (error == 0 && !heap->read_only)
		error = resume_run(heap, opening);
	return error;
}

/* --- alone --------------------------------------------------------------------------------- */

/* P2, proved: see open.h. 0; SH_ETORN; SH_ECONTROL: the proof is one that anybody could make; or an errno:
 * it could not be read. */
static int prove_same_run_at(const struct sh_heap *heap, const struct opening *opening,
	bool *only_began)
{
	const struct superblock *superblock = &opening->superblock;
	uint64_t stamp = atomic_load_explicit(&heap->heap.running->stamp, memory_order_relaxed);
	struct control_header header;
	char boot_id[BOOT_ID_BYTES];
	int error = control_read_left(opening, &header);

	if (error == 0)
		error = superblock_boot_id(boot_id);
	if (error != 0)
		return error;
	*only_began = proof_only_began(superblock, opening->copies, &header);
	return proof_gap(superblock, opening->copies, stamp, &header, boot_id) == NULL ? 0
										       : SH_ETORN;
}

/* And the control file stays where the proof is. A place that could not be read may have it. */
static int prove_same_run(const struct sh_heap *heap, struct opening *opening, bool *only_began)
{
	int result = SH_ETORN;

	for (unsigned place = 0; place < CONTROL_PLACES; place++) {
		int error;

		control_place(opening, place);
		error = prove_same_run_at(heap, opening, only_began);
		if (error == 0)
			return 0;
		if (place == 0 || error > 0)
			result = error;
	}
	return result;
}

/* 0 or an errno. */
static int find_clean(const struct sh_heap *heap, const struct opening *opening, bool *clean)
{
	*clean = opening->superblock.clean == 1 && opening->copies == 2 &&
		proof_directory_inside(&heap->heap, opening->bytes) &&
		recover_arenas_older(&heap->heap, &opening->superblock);
	if (!*clean)
		return 0;
	return end_copy_agrees(opening->fd, &opening->superblock, proof_end(&heap->heap), clean);
}

/* 0 or an errno. */
static int begin_run(struct superblock *superblock)
{
	superblock_random(superblock->nonce, sizeof(superblock->nonce));
	return superblock_boot_id(superblock->boot_id);
}

/* The same of a file that was closed. */
static int begin_run_of_closed(struct opening *opening)
{
	opening->begins = true;
	memcpy(opening->nonce_before, opening->superblock.nonce, sizeof(opening->nonce_before));
	return begin_run(&opening->superblock);
}

/* Makes a torn file as long as its directory says, so that no access leads behind its end. */
static int lengthen(const struct sh_heap *heap, const struct opening *opening)
{
	uint64_t needed = proof_end(&heap->heap);

	if (needed <= opening->bytes)
		return 0;
	return file_back(opening->fd, opening->bytes, needed - opening->bytes);
}

/* Names that a torn file may hold from a time after its superblock must not come again: what
 * carries an incarnation would count as of this one, and the tags of the dead as those of the
 * living. The arenas' headers alone do not tell how far to go: each page of the file is of a time of its own. */
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
	superblock->incarnation += SALVAGE_INCARNATIONS;
	atomic_fetch_add_explicit(&heap->heap.running->next_serial, SALVAGE_SERIALS,
		memory_order_relaxed);
}

static int prepare_salvage(struct sh_heap *heap, struct opening *opening)
{
	int error = lengthen(heap, opening);

	if (error != 0)
		return error;
	error = begin_run(&opening->superblock);
	if (error != 0)
		return error;
	opening->salvages = true;
	opening->begins = false;
	control_place_new(opening);
	skip_names(heap, &opening->superblock);
	recover_forget_zeros(&heap->heap);
	return 0;
}

/* Which of the cases of open.h it is; 0 when the heap may be recovered. */
static int judge(struct sh_heap *heap, struct opening *opening)
{
	bool only_began = false;
	bool clean;
	int error = find_clean(heap, opening, &clean);

	if (error != 0)
		return error;
	if (clean) {
		control_place_new(opening);
		error = begin_run_of_closed(opening);
		if (error != 0)
			return error;
		/* Crash: clean still. */
		return end_copy_cut(opening->fd, &opening->superblock, proof_end(&heap->heap),
			opening->bytes);
	}
	opening->recovers = true;
	error = prove_same_run(heap, opening, &only_began);
	if (error == 0 && only_began)
		error = begin_run_of_closed(opening);
	if (error == 0 && !proof_directory_inside(&heap->heap, opening->bytes))
		error = SH_EBADHEAP;
	/* What could not be read may be whole. */
	if (error >= 0 || !(opening->flags & SH_SALVAGE))
		return error;
	return prepare_salvage(heap, opening);
}

/* From here on the file is not clean, and says so on the disk before anything else changes. */
static int begin_incarnation(struct sh_heap *heap, struct opening *opening)
{
	int error;

	/* Of the same run it stays as it is. */
	if (!opening->recovers || opening->salvages)
		place_write(heap->heap.base, opening->control_directory);
	/* Crash: clean, and what it says of the control file is of no account. */
	crash_order();
	opening->superblock.incarnation++;
	heap->heap.incarnation = opening->superblock.incarnation;
	error = clear_mark(heap, opening);
	if (error == 0)
		recover_stamp_arenas(&heap->heap);
	return error;
}

/* For sh_stats(), whoever calls it. Crash: nobody is attached; recovered and told anew. */
static void record_recovery(struct sh_heap *heap)
{
	struct recovery_record *record = &heap->heap.derived->recovery;

	static_assert(sizeof(heap->counts) == sizeof(record->counts),
		"the record holds the counts");
	record->recovered = 1;
	record->nanoseconds = heap->recovery_ns;
	memcpy(record->counts, &heap->counts, sizeof(heap->counts));
}

static int run_recovery(struct sh_heap *heap, struct opening *opening)
{
	struct recovery recovery = {
		.trusts = !opening->salvages,
		.progress = opening->options->progress,
		.progress_argument = opening->options->progress_argument,
	};
	uint64_t start = system_now_ns(NULL);
	struct thread *thread = malloc(sizeof(*thread));

	if (thread == NULL)
		return ENOMEM;
	recover(&heap->heap, &opening->superblock, thread, &recovery);
	if (opening->recovers) {
		heap->counts = thread->counts;
		heap->recovery_ns = system_now_ns(NULL) - start;
		record_recovery(heap);
	}
	free(thread);
	return 0;
}

int attach_alone(struct sh_heap *heap, struct opening *opening)
{
	int error = map_heap(heap, opening, true);

	if (error != 0)
		return error;
	heap_view_init(&heap->heap);
	choose_barrier(heap, opening);
	error = judge(heap, opening);
	if (error == 0)
		error = control_lay(heap, opening);
	if (error == 0)
		error = begin_incarnation(heap, opening);
	return error != 0 ? error : run_recovery(heap, opening);
}

/* --- read-only ----------------------------------------------------------------------------- */

int attach_to_nobody(struct sh_heap *heap, const struct opening *opening)
{
	bool clean = false;
	int error = map_heap(heap, opening, false);

	if (error != 0)
		return error;
	heap_view_init(&heap->heap);
	if (!proof_directory_inside(&heap->heap, opening->bytes))
		return opening->superblock.clean == 1 ? SH_EBADHEAP : EROFS;
	error = find_clean(heap, opening, &clean);
	return error == 0 && !clean ? EROFS : error;
}

/* --- a place in the control file ----------------------------------------------------------- */

static int probe(struct sh_heap *heap)
{
	int error = lock_holder_probe(heap->heap_file.path, &heap->heap_file.identity,
		&heap->pins_heap);

	if (error == 0)
		error = lock_holder_probe(heap->control_file.path, &heap->control_file.identity,
			&heap->pins_control);
	return error;
}

/* No lock excludes the others who probe the heap file without the right to write it. What holds of one file
 * holds of another on the same file system; elsewhere the descriptor is kept. */
static int probe_read_only(struct sh_heap *heap)
{
	int error = lock_holder_probe(heap->control_file.path, &heap->control_file.identity,
		&heap->pins_control);

	heap->pins_heap = heap->pins_control &&
		heap->control_file.identity.device == heap->heap_file.identity.device;
	return error;
}

static int register_alone(struct sh_heap *heap)
{
	struct ticket ticket;
	int error = heap->read_only ? probe_read_only(heap) : probe(heap);

	if (error == 0)
		error = ticket_claim(heap, &ticket);
	if (error == 0)
		error = ticket_redeem(heap, &ticket);
	if (error == 0)
		ticket_keep_spares(heap);
	heap->in_run = error == 0;
	return error;
}

/* Processes that only read share the opening lock; this one they do not. */
static int register_read_only(struct sh_heap *heap)
{
	int fd;
	int error = shared_file_open(&heap->control_file, &fd);

	if (error != 0)
		return error;
	error = byte_lock_wait(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OPENING);
	if (error == 0)
		error = register_alone(heap);
	close(fd);
	return error;
}

int attach_register(struct sh_heap *heap)
{
	return heap->read_only ? register_read_only(heap) : register_alone(heap);
}

void attach_unregister(struct sh_heap *heap)
{
	lock_holder_drop(&heap->attached);
	table_lock();
	table_put_presence(heap->presence);
	heap->presence = NULL;
	table_unlock();
}
