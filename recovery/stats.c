/* stats.c -- what a heap holds, counted
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/stats.h"

#include "heap/log.h"
#include "heap/manual.h"
#include "heap/page_bits.h"
#include "heap/span.h"

static_assert(SIZE_CLASS_LIMIT == SH_STATS_CLASSES, "every size class has its place");

/* Stack. One count of a heap. */
struct count {
	const struct heap *heap;
	struct thread *reader; /* or NULL */
	struct sh_stats *stats;
};

/* --- one span ------------------------------------------------------------------------------ */

static void add_objects(struct count *count, uint64_t head, const struct span_record *record)
{
	const struct size_class *size_class = span_size_class(count->heap, record->span_class);
	struct sh_class_stats *of = &count->stats->classes[record->span_class >> 1];
	uint64_t blocks = 0;
	uint64_t limbo = 0;

	for (unsigned word = 0; word < size_class->words; word++) {
		uint64_t mask = span_word_mask(size_class, word);

		limbo += page_bits_count(span_waiting(count->heap, head, word) & mask);
		blocks += page_bits_count(span_live(count->heap, head, word) & mask);
	}
	/* The bits are this span's, not the next one's that begins here. */
	if (!span_record_stands(count->heap, head, record))
		return;
	of->spans++;
	of->span_bytes += record->pages * PAGE_BYTES;
	of->blocks += blocks;
	count->stats->limbo_blocks += limbo;
	count->stats->limbo_bytes += limbo * size_class->bytes;
	if (record->span_class & 1u)
		of->noscan_blocks += blocks;
}

static void add_large(struct count *count, uint64_t head, const struct span_record *record)
{
	struct sh_stats *stats = count->stats;
	bool live = span_large_is_live(count->heap, head);

	*(live ? &stats->large_blocks : &stats->limbo_blocks) += 1;
	*(live ? &stats->large_block_bytes : &stats->limbo_bytes) += record->bytes;
	stats->large_span_bytes += record->pages * PAGE_BYTES;
}

static void add_span(struct count *count, uint64_t head, const struct span_record *record)
{
	struct sh_stats *stats = count->stats;

	switch (record->purpose) {
	case SPAN_OBJECTS:
		add_objects(count, head, record);
		break;
	case SPAN_LARGE:
		add_large(count, head, record);
		break;
	case SPAN_MANUAL:
		stats->manual_runs++;
		stats->manual_bytes += record->pages * PAGE_BYTES;
		break;
	default:
		stats->log_bytes += record->pages * PAGE_BYTES;
		break;
	}
}

/* --- runs of pages ------------------------------------------------------------------------- */

/* Those in the arenas that continue the run count where it begins: there is nothing else in them. */
static void count_continuation(struct count *count, uint64_t head, const struct span_record *record)
{
	uint64_t limit = (page_arena(head) + 1) << ARENA_PAGES_SHIFT;

	if (head + record->pages > limit)
		count->stats->data_bytes += (head + record->pages - limit) * PAGE_BYTES;
}

/* Returns where the span ends. What a damaged record covers cannot be known: up to the next one. */
static uint64_t count_span(struct count *count, uint64_t head, uint64_t end)
{
	struct span_record record = span_record_read(count->heap, head);
	bool stands = span_record_stands(count->heap, head, &record);

	if (!stands)
		return head + 1;
	if (!span_record_plausible(count->heap, head, &record)) {
		if (span_record_is_newer(count->heap, head, &record)) {
			/* As much of it as there was when the directory was copied. */
			record.pages = (uint32_t)(end - head);
			add_span(count, head, &record);
			return end;
		}
		end = heap_next_head(count->heap, head + 1, end);
		count->stats->damaged_bytes += (end - head) * PAGE_BYTES;
		return end;
	}
	/* While it is being cut, the record covers the run behind it, too. */
	if (record.purpose == SPAN_MANUAL)
		record.pages =
			(uint32_t)(manual_next_head(count->heap, head, head + record.pages) - head);
	add_span(count, head, &record);
	count_continuation(count, head, &record);
	/* The heap has grown since we looked at the frontier. */
	return record.pages < end - head ? head + record.pages : end;
}

/* Its record stays what it is as long as it is looked at. */
static uint64_t count_in_section(struct count *count, uint64_t head, uint64_t end)
{
	uint64_t next;

	if (count->reader != NULL)
		thread_begin_reading(count->reader);
	next = count_span(count, head, end);
	if (count->reader != NULL)
		thread_end_reading(count->reader);
	return next;
}

static void count_free(struct count *count, uint64_t first, uint64_t end)
{
	struct sh_stats *stats = count->stats;
	uint64_t bytes = (end - first) * PAGE_BYTES;

	if (bytes == 0)
		return;
	stats->free_runs++;
	stats->free_bytes += bytes;
	if (bytes > stats->largest_free_bytes)
		stats->largest_free_bytes = bytes;
}

static void count_arena(struct count *count, uint64_t arena)
{
	const struct heap *heap = count->heap;
	uint64_t page = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t chunks;

	count->stats->arenas++;
	if (arena_is_ordinary(heap, arena))
		count->stats->metadata_bytes += ARENA_HEAD_BYTES;
	if (end <= page)
		return;
	chunks = (end - page) >> CHUNK_PAGES_SHIFT;
	count->stats->metadata_bytes += chunks * (META_STRIDE + TABLE_CHUNK_BYTES);
	count->stats->data_bytes += chunks * CHUNK_BYTES;
	while (page < end) {
		uint64_t head = heap_next_head(heap, page, end);

		count_free(count, page, head);
		if (head == end)
			return;
		page = count_in_section(count, head, end);
	}
}

/* --- all of it ----------------------------------------------------------------------------- */

static void sum_classes(const struct heap *heap, struct sh_stats *stats)
{
	for (unsigned i = 0; i < SIZE_CLASS_COUNT; i++) {
		struct sh_class_stats *of = &stats->classes[i];

		of->block_bytes = heap->classes.of[i].bytes;
		stats->small_spans += of->spans;
		stats->small_span_bytes += of->span_bytes;
		stats->small_blocks += of->blocks;
		stats->small_block_bytes += of->blocks * of->block_bytes;
	}
}

/* Free bytes outside of the largest free run, of a million. */
static uint64_t fragmentation(const struct sh_stats *stats)
{
	double free_bytes = (double)stats->free_bytes;

	if (stats->free_bytes == 0)
		return 0;
	return (uint64_t)((free_bytes - (double)stats->largest_free_bytes) / free_bytes * 1e6);
}

static void count_logs(const struct heap *heap, struct sh_stats *stats)
{
	for (uint32_t slot = 0; slot < heap->thread_slots; slot++)
		if (log_read(&heap->logs[slot]).state != LOG_EMPTY)
			stats->open_transactions++;
}

void stats_count(const struct heap *heap, struct thread *reader, struct sh_stats *stats)
{
	struct count count = { .heap = heap, .reader = reader, .stats = stats };
	bool visitor = reader != NULL && thread_enroll(reader);

	stats->max_bytes = heap->max_bytes;
	stats->page_bytes = PAGE_BYTES;
	stats->metadata_bytes = heap_header_bytes(heap->max_bytes, heap->thread_slots);
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		count_arena(&count, arena);
	if (visitor)
		thread_stop_reading(reader);
	sum_classes(heap, stats);
	stats->fragmentation_ppm = fragmentation(stats);
	count_logs(heap, stats);
}
