/* detached.h -- transactions that no thread owns
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A detached transaction works in a thread slot of its own, without a liveness word: the slot is dead
 * when its process is. Slots of ended transactions are kept, with their spans and page cache, for
 * the next ones: DETACHED_IDLE of them at most per process and heap. Whoever takes one takes it by
 * an exchange, so no lock is needed, and nobody takes one twice. */
#ifndef SPANHEAP_DETACHED_H
#define SPANHEAP_DETACHED_H

#include "api/thread.h"

/* An idle one, or a new one; NULL and *error: ENOMEM, SH_ESLOTS. */
struct thread_state *detached_take(struct sh_heap *heap, int *error);

/* Keeps an ended one for later, or gives its slot back. */
void detached_put(struct sh_heap *heap, struct thread_state *state);

/* Whether one is open. Nobody is inside a call on the heap. */
bool detached_any_open(struct sh_heap *heap);

/* Gives the slots of idle ones back: when slots are short, or at the end, when all are idle.
 * Returns whether there were any. */
bool detached_drop_idle(struct sh_heap *heap);

/* In a fork child: forgets those of the parent. */
void detached_forget_all(struct sh_heap *heap);

#endif
