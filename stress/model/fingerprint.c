/* fingerprint.c -- fingerprints of states, and sets of them
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/model/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SMALLEST_CAPACITY ((size_t)1 << 12)

/* The NH hash: sums of products of pairs of words, each plus a key of its place in the block; two of
 * them, with keys shifted by a pair. */
#define BLOCK_WORDS 64u

__extension__ typedef unsigned __int128 product;

static const uint64_t *keys(void)
{
	static uint64_t table[BLOCK_WORDS + 2];

	for (unsigned i = 0; table[BLOCK_WORDS + 1] == 0; i++)
		table[i] = fingerprint_mix(i + 1);
	return table;
}

static product multiply(const uint64_t *words, const uint64_t *key)
{
	return (product)(words[0] + key[0]) * (words[1] + key[1]);
}

/* Adds a block of at most BLOCK_WORDS words, an even number. */
static struct fingerprint add_block(struct fingerprint sum, const uint64_t *words, size_t count)
{
	const uint64_t *key = keys();
	product first = 0;
	product second = 0;

	for (size_t i = 0; i < count; i += 2) {
		first += multiply(words + i, key + i);
		second += multiply(words + i, key + i + 2);
	}
	return (struct fingerprint){
		.low = fingerprint_mix(sum.low ^ (uint64_t)first) + (uint64_t)(first >> 64),
		.high = fingerprint_mix(sum.high ^ (uint64_t)second) + (uint64_t)(second >> 64),
	};
}

struct fingerprint fingerprint_of_words(uint64_t key, const uint64_t *words, size_t count)
{
	struct fingerprint sum = { .low = key + count, .high = ~key };
	size_t even = count & ~(size_t)1;

	for (size_t i = 0; i < even; i += BLOCK_WORDS)
		sum = add_block(sum, words + i, even - i < BLOCK_WORDS ? even - i : BLOCK_WORDS);
	if (count != even)
		sum = add_block(sum, (const uint64_t[]){ words[even], 0 }, 2);
	return (struct fingerprint){
		.low = fingerprint_mix(sum.low),
		.high = fingerprint_mix(sum.high),
	};
}

static void *zeroed_pages(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED) {
		fprintf(stderr,
			"explorer: no memory for %zu MiB of fingerprints; lower state_limit\n",
			bytes >> 20);
		exit(2);
	}
	madvise(pages, bytes, MADV_HUGEPAGE);
	return pages;
}

static void allocate(struct fingerprint_set *set, size_t capacity)
{
	set->slots = zeroed_pages(capacity * sizeof *set->slots);
	set->capacity = capacity;
}

static void release(struct fingerprint_set *set)
{
	if (set->capacity != 0)
		munmap(set->slots, set->capacity * sizeof *set->slots);
}

static bool is_free(const struct fingerprint_slot *slot)
{
	return (slot->low | slot->high) == 0;
}

/* The slot that holds the fingerprint, or the free slot where it belongs. */
static struct fingerprint_slot *slot_of(const struct fingerprint_set *set,
	const struct fingerprint_slot *wanted)
{
	size_t index = (size_t)wanted->low & (set->capacity - 1);

	for (;;) {
		struct fingerprint_slot *slot = &set->slots[index];

		if (is_free(slot) || (slot->low == wanted->low && slot->high == wanted->high))
			return slot;
		index = (index + 1) & (set->capacity - 1);
	}
}

static void grow(struct fingerprint_set *set)
{
	struct fingerprint_set old = *set;

	allocate(set, old.capacity == 0 ? SMALLEST_CAPACITY : old.capacity * 2);
	for (size_t i = 0; i < old.capacity; i++)
		if (!is_free(&old.slots[i]))
			*slot_of(set, &old.slots[i]) = old.slots[i];
	release(&old);
}

bool fingerprint_set_insert(struct fingerprint_set *set, struct fingerprint fingerprint,
	uint32_t *number)
{
	struct fingerprint_slot wanted = {
		.low = fingerprint.low,
		.high = (uint32_t)fingerprint.high,
		.number = *number,
	};

	if (is_free(&wanted))
		wanted.low = 1;
	if (set->count >= set->capacity / 4 * 3)
		grow(set);

	struct fingerprint_slot *slot = slot_of(set, &wanted);

	if (!is_free(slot)) {
		*number = slot->number;
		return false;
	}
	*slot = wanted;
	set->count++;
	return true;
}

void fingerprint_set_clear(struct fingerprint_set *set)
{
	release(set);
	*set = (struct fingerprint_set){ 0 };
}
