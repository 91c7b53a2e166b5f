/* fingerprint.c -- 128-bit fingerprints of states, and sets of them
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/model/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SMALLEST_CAPACITY ((size_t)1 << 12)

struct fingerprint fingerprint_of_words(uint64_t key, const uint64_t *words, size_t count)
{
	uint64_t low = key + count;
	uint64_t high = ~key;

	for (size_t i = 0; i < count; i++) {
		low = (low ^ words[i]) * UINT64_C(0xbf58476d1ce4e5b9);
		low ^= low >> 32;
		high = (high + words[i]) * UINT64_C(0xd6e8feb86659fd93);
		high ^= high >> 29;
	}
	return (struct fingerprint){ .low = fingerprint_mix(low), .high = fingerprint_mix(high) };
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
	set->numbers = zeroed_pages(capacity * sizeof *set->numbers);
	set->capacity = capacity;
}

static void release(struct fingerprint_set *set)
{
	if (set->capacity == 0)
		return;
	munmap(set->slots, set->capacity * sizeof *set->slots);
	munmap(set->numbers, set->capacity * sizeof *set->numbers);
}

/* The slot that holds the fingerprint, or the free slot where it belongs. */
static size_t slot_of(const struct fingerprint_set *set, struct fingerprint fingerprint)
{
	size_t slot = (size_t)fingerprint.high & (set->capacity - 1);

	while ((set->slots[slot].low | set->slots[slot].high) != 0 &&
		!fingerprint_equal(set->slots[slot], fingerprint))
		slot = (slot + 1) & (set->capacity - 1);
	return slot;
}

static void grow(struct fingerprint_set *set)
{
	struct fingerprint_set old = *set;

	allocate(set, old.capacity == 0 ? SMALLEST_CAPACITY : old.capacity * 2);
	for (size_t i = 0; i < old.capacity; i++) {
		if ((old.slots[i].low | old.slots[i].high) == 0)
			continue;
		size_t slot = slot_of(set, old.slots[i]);
		set->slots[slot] = old.slots[i];
		set->numbers[slot] = old.numbers[i];
	}
	release(&old);
}

bool fingerprint_set_insert(struct fingerprint_set *set, struct fingerprint fingerprint,
	uint32_t *number)
{
	if ((fingerprint.low | fingerprint.high) == 0)
		fingerprint.low = 1;
	if (set->count >= set->capacity / 4 * 3)
		grow(set);

	size_t slot = slot_of(set, fingerprint);

	if ((set->slots[slot].low | set->slots[slot].high) != 0) {
		*number = set->numbers[slot];
		return false;
	}
	set->slots[slot] = fingerprint;
	set->numbers[slot] = *number;
	set->count++;
	return true;
}

void fingerprint_set_clear(struct fingerprint_set *set)
{
	release(set);
	*set = (struct fingerprint_set){ 0 };
}
