/* memory.c -- the tracked memory of a model: who uses which word, undo, fingerprints
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/model/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORD_BYTES sizeof(uint64_t)
#define CONFLICTS 0xf0000u
#define LOGGED 0x100000u /* will_write was told of the word */
#define REGION_KEY_SHIFT 48

/* Process. */
struct undo {
	struct memory_region *region;
	size_t word;
	uint64_t content; /* before the store */
};

static struct memory_region regions[MEMORY_REGION_LIMIT];
static size_t region_count;
static struct undo *history; /* entries at and above `settled` are pending */
static size_t history_count;
static size_t history_capacity;
static size_t settled;
static size_t conflict_count;
static struct memory_digest current;

static void *allocate(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED) {
		fprintf(stderr, "explorer: no memory to track %zu bytes; track less\n", bytes);
		exit(2);
	}
	return pages;
}

static size_t words_bytes(const struct memory_region *region)
{
	return region->bytes / WORD_BYTES * sizeof *region->words;
}

void memory_track(const char *name, void *base, size_t bytes, enum explorer_kind kind)
{
	if (region_count == MEMORY_REGION_LIMIT || bytes == 0 || bytes % WORD_BYTES != 0 ||
		(uintptr_t)base % WORD_BYTES != 0) {
		fprintf(stderr,
			"explorer_track: %s: base and size must be multiples of %zu bytes, the "
			"size "
			"not 0, and regions %d at most\n",
			name, WORD_BYTES, MEMORY_REGION_LIMIT);
		exit(2);
	}
	regions[region_count++] = (struct memory_region){
		.name = name,
		.base = base,
		.bytes = bytes,
		.kind = kind,
	};
}

void memory_untrack_all(void)
{
	region_count = 0;
}

void memory_begin(void)
{
	for (size_t i = 0; i < region_count; i++) {
		struct memory_region *region = &regions[i];
		region->image = allocate(region->bytes);
		memcpy(region->image, region->base, region->bytes);
		region->words = allocate(words_bytes(region));
	}
	history_count = 0;
	settled = 0;
	conflict_count = 0;
	current = (struct memory_digest){ 0 };
}

void memory_end(void)
{
	for (size_t i = 0; i < region_count; i++) {
		munmap(regions[i].image, regions[i].bytes);
		munmap(regions[i].words, words_bytes(&regions[i]));
	}
	free(history);
	history = NULL;
	history_count = 0;
	history_capacity = 0;
}

static bool contains(const struct memory_region *region, const void *address)
{
	return (uintptr_t)address - (uintptr_t)region->base < region->bytes;
}

struct memory_region *memory_find(const void *address)
{
	for (size_t i = 0; i < region_count; i++)
		if (contains(&regions[i], address))
			return &regions[i];
	return NULL;
}

const struct memory_region *memory_before(const void *address)
{
	const struct memory_region *last = NULL;

	for (size_t i = 0; i < region_count; i++)
		if ((uintptr_t)(regions[i].base + regions[i].bytes) <= (uintptr_t)address &&
			(last == NULL || regions[i].base > last->base))
			last = &regions[i];
	return last;
}

static size_t word_of(const struct memory_region *region, const void *address)
{
	return ((uintptr_t)address - (uintptr_t)region->base) / WORD_BYTES;
}

static size_t last_word_of(const struct memory_region *region, const void *address, size_t bytes)
{
	uintptr_t last = (uintptr_t)address + bytes - 1;

	assert(last - (uintptr_t)region->base < region->bytes);
	return word_of(region, (const void *)last);
}

static uint64_t *content_of(const struct memory_region *region, size_t word)
{
	return (uint64_t *)(void *)region->base + word;
}

static struct fingerprint fingerprint_of(const struct memory_region *region, size_t word,
	uint64_t content)
{
	uint64_t key = (uint64_t)(region - regions) << REGION_KEY_SHIFT | word;

	return fingerprint_of_word(key, content);
}

static uint32_t load_flag(unsigned process)
{
	return UINT32_C(1) << process;
}

static uint32_t store_flag(unsigned process)
{
	return UINT32_C(1) << (4 + process);
}

static uint32_t others_load_flag(unsigned process)
{
	return UINT32_C(1) << (8 + 2 * process);
}

static uint32_t others_store_flag(unsigned process)
{
	return UINT32_C(1) << (9 + 2 * process);
}

static uint32_t conflict_flag(unsigned process)
{
	return UINT32_C(1) << (16 + process);
}

static bool conflicts_for(uint32_t flags, unsigned process)
{
	bool loads = (flags & load_flag(process)) != 0;
	bool stores = (flags & store_flag(process)) != 0;
	bool others_load = (flags & others_load_flag(process)) != 0;
	bool others_store = (flags & others_store_flag(process)) != 0;

	return (stores && (others_load || others_store)) || (loads && others_store);
}

/* The flags of a word after an access to it. */
static uint32_t flags_after(uint32_t flags, unsigned process, bool stores, unsigned active)
{
	flags |= stores ? store_flag(process) : load_flag(process);
	for (unsigned p = 0; p < EXPLORER_PROCESS_LIMIT; p++)
		if (p != process && (active >> p & 1) != 0)
			flags |= stores ? others_store_flag(p) : others_load_flag(p);
	for (unsigned p = 0; p < EXPLORER_PROCESS_LIMIT; p++)
		if (conflicts_for(flags, p))
			flags |= conflict_flag(p);
	return flags;
}

bool memory_note(struct memory_region *region, const void *address, size_t bytes, unsigned process,
	bool stores, unsigned active)
{
	bool found = false;
	size_t last = last_word_of(region, address, bytes);

	for (size_t word = word_of(region, address); word <= last; word++) {
		uint32_t before = region->words[word];
		uint32_t after = flags_after(before, process, stores, active);

		found = found || (before & CONFLICTS) != (after & CONFLICTS);
		conflict_count += (before & CONFLICTS) == 0 && (after & CONFLICTS) != 0;
		region->words[word] = after;
	}
	return found;
}

bool memory_is_conflict(const struct memory_region *region, const void *address, size_t bytes,
	unsigned process)
{
	size_t last = last_word_of(region, address, bytes);

	for (size_t word = word_of(region, address); word <= last; word++)
		if ((region->words[word] & conflict_flag(process)) != 0)
			return true;
	return false;
}

void memory_set_conflict(struct memory_region *region, const void *address, size_t bytes)
{
	size_t last = last_word_of(region, address, bytes);

	for (size_t word = word_of(region, address); word <= last; word++) {
		conflict_count += (region->words[word] & CONFLICTS) == 0;
		region->words[word] |= CONFLICTS;
	}
}

size_t memory_conflict_count(void)
{
	return conflict_count;
}

static void reserve_history(void)
{
	if (history_count < history_capacity)
		return;
	history_capacity = history_capacity == 0 ? 1024 : history_capacity * 2;
	history = realloc(history, history_capacity * sizeof *history);
	if (history == NULL) {
		fprintf(stderr, "explorer: no memory for %zu undo records\n", history_capacity);
		exit(2);
	}
}

void memory_will_write(struct memory_region *region, const void *address, size_t bytes)
{
	size_t last = last_word_of(region, address, bytes);

	memory_settle();
	for (size_t word = word_of(region, address); word <= last; word++) {
		reserve_history();
		region->words[word] |= LOGGED;
		history[history_count++] = (struct undo){
			.region = region,
			.word = word,
			.content = *content_of(region, word),
		};
	}
}

void memory_settle(void)
{
	for (; settled < history_count; settled++) {
		const struct undo *undo = &history[settled];
		uint64_t content = *content_of(undo->region, undo->word);
		if (content == undo->content)
			continue;

		struct fingerprint *sum = &current.kinds[undo->region->kind];

		*sum = fingerprint_subtract(*sum,
			fingerprint_of(undo->region, undo->word, undo->content));
		*sum = fingerprint_add(*sum, fingerprint_of(undo->region, undo->word, content));
	}
}

struct fingerprint memory_fingerprint(unsigned kinds)
{
	struct fingerprint sum = { 0 };

	assert(settled == history_count);
	for (unsigned kind = 0; kind < EXPLORER_KINDS; kind++)
		if ((kinds & 1u << kind) != 0)
			sum = fingerprint_add(sum, current.kinds[kind]);
	return sum;
}

struct memory_digest memory_digest(void)
{
	assert(settled == history_count);
	return current;
}

size_t memory_mark(void)
{
	return history_count;
}

void memory_rollback(size_t mark, const struct memory_digest *digest)
{
	while (history_count > mark) {
		const struct undo *undo = &history[--history_count];
		*content_of(undo->region, undo->word) = undo->content;
	}
	settled = mark;
	current = *digest;
}

/* Returns the first word of the region that differs from the image though will_write was never told
 * of it; adds what the words that it was told of contribute to the digest. */
static const uint64_t *first_unlogged(const struct memory_region *region, struct fingerprint *sum)
{
	for (size_t word = 0; word < region->bytes / WORD_BYTES; word++) {
		uint64_t content = *content_of(region, word);
		uint64_t before;

		memcpy(&before, region->image + word * WORD_BYTES, WORD_BYTES);
		if (content == before)
			continue;
		if ((region->words[word] & LOGGED) == 0)
			return content_of(region, word);
		*sum = fingerprint_add(*sum, fingerprint_of(region, word, content));
		*sum = fingerprint_subtract(*sum, fingerprint_of(region, word, before));
	}
	return NULL;
}

const char *memory_verify(void)
{
	static char text[160];
	struct memory_digest expected = { 0 };

	for (size_t i = 0; i < region_count; i++) {
		struct memory_region *region = &regions[i];
		if (region->kind == EXPLORER_IGNORED)
			continue;
		const uint64_t *word = first_unlogged(region, &expected.kinds[region->kind]);
		if (word == NULL)
			continue;
		snprintf(text, sizeof text,
			"%s+0x%zx was written past the hooks; tell explorer_will_write() first",
			region->name, (size_t)((const unsigned char *)word - region->base));
		return text;
	}
	for (unsigned kind = 0; kind < EXPLORER_KINDS; kind++)
		if (!fingerprint_equal(expected.kinds[kind], current.kinds[kind]))
			return "tracked memory was written past the hooks, in a word that is also "
			       "written with them";
	return NULL;
}
