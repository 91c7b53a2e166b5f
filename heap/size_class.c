/* size_class.c -- sizes of blocks, and spans to cut them from
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/size_class.h"

#include "heap/heap_layout.h"

#include <assert.h>

/* A span of fewer objects is not worth its metadata and its trips to the page allocator: as many as
 * the bits beside its record can tell apart, or as fit SPAN_ENOUGH_PAGES. */
#define SPAN_ENOUGH_OBJECTS (SPAN_INLINE_WORDS * 64u)
#define SPAN_LEAST_OBJECTS 4u
#define SPAN_ENOUGH_PAGES 4u
/* At most 1/16 of a span may be left over behind its last object. */
#define SPAN_TAIL_SHARE 16u
/* Spans with a smaller part of their blocks free are left alone: a visit costs more than it brings. */
#define SPAN_WORTH_SHARE 8u

static uint32_t class_bytes(unsigned size_class)
{
	unsigned doubling = size_class / 8;
	unsigned step = size_class % 8;

	if (doubling == 0)
		return 16u * (step + 1);
	return (8u + step + 1) << (doubling + 3);
}

static bool pages_fit(uint64_t bytes, uint64_t pages)
{
	uint64_t span_bytes = pages * PAGE_BYTES;
	uint64_t objects = span_bytes / bytes;

	if (objects < SPAN_LEAST_OBJECTS)
		return false;
	if (objects * 2 <= SPAN_ENOUGH_OBJECTS && pages < SPAN_ENOUGH_PAGES)
		return false;
	return (span_bytes - objects * bytes) * SPAN_TAIL_SHARE <= span_bytes;
}

static struct size_class make(unsigned size_class)
{
	uint32_t bytes = class_bytes(size_class);
	uint32_t pages = 1;

	while (!pages_fit(bytes, pages))
		pages++;
	uint32_t objects = (uint32_t)(pages * PAGE_BYTES / bytes);

	return (struct size_class){
		.bytes = bytes,
		.pages = pages,
		.objects = objects,
		.words = (objects + 63) / 64,
		.worth = objects > SPAN_WORTH_SHARE ? objects / SPAN_WORTH_SHARE : 1,
		.reciprocal = ((UINT64_C(1) << 32) + bytes - 1) / bytes,
	};
}

/* What size_class_index() relies on. */
static bool index_is_exact(const struct size_class *class)
{
	uint64_t excess = class->reciprocal * class->bytes - (UINT64_C(1) << 32);

	return excess < class->bytes && (class->objects + 1) * excess < class->reciprocal;
}

static uint64_t fold(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

void size_class_table_init(struct size_class_table *table)
{
	*table = (struct size_class_table){ .hash = PAGE_SHIFT };
	for (unsigned c = 0; c < SIZE_CLASS_COUNT; c++) {
		table->of[c] = make(c);
		assert(table->of[c].objects <= SPAN_MAX_OBJECTS);
		assert(table->of[c].pages <= SPAN_OBJECTS_MOST_PAGES);
		assert(index_is_exact(&table->of[c]));
		table->hash = fold(table->hash, table->of[c].bytes);
		table->hash = fold(table->hash, table->of[c].pages);
	}
	assert(table->of[SIZE_CLASS_COUNT - 1].bytes == SMALL_MAX_BYTES);
}
