/* mutex.c -- sh_mutex: the lock word of shm/lock.h in the heap file
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A word of the dead passes on only after its thread was reaped, so that its transaction is
 * finished or undone. The tag of an earlier run, or of a thread that ended, is a dead holder's. */
#include "api/thread.h"
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

/* Whether a mutex can be there. For any address. */
static bool can_be(const struct sh_heap *heap, const struct sh_mutex *mutex)
{
	/* Addresses below the base wrap around to offsets beyond the end. */
	uint64_t off = (uint64_t)((uintptr_t)mutex - (uintptr_t)heap->heap.base);

	return off % sizeof(uint64_t) == 0 && handle_inside(heap, off, sizeof(*mutex));
}

/* The calling thread, if the mutex can be one. Takes it if it is free: *error is 0 then. If it is the thread's own, NULL
 * and EDEADLK. */
static struct thread_state *begin(struct sh_heap *heap, struct sh_mutex *mutex, int *error)
{
	struct thread_state *state = thread_here(heap, error);

	if (state == NULL)
		return NULL;
	*error = EINVAL;
	if (!can_be(heap, mutex))
		return NULL;
	*error = 0;
	if (lock_take_vacant(word_of(mutex), state->thread.tag))
		return state;
	*error = lock_held_by(word_of(mutex), state->thread.tag) ? EDEADLK : EBUSY;
	return *error == EBUSY ? state : NULL;
}

static int finish(struct thread_state *state, enum lock_result result)
{
	thread_done(state);
	switch (result) {
	case LOCK_TAKEN_OVER:
		return SH_EOWNERDIED;
	case LOCK_BUSY:
		return EBUSY;
	default:
		return 0;
	}
}

void sh_mutex_init(struct sh_mutex *mutex)
{
	mutex->reserved = 0;
	atomic_store_explicit(word_of(mutex), 0, memory_order_release);
}

int sh_mutex_lock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	int error;
	struct thread_state *state = begin(heap, mutex, &error);

	if (state == NULL)
		return error;
	if (error == 0)
		return finish(state, LOCK_TAKEN);
	return finish(state,
		lock_acquire_settled(word_of(mutex), state->thread.tag, &heap->heap.system, settle,
			&state->thread));
}

/* `timeout_ns` from now; LOCK_NO_DEADLINE when that is beyond the end of the clock. */
static uint64_t deadline(const struct system *system, uint64_t timeout_ns)
{
	uint64_t now = system->now_ns(system->context);

	return timeout_ns < LOCK_NO_DEADLINE - now ? now + timeout_ns : LOCK_NO_DEADLINE;
}

int sh_mutex_timedlock(struct sh_heap *heap, struct sh_mutex *mutex, uint64_t timeout_ns)
{
	int error;
	struct thread_state *state = begin(heap, mutex, &error);
	const struct system *system = &heap->heap.system;

	if (state == NULL)
		return error;
	if (error == 0)
		return finish(state, LOCK_TAKEN);
	error = finish(state,
		lock_acquire_until(word_of(mutex), state->thread.tag, system, settle,
			&state->thread, deadline(system, timeout_ns)));
	return error == EBUSY ? ETIMEDOUT : error;
}

int sh_mutex_trylock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	int error;
	struct thread_state *state = begin(heap, mutex, &error);

	if (state == NULL)
		return error;
	if (error == 0)
		return finish(state, LOCK_TAKEN);
	return finish(state,
		lock_try_settled(word_of(mutex), state->thread.tag, &heap->heap.system, settle,
			&state->thread));
}

int sh_mutex_unlock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	struct thread_state *state = thread_current;
	int error = handle_refuses(heap);
	uint64_t off;

	if (error != 0)
		return error;
	if (!handle_word(heap, mutex, &off))
		return EINVAL;
	if (!thread_is_on(state, heap))
		state = thread_find(heap);
	if (state == NULL || !lock_held_by(word_of(mutex), state->thread.tag))
		return EPERM;
	lock_release(word_of(mutex), &heap->heap.system);
	return 0;
}
