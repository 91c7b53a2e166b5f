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
#define USED 0x8000u
#define ALL_LOCKS ((1u << EXPLORER_LOCK_LIMIT) - 1)
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

static_assert(ALL_LOCKS < USED, "uses have a bit for each lock");
static_assert(EXPLORER_PROCESS_LIMIT <= 8, "conflicts has a bit for each process");

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
	/* Accesses come in runs. */
	static size_t last;

	if (last < region_count && contains(&regions[last], address))
		return &regions[last];
	for (size_t i = 0; i < region_count; i++)
		if (contains(&regions[i], address)) {
			last = i;
			return &regions[i];
		}
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

/* Both happen, and of each lock one of the two goes without it. */
static bool meet(unsigned use, unsigned other)
{
	return (use & other & USED) != 0 && ((use | other) & ALL_LOCKS) == ALL_LOCKS;
}

static bool conflicts_for(const uint16_t uses[MEMORY_USES])
{
	return meet(uses[MEMORY_STORES], uses[MEMORY_OTHERS_STORE]) ||
		meet(uses[MEMORY_STORES], uses[MEMORY_OTHERS_LOAD]) ||
		meet(uses[MEMORY_LOADS], uses[MEMORY_OTHERS_STORE]);
}

/* Adds to one kind of use of one process; `use` is new. */
static void add_use(struct memory_word *word, unsigned process, enum memory_use kind, unsigned use)
{
	word->uses[process][kind] |= (uint16_t)use;
	if (conflicts_for(word->uses[process]))
		word->conflicts |= (uint8_t)(1u << process);
}

static bool note_word(struct memory_word *word, unsigned process, bool stores, unsigned active,
	unsigned use)
{
	uint8_t before = word->conflicts;
	enum memory_use own = stores ? MEMORY_STORES : MEMORY_LOADS;
	enum memory_use others = stores ? MEMORY_OTHERS_STORE : MEMORY_OTHERS_LOAD;

	for (unsigned p = 0; p < EXPLORER_PROCESS_LIMIT; p++) {
		enum memory_use kind = p == process ? own : others;
		if ((p == process || (active >> p & 1) != 0) && (use & ~word->uses[p][kind]) != 0)
			add_use(word, p, kind, use);
	}
	conflict_count += before == 0 && word->conflicts != 0;
	return word->conflicts != before;
}

bool memory_note(struct memory_region *region, const void *address, size_t bytes, unsigned process,
	bool stores, unsigned active, unsigned locks)
{
	bool found = false;
	size_t last = last_word_of(region, address, bytes);
	unsigned use = USED | (ALL_LOCKS & ~locks);

	for (size_t word = word_of(region, address); word <= last; word++)
		found = note_word(&region->words[word], process, stores, active, use) || found;
	return found;
}

bool memory_is_conflict(const struct memory_region *region, const void *address, size_t bytes,
	unsigned process)
{
	size_t last = last_word_of(region, address, bytes);

	for (size_t word = word_of(region, address); word <= last; word++)
		if ((region->words[word].conflicts & 1u << process) != 0)
			return true;
	return false;
}

void memory_set_conflict(struct memory_region *region, const void *address, size_t bytes)
{
	size_t last = last_word_of(region, address, bytes);

	for (size_t word = word_of(region, address); word <= last; word++) {
		conflict_count += region->words[word].conflicts == 0;
		region->words[word].conflicts = UINT8_MAX;
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
		region->words[word].logged = true;
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
		if (!region->words[word].logged)
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
