/* dump.c -- spanheap dump: arenas and chunks; the verb
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/dump.h"

#include "heap/page_bits.h"
#include "recovery/check.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- arenas and chunks --------------------------------------------------------------------- */

/* Stack. Pages of an arena, added up span by span. */
struct arena_sum {
	uint64_t spans;
	uint64_t span_pages;
	uint64_t largest_gap; /* longest run of pages in no span */
	uint64_t covered;     /* pages below it are in spans, or were counted */
};

static void sum_gap(struct arena_sum *sum, uint64_t page)
{
	if (page > sum->covered && page - sum->covered > sum->largest_gap)
		sum->largest_gap = page - sum->covered;
}

static void sum_span(struct arena_sum *sum, const struct span_look *look)
{
	/* What a damaged record covers is not known. */
	uint64_t pages = look->plausible ? look->record.pages : 1;

	sum_gap(sum, look->head);
	sum->spans++;
	sum->span_pages += pages;
	if (look->head + pages > sum->covered)
		sum->covered = look->head + pages;
}

/* Stack. What sum_visit() adds up. */
struct arena_sums {
	const struct dump *dump;
	struct arena_sum *of;
};

static int sum_visit(void *argument, uint64_t head)
{
	struct arena_sums *sums = argument;
	struct span_look look;

	if (look_at_span(sums->dump->heap, sums->dump->reader, head, &look))
		sum_span(&sums->of[page_arena(head)], &look);
	return 0;
}

static uint64_t first_page(const struct heap *heap, uint64_t arena)
{
	return arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
}

static uint64_t end_page(const struct heap *heap, uint64_t arena)
{
	uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;

	return end > first_page(heap, arena) ? end : first_page(heap, arena);
}

static const char *arena_kind(const struct heap *heap, uint64_t arena)
{
	uint64_t word = arena_word(heap, arena);

	if (arena_word_chunks(word) != 0)
		return "continued";
	return arena_word_ordinary(word) ? "ordinary" : "unused";
}

static void print_arena(struct dump *dump, uint64_t arena, struct arena_sum *sum)
{
	const struct heap *heap = dump->heap;
	uint64_t pages = end_page(heap, arena) - first_page(heap, arena);
	bool zoned = arena_is_ordinary(heap, arena);

	sum_gap(sum, end_page(heap, arena));
	struct cell cells[] = {
		cell_number(arena),
		cell_text(arena_kind(heap, arena)),
		zoned ? cell_offset(arena_zone(heap, arena)) : cell_none(),
		zoned ? cell_number(atomic_load_explicit(&arena_header(heap, arena)->incarnation,
				memory_order_relaxed))
		      : cell_none(),
		cell_number(arena_first_chunk(heap, arena)),
		cell_number(arena_frontier(heap, arena)),
		cell_number(sum->spans),
		cell_number(sum->span_pages),
		cell_number(pages > sum->span_pages ? pages - sum->span_pages : 0),
		cell_number(sum->largest_gap),
	};

	print_row(&dump->printer, cells);
}

static bool arena_wanted(const struct dump *dump, uint64_t arena)
{
	const struct arguments *arguments = dump->arguments;

	return (arguments->arena == ANY || arguments->arena == arena) &&
		(arguments->offset == ANY || page_arena(arguments->offset >> PAGE_SHIFT) == arena);
}

bool dump_arenas(struct dump *dump)
{
	static const struct column columns[] = {
		{ "arena", "arena", 5 },
		{ "kind", "kind", -9 },
		{ "zone_offset", "zone", 14 },
		{ "incarnation", "incarnation", 11 },
		{ "first_chunk", "first chunk", 11 },
		{ "frontier_chunk", "frontier", 8 },
		{ "spans", "spans", 8 },
		{ "span_pages", "pages in spans", 14 },
		{ "other_pages", "other pages", 11 },
		{ "largest_gap_pages", "largest gap", 11 },
	};
	uint64_t arenas = heap_arena_count(dump->heap);
	struct arena_sums sums = { .dump = dump, .of = calloc(arenas + 1, sizeof(*sums.of)) };

	if (sums.of == NULL)
		return false;
	for (uint64_t arena = 0; arena < arenas; arena++)
		sums.of[arena].covered = first_page(dump->heap, arena);
	check_each_span(dump->heap, NULL, sum_visit, &sums);
	print_table(&dump->printer, "arenas", "arenas", columns, 10);
	for (uint64_t arena = 0; arena < arenas; arena++)
		if (arena_wanted(dump, arena))
			print_arena(dump, arena, &sums.of[arena]);
	print_table_end(&dump->printer);
	free(sums.of);
	return true;
}

/* Bits of a head bitmap that are set for the pages of a chunk. */
static uint64_t count_heads(const _Atomic uint64_t *bitmap, uint64_t chunk)
{
	uint64_t word = (chunk & (ARENA_CHUNKS - 1)) * CHUNK_WORDS;
	uint64_t count = 0;

	for (uint64_t i = 0; i < CHUNK_WORDS; i++)
		count += page_bits_count(atomic_load_explicit(&bitmap[word + i],
			memory_order_acquire));
	return count;
}

static void print_chunks_of(struct dump *dump, uint64_t arena)
{
	const struct heap *heap = dump->heap;

	for (uint64_t chunk = arena_first_chunk(heap, arena); chunk < arena_frontier(heap, arena);
		chunk++) {
		struct cell cells[] = {
			cell_number(chunk),
			cell_offset(chunk * CHUNK_BYTES),
			cell_number(count_heads(arena_in_use(heap, arena), chunk)),
			cell_number(count_heads(arena_manual(heap, arena), chunk)),
		};

		print_row(&dump->printer, cells);
	}
}

void dump_chunks(struct dump *dump)
{
	static const struct column columns[] = {
		{ "chunk", "chunk", 8 },
		{ "offset", "offset", 14 },
		{ "span_heads", "heads of spans", 14 },
		{ "manual_heads", "heads of page runs", 18 },
	};

	print_table(&dump->printer, "chunks", "chunks", columns, 4);
	for (uint64_t arena = 0; arena < heap_arena_count(dump->heap); arena++)
		if (arena_wanted(dump, arena))
			print_chunks_of(dump, arena);
	print_table_end(&dump->printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

static bool has_arena(const struct dump *dump)
{
	uint64_t arena = dump->arguments->arena;

	if (arena == ANY || arena < heap_arena_count(dump->heap))
		return true;
	complain(dump->arguments->path, "there is no arena %" PRIu64 "; the heap has %" PRIu64,
		arena, heap_arena_count(dump->heap));
	return false;
}

static enum status print_all(struct dump *dump, const struct view *view)
{
	const struct arguments *arguments = dump->arguments;
	bool complete;

	print_begin(&dump->printer, arguments->json, "dump", arguments->path);
	view_print_state(view, &dump->printer);
	complete = dump_arenas(dump);
	dump_chunks(dump);
	dump_spans(dump);
	if (arguments->blocks)
		dump_blocks(dump);
	dump_logs(dump);
	problems_print(&view->wrong, &dump->printer, "problems", "problems");
	print_end(&dump->printer);
	if (complete)
		return view_status(view);
	complain(arguments->path, "not enough memory to add the arenas up");
	return STATUS_ERROR;
}

enum status dump_run(const struct arguments *arguments)
{
	struct dump dump = { .arguments = arguments, .head = ANY };
	struct view view;
	enum status status = view_open_to_look(&view, arguments);

	if (status != STATUS_FINE)
		return status;
	dump.heap = &view.heap;
	dump.reader = reader_thread(&view.reader);
	dump.in_use = view.state == STATE_IN_USE;
	if (arguments->offset != ANY)
		dump.head = span_find(&view.heap, arguments->offset >> PAGE_SHIFT);
	status = has_arena(&dump) ? print_all(&dump, &view) : STATUS_ERROR;
	view_close(&view);
	return status;
}
