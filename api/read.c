/* read.c -- read sections of threads, and readers that no thread owns
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/read.h"

#include "api/table.h"
#include "heap/deferred.h"
#include "heap/parked.h"
#include "recovery/reap.h"
#include "shm/slot.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

__thread struct sh_read_here sh_read_here __attribute__((tls_model("initial-exec")));

/* --- sections of a thread ------------------------------------------------------------------ */

void sh_section_wake(const struct sh_section *section)
{
	__atomic_store_n(section->waiting, 0, __ATOMIC_RELAXED);
	system_futex_wake(NULL, section->waiting, INT_MAX);
}

/* Has the heap's section at hand from here on. */
static void remember(struct sh_heap *heap, struct thread_state *state)
{
	__atomic_store_n(&sh_read_here.heap, NULL, __ATOMIC_RELAXED);
	sh_read_here.section = state->thread.section;
	state->read_here = &sh_read_here;
	__atomic_store_n(&sh_read_here.heap, heap, __ATOMIC_RELAXED);
}

void read_forget(const struct thread_state *state, const struct sh_heap *heap)
{
	const struct sh_heap *seen = heap;

	if (state->read_here != NULL)
		__atomic_compare_exchange_n(&state->read_here->heap, &seen, NULL, false,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

int sh_read_lock_function(struct sh_heap *heap)
{
	int error = 0;
	struct thread_state *state = thread_reading(heap, &error);

	if (state == NULL)
		return error;
	thread_begin_reading(&state->thread);
	remember(heap, state);
	return 0;
}

void sh_read_unlock_function(struct sh_heap *heap)
{
	struct thread_state *state = thread_find(heap);

	/* None in a fork child that was made inside a section. */
	if (state != NULL && rcu_is_reading(&heap->heap.rcu, state->thread.slot))
		thread_end_reading(&state->thread);
}

bool read_is_reading(const struct sh_heap *heap)
{
	const struct thread_state *state = thread_find(heap);

	return state != NULL && rcu_is_reading(&heap->heap.rcu, state->thread.slot);
}

int read_begin_looking(struct sh_heap *heap, struct thread_state **state)
{
	int error = 0;

	*state = NULL;
	if (heap->lost)
		return ECHILD;
	if (heap->in_run)
		*state = thread_reading(heap, &error);
	return error;
}

void read_end_looking(struct thread_state *state)
{
	if (state != NULL)
		thread_done(state);
}

/* --- grace periods ------------------------------------------------------------------------- */

/* Whether it is time to tell again. One of those that ask at once is told so. */
static bool time_to_tell(struct sh_heap *heap, uint64_t now_ns)
{
	uint64_t told_ns = atomic_load_explicit(&heap->slow_reader_told_ns, memory_order_relaxed);

	return (told_ns == 0 || now_ns - told_ns >= heap->slow_reader_ns) &&
		atomic_compare_exchange_strong_explicit(&heap->slow_reader_told_ns, &told_ns,
			now_ns, memory_order_relaxed, memory_order_relaxed);
}

void read_tell_slow(struct thread *thread, uint32_t slot)
{
	/* Its first member. */
	struct sh_heap *heap = (struct sh_heap *)(void *)thread->heap;
	const struct thread_slot *words = &heap->heap.thread_slot[slot];
	uint32_t process = atomic_load_explicit(&words->process, memory_order_relaxed);
	struct sh_slow_reader reader = {
		.thread_id = atomic_load_explicit(&words->thread_id, memory_order_relaxed),
		.age_ns = rcu_held_ns(&heap->heap.rcu, &heap->heap.system, slot),
		.held_bytes =
			parked_count(&heap->heap) * PAGE_BYTES + deferred_held_bytes(&heap->heap),
	};

	if (heap->slow_reader == NULL || reader.age_ns < heap->slow_reader_ns ||
		process >= heap->heap.process_slots || !time_to_tell(heap, system_now_ns(NULL)))
		return;
	reader.process_id =
		atomic_load_explicit(&heap->heap.process_slot[process].pid, memory_order_relaxed);
	heap->slow_reader(&reader, heap->slow_reader_argument);
}

static void held(void *argument, uint32_t slot, bool dead)
{
	if (dead)
		reap_slot(argument, slot);
	else
		read_tell_slow(argument, slot);
}

/* Who may not write the heap file cannot settle what the dead left, and need not: it frees nothing there. */
static int synchronize_reading(struct thread *thread)
{
	const struct heap *heap = thread->heap;

	return rcu_wait_for_living(&heap->rcu, &heap->system, rcu_tag(&heap->rcu), held, thread);
}

static int synchronize(struct thread *thread)
{
	const struct heap *heap = thread->heap;
	int error = rcu_wait(&heap->rcu, &heap->system, rcu_tag(&heap->rcu), held, thread);

	if (error == 0)
		deferred_drain_all(thread);
	return error;
}

int sh_synchronize(struct sh_heap *heap)
{
	int error = 0;
	struct thread_state *state = thread_reading(heap, &error);

	if (state == NULL)
		return error;
	if (rcu_is_reading(&heap->heap.rcu, state->thread.slot))
		return EDEADLK;
	error = heap->read_only ? synchronize_reading(&state->thread) : synchronize(&state->thread);
	thread_done(state);
	return error == 0 ? 0 : SH_EBARRIER;
}

/* --- readers that no thread owns ----------------------------------------------------------- */

/* A slot without a liveness word: dead when the process is. */
static int claim(struct sh_heap *heap, struct sh_reader *reader)
{
	struct thread_state *state = calloc(1, sizeof(*state));
	int error;

	if (state == NULL)
		return ENOMEM;
	/* Not counted: the heap stays open while there is a reader. */
	state->presence = heap->presence;
	error = thread_claim_slot(heap, state, false);
	reader->slot = state->thread.slot;
	reader->tag = state->thread.tag;
	reader->section = state->thread.section;
	free(state);
	return error;
}

int sh_reader_open(struct sh_heap *heap, struct sh_reader **reader)
{
	int error = handle_refuses_reading(heap);

	*reader = NULL;
	if (error != 0)
		return error;
	*reader = calloc(1, sizeof(**reader));
	if (*reader == NULL)
		return ENOMEM;
	error = claim(heap, *reader);
	if (error != 0) {
		free(*reader);
		*reader = NULL;
		return error;
	}
	(*reader)->heap = heap;
	rcu_enroll(&heap->heap.rcu, (*reader)->slot);
	table_lock();
	(*reader)->next = heap->readers;
	heap->readers = *reader;
	table_unlock();
	return 0;
}

static void unlink_reader(struct sh_heap *heap, struct sh_reader *reader)
{
	struct sh_reader **link = &heap->readers;

	table_lock();
	while (*link != reader)
		link = &(*link)->next;
	*link = reader->next;
	table_unlock();
}

void sh_reader_close(struct sh_reader *reader)
{
	if (reader == NULL)
		return;
	if (reader->heap != NULL) {
		unlink_reader(reader->heap, reader);
		rcu_withdraw(&reader->heap->heap.rcu, reader->slot);
		/* Crash: a slot of a dead process, with nothing in it. */
		slot_release(&reader->heap->heap.thread_slot[reader->slot], reader->tag);
	}
	free(reader);
}

/* Nothing that the child does with the parent's reader reaches the parent. */
static void cut_off(struct sh_reader *reader)
{
	reader->heap = NULL;
	reader->section = (struct sh_section){
		.word = &reader->nowhere,
		.epoch = &reader->nowhere,
		.waiting = &reader->nobody,
	};
}

void read_forget_all(struct sh_heap *heap)
{
	__atomic_store_n(&sh_read_here.heap, NULL, __ATOMIC_RELAXED);
	while (heap->readers != NULL) {
		struct sh_reader *reader = heap->readers;

		heap->readers = reader->next;
		cut_off(reader);
	}
}
