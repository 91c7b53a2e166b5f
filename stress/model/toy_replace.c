/* toy_replace.c -- allocate, publish, free the old: with a redo that forgets the survivors
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The intent says what a process is about to do, so that a reaper can redo it. Redoing "the old
 * slot is free" is idempotent, and still wrong: a survivor may have taken the slot in between. The
 * conditional form marks the old slot as being freed by this process, and frees it from that mark
 * only. */
#include <string.h>

#include "stress/model/toy.h"

void toy_heap_initialise(struct toy_heap *heap)
{
	memset(heap, 0, sizeof *heap);
	for (uint64_t root = 0; root < TOY_ROOTS; root++) {
		atomic_store(&heap->owners[root], TOY_LIVE);
		atomic_store(&heap->roots[root], root + 1);
	}
}

/* Crash: the intent names the slot before it is claimed; a reaper gives it back if it was. */
static uint64_t claim_slot(struct toy_heap *heap, struct toy_context *context, unsigned process)
{
	struct toy_intent *intent = &heap->intents[process];

	for (uint64_t i = 0; i < TOY_SLOTS; i++) {
		uint64_t slot = (context->first_slot + i) % TOY_SLOTS;
		uint64_t owner = TOY_FREE;
		if (atomic_load_explicit(&heap->owners[slot], memory_order_relaxed) != TOY_FREE)
			continue;
		intent->slot = slot + 1;
		atomic_store_explicit(&intent->step, TOY_CLAIMING, memory_order_release);
		if (atomic_compare_exchange_strong(&heap->owners[slot], &owner,
			    TOY_CLAIMED + process)) {
			context->first_slot = slot;
			return slot + 1;
		}
	}
	return 0;
}

static void free_from_mark(struct toy_heap *heap, uint64_t slot, uint64_t mark)
{
	atomic_compare_exchange_strong(&heap->owners[slot - 1], &mark, TOY_FREE);
}

/* Crash: who finds the intent PUBLISHING does all of this again. */
static void publish(struct toy_heap *heap, struct toy_intent *intent, uint64_t mark,
	bool conditional)
{
	uint64_t old_slot = intent->old_slot;

	atomic_store_explicit(&heap->roots[intent->root], intent->slot, memory_order_release);
	atomic_store_explicit(&heap->owners[intent->slot - 1], TOY_LIVE, memory_order_release);
	if (!conditional) {
		atomic_store_explicit(&heap->owners[old_slot - 1], TOY_FREE, memory_order_release);
		return;
	}
	atomic_store_explicit(&heap->owners[old_slot - 1], mark, memory_order_release);
	atomic_store_explicit(&intent->step, TOY_RELEASING, memory_order_release);
	free_from_mark(heap, old_slot, mark);
}

void toy_replace(struct toy_heap *heap, struct toy_context *context, unsigned process,
	uint64_t root, unsigned char fill, bool conditional)
{
	struct toy_intent *intent = &heap->intents[process];

	intent->root = root;
	intent->old_slot = atomic_load_explicit(&heap->roots[root], memory_order_acquire);

	uint64_t slot = claim_slot(heap, context, process);

	if (slot != 0) {
		memset(heap->data[slot - 1], fill, TOY_SLOT_BYTES);
		atomic_store_explicit(&intent->step, TOY_PUBLISHING, memory_order_release);
		publish(heap, intent, TOY_FREEING + process, conditional);
		context->replaced++;
	}
	atomic_store_explicit(&intent->step, TOY_CLOSED, memory_order_release);
}

void toy_reap(struct toy_heap *heap, unsigned dead, bool conditional)
{
	struct toy_intent *intent = &heap->intents[dead];

	switch (atomic_load_explicit(&intent->step, memory_order_acquire)) {
	case TOY_CLAIMING:
		free_from_mark(heap, intent->slot, TOY_CLAIMED + dead);
		break;
	case TOY_PUBLISHING:
		publish(heap, intent, TOY_FREEING + dead, conditional);
		break;
	case TOY_RELEASING:
		free_from_mark(heap, intent->old_slot, TOY_FREEING + dead);
		break;
	default:
		break;
	}
	atomic_store_explicit(&intent->step, TOY_CLOSED, memory_order_release);
}

static bool is_uniform(const unsigned char *data)
{
	for (size_t i = 1; i < TOY_SLOT_BYTES; i++)
		if (data[i] != data[0])
			return false;
	return true;
}

const char *toy_heap_check(const struct toy_heap *heap, bool at_rest)
{
	unsigned references[TOY_SLOTS] = { 0 };

	for (size_t i = 0; i < TOY_ROOTS; i++) {
		uint64_t slot = atomic_load(&heap->roots[i]) - 1;
		if (references[slot]++ > 0)
			return "a slot was handed out twice: two roots refer to it";
		if (!is_uniform(heap->data[slot]))
			return "a root refers to a slot that is half written";
		if (at_rest && atomic_load(&heap->owners[slot]) != TOY_LIVE)
			return "a slot can be handed out twice: it is free, and a root refers to "
			       "it";
	}
	for (size_t slot = 0; at_rest && slot < TOY_SLOTS; slot++)
		if (atomic_load(&heap->owners[slot]) != TOY_FREE && references[slot] == 0)
			return "a slot leaked";
	return NULL;
}
