/* hash_set.c -- which images were seen
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/hash_set.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_empty(const struct image_hash *slot)
{
	return slot->half[0] == 0 && slot->half[1] == 0;
}

/* Zero means an empty slot. */
static struct image_hash storable(struct image_hash hash)
{
	if (is_empty(&hash))
		hash.half[1] = 1;
	return hash;
}

/* The slot that has it, or the empty one where it belongs. */
static struct image_hash *slot_of(const struct hash_set *set, struct image_hash hash)
{
	uint64_t at = hash.half[0] & (set->slot_count - 1);

	while (!is_empty(&set->slots[at]) &&
		(set->slots[at].half[0] != hash.half[0] || set->slots[at].half[1] != hash.half[1]))
		at = (at + 1) & (set->slot_count - 1);
	return &set->slots[at];
}

static void grow(struct hash_set *set)
{
	struct hash_set larger = { .slot_count = set->slot_count == 0 ? 64 : set->slot_count * 2 };

	larger.slots = calloc(larger.slot_count, sizeof(larger.slots[0]));
	if (larger.slots == NULL) {
		perror("crashlog: calloc");
		exit(2);
	}
	for (uint64_t i = 0; i < set->slot_count; i++)
		if (!is_empty(&set->slots[i]))
			*slot_of(&larger, set->slots[i]) = set->slots[i];
	larger.count = set->count;
	free(set->slots);
	*set = larger;
}

bool hash_set_add(struct hash_set *set, struct image_hash hash)
{
	struct image_hash *slot;

	hash = storable(hash);
	if (set->count * 2 >= set->slot_count)
		grow(set);
	slot = slot_of(set, hash);
	if (!is_empty(slot))
		return false;
	*slot = hash;
	set->count++;
	return true;
}

bool hash_set_has(const struct hash_set *set, struct image_hash hash)
{
	return set->slot_count != 0 && !is_empty(slot_of(set, storable(hash)));
}

void hash_set_clear(struct hash_set *set)
{
	free(set->slots);
	*set = (struct hash_set){ 0 };
}
