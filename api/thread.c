/* thread.c -- what a thread of this process keeps per heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/thread.h"

#include "api/detached.h"
#include "api/read.h"
#include "api/table.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "recovery/reap.h"
#include "shm/slot.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

_Thread_local struct thread_state *thread_current
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* All states of the thread, parked ones too. */
static _Thread_local struct thread_state *thread_states;

/* Its value in a thread is not NULL while the thread has states: runs thread_end(). */
static pthread_key_t end_key;

/* --- entering ------------------------------------------------------------------------------ */

/* Lays the thread's word in a claimed slot and confirms the claim. 0 or an errno. */
static int settle_in(struct sh_heap *heap, struct thread_state *state, uint32_t slot,
	bool liveness_word)
{
	uint64_t tag = tag_make(slot, handle_next_serial(heap));
	int error = liveness_word ? presence_lock_word(state->presence, slot) : 0;

	if (error != 0)
		return error;
	slot_confirm(&heap->heap.thread_slot[slot], tag, state->presence->process, liveness_word);
	atomic_store_explicit(&heap->heap.thread_slot[slot].thread_id, (uint32_t)gettid(),
		memory_order_relaxed);
	thread_init(&state->thread, &heap->heap, slot, tag);
	return 0;
}

/* Gives up the slots of dead threads, by a slot that nobody else uses: the last one, which is
 * recovery's. False when somebody else does the same. */
static bool reap_from_last_slot(struct sh_heap *heap, struct thread_state *state)
{
	uint32_t last = heap->heap.thread_slots - 1;

	if (!slot_claim_at(heap->heap.header, heap->heap.thread_slot, last,
		    state->presence->process))
		return false;
	uint64_t tag = tag_make(last, handle_next_serial(heap));

	slot_confirm(&heap->heap.thread_slot[last], tag, state->presence->process, false);
	thread_init(&state->thread, &heap->heap, last, tag);
	reap_all(&state->thread);
	pages_give_back(&state->thread);
	slot_release(&heap->heap.thread_slot[last], tag);
	return true;
}

int thread_reap_alone(struct sh_heap *heap, bool *reaped)
{
	struct thread_state *state = calloc(1, sizeof(*state));

	if (state == NULL)
		return ENOMEM;
	state->presence = heap->presence;
	*reaped = reap_from_last_slot(heap, state);
	free(state);
	for (uint32_t slot = 0; *reaped && slot < heap->heap.thread_slots; slot++) {
		uint64_t owner = atomic_load_explicit(&heap->heap.thread_slot[slot].owner,
			memory_order_acquire);

		*reaped = owner == 0 || slot_is_claim(owner) || tag_is_reader(owner);
	}
	return 0;
}

int thread_claim_slot(struct sh_heap *heap, struct thread_state *state, bool liveness_word)
{
	struct control_header *header = heap->heap.header;
	struct thread_slot *slots = heap->heap.thread_slot;
	uint32_t process = state->presence->process;
	uint32_t slot = slot_claim(header, slots, process);
	int error;

	/* Who only reads may not clean up after others; and the last one out wants the last slot. */
	if (slot == SLOT_NONE && !heap->read_only && reap_from_last_slot(heap, state))
		slot = slot_claim(header, slots, process);
	if (slot == SLOT_NONE && detached_drop_idle(heap))
		slot = slot_claim(header, slots, process);
	if (slot == SLOT_NONE)
		return SH_ESLOTS;
	error = settle_in(heap, state, slot, liveness_word);
	if (error != 0)
		presence_drop_claim(state->presence, slot);
	return error;
}

static void add(struct sh_heap *heap, struct thread_state *state)
{
	state->txn = (struct sh_txn){ .state = state };
	state->next_of_thread = thread_states;
	thread_states = state;
	atomic_store_explicit(&state->heap, heap, memory_order_relaxed);
	table_lock();
	state->next_of_heap = heap->threads;
	heap->threads = state;
	table_unlock();
}

static void hold_presence(struct sh_heap *heap, struct thread_state *state)
{
	table_lock();
	state->presence = heap->presence;
	table_hold_presence(state->presence);
	table_unlock();
}

static void drop_presence(struct thread_state *state)
{
	table_lock();
	table_put_presence(state->presence);
	table_unlock();
}

static struct thread_state *make(struct sh_heap *heap, int *error)
{
	struct thread_state *state = calloc(1, sizeof(*state));

	*error = state == NULL ? ENOMEM : pthread_setspecific(end_key, &end_key);
	if (*error != 0) {
		free(state);
		return NULL;
	}
	hold_presence(heap, state);
	*error = thread_claim_slot(heap, state, true);
	if (*error != 0) {
		drop_presence(state);
		free(state);
		return NULL;
	}
	add(heap, state);
	return state;
}

struct thread_state *thread_find(const struct sh_heap *heap)
{
	struct thread_state *state = thread_states;

	while (state != NULL && !thread_is_on(state, heap))
		state = state->next_of_thread;
	return state;
}

/* --- leaving ------------------------------------------------------------------------------- */

void thread_give_back(struct thread_state *state)
{
	thread_stop_reading(&state->thread);
	/* A section is all that it had. */
	if (tag_is_reader(state->thread.tag))
		return;
	if (state->txn.open) {
		transaction_abort(&state->txn.transaction);
		state->txn.open = false;
	}
	object_give_back(&state->thread);
	pages_give_back(&state->thread);
}

static void unlink_from_heap(struct sh_heap *heap, struct thread_state *state)
{
	struct thread_state **link = &heap->threads;

	while (*link != state)
		link = &(*link)->next_of_heap;
	*link = state->next_of_heap;
}

static void unlink_from_thread(struct thread_state *state)
{
	struct thread_state **link = &thread_states;

	while (*link != state)
		link = &(*link)->next_of_thread;
	*link = state->next_of_thread;
	if (thread_current == state)
		thread_current = NULL;
}

/* Frees a parked slot: by its own thread, which alone may unlock the word. */
static void leave_parked(struct thread_state *state)
{
	unlink_from_thread(state);
	/* Crash in between: a dead process's claim, of a slot with nothing in it. */
	presence_unlock_word(state->presence, state->thread.slot);
	presence_drop_claim(state->presence, state->thread.slot);
	drop_presence(state);
	free(state);
}

/* The caller sets `heap` to NULL next. */
static void park(struct thread_state *state)
{
	read_forget(state, atomic_load_explicit(&state->heap, memory_order_relaxed));
	thread_give_back(state);
	presence_park(state->presence, state->thread.slot);
}

/* The heap that the state's thread is leaving, kept open until table_left(); NULL when parked. */
static struct sh_heap *begin_leaving(struct thread_state *state)
{
	struct sh_heap *heap;

	table_lock();
	while (state->parking)
		table_wait();
	heap = atomic_load_explicit(&state->heap, memory_order_relaxed);
	if (heap != NULL) {
		unlink_from_heap(heap, state);
		heap->leaving++;
	}
	table_unlock();
	return heap;
}

static void leave(struct thread_state *state)
{
	struct sh_heap *heap = begin_leaving(state);

	if (heap != NULL) {
		park(state);
		atomic_store_explicit(&state->heap, NULL, memory_order_relaxed);
		table_lock();
		table_left(heap);
		table_unlock();
	}
	leave_parked(state);
}

static void leave_all_parked(void)
{
	struct thread_state *state = thread_states;

	while (state != NULL) {
		struct thread_state *next = state->next_of_thread;

		if (thread_is_on(state, NULL))
			leave_parked(state);
		state = next;
	}
}

/* At the end of a thread. */
static void thread_end(void *unused)
{
	(void)unused;
	while (thread_states != NULL)
		leave(thread_states);
}

/* Parks another thread's slot, under table_lock(), which is let go of meanwhile. The thread may be at
 * its end: it waits for `parking`. */
static void park_for(struct thread_state *state)
{
	state->parking = true;
	table_unlock();
	park(state);
	table_lock();
	state->parking = false;
	/* Last: from here on the state is its thread's to free. */
	atomic_store_explicit(&state->heap, NULL, memory_order_relaxed);
	table_wake();
}

void thread_leave_all(struct sh_heap *heap)
{
	table_lock();
	while (heap->threads != NULL) {
		struct thread_state *state = heap->threads;

		heap->threads = state->next_of_heap;
		park_for(state);
	}
	/* Threads at their end that were quicker. */
	table_wait_for_leaving(heap);
	table_unlock();
	leave_all_parked();
}

void thread_forget_all(void)
{
	for (struct sh_heap *heap = table_first(); heap != NULL; heap = heap->next) {
		while (heap->threads != NULL) {
			struct thread_state *state = heap->threads;

			heap->threads = state->next_of_heap;
			free(state->txn.transaction.index.slots);
			free(state);
		}
		detached_forget_all(heap);
		read_forget_all(heap);
		heap->leaving = 0;
	}
	thread_states = NULL;
	thread_current = NULL;
}

/* --- */

static struct thread_state *find_or_make(struct sh_heap *heap, int *error)
{
	struct thread_state *state = thread_find(heap);

	if (state != NULL)
		return state;
	leave_all_parked();
	return make(heap, error);
}

struct thread_state *thread_enter(struct sh_heap *heap, int *error)
{
	struct thread_state *state;

	*error = handle_refuses(heap);
	if (*error != 0)
		return NULL;
	state = find_or_make(heap, error);
	if (state != NULL)
		thread_current = state;
	return state;
}

struct thread_state *thread_enter_reading(struct sh_heap *heap, int *error)
{
	if (!heap->read_only)
		return thread_enter(heap, error);
	*error = handle_refuses_reading(heap);
	return *error != 0 ? NULL : find_or_make(heap, error);
}

void thread_reap_met(struct thread_state *state)
{
	state->thread.met_dead = false;
	state->thread.heap->reap(&state->thread);
}

int thread_module_init(void)
{
	static bool done;
	int error = done ? 0 : pthread_key_create(&end_key, thread_end);

	done = error == 0;
	return error;
}
