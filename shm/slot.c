/* slot.c -- thread slots: claim, release, and the right to act for a dead one
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shm/slot.h"

#include <assert.h>
#include <stdatomic.h>

static uint64_t claim_word(uint32_t process)
{
	return (uint64_t)process << 1 | THREAD_CLAIM;
}

static void raise_high_water(struct control_header *header, uint32_t mark)
{
	uint32_t seen = atomic_load_explicit(&header->thread_high_water, memory_order_relaxed);

	/* release: who reads the mark sees the slots below it laid. */
	while (seen < mark &&
		!atomic_compare_exchange_weak_explicit(&header->thread_high_water, &seen, mark,
			memory_order_acq_rel, memory_order_relaxed))
		;
}

bool slot_claim_at(struct control_header *header, struct thread_slot *slots, uint32_t slot,
	uint32_t process)
{
	uint64_t vacant = 0;

	if (atomic_load_explicit(&slots[slot].owner, memory_order_relaxed) != 0)
		return false;
	raise_high_water(header, slot + 1);
	return atomic_compare_exchange_strong_explicit(&slots[slot].owner, &vacant,
		claim_word(process), memory_order_acq_rel, memory_order_relaxed);
}

uint32_t slot_claim(struct control_header *header, struct thread_slot *slots, uint32_t process)
{
	for (uint32_t slot = 0; slot < header->thread_slot_count; slot++)
		if (slot_claim_at(header, slots, slot, process))
			return slot;
	return SLOT_NONE;
}

void slot_confirm(struct thread_slot *slot, uint64_t tag, uint32_t process, bool liveness_word)
{
	assert(slot_is_claim(atomic_load(&slot->owner)));
	atomic_store_explicit(&slot->process, process, memory_order_relaxed);
	atomic_store_explicit(&slot->liveness_tag, liveness_word ? tag : 0, memory_order_relaxed);
	/* Crash: a claim of a dead process. release: who sees the tag sees process and word. */
	atomic_store_explicit(&slot->owner, tag, memory_order_release);
}

void slot_release(struct thread_slot *slot, uint64_t tag)
{
	uint64_t seen = tag;
	bool mine = atomic_compare_exchange_strong_explicit(&slot->owner, &seen, 0,
		memory_order_release, memory_order_relaxed);

	assert(mine);
	(void)mine;
}

static bool take_reaper_word(struct thread_slot *slot, uint64_t reaper, const struct system *system)
{
	uint64_t seen = atomic_load_explicit(&slot->reaper, memory_order_acquire);

	if (seen != 0 && system->alive(system->context, seen))
		return false;
	/* acquire: pairs with the release of the one before, dead or done. */
	return atomic_compare_exchange_strong_explicit(&slot->reaper, &seen, reaper,
		memory_order_acq_rel, memory_order_relaxed);
}

bool slot_begin_reaping(struct thread_slot *slot, uint64_t reaper, const struct system *system,
	uint64_t *tag)
{
	*tag = atomic_load_explicit(&slot->owner, memory_order_acquire);
	if (*tag == 0 || slot_is_claim(*tag) || system->alive(system->context, *tag))
		return false;
	if (!take_reaper_word(slot, reaper, system))
		return false;
	/* Reaped and perhaps claimed anew between the look and the word. */
	if (atomic_load_explicit(&slot->owner, memory_order_acquire) == *tag)
		return true;
	atomic_store_explicit(&slot->reaper, 0, memory_order_release);
	return false;
}

void slot_end_reaping(struct thread_slot *slot, uint64_t tag)
{
	uint64_t seen = tag;

	atomic_compare_exchange_strong_explicit(&slot->owner, &seen, 0, memory_order_acq_rel,
		memory_order_relaxed);
	/* Crash: a free slot with the word of a dead reaper, which the next one takes over. */
	atomic_store_explicit(&slot->reaper, 0, memory_order_release);
}

void slot_stop_reaping(struct thread_slot *slot)
{
	atomic_store_explicit(&slot->reaper, 0, memory_order_release);
}

bool slot_drop_dead_claim(struct thread_slot *slot, const struct system *system)
{
	uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);

	if (!slot_is_claim(owner) || system->process_alive(system->context, (uint32_t)(owner >> 1)))
		return false;
	return atomic_compare_exchange_strong_explicit(&slot->owner, &owner, 0,
		memory_order_acq_rel, memory_order_relaxed);
}
