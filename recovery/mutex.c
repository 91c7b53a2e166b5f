/* mutex.c -- sh_mutex, of a thread
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/mutex.h"

#include "recovery/reap.h"
#include "shm/lock.h"

#include <errno.h>

static void settle(void *argument, uint64_t dead)
{
	reap_thread(argument, dead);
}

static _Atomic uint64_t *word_of(struct sh_mutex *mutex)
{
	return (_Atomic uint64_t *)(void *)&mutex->word;
}

/* Takes it if nobody has it, which is most often so; EBUSY: somebody else has, alive or dead. */
static int take(struct thread *thread, struct sh_mutex *mutex)
{
	uint64_t off;

	if (!words_are_inside(thread->heap, mutex, sizeof(*mutex), &off))
		return EINVAL;
	if (lock_take_vacant(word_of(mutex), thread->tag))
		return 0;
	return lock_held_by(word_of(mutex), thread->tag) ? EDEADLK : EBUSY;
}

static int error_of(enum lock_result result)
{
	switch (result) {
	case LOCK_TAKEN_OVER:
		return SH_EOWNERDIED;
	case LOCK_BUSY:
		return EBUSY;
	default:
		return 0;
	}
}

int mutex_lock(struct thread *thread, struct sh_mutex *mutex, uint64_t deadline_ns)
{
	int error = take(thread, mutex);

	return error != EBUSY ? error
			      : error_of(lock_acquire_until(word_of(mutex), thread->tag,
					&thread->heap->system, settle, thread, deadline_ns));
}

int mutex_trylock(struct thread *thread, struct sh_mutex *mutex)
{
	int error = take(thread, mutex);

	return error != EBUSY ? error
			      : error_of(lock_try_settled(word_of(mutex), thread->tag,
					&thread->heap->system, settle, thread));
}

int mutex_unlock(const struct heap *heap, const struct thread *thread, struct sh_mutex *mutex)
{
	uint64_t off;

	if (!words_are_inside(heap, mutex, sizeof(mutex->word), &off))
		return EINVAL;
	if (thread == NULL || !lock_held_by(word_of(mutex), thread->tag))
		return EPERM;
	lock_release(word_of(mutex), &heap->system);
	return 0;
}
