/* handle.h -- an open heap of this process
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Lock order in the process: table_lock_open() -> table_lock(). All locks in shared memory are
 * inside both, except that nothing in shared memory is waited for under table_lock(). */
#ifndef SPANHEAP_HANDLE_H
#define SPANHEAP_HANDLE_H

#include "api/ticket.h"
#include "heap/heap.h"
#include "recovery/superblock.h"
#include "shm/byte_lock.h"
#include "shm/file.h"
#include "shm/liveness.h"

#include <errno.h>
#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct thread_state;

/* What closing a heap asks of its flavor of liburcu (api/urcu.c, which a build may leave out).
 *
 * drain: does what is queued, and ends the thread for that. 0, or EBUSY: the caller cannot wait.
 * release: lets go of the heap; false: something is queued, or somebody is at it. Never waits. */
struct flavor_calls {
	int (*drain)(struct sh_heap *heap);
	bool (*release)(struct sh_heap *heap);
};

/* How many ended detached transactions a process keeps per heap, slots and all. */
#define DETACHED_IDLE 8u

/* Process. Constant after sh_open() but where a field says otherwise. */
struct sh_heap {
	struct heap heap; /* first: sh_base() reads its first word */
	bool read_only;   /* the heap file is mapped PROT_READ: a store to it is a SIGSEGV */
	/* It has the control file, a process slot and BYTE_ATTACHED. Without: read-only, and nobody had the
	 * heap open. */
	bool in_run;
	bool pins_heap; /* see lock_holder_probe() */
	bool pins_control;
	bool not_for_children; /* SH_FORK_DONTFORK */
	sh_slow_reader_fn *slow_reader;
	void *slow_reader_argument;
	uint64_t slow_reader_ns;
	_Atomic uint64_t slow_reader_told_ns; /* when it was called last; by anybody */
	/* The fork child could not attach: the mappings are inaccessible. Set in the child only. */
	bool lost;
	uint64_t control_bytes;
	struct shared_file heap_file;
	struct shared_file control_file;
	/* A description that no other process shares, to take the opening lock at the end: by then
	 * the process may have dropped the right to open the file. Not used when read-only. */
	int opening_fd;
	struct lock_holder attached;
	struct liveness liveness;
	struct ticket ticket; /* of the child, between the fork handlers */
	struct ticket spares[TICKET_SPARES];
	/* The control file of the run before, whose pages are let go of when there is time: FILE_NONE
	 * when there was none. */
	int old_control_fd;
	struct file_identity old_control;
	struct reap_counts counts; /* of the recovery or reaping at open */
	uint64_t recovery_ns;
	_Atomic(struct thread_state *) idle[DETACHED_IDLE]; /* see api/detached.h */
	_Atomic(const struct flavor_calls *) flavor;        /* NULL: it has none */
	/* --- under table_lock() */
	struct sh_heap *next;
	unsigned handles;
	struct presence *presence;
	struct sh_reader *readers;     /* that no thread owns */
	struct thread_state *threads;  /* of this process */
	struct thread_state *detached; /* the same of detached transactions, idle ones, too */
	unsigned leaving;              /* threads that are giving back what they hold */
};

/* The first error that a call on the handle meets: EROFS, or ECHILD in a child that could not
 * attach; 0 when it may write. */
static inline int handle_refuses(const struct sh_heap *heap)
{
	if (heap->lost)
		return ECHILD;
	return heap->read_only ? EROFS : 0;
}

/* The same of calls that read in sections. */
static inline int handle_refuses_reading(const struct sh_heap *heap)
{
	if (heap->lost)
		return ECHILD;
	return heap->in_run ? 0 : EROFS;
}

/* A number that the heap never gave out before: see shm/tag.h. */
static inline uint64_t handle_next_serial(struct sh_heap *heap)
{
	_Atomic uint64_t *counter = heap->read_only ? &heap->heap.header->next_reader_serial
						    : &heap->heap.running->next_serial;
	uint64_t serial;

	do {
		uint64_t count = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;

		serial = heap->read_only ? tag_reader_serial(count) : tag_writer_serial(count);
	} while (serial == 0);
	return serial;
}

/* Marks both files as changed by attach or detach, under the growth lock: two threads that bump at
 * once could leave the stamps further apart than open accepts. */
void handle_bump_stamp(struct sh_heap *heap, struct thread *thread);

/* What the heap calls to ask for liveness, and to back its files. Sets heap->heap.system. */
void handle_system_init(struct sh_heap *heap);

/* Unmaps and closes what is open, and frees the handle. No lock or slot is held any more. */
void handle_destroy(struct sh_heap *heap);

#endif
