/* toy.h -- small protocols, right and wrong, that the explorer is tested on
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The toy_*.c files are compiled with the hook, like a library under test. */
#ifndef MODEL_TOY_H
#define MODEL_TOY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOY_PROCESSES 4

/* Shared memory. Counters that processes add to. */
struct toy_counter {
	uint64_t plain;
	_Atomic uint64_t atomic;
};

void toy_counter_add_plain(struct toy_counter *counter);
void toy_counter_add_atomic(struct toy_counter *counter);

/* Shared memory. 0: free; else 1 + the holder. `dead` is written by the kernel. */
struct toy_locks {
	_Atomic uint32_t words[2];
	_Atomic uint32_t dead[TOY_PROCESSES];
	uint32_t guarded[2];
};

void toy_lock(struct toy_locks *locks, unsigned which, unsigned process);
void toy_lock_with_takeover(struct toy_locks *locks, unsigned which, unsigned process);
void toy_lock_spinning(struct toy_locks *locks, unsigned which, unsigned process);
void toy_unlock(struct toy_locks *locks, unsigned which);

#define TOY_RECORD_BYTES 32

/* Heap file. The current record is records[chosen]. */
struct toy_records {
	unsigned char records[2][TOY_RECORD_BYTES];
	_Atomic uint64_t chosen;
};

void toy_record_overwrite(struct toy_records *records, unsigned char fill);
void toy_record_switch(struct toy_records *records, unsigned char fill);
bool toy_record_is_whole(const struct toy_records *records);

#define TOY_SLOTS 4
#define TOY_ROOTS 2
#define TOY_SLOT_BYTES 16

enum toy_owner { TOY_FREE, TOY_LIVE, TOY_CLAIMED = 0x100, TOY_FREEING = 0x200 };
enum toy_step { TOY_CLOSED, TOY_CLAIMING, TOY_PUBLISHING, TOY_RELEASING };

/* Heap file. What a process is about to do, for whoever finishes it. One writer: the process, or
 * after its death its reaper. Numbers of slots count from 1. */
struct toy_intent {
	_Atomic uint64_t step;
	uint64_t slot;
	uint64_t root;
	uint64_t old_slot;
};

/* Heap file. owners[] is TOY_FREE, TOY_LIVE, or TOY_CLAIMED or TOY_FREEING plus a process. */
struct toy_heap {
	struct toy_intent intents[TOY_PROCESSES];
	_Atomic uint64_t owners[TOY_SLOTS];
	_Atomic uint64_t roots[TOY_ROOTS];
	unsigned char data[TOY_SLOTS][TOY_SLOT_BYTES];
};

/* Process. */
struct toy_context {
	uint64_t first_slot; /* where the search for a free slot begins */
	uint64_t replaced;
};

void toy_heap_initialise(struct toy_heap *heap);

/* Puts a new slot in the place of the root's, and frees the old one. Two processes may not replace
 * the same root at once. */
void toy_replace(struct toy_heap *heap, struct toy_context *context, unsigned process,
	uint64_t root, unsigned char fill, bool conditional);

/* Finishes or undoes what a dead process was about to do. */
void toy_reap(struct toy_heap *heap, unsigned dead, bool conditional);

/* NULL, or the rule that is broken. `at_rest`: nobody is at work. */
const char *toy_heap_check(const struct toy_heap *heap, bool at_rest);

/* Stores 1, 2, .. count to words that no other process uses. */
void toy_count_alone(_Atomic uint64_t *words, unsigned count);

/* Shared memory. */
struct toy_mixture {
	_Atomic uint8_t byte;
	_Atomic uint16_t half;
	_Atomic uint32_t word;
	_Atomic uint64_t longword;
	_Atomic bool flag;
	unsigned char bytes[40];
	uint64_t words[4];
};

/* Every atomic operation of every size, and copies of odd sizes at odd places. False: one of them
 * did not do what it should. */
bool toy_mixture_use(struct toy_mixture *mixture);

/* Whether it was alive, had stored, and was dead, seen in this order. */
bool toy_saw_store_before_death(const volatile uint64_t *dead, const _Atomic uint64_t *word);

/* Leaves traces of what it saw on the stack, in a frame that it does not initialise. */
void toy_dirty_stack(_Atomic uint64_t *word);

/* Loops that never end, and code that faults or keeps something where it should not. */
void toy_store_for_ever(_Atomic uint64_t *word);
void toy_wait_for_ever(const _Atomic uint64_t *word);
void toy_fault(_Atomic uint64_t *word);
void toy_recurse(_Atomic uint64_t *word);
void toy_store_untracked(void);

#endif
