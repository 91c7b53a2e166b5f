/* thread.h -- what a thread of this process keeps per heap
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A thread claims a slot at its first call on a heap and gives it back when it ends, or when the
 * heap is closed. When another thread closes the heap, the closer gives everything back; only the
 * liveness word cannot be unlocked by anybody but its thread, so the slot stays parked: it holds
 * nothing, and is freed at the thread's end or at its next first call on a heap. */
#ifndef SPANHEAP_THREAD_H
#define SPANHEAP_THREAD_H

#include "api/handle.h"
#include "heap/transaction.h"

/* What sh_txn_begin() hands out. Process. */
struct sh_txn {
	struct transaction transaction;
	struct thread_state *state;
	bool open;
	bool detached; /* its state is no thread's */
};

/* Process. One thread, or one detached transaction, on one heap.
 *
 * heap: NULL: parked. Written by the thread, or by the closer, who runs when the thread is idle.
 * parking: the closer is at it. Under table_lock().
 * next_of_thread: the thread's own. next_of_heap: under table_lock(). */
struct thread_state {
	_Atomic(struct sh_heap *) heap;
	bool parking;
	struct sh_txn txn;
	struct thread thread;
	struct presence *presence;
	struct sh_read_here *read_here; /* the thread's, when it read the heap; see api/read.h */
	struct thread_state *next_of_thread;
	struct thread_state *next_of_heap;
};

/* The state that the thread used last; NULL in a thread that has none. */
extern _Thread_local struct thread_state *thread_current
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The calling thread's state on the heap, made if need be; NULL and *error: EROFS, ECHILD, ENOMEM,
 * SH_ESLOTS. */
struct thread_state *thread_enter(struct sh_heap *heap, int *error);

/* The same for calls that read: EROFS only of a handle that has no slots. With SH_RDONLY the state is never
 * `thread_current`, so that no call that writes finds it. */
struct thread_state *thread_enter_reading(struct sh_heap *heap, int *error);

static inline bool thread_is_on(const struct thread_state *state, const struct sh_heap *heap)
{
	return state != NULL && atomic_load_explicit(&state->heap, memory_order_relaxed) == heap;
}

static inline struct thread_state *thread_here(struct sh_heap *heap, int *error)
{
	struct thread_state *state = thread_current;

	return thread_is_on(state, heap) ? state : thread_enter(heap, error);
}

static inline struct thread_state *thread_reading(struct sh_heap *heap, int *error)
{
	struct thread_state *state = thread_current;

	return thread_is_on(state, heap) ? state : thread_enter_reading(heap, error);
}

/* The calling thread's state on the heap, if it has one. */
struct thread_state *thread_find(const struct sh_heap *heap);

/* Claims a slot for the state, whose presence is set: with a liveness word, which the calling thread
 * locks, or, for a detached transaction, without. 0, SH_ESLOTS or an errno. */
int thread_claim_slot(struct sh_heap *heap, struct thread_state *state, bool liveness_word);

/* Gives back what the state holds on its heap; its slot is the only thing left. */
void thread_give_back(struct thread_state *state);

/* Cleans up after the dead if the thread took a lock over from one; at the end of calls, when it
 * holds no lock. */
void thread_reap_met(struct thread_state *state);

static inline void thread_done(struct thread_state *state)
{
	if (__builtin_expect(state->thread.met_dead, 0))
		thread_reap_met(state);
}

/* Gives back what all threads of this process hold on the heap, and parks the slots of the others
 * than the calling one. No other thread is inside a call on the heap. */
void thread_leave_all(struct sh_heap *heap);

/* Cleans up after all the dead of a heap that nobody else uses, and from which this process's
 * threads have gone, but for some that only read. *reaped: whether no slot is left that holds more than a
 * section of those. 0 or ENOMEM. */
int thread_reap_alone(struct sh_heap *heap, bool *reaped);

/* In a fork child: forgets the threads of the parent. */
void thread_forget_all(void);

/* Registers the destructor that runs at a thread's end, once. 0 or an errno: not yet. Under
 * table_lock_open(). */
int thread_module_init(void);

#endif
