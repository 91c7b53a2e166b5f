/* fault.c -- one rule of the protocol left out: each must be caught
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/fault.h"

#include "api/handle.h"

#include <errno.h>

static const char *const names[FAULTS] = {
	[FAULT_NONE] = "none",
	[FAULT_NO_WAIT] = "no-wait",
	[FAULT_NO_BARRIER] = "no-barrier",
	[FAULT_NO_FENCE] = "no-fence",
	[FAULT_EARLY_TAG] = "early-tag",
	[FAULT_UNENROLLED] = "unenrolled",
	[FAULT_UNREAPED] = "unreaped",
};

const char *fault_name(enum fault fault)
{
	return names[fault];
}

bool fault_needs_two_processors(enum fault fault)
{
	return fault == FAULT_NO_BARRIER || fault == FAULT_NO_FENCE;
}

unsigned fault_barrier(enum fault fault)
{
	return fault == FAULT_NO_FENCE ? SH_BARRIER_READER : SH_BARRIER_AUTO;
}

bool fault_readers_fence(const struct sh_heap *heap)
{
	return heap->heap.rcu.words->fences != 0;
}

/* --- planting ------------------------------------------------------------------------------ */

/* The fence before it is the waiter's, and stays. */
static int order_nobody(void *context)
{
	(void)context;
	return 0;
}

void fault_plant_in_updater(struct sh_heap *heap)
{
	if (shared->fault == FAULT_NO_BARRIER)
		heap->heap.system.order_all = order_nobody;
}

void fault_plant_in_reader(struct sh_heap *heap, struct sh_section *section)
{
	const struct rcu *rcu = &heap->heap.rcu;
	const struct thread_slot *slot;

	if (shared->fault == FAULT_NO_FENCE)
		section->fences = 0;
	if (shared->fault != FAULT_UNENROLLED)
		return;
	/* The section's word is a field of its slot. */
	slot = (const struct thread_slot *)(const void *)((const char *)section->word -
		offsetof(struct thread_slot, section));
	rcu_withdraw(rcu, (uint32_t)(slot - rcu->slots));
}

/* --- replacing ----------------------------------------------------------------------------- */

/* As sh_synchronize(), but by a tag that the caller took, and the dead are left alone. */
static int wait_for_tag(struct sh_heap *heap, uint64_t tag)
{
	return rcu_wait(&heap->heap.rcu, &heap->heap.system, tag, NULL, NULL);
}

int fault_replace(struct sh_heap *heap, struct pool *pool, unsigned updater, struct object *object,
	struct chance *chance)
{
	uint64_t early = 0;

	if (shared->fault == FAULT_EARLY_TAG) {
		early = rcu_tag(&heap->heap.rcu);
		chance_window(chance);
	}
	pool_publish(heap, pool, updater, object);
	switch (shared->fault) {
	case FAULT_NO_WAIT:
		return 0;
	case FAULT_EARLY_TAG:
		return wait_for_tag(heap, early);
	case FAULT_UNREAPED:
		return wait_for_tag(heap, rcu_tag(&heap->heap.rcu));
	default:
		return sh_synchronize(heap);
	}
}
