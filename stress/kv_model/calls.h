/* calls.h -- the calls of spanheap.h that the store makes, of a model process
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A process has one thread, which has its slot from the beginning, and one transaction. What api/ does, these do in the
 * same order, without what belongs to handles, to slots that come and go, and to the system. A reader of a cursor is
 * the thread itself: sections nest. */
#ifndef KV_MODEL_CALLS_H
#define KV_MODEL_CALLS_H

#include "heap/heap.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct world;

/* Before anything else: the processes of this world make the calls. */
void calls_begin(struct world *world);

/* From here on calls are the process's, outside of its body; CALLS_BODY: of the process whose body is running. */
#define CALLS_BODY UINT_MAX
void calls_act_as(unsigned process);

/* The heap that sh_open() opens. */
void calls_set_heap(struct heap *heap);

/* From here on calls come from a check, to which the heap is nobody else's: there are no sections. */
void calls_begin_check(struct heap *heap);
void calls_end_check(void);

/* A block that is not the store's: sh_walk() leaves it out. */
#define CALLS_BYSTANDERS 256u
void calls_leave_out(uint64_t off);

/* Whether the last sh_walk() met all of these. */
bool calls_met_all(void);

/* Has the explorer track what the processes remember. */
void calls_track(void);

/* At a death: what the process remembered does not tell states apart. */
void calls_forget(unsigned process);

/* Stores zeros, in a callback. */
void calls_clear(void *memory, size_t bytes);

#endif
