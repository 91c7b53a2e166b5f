/* mutex.h -- sh_mutex, of a thread: the lock word of shm/lock.h in the heap file
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A word of the dead passes on only after its thread was reaped, so that its transaction is
 * finished or undone. The tag of an earlier run, or of a thread that ended, is a dead holder's. */
#ifndef SPANHEAP_RECOVERY_MUTEX_H
#define SPANHEAP_RECOVERY_MUTEX_H

#include "heap/heap.h"

#include <spanheap.h>

/* 0, SH_EOWNERDIED, EDEADLK (it is the thread's own), EINVAL (no mutex can be there), or EBUSY behind the deadline, as
 * lock_acquire_until() has it. */
int mutex_lock(struct thread *thread, struct sh_mutex *mutex, uint64_t deadline_ns);

/* The same, but EBUSY when somebody who lives has it. */
int mutex_trylock(struct thread *thread, struct sh_mutex *mutex);

/* `thread` NULL: one that has none. 0, EINVAL, or EPERM (it is not the thread's). */
int mutex_unlock(const struct heap *heap, const struct thread *thread, struct sh_mutex *mutex);

#endif
