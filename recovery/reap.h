/* reap.h -- cleaning up after dead threads while others run
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Order for one slot: its log; its page operations, cache and limbo in one section of the page lock;
 * its spans; its slot. Dying in the middle leaves a dead slot for the next reaper, who begins at the
 * front again: every step is conditional on what the dead one's words still say.
 *
 * Before a thread's slot: the detached transactions of its process. They are dead only when the
 * process is, which shows later; until then the thread's slot is not reaped, and its mutexes do not
 * pass on.
 *
 * A reaper holds no internal lock when it starts, and never waits for anything but internal locks.
 * Somebody else's reaping is not waited for, but by reap_thread. */
#ifndef SPANHEAP_REAP_H
#define SPANHEAP_REAP_H

#include "heap/heap.h"

/* Reaps the slot if its thread is dead and nobody else is at it. Returns whether it did. */
bool reap_slot(struct thread *thread, uint32_t slot);

/* Sees to it that the thread `dead` is reaped, by us or by somebody else, before it returns. */
void reap_thread(struct thread *thread, uint64_t dead);

/* Looks at all slots, then frees the process slots of dead processes that have no thread left.
 * Adds what was done to thread->counts. */
void reap_all(struct thread *thread);

/* What a process can do for the dead that may not write the heap file: frees the slots of dead threads that
 * might not either, which held a read section and nothing else, claims of the dead, and process slots
 * without threads. All others wait for somebody who writes: their logs stand in the heap file. */
void reap_readers(struct thread *thread);

#endif
