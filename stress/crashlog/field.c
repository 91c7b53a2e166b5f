/* field.c -- what stands at an offset of the heap file
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/field.h"

const char *field_name(enum field field)
{
	static const char *const names[FIELDS] = {
		[FIELD_DATA] = "data",
		[FIELD_SUPERBLOCK] = "superblock",
		[FIELD_RUNNING] = "running words",
		[FIELD_DIRECTORY] = "arena directory",
		[FIELD_ROOT] = "root",
		[FIELD_LOG_WORD] = "log: word",
		[FIELD_APPLYING] = "log: applying",
		[FIELD_INTENT] = "log: intent",
		[FIELD_EXTENSION] = "log: extension",
		[FIELD_ENTRY] = "log: entry",
		[FIELD_STAMP] = "arena's stamp",
		[FIELD_HEAD] = "head bit",
		[FIELD_MANUAL_HEAD] = "head bit of a run",
		[FIELD_RECORD] = "span: record",
		[FIELD_HOT] = "span: hot word",
		[FIELD_BYTES] = "span: bytes",
		[FIELD_ALLOCATED] = "span: allocated",
		[FIELD_FREED] = "span: freed",
		[FIELD_LIMBO] = "span: limbo",
		[FIELD_TABLE] = "spans table",
		[FIELD_OTHER] = "other",
		[FIELD_CONTROL] = "control file",
	};

	return names[field];
}

static enum field field_of_log(uint64_t within)
{
	if (within >= offsetof(struct slot_log, extension))
		return FIELD_EXTENSION;
	if (within < offsetof(struct slot_log, applying))
		return FIELD_LOG_WORD;
	if (within < offsetof(struct slot_log, intent))
		return FIELD_APPLYING;
	return within < offsetof(struct slot_log, reserved) ? FIELD_INTENT : FIELD_OTHER;
}

static enum field field_of_header(const struct heap *heap, uint64_t offset)
{
	uint64_t roots = (uint64_t)((const char *)heap->roots - heap->base);
	uint64_t logs = (uint64_t)((const char *)heap->logs - heap->base);

	if (offset < SUPERBLOCK_STRIDE)
		return FIELD_SUPERBLOCK;
	if (offset < SUPERBLOCK_STRIDE + RUNNING_BYTES)
		return FIELD_RUNNING;
	if (offset < roots)
		return FIELD_DIRECTORY;
	if (offset < logs)
		return FIELD_ROOT;
	if (offset < logs + heap->thread_slots * sizeof(struct slot_log))
		return field_of_log((offset - logs) % sizeof(struct slot_log));
	if (offset < logs + heap->thread_slots * LOG_BYTES)
		return FIELD_ENTRY;
	return FIELD_SUPERBLOCK;
}

static enum field field_of_bits(uint64_t within)
{
	if (within < offsetof(struct span, freed))
		return FIELD_ALLOCATED;
	return within < offsetof(struct span, limbo) ? FIELD_FREED : FIELD_LIMBO;
}

static enum field field_of_span(uint64_t within)
{
	if (within < offsetof(struct span, hot))
		return FIELD_RECORD;
	if (within < offsetof(struct span, bytes))
		return FIELD_HOT;
	return within < offsetof(struct span, allocated) ? FIELD_BYTES : field_of_bits(within);
}

static enum field field_of_chunk(uint64_t within)
{
	if (within < META_MORE_OFFSET)
		return field_of_span(within % sizeof(struct span));
	return field_of_bits(within % sizeof(struct span_more));
}

static enum field field_of_zone(uint64_t within)
{
	if (within < ARENA_HEADER_BYTES)
		return FIELD_STAMP;
	if (within < ARENA_HEADER_BYTES + ARENA_BITMAP_BYTES)
		return FIELD_HEAD;
	if (within < ARENA_HEAD_BYTES)
		return FIELD_MANUAL_HEAD;
	if (within < ARENA_META_OFFSET)
		return FIELD_TABLE;
	within = (within - ARENA_META_OFFSET) % META_STRIDE;
	return within < META_BYTES ? field_of_chunk(within) : FIELD_OTHER;
}

enum field field_at(const struct heap *heap, uint64_t offset)
{
	uint64_t arena = offset >> ARENA_BYTES_SHIFT;
	uint64_t zone = arena_zone(heap, arena);

	if (offset < heap_header_bytes(heap->max_bytes, heap->thread_slots))
		return field_of_header(heap, offset);
	if (offset < zone)
		return FIELD_OTHER;
	if (offset < zone + ARENA_META_OFFSET + ARENA_CHUNKS * META_STRIDE &&
		offset < arena_first_chunk(heap, arena) * CHUNK_BYTES)
		return field_of_zone(offset - zone);
	return FIELD_DATA;
}
