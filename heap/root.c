/* root.c -- named roots
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/root.h"

#include "shm/lock.h"
#include "shm/order.h"

#include <spanheap.h>

#define NAME_WORDS (ROOT_NAME_BYTES / 8)
#define NO_ROOT UINT64_MAX

bool root_name(const char *text, uint64_t name[NAME_WORDS])
{
	size_t length = text == NULL ? 0 : strnlen(text, ROOT_NAME_BYTES);

	if (length == 0 || length == ROOT_NAME_BYTES)
		return false;
	memset(name, 0, ROOT_NAME_BYTES);
	memcpy(name, text, length);
	return true;
}

static uint64_t name_hash(const uint64_t name[NAME_WORDS])
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < NAME_WORDS; i++) {
		hash = (hash ^ name[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return hash;
}

static bool name_equal(const struct root *root, const uint64_t name[NAME_WORDS])
{
	for (unsigned i = 0; i < NAME_WORDS; i++)
		if (atomic_load_explicit(&root->name[i], memory_order_relaxed) != name[i])
			return false;
	return true;
}

static uint64_t value_at(const struct root *root, uint64_t sequence)
{
	return atomic_load_explicit(&root->value[sequence & 1], memory_order_relaxed);
}

/* The entry that has the name, set or removed; NO_ROOT when there is none. */
static uint64_t find(const struct heap *heap, const uint64_t name[NAME_WORDS])
{
	uint64_t start = name_hash(name);

	for (uint64_t i = 0; i < ROOT_COUNT; i++) {
		uint64_t index = (start + i) % ROOT_COUNT;
		const struct root *root = &heap->roots[index];

		if (atomic_load_explicit(&root->sequence, memory_order_acquire) == 0)
			return NO_ROOT;
		if (name_equal(root, name))
			return index;
	}
	return NO_ROOT;
}

/* One consistent look at an entry that had the name. False: it changed, look again. */
static bool look(const struct root *root, const uint64_t name[NAME_WORDS], uint64_t *value)
{
	uint64_t sequence = atomic_load_explicit(&root->sequence, memory_order_acquire);

	*value = value_at(root, sequence);
	if (*value != 0 && !name_equal(root, name))
		*value = 0;
	/* acquire fence: the loads above come before the second look at the sequence. */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&root->sequence, memory_order_relaxed) == sequence;
}

bool root_get(const struct heap *heap, const uint64_t name[NAME_WORDS], uint64_t *value)
{
	uint64_t index;

	do {
		index = find(heap, name);
		if (index == NO_ROOT) {
			*value = 0;
			return false;
		}
	} while (!look(&heap->roots[index], name, value));
	return *value != 0;
}

static bool pinned(const struct heap *heap, uint64_t index)
{
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t slot = 0; slot < high_water; slot++)
		if (atomic_load_explicit(&heap_slot_words(heap, slot)->root_pins[index / 64],
			    memory_order_relaxed) >>
				(index & 63) &
			1)
			return true;
	return false;
}

/* The first entry from the name's hash on that may get a name; under the root lock. */
static uint64_t find_vacant(const struct heap *heap, const uint64_t name[NAME_WORDS])
{
	uint64_t start = name_hash(name);

	for (uint64_t i = 0; i < ROOT_COUNT; i++) {
		uint64_t index = (start + i) % ROOT_COUNT;
		const struct root *root = &heap->roots[index];
		uint64_t sequence = atomic_load_explicit(&root->sequence, memory_order_relaxed);

		if (sequence == 0 || (value_at(root, sequence) == 0 && !pinned(heap, index)))
			return index;
	}
	return NO_ROOT;
}

/* Switches to a value by one store of the sequence. Under the root lock. */
static void switch_value(struct root *root, uint64_t value)
{
	uint64_t sequence = atomic_load_explicit(&root->sequence, memory_order_relaxed) + 1;

	atomic_store_explicit(&root->value[sequence & 1], value, memory_order_relaxed);
	/* Crash: the value that does not count was written. */
	atomic_store_explicit(&root->sequence, sequence, memory_order_release);
}

/* Finds or makes the name's entry; under the root lock. */
static uint64_t find_or_make(struct heap *heap, const uint64_t name[NAME_WORDS])
{
	uint64_t index = find(heap, name);
	struct root *root;

	if (index != NO_ROOT)
		return index;
	index = find_vacant(heap, name);
	if (index == NO_ROOT)
		return NO_ROOT;
	root = &heap->roots[index];
	/* Crash: a name half written, of an entry whose value is 0: no root. */
	for (unsigned i = 0; i < NAME_WORDS; i++)
		atomic_store_explicit(&root->name[i], name[i], memory_order_relaxed);
	switch_value(root, 0);
	return index;
}

static void lock(struct thread *thread)
{
	/* A taken-over root lock needs no repair: a change is one store of a sequence. */
	if (lock_acquire(&thread->heap->derived->root_lock, thread->tag, &thread->heap->system) ==
		LOCK_TAKEN_OVER)
		thread->met_dead = true;
}

static void unlock(struct thread *thread)
{
	lock_release(&thread->heap->derived->root_lock, &thread->heap->system);
}

int root_set(struct thread *thread, const uint64_t name[NAME_WORDS], uint64_t value)
{
	struct heap *heap = thread->heap;
	uint64_t index;

	lock(thread);
	index = value != 0 ? find_or_make(heap, name) : find(heap, name);
	if (index != NO_ROOT)
		switch_value(&heap->roots[index], value);
	unlock(thread);
	return index != NO_ROOT || value == 0 ? 0 : SH_EFULL;
}

int root_pin(struct thread *thread, const uint64_t name[NAME_WORDS], uint64_t *index)
{
	_Atomic uint64_t *pins = thread->words->root_pins;

	lock(thread);
	*index = find_or_make(thread->heap, name);
	if (*index != NO_ROOT)
		atomic_store_explicit(&pins[*index / 64],
			atomic_load_explicit(&pins[*index / 64], memory_order_relaxed) |
				UINT64_C(1) << (*index & 63),
			memory_order_relaxed);
	unlock(thread);
	return *index != NO_ROOT ? 0 : SH_EFULL;
}

void root_unpin_all(struct heap *heap, uint32_t slot)
{
	_Atomic uint64_t *pins = heap_slot_words(heap, slot)->root_pins;

	for (unsigned i = 0; i < ROOT_PIN_WORDS; i++)
		if (atomic_load_explicit(&pins[i], memory_order_relaxed) != 0)
			atomic_store_explicit(&pins[i], 0, memory_order_release);
}

void root_apply(struct thread *thread, struct log_entry *entry, void (*retire)(void *argument),
	void *argument)
{
	struct root *root = &thread->heap->roots[entry->where % ROOT_COUNT];
	uint64_t sequence;

	lock(thread);
	sequence = atomic_load_explicit(&root->sequence, memory_order_relaxed);
	if (entry->before == 0) {
		entry->before = sequence + 1;
		/* Crash: noted, and the sequence has not moved: applied by the reaper. */
		crash_order();
	}
	/* Moved: this change was made, or another one after it, which must stand. */
	if (entry->before == sequence + 1)
		switch_value(root, entry->after);
	crash_order();
	retire(argument);
	unlock(thread);
}
