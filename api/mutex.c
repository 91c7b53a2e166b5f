/* mutex.c -- sh_mutex, of the calling thread
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/mutex.h"

#include "api/thread.h"
#include "shm/lock.h"

#include <errno.h>

void sh_mutex_init(struct sh_mutex *mutex)
{
	mutex->reserved = 0;
	atomic_store_explicit((_Atomic uint64_t *)(void *)&mutex->word, 0, memory_order_release);
}

static int lock_until(struct thread_state *state, struct sh_mutex *mutex, uint64_t deadline_ns)
{
	int error = mutex_lock(&state->thread, mutex, deadline_ns);

	thread_done(state);
	return error;
}

int sh_mutex_lock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	int error;
	struct thread_state *state = thread_here(heap, &error);

	return state == NULL ? error : lock_until(state, mutex, LOCK_NO_DEADLINE);
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
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		return error;
	error = lock_until(state, mutex, deadline(&heap->heap.system, timeout_ns));
	return error == EBUSY ? ETIMEDOUT : error;
}

int sh_mutex_trylock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	int error;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		return error;
	error = mutex_trylock(&state->thread, mutex);
	thread_done(state);
	return error;
}

int sh_mutex_unlock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	struct thread_state *state = thread_current;
	int error = handle_refuses(heap);

	if (error != 0)
		return error;
	if (!thread_is_on(state, heap))
		state = thread_find(heap);
	return mutex_unlock(&heap->heap, state == NULL ? NULL : &state->thread, mutex);
}
