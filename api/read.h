/* read.h -- read sections of threads, and readers that no thread owns
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The section of the heap that a thread read last is at hand in thread-local memory, for the inline
 * functions of spanheap.h. Its state points there, so that whoever closes the heap can take it away. */
#ifndef SPANHEAP_READ_H
#define SPANHEAP_READ_H

#include "api/thread.h"

/* Process. What sh_reader_open() hands out.
 *
 * nowhere: what the section refers to in a fork child, whose parent's slot it was. */
struct sh_reader {
	struct sh_section section; /* first: the inline functions know */
	struct sh_heap *heap;      /* NULL in a fork child */
	uint32_t slot;
	uint64_t tag;
	uint64_t nowhere;
	uint32_t nobody;
	struct sh_reader *next; /* of the heap; under table_lock() */
};

/* Whether the calling thread is in a section of the heap. */
bool read_is_reading(const struct sh_heap *heap);

/* For who looks at spans of others: the calling thread's state, in whose sections it looks, or NULL with a
 * handle that has none. 0, or ECHILD, ENOMEM, SH_ESLOTS. */
int read_begin_looking(struct sh_heap *heap, struct thread_state **state);
void read_end_looking(struct thread_state *state);

static inline struct thread *read_looker(struct thread_state *state)
{
	return state == NULL ? NULL : &state->thread;
}

/* Tells the application of a slow reader, if it wants to know, and not too often: heap->heap.slow_reader. */
void read_tell_slow(struct thread *thread, uint32_t slot);

/* The state's thread no longer has the heap's section at hand. By the thread, or by the closer, who runs
 * when the thread is idle. */
void read_forget(const struct thread_state *state, const struct sh_heap *heap);

/* In a fork child: forgets the readers of the parent, and the section of the calling thread. */
void read_forget_all(struct sh_heap *heap);

#endif
