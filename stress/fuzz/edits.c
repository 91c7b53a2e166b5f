/* edits.c -- what an input says: a valid heap, and what is wrong with it
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/fuzz/edits.h"

#include "heap/log.h"
#include "heap/span.h"
#include "recovery/superblock.h"
#include "stress/fuzz/arena.h"

#include <string.h>

enum field {
	FIELD_SUPERBLOCK,
	FIELD_SUPERBLOCK_B,
	FIELD_RUNNING,
	FIELD_DIRECTORY,
	FIELD_ROOT,
	FIELD_LOG,
	FIELD_LOG_ENTRY,
	FIELD_ARENA,
	FIELD_HEADS,
	FIELD_RUN_HEADS,
	FIELD_SPAN,
	FIELD_SPAN_MORE,
	FIELD_TABLE,
	FIELD_ANY_WORD,
	FIELD_LENGTH,
	FIELD_USED_SPAN, /* of a page at which something begins */
	FIELD_FORGED,    /* a span that could be true begins there */
	FIELD_COUNT,
};

/* Stack. */
struct edit {
	enum field field;
	unsigned operation;
	unsigned word;
	unsigned index;
	uint64_t value;
};

static struct edit edit_read(const uint8_t *data)
{
	struct edit edit = {
		.field = (enum field)(data[0] % FIELD_COUNT),
		.operation = data[1] & 7u,
		.word = data[1] >> 3,
		.index = data[2] | (unsigned)data[3] << 8,
	};

	memcpy(&edit.value, data + 4, sizeof(edit.value));
	return edit;
}

/* --- where --------------------------------------------------------------------------------- */

/* Stack. The heap before it is edited: where its fields are does not change. */
struct place {
	struct heap heap;
	uint64_t bytes;
	uint64_t first_page; /* of data */
	uint64_t pages;
};

static uint64_t data_page(const struct place *place, unsigned index)
{
	return place->first_page + index % place->pages;
}

static uint64_t used_page(const struct place *place, unsigned index)
{
	uint64_t end = place->first_page + place->pages;
	uint64_t page = heap_next_head(&place->heap, data_page(place, index), end);

	return page < end ? page : place->first_page;
}

static uint64_t offset_of(const struct place *place, const void *field, unsigned word)
{
	return (uint64_t)((const char *)field - place->heap.base) + word * sizeof(uint64_t);
}

/* The first byte of the word that is edited. */
static uint64_t where(const struct place *place, const struct edit *edit)
{
	const struct heap *heap = &place->heap;
	const struct slot_log *log = &heap->logs[edit->index % (FUZZ_THREADS + 1)];
	uint64_t b = heap_superblock_b_offset(FUZZ_MAX_BYTES, FUZZ_THREADS + 1);

	switch (edit->field) {
	case FIELD_SUPERBLOCK:
		return edit->word % (sizeof(struct superblock) / 8) * 8;
	case FIELD_SUPERBLOCK_B:
		return b + edit->word % (sizeof(struct superblock) / 8) * 8;
	case FIELD_RUNNING:
		return offset_of(place, heap->running, edit->word % 3);
	case FIELD_DIRECTORY:
		return offset_of(place, heap->directory, edit->index % 8);
	case FIELD_ROOT:
		return offset_of(place, &heap->roots[edit->index % ROOT_COUNT], edit->word % 16);
	case FIELD_LOG:
		return offset_of(place, log, edit->word % (sizeof(*log) / 8));
	case FIELD_LOG_ENTRY:
		return offset_of(place,
			&log_entries(heap, log)[(edit->index >> 4) % LOG_INLINE_ENTRIES],
			edit->word % 4);
	case FIELD_ARENA:
		return offset_of(place, arena_header(heap, 0), edit->word % 4);
	case FIELD_HEADS:
		return offset_of(place, head_word(heap, data_page(place, edit->index)), 0);
	case FIELD_RUN_HEADS:
		return offset_of(place, manual_word(heap, data_page(place, edit->index)), 0);
	case FIELD_SPAN:
		return offset_of(place, span_of_head(heap, data_page(place, edit->index)),
			edit->word % (sizeof(struct span) / 8));
	case FIELD_USED_SPAN:
		return offset_of(place, span_of_head(heap, used_page(place, edit->index)),
			edit->word % (sizeof(struct span) / 8));
	case FIELD_SPAN_MORE:
		return offset_of(place, span_more_of_head(heap, used_page(place, edit->index)),
			edit->word % (sizeof(struct span_more) / 8));
	case FIELD_TABLE:
		return offset_of(place, span_table_entry(heap, data_page(place, edit->index)), 0);
	default:
		return (edit->index + (uint64_t)edit->word * 65536) * 8;
	}
}

/* --- what ---------------------------------------------------------------------------------- */

/* Values that are more likely to lead somewhere than others. */
static uint64_t telling_value(const struct place *place, uint64_t value)
{
	uint64_t page = data_page(place, (unsigned)(value >> 8));

	switch (value % 12) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return page;
	case 3:
		return page_offset(page) + (value >> 40) % PAGE_BYTES / 16 * 16;
	case 4:
		return run_make(RUN_FREE, page, 1 + (value >> 48) % 70);
	case 5:
		return run_make(RUN_ALLOC, page, 1 + (value >> 48) % 70);
	case 6:
		return place->bytes + (value >> 8) % 8192 - 4096;
	case 7:
		return ARENA_CONTINUES | (value >> 8) % 64 << ARENA_ORIGIN_BITS;
	case 8:
		return place->first_page / CHUNK_PAGES + (value >> 8) % 64;
	case 9:
		return TABLE_OBJECTS | (value >> 8) % 20;
	case 10:
		return FUZZ_MAX_BYTES + (value >> 8) % 128 - 64;
	default:
		return (value >> 8) % 64;
	}
}

static uint64_t changed(const struct place *place, const struct edit *edit, uint64_t old,
	uint64_t beside)
{
	switch (edit->operation) {
	case 0:
		return edit->value;
	case 1:
		return old ^ edit->value;
	case 2:
		return old + edit->value;
	case 3:
		return old | UINT64_C(1) << (edit->value & 63);
	case 4:
		return old & ~(UINT64_C(1) << (edit->value & 63));
	case 5:
		return beside;
	case 6:
		/* One byte. */
		return (old & ~(UINT64_C(0xff) << (edit->value & 7) * 8)) |
			(edit->value >> 8 & 0xff) << (edit->value & 7) * 8;
	default:
		return telling_value(place, edit->value);
	}
}

/* A large block, a page run or a span of objects, whatever is there already. */
static void forge(const struct place *place, const struct edit *edit)
{
	struct heap heap = place->heap;
	uint64_t head = data_page(place, edit->index);
	struct span *span = span_of_head(&heap, head);
	unsigned span_class = (unsigned)(edit->value >> 8) % SPAN_CLASS_COUNT;
	struct span_record record = {
		.pages = 1 + (uint32_t)(edit->value >> 16) % 40,
		.span_class = SPAN_CLASS_LARGE,
		.purpose = edit->operation % 3 == 0 ? SPAN_LARGE : SPAN_MANUAL,
	};

	if (record.purpose == SPAN_LARGE)
		record.bytes = record.pages * PAGE_BYTES;
	if (edit->operation % 3 == 1)
		record = (struct span_record){
			.pages = span_size_class(&heap, span_class)->pages,
			.span_class = (uint8_t)span_class,
			.purpose = SPAN_OBJECTS,
		};
	span_write_record(&heap, head, &record);
	atomic_store(&span->allocated[0], edit->value);
	atomic_store(span_table_entry(&heap, head),
		record.purpose == SPAN_OBJECTS ? TABLE_OBJECTS | record.pages : (uint32_t)head);
	if (record.purpose == SPAN_MANUAL)
		manual_set(&heap, head);
	else
		head_set(&heap, head);
}

static void apply(const struct place *place, const struct edit *edit)
{
	/* Entries of the table are half a word. */
	uint64_t bytes = edit->field == FIELD_TABLE ? sizeof(uint32_t) : sizeof(uint64_t);
	uint64_t at = where(place, edit);
	uint64_t old = 0;
	uint64_t beside = 0;
	uint64_t now;

	if (edit->field == FIELD_LENGTH) {
		fuzz_cut(edit->value % (FUZZ_MAX_BYTES / 4096 + 1));
		return;
	}
	if (edit->field == FIELD_FORGED) {
		forge(place, edit);
		return;
	}
	if (at + 2 * bytes > FUZZ_MAX_BYTES)
		return;
	memcpy(&old, place->heap.base + at, bytes);
	memcpy(&beside, place->heap.base + at + bytes, bytes);
	now = changed(place, edit, old, beside);
	memcpy(place->heap.base + at, &now, bytes);
}

static void mend(void)
{
	char *base = fuzz_heap.image.base;
	struct superblock superblock;

	memcpy(&superblock, base, sizeof(superblock));
	superblock.sequence--;
	superblock_seal(&superblock);
	memcpy(base, &superblock, sizeof(superblock));
	memcpy(base + heap_superblock_b_offset(FUZZ_MAX_BYTES, FUZZ_THREADS + 1), &superblock,
		sizeof(superblock));
}

static void find_place(struct place *place)
{
	struct superblock superblock;
	int copies;
	uint64_t frontier;

	if (superblock_read(fuzz_heap.image.base, fuzz_heap.image.bytes, &superblock, &copies) != 0)
		fuzz_fail("a valid heap is none");
	fuzz_view(&place->heap, &superblock);
	place->bytes = fuzz_heap.image.bytes;
	place->first_page = arena_first_chunk(&place->heap, 0) << CHUNK_PAGES_SHIFT;
	frontier = arena_frontier(&place->heap, 0) << CHUNK_PAGES_SHIFT;
	place->pages = frontier > place->first_page ? frontier - place->first_page : CHUNK_PAGES;
}

unsigned edits_apply(const uint8_t *data, size_t size)
{
	static struct place place;
	unsigned flags = size > 1 ? data[1] : 0;

	fuzz_place(size > 0 ? data[0] : 0);
	find_place(&place);
	for (size_t at = EDITS_HEADER_BYTES; at + EDIT_BYTES <= size; at += EDIT_BYTES) {
		struct edit edit = edit_read(data + at);

		apply(&place, &edit);
	}
	if (flags & EDITS_MENDED)
		mend();
	return flags;
}

/* --- mutation ------------------------------------------------------------------------------ */

static void write_edit(uint8_t *data, struct chance *chance)
{
	uint64_t value = chance_next(chance);

	data[0] = (uint8_t)chance_below(chance, FIELD_COUNT);
	data[1] = (uint8_t)chance_next(chance);
	data[2] = (uint8_t)chance_next(chance);
	data[3] = (uint8_t)(chance_once_in(chance, 2) ? 0 : chance_next(chance));
	if (chance_once_in(chance, 4))
		value &= 255;
	memcpy(data + 4, &value, sizeof(value));
}

static size_t count_of(size_t size)
{
	return size < EDITS_HEADER_BYTES ? 0 : (size - EDITS_HEADER_BYTES) / EDIT_BYTES;
}

static uint8_t *some_edit(uint8_t *data, size_t count, struct chance *chance)
{
	return data + EDITS_HEADER_BYTES + chance_below(chance, count) * EDIT_BYTES;
}

static size_t add_edit(uint8_t *data, size_t count, struct chance *chance)
{
	write_edit(data + EDITS_HEADER_BYTES + count * EDIT_BYTES, chance);
	return count + 1;
}

static size_t drop_edit(uint8_t *data, size_t count, struct chance *chance)
{
	memcpy(some_edit(data, count, chance), data + EDITS_HEADER_BYTES + (count - 1) * EDIT_BYTES,
		EDIT_BYTES);
	return count - 1;
}

static void change_edit(uint8_t *data, size_t count, struct chance *chance)
{
	uint8_t *edit = some_edit(data, count, chance);
	unsigned bit = (unsigned)chance_below(chance, EDIT_BYTES * 8);

	if (chance_once_in(chance, 3))
		write_edit(edit, chance);
	else
		edit[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

size_t edits_mutate(uint8_t *data, size_t size, size_t limit, struct chance *chance)
{
	size_t count = count_of(size);
	size_t most = count_of(limit);

	if (limit < EDITS_BYTES_MOST && most == 0)
		return size;
	if (most > EDITS_MOST)
		most = EDITS_MOST;
	if (size < EDITS_HEADER_BYTES)
		memset(data, 0, EDITS_HEADER_BYTES);
	if (chance_once_in(chance, 8))
		data[chance_below(chance, 2)] = (uint8_t)chance_next(chance);
	if (count > most)
		count = most;
	if (count > 0 && chance_once_in(chance, 5))
		count = drop_edit(data, count, chance);
	else if (count > 0 && (count == most || chance_once_in(chance, 2)))
		change_edit(data, count, chance);
	else
		count = add_edit(data, count, chance);
	return EDITS_HEADER_BYTES + count * EDIT_BYTES;
}
