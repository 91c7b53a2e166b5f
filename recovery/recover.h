/* recover.h -- deriving the control file from the heap file; finishing what the dead left
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For a heap that nobody uses: the caller holds the opening lock, and nobody is attached. Every store
 * to the heap file follows the protocols of running processes, so a recovery that dies is begun
 * again, and a second recovery changes nothing.
 *
 * Cost: metadata pages, never objects. Spans are put in order when somebody first touches them. */
#ifndef SPANHEAP_RECOVER_H
#define SPANHEAP_RECOVER_H

#include "heap/heap.h"

#include <spanheap.h>

/* Process. What recovery found and did, besides what it counts in thread->counts. */
struct recovery {
	/* The file is proved to be as its last users left it: records of spans of objects are looked at
	 * when somebody first touches the span. Otherwise all are, and the spans table is mended. */
	bool trusts;
	uint64_t quarantined; /* spans whose record cannot be true: set aside */
	uint64_t spans;
	sh_problem_fn *problem; /* told of each quarantined span; may be NULL */
	void *problem_argument;
	sh_progress_fn *progress; /* may be NULL */
	void *progress_argument;
};

/* The slot that recovery itself works in: the last one, which slot_claim never gives out. */
static inline uint32_t recover_own_slot(uint32_t thread_slots)
{
	return thread_slots - 1;
}

/* Lays the control file of a new incarnation into zeroed memory of which the fixed part
 * (heap_control_fixed_bytes) and every arena's (heap_back_arenas) are backed, and recovers the heap file.
 *
 * heap_view_init was done; heap->incarnation is newer than any that touched the file, and the
 * superblock in the file says so already. `nonce`, `boot_id`, `heap_id` go into the control header;
 * its magic is written last. *thread is used for the work, in recover_own_slot; its counts tell. */
void recover(struct heap *heap, const struct superblock *superblock, struct thread *thread,
	struct recovery *recovery);

/* Forgets which pages hold zeros: of a torn file the marks may be older than the pages. */
void recover_forget_zeros(struct heap *heap);

/* Stamps every arena with the incarnation: after the clean mark was cleared and synced. */
void recover_stamp_arenas(struct heap *heap);

/* Whether no arena is stamped newer than the superblock: half of the proof that a file marked
 * clean is clean. */
bool recover_arenas_older(const struct heap *heap, const struct superblock *superblock);

/* What control_header.format says: the layout of everything in it, the C library's part included. */
uint64_t recover_control_format(const struct superblock *superblock);

#endif
