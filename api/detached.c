/* detached.c -- transactions that no thread owns
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/detached.h"

#include "api/table.h"
#include "shm/slot.h"

#include <errno.h>
#include <stdlib.h>

/* --- making and unmaking ------------------------------------------------------------------- */

static void link_state(struct sh_heap *heap, struct thread_state *state)
{
	table_lock();
	state->next_of_heap = heap->detached;
	heap->detached = state;
	table_unlock();
}

static void unlink_state(struct sh_heap *heap, struct thread_state *state)
{
	struct thread_state **link = &heap->detached;

	table_lock();
	while (*link != state)
		link = &(*link)->next_of_heap;
	*link = state->next_of_heap;
	table_unlock();
}

static struct thread_state *make(struct sh_heap *heap, int *error)
{
	struct thread_state *state = calloc(1, sizeof(*state));

	if (state == NULL) {
		*error = ENOMEM;
		return NULL;
	}
	/* Not counted: the heap stays open while there is a detached transaction. */
	state->presence = heap->presence;
	*error = thread_claim_slot(heap, state, false);
	if (*error != 0) {
		free(state);
		return NULL;
	}
	state->txn = (struct sh_txn){ .state = state, .detached = true };
	atomic_store_explicit(&state->heap, heap, memory_order_relaxed);
	link_state(heap, state);
	return state;
}

static void leave(struct sh_heap *heap, struct thread_state *state)
{
	thread_give_back(state);
	thread_done(state);
	/* Crash: a slot of a dead process, with nothing in it. */
	slot_release(&heap->heap.thread_slot[state->thread.slot], state->thread.tag);
	unlink_state(heap, state);
	free(state);
}

/* --- the idle ones ------------------------------------------------------------------------- */

static struct thread_state *take_idle(struct sh_heap *heap)
{
	for (unsigned i = 0; i < DETACHED_IDLE; i++) {
		struct thread_state *state = NULL;

		/* A look first: an exchange takes the cache line from the others. */
		if (atomic_load_explicit(&heap->idle[i], memory_order_relaxed) != NULL)
			/* acquire: pairs with the release of detached_put(). */
			state = atomic_exchange_explicit(&heap->idle[i], NULL,
				memory_order_acquire);
		if (state != NULL)
			return state;
	}
	return NULL;
}

struct thread_state *detached_take(struct sh_heap *heap, int *error)
{
	struct thread_state *state = take_idle(heap);

	return state != NULL ? state : make(heap, error);
}

void detached_put(struct sh_heap *heap, struct thread_state *state)
{
	for (unsigned i = 0; i < DETACHED_IDLE; i++) {
		struct thread_state *nobody = NULL;

		if (atomic_load_explicit(&heap->idle[i], memory_order_relaxed) == NULL &&
			atomic_compare_exchange_strong_explicit(&heap->idle[i], &nobody, state,
				memory_order_release, memory_order_relaxed))
			return;
	}
	leave(heap, state);
}

bool detached_drop_idle(struct sh_heap *heap)
{
	struct thread_state *state = take_idle(heap);
	bool found = state != NULL;

	for (; state != NULL; state = take_idle(heap))
		leave(heap, state);
	return found;
}

/* --- all of them --------------------------------------------------------------------------- */

bool detached_any_open(struct sh_heap *heap)
{
	bool open = false;

	table_lock();
	for (struct thread_state *state = heap->detached; state != NULL;
		state = state->next_of_heap)
		open |= state->txn.open;
	table_unlock();
	return open;
}

void detached_forget_all(struct sh_heap *heap)
{
	while (heap->detached != NULL) {
		struct thread_state *state = heap->detached;

		heap->detached = state->next_of_heap;
		free(state->txn.transaction.index.slots);
		free(state);
	}
	for (unsigned i = 0; i < DETACHED_IDLE; i++)
		atomic_store_explicit(&heap->idle[i], NULL, memory_order_relaxed);
}
