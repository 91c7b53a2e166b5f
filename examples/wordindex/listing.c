/* listing.c -- what a finished index holds, for people and for comparison
 * SPDX-License-Identifier: BSD-3-Clause */
#include "listing.h"

#include "process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void list_passes(struct index *index)
{
	printf("%" PRIu64 "\n", index->root->passes);
}

static void print_count(struct index *index, const struct entry *entry, void *argument)
{
	(void)index;
	(void)argument;
	printf("%" PRIu64 " %.*s\n", entry->count, (int)entry->length, entry->letters);
}

void list_counts(struct index *index)
{
	index_for_each(index, print_count, NULL);
}

static void print_postings(struct index *index, const struct entry *entry, void *argument)
{
	(void)argument;
	index_gather(index, entry);
	for (size_t i = 0; i < index->gathered.length; i++) {
		const struct posting *posting = &index->gathered.posting[i];
		printf("%" PRIu64 " %" PRIu64 ":%" PRIu64 ":%.*s\n", posting->times,
			posting->place >> 32, posting->place & UINT32_MAX, (int)entry->length,
			entry->letters);
	}
}

void list_postings(struct index *index)
{
	index_for_each(index, print_postings, NULL);
}

/* Stack. The most frequent entries so far, in descending order. */
struct top {
	const struct entry **entry;
	size_t length;
	size_t rows;
};

static void top_take(struct index *index, const struct entry *entry, void *argument)
{
	struct top *top = argument;
	size_t place = top->length;

	(void)index;
	while (place > 0 && top->entry[place - 1]->count < entry->count)
		place--;
	if (place == top->rows)
		return;
	if (top->length < top->rows)
		top->length++;
	memmove(&top->entry[place + 1], &top->entry[place],
		(top->length - 1 - place) * sizeof(struct entry *));
	top->entry[place] = entry;
}

static const char *name_without_directory(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash == NULL ? name : slash + 1;
}

static void print_top_row(struct index *index, const struct entry *entry, const struct texts *texts)
{
	index_gather(index, entry);
	const struct posting *first = &index->gathered.posting[0];
	uint64_t text = (first->place >> 32) - 1;

	printf("  %-12.*s %8" PRIu64 " times in %6zu lines, first in line %" PRIu64 " of %s\n",
		(int)entry->length, entry->letters, entry->count / index->root->passes,
		index->gathered.length, first->place & UINT32_MAX,
		name_without_directory(texts->text[text].name));
}

void list_top(struct index *index, size_t rows, const struct texts *texts)
{
	struct top top = { .entry = calloc(rows, sizeof(struct entry *)), .rows = rows };

	if (top.entry == NULL)
		fail("no memory for %zu rows", rows);
	index_for_each(index, top_take, &top);
	for (size_t i = 0; i < top.length; i++)
		print_top_row(index, top.entry[i], texts);
	free(top.entry);
}

static void count_entry_blocks(struct index *index, const struct entry *entry, void *argument)
{
	uint64_t *blocks = argument;
	*blocks += 1 + index_gather(index, entry);
}

uint64_t count_index_blocks(struct index *index)
{
	uint64_t blocks = 1; /* the root block */

	index_for_each(index, count_entry_blocks, &blocks);
	return blocks;
}

static int count_block(const struct sh_block *block, void *argument)
{
	struct heap_use *use = argument;

	use->blocks++;
	use->bytes += block->size;
	return 0;
}

struct heap_use count_heap_blocks(struct sh_heap *heap)
{
	struct heap_use use = { 0 };

	must(sh_walk(heap, count_block, &use), "sh_walk");
	return use;
}
