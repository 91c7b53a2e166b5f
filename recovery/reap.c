/* reap.c -- cleaning up after dead threads while others run
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/reap.h"

#include "heap/growth.h"
#include "heap/log.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "shm/lock.h"
#include "shm/order.h"
#include "shm/slot.h"

#define REAP_PATIENCE_NS UINT64_C(200000)

/* An allocation of pages: with its head bit it stands, without it its pages go back. */
static bool settle_alloc(struct thread *thread, uint64_t run)
{
	struct heap *heap = thread->heap;
	uint64_t head = run_page(run);

	if (page_is_head(heap, head)) {
		thread->counts.operations_finished++;
		return false;
	}
	/* Before the page can leave: its next span must not look like the dead one's. */
	atomic_store_explicit(&span_of_head(heap, head)->hot, heap_hot(heap, HOT_NONE, 0),
		memory_order_release);
	thread->counts.operations_undone++;
	return true;
}

/* A free of pages: finished if it was begun. A span of objects that its owner was about to retire is
 * empty, and nobody else can claim it. */
static bool settle_free(struct thread *thread, uint32_t slot, uint64_t run)
{
	struct heap *heap = thread->heap;
	uint64_t head = run_page(run);
	struct span *span = span_of_head(heap, head);
	uint64_t hot = atomic_load_explicit(&span->hot, memory_order_acquire);

	if (hot_laid(hot, heap->incarnation) && hot_owner(hot) == hot_owned_by(slot)) {
		atomic_store_explicit(&span->hot,
			heap_hot(heap, hot_dying_by(slot), hot_class(hot)), memory_order_release);
	} else if (!hot_laid(hot, heap->incarnation) || hot_owner(hot) != hot_dying_by(slot)) {
		thread->counts.operations_undone++;
		return false;
	}
	crash_order();
	if (head_is_set(heap, head))
		head_clear(heap, head);
	if (manual_is_set(heap, head))
		manual_clear(heap, head);
	span_unlist(heap, head);
	thread->counts.operations_finished++;
	return true;
}

static bool settle_intent(struct thread *thread, uint32_t slot, unsigned which)
{
	uint64_t run =
		atomic_load_explicit(&thread->heap->logs[slot].intent[which], memory_order_acquire);

	if (!run_is_data(thread->heap, run))
		return false;
	return run_operation(run) == RUN_ALLOC ? settle_alloc(thread, run)
					       : settle_free(thread, slot, run);
}

static void settle_slot(struct thread *thread, uint32_t slot)
{
	unsigned returned = 0;

	span_resume_resize(thread, slot);
	transaction_settle(thread, slot);
	/* Before anything waits: two reapers could wait for each other's dead. */
	rcu_withdraw(&thread->heap->rcu, slot);
	for (unsigned which = 0; which < 2; which++)
		if (settle_intent(thread, slot, which))
			returned |= 1u << which;
	thread->counts.pages_returned += pages_return_dead(thread, slot, returned);
	span_release_all_dead(thread, slot);
	growth_give_back(thread);
}

/* --- transactions without a thread --------------------------------------------------------- */

/* Whether a slot without a liveness word, of the process, has a log that is not settled. */
static bool is_detached_log(const struct heap *heap, uint32_t slot, uint32_t process)
{
	const struct thread_slot *words = &heap->thread_slot[slot];
	uint64_t owner = atomic_load_explicit(&words->owner, memory_order_acquire);

	return owner != 0 && !slot_is_claim(owner) &&
		atomic_load_explicit(&words->process, memory_order_relaxed) == process &&
		atomic_load_explicit(&words->liveness_tag, memory_order_relaxed) != owner &&
		log_read(&heap->logs[slot]).state != LOG_EMPTY;
}

/* Settles the detached transactions of the process of a dead thread. False: not yet. They die with the
 * process, and the kernel says so later than of a thread. What they wrote may be guarded by a mutex
 * of the thread, which passes on when its slot is reaped. */
static bool settle_detached(struct thread *thread, uint32_t slot, uint64_t tag)
{
	struct heap *heap = thread->heap;
	const struct thread_slot *dead = &heap->thread_slot[slot];
	uint32_t process = atomic_load_explicit(&dead->process, memory_order_relaxed);
	uint32_t high_water = heap_slot_high_water(heap);

	if (atomic_load_explicit(&dead->liveness_tag, memory_order_relaxed) != tag)
		return true;
	for (uint32_t other = 0; other < high_water; other++)
		if (is_detached_log(heap, other, process) && !reap_slot(thread, other) &&
			is_detached_log(heap, other, process))
			return false;
	return true;
}

/* --- */

/* Frees the slot of a dead thread that held a section at most: by anybody, whoever may write the heap file or
 * not. Nothing happens when the slot has become another thread's. */
static void reap_reader(struct thread *thread, uint32_t slot)
{
	struct heap *heap = thread->heap;
	uint64_t tag;

	if (slot_drop_dead_claim(&heap->thread_slot[slot], &heap->system) ||
		!slot_begin_reaping(&heap->thread_slot[slot], thread->tag, &heap->system, &tag))
		return;
	if (!tag_is_reader(tag)) {
		slot_stop_reaping(&heap->thread_slot[slot]);
		return;
	}
	rcu_withdraw(&heap->rcu, slot);
	slot_end_reaping(&heap->thread_slot[slot], tag);
	thread->counts.threads++;
}

bool reap_slot(struct thread *thread, uint32_t slot)
{
	struct heap *heap = thread->heap;
	uint64_t tag;

	if (slot_drop_dead_claim(&heap->thread_slot[slot], &heap->system))
		return true;
	if (!slot_begin_reaping(&heap->thread_slot[slot], thread->tag, &heap->system, &tag))
		return false;
	if (tag_is_reader(tag)) {
		rcu_withdraw(&heap->rcu, slot);
	} else if (settle_detached(thread, slot, tag)) {
		settle_slot(thread, slot);
	} else {
		slot_stop_reaping(&heap->thread_slot[slot]);
		return false;
	}
	slot_end_reaping(&heap->thread_slot[slot], tag);
	thread->counts.threads++;
	return true;
}

void reap_thread(struct thread *thread, uint64_t dead)
{
	struct heap *heap = thread->heap;
	uint32_t slot = tag_slot(dead);
	_Atomic uint64_t *owner;

	if (!tag_plausible(dead, heap->thread_slots))
		return;
	owner = &heap->thread_slot[slot].owner;
	while (atomic_load_explicit(owner, memory_order_acquire) == dead)
		if (!reap_slot(thread, slot))
			heap->system.futex_wait(heap->system.context, lock_futex(owner),
				(uint32_t)dead, REAP_PATIENCE_NS);
}

/* Whether a thread slot belongs to the process, as far as a dead process can still have any. */
static bool has_threads(const struct heap *heap, uint32_t process)
{
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t slot = 0; slot < high_water; slot++) {
		const struct thread_slot *thread = &heap->thread_slot[slot];
		uint64_t owner = atomic_load_explicit(&thread->owner, memory_order_acquire);

		if (owner == 0)
			continue;
		if (slot_is_claim(owner) ? owner >> 1 == process
					 : atomic_load_explicit(&thread->process,
						   memory_order_relaxed) == process)
			return true;
	}
	return false;
}

static void reap_process(struct thread *thread, uint32_t process)
{
	struct heap *heap = thread->heap;
	struct process_slot *slot = &heap->process_slot[process];
	uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);

	if (owner == 0 || heap->system.process_alive(heap->system.context, process) ||
		has_threads(heap, process))
		return;
	if (atomic_compare_exchange_strong_explicit(&slot->owner, &owner, 0, memory_order_acq_rel,
		    memory_order_relaxed))
		thread->counts.processes++;
}

static void reap_processes(struct thread *thread)
{
	uint32_t processes = atomic_load_explicit(&thread->heap->header->process_high_water,
		memory_order_acquire);

	for (uint32_t process = 0; process < processes; process++)
		reap_process(thread, process);
}

void reap_all(struct thread *thread)
{
	uint32_t high_water = heap_slot_high_water(thread->heap);

	for (uint32_t slot = 0; slot < high_water; slot++)
		if (slot != thread->slot)
			reap_slot(thread, slot);
	reap_processes(thread);
}

/* A claim holds nothing, whosever it is. */
static bool holds_section_at_most(uint64_t owner)
{
	return slot_is_claim(owner) || tag_is_reader(owner);
}

void reap_readers(struct thread *thread)
{
	struct heap *heap = thread->heap;
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t slot = 0; slot < high_water; slot++)
		if (slot != thread->slot &&
			holds_section_at_most(atomic_load_explicit(&heap->thread_slot[slot].owner,
				memory_order_acquire)))
			reap_reader(thread, slot);
	reap_processes(thread);
}
