/* dump.c -- spanheap dump: arenas, chunks, spans, blocks, logs
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/log.h"
#include "heap/page_bits.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "tools/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stack. One run of the verb. */
struct dump {
	const struct heap *heap;
	const struct arguments *arguments;
	bool in_use;
	struct printer printer;
	uint64_t head; /* the span that --offset asks for; 0: none; ANY: no such filter */
};

/* --- one span ------------------------------------------------------------------------------ */

/* Stack. A span's record as it was at one moment; others may be changing it. */
struct span_look {
	uint64_t head;
	struct span record;
	const struct size_class *size_class; /* NULL: no blocks of a class */
	bool plausible;
	uint64_t used;
};

static uint64_t live_bits(
	const struct heap *heap, const struct span_look *look, unsigned word)
{
	/* freed first: heap/object.h. */
	uint64_t freed =
		atomic_load_explicit(span_freed(heap, look->head, word), memory_order_acquire);
	uint64_t allocated =
		atomic_load_explicit(span_allocated(heap, look->head, word), memory_order_acquire);

	return allocated & ~freed & span_word_mask(look->size_class, word);
}

static struct span_look look_at_span(const struct heap *heap, uint64_t head)
{
	struct span_look look = { .head = head };

	memcpy(&look.record, span_of_head(heap, head), sizeof(look.record));
	look.plausible = span_record_plausible(heap, head);
	if (!look.plausible)
		return look;
	look.used = 1;
	if (look.record.purpose != SPAN_OBJECTS || look.record.span_class >= SPAN_CLASS_COUNT)
		return look;
	look.size_class = span_size_class(heap, look.record.span_class);
	look.used = 0;
	for (unsigned word = 0; word < look.size_class->words; word++)
		look.used += page_bits_count(live_bits(heap, &look, word));
	return look;
}

static bool class_wanted(const struct dump *dump, const struct span_look *look)
{
	uint64_t bytes = dump->arguments->class_bytes;

	if (bytes == ANY)
		return true;
	if (bytes == 0 || bytes > SMALL_MAX_BYTES)
		return look->size_class == NULL;
	return look->size_class != NULL &&
		look->record.span_class >> 1 == size_class_of(bytes);
}

static bool span_wanted(const struct dump *dump, const struct span_look *look)
{
	uint64_t arena = dump->arguments->arena;

	return (dump->head == ANY || dump->head == look->head) &&
		(arena == ANY || arena == page_arena(look->head)) && class_wanted(dump, look);
}

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
	const struct heap *heap;
	struct arena_sum *of;
};

static int sum_visit(void *argument, uint64_t head)
{
	struct arena_sums *sums = argument;
	struct span_look look = look_at_span(sums->heap, head);

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

static void print_arena(struct dump *dump, uint64_t arena, struct arena_sum *sum)
{
	const struct heap *heap = dump->heap;
	uint64_t pages = end_page(heap, arena) - first_page(heap, arena);

	sum_gap(sum, end_page(heap, arena));
	struct cell cells[] = {
		cell_number(arena),
		cell_offset(arena_zone(heap, arena)),
		cell_number(atomic_load_explicit(
			&arena_header(heap, arena)->incarnation, memory_order_relaxed)),
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
	return (dump->arguments->arena == ANY || dump->arguments->arena == arena) &&
		(dump->head == ANY || page_arena(dump->head) == arena);
}

static bool print_arenas(struct dump *dump)
{
	static const struct column columns[] = {
		{ "arena", "arena", 5 },
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
	struct arena_sums sums = { .heap = dump->heap, .of = calloc(arenas + 1, sizeof(*sums.of)) };

	if (sums.of == NULL)
		return false;
	for (uint64_t arena = 0; arena < arenas; arena++)
		sums.of[arena].covered = first_page(dump->heap, arena);
	check_each_span(dump->heap, sum_visit, &sums);
	print_table(&dump->printer, "arenas", "arenas", columns, 9);
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
		count += page_bits_count(
			atomic_load_explicit(&bitmap[word + i], memory_order_acquire));
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

static void print_chunks(struct dump *dump)
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

/* --- spans --------------------------------------------------------------------------------- */

static const char *purpose_name(const struct span_look *look)
{
	if (!look->plausible)
		return "damaged";
	switch (look->record.purpose) {
	case SPAN_OBJECTS:
		return "objects";
	case SPAN_LARGE:
		return "large";
	case SPAN_LOG:
		return "log";
	default:
		return "damaged";
	}
}

/* The lowest bit of a span class; large spans have it, too. */
static bool is_noscan(const struct span_look *look)
{
	return (look->record.span_class & 1u) != 0;
}

/* Who allocates from the span; only while the heap is in use does a hot word mean anything. */
static struct cell owner_cell(const struct dump *dump, const struct span_look *look, char *text,
	size_t text_bytes)
{
	uint64_t hot = atomic_load_explicit(&look->record.hot, memory_order_relaxed);
	uint32_t owner = hot_owner(hot);

	if (!dump->in_use || !hot_laid(hot, dump->heap->incarnation))
		return cell_none();
	switch (owner) {
	case HOT_NONE:
	case HOT_LARGE:
		return cell_none();
	case HOT_QUARANTINE:
		return cell_text("set aside");
	case HOT_UNOWNED:
		return cell_text("nobody");
	default:
		snprintf(text, text_bytes, "%sslot %u", owner >= HOT_DYING ? "freed by " : "",
			(owner & ~HOT_DYING) - 1);
		return cell_text(text);
	}
}

static struct cell block_bytes_cell(const struct span_look *look)
{
	if (!look->plausible)
		return cell_none();
	return cell_number(look->size_class != NULL ? look->size_class->bytes : look->record.bytes);
}

static void print_span(struct dump *dump, const struct span_look *look)
{
	char owner[32];
	struct cell cells[] = {
		cell_number(look->head),
		cell_offset(page_offset(look->head)),
		cell_number(look->record.pages),
		cell_text(purpose_name(look)),
		block_bytes_cell(look),
		look->plausible ? cell_number(look->used) : cell_none(),
		look->plausible ? cell_number(look->size_class != NULL ?
			look->size_class->objects : 1) : cell_none(),
		cell_text(is_noscan(look) ? "noscan" : "scan"),
		cell_number(look->record.generation),
		owner_cell(dump, look, owner, sizeof(owner)),
	};

	print_row(&dump->printer, cells);
}

static int span_visit(void *argument, uint64_t head)
{
	struct dump *dump = argument;
	struct span_look look = look_at_span(dump->heap, head);

	if (span_wanted(dump, &look))
		print_span(dump, &look);
	return 0;
}

static void print_spans(struct dump *dump)
{
	static const struct column columns[] = {
		{ "page", "page", 10 },
		{ "offset", "offset", 14 },
		{ "pages", "pages", 6 },
		{ "purpose", "purpose", -8 },
		{ "block_bytes", "block bytes", 12 },
		{ "used", "used", 4 },
		{ "total", "of", 4 },
		{ "kind", "kind", -6 },
		{ "generation", "generation", 10 },
		{ "owner", "owner", 0 },
	};

	print_table(&dump->printer, "spans", "spans", columns, 10);
	check_each_span(dump->heap, span_visit, dump);
	print_table_end(&dump->printer);
}

/* --- blocks -------------------------------------------------------------------------------- */

static void print_block(struct dump *dump, const struct span_look *look, uint64_t off)
{
	struct cell cells[] = {
		cell_offset(off),
		cell_number(look->size_class != NULL ? look->size_class->bytes : look->record.bytes),
		cell_text(is_noscan(look) ? "noscan" : "scan"),
	};

	print_row(&dump->printer, cells);
}

static void print_objects(struct dump *dump, const struct span_look *look)
{
	const struct size_class *size_class = look->size_class;

	for (unsigned word = 0; word < size_class->words; word++) {
		uint64_t live = live_bits(dump->heap, look, word);

		for (; live != 0; live &= live - 1)
			print_block(dump, look,
				page_offset(look->head) +
					(word * 64 + page_bits_lowest(live)) * size_class->bytes);
	}
}

static int block_visit(void *argument, uint64_t head)
{
	struct dump *dump = argument;
	struct span_look look = look_at_span(dump->heap, head);

	if (!look.plausible || !span_wanted(dump, &look))
		return 0;
	if (look.size_class != NULL)
		print_objects(dump, &look);
	else if (look.record.purpose == SPAN_LARGE)
		print_block(dump, &look, page_offset(head));
	return 0;
}

static void print_blocks(struct dump *dump)
{
	static const struct column columns[] = {
		{ "offset", "offset", 14 },
		{ "bytes", "usable bytes", 12 },
		{ "kind", "kind", 0 },
	};

	print_table(&dump->printer, "blocks", "live blocks", columns, 3);
	check_each_span(dump->heap, block_visit, dump);
	print_table_end(&dump->printer);
}

/* --- logs ---------------------------------------------------------------------------------- */

static const char *log_state_name(enum log_state state)
{
	static const char *const names[] = {
		[LOG_EMPTY] = "empty",
		[LOG_OPEN] = "open",
		[LOG_COMMITTED] = "committed",
		[LOG_FREEING] = "freeing",
		[LOG_ABORTING] = "aborting",
		[LOG_ROLLBACK] = "rolling back",
	};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "damaged";
}

static unsigned count_extensions(const struct slot_log *log)
{
	unsigned count = 0;

	for (unsigned k = 0; k < LOG_EXTENSIONS; k++)
		if (atomic_load_explicit(&log->extension[k], memory_order_relaxed) != 0)
			count++;
	return count;
}

static void print_log(struct dump *dump, uint32_t slot)
{
	const struct slot_log *log = &dump->heap->logs[slot];
	struct log_word word = log_read(log);
	uint64_t applying = atomic_load_explicit(&log->applying, memory_order_relaxed);
	unsigned extensions = count_extensions(log);
	struct cell cells[] = {
		cell_number(slot),
		cell_text(log_state_name(word.state)),
		cell_number(word.count),
		cell_number(word.index),
		applying != 0 ? cell_offset(applying) : cell_none(),
		cell_number(extensions),
	};

	if (word.state != LOG_EMPTY || applying != 0 || extensions != 0)
		print_row(&dump->printer, cells);
}

static void print_logs(struct dump *dump)
{
	static const struct column columns[] = {
		{ "slot", "slot", 5 },
		{ "state", "state", -12 },
		{ "entries", "entries", 10 },
		{ "applied", "applied", 10 },
		{ "applying", "applying", 14 },
		{ "extensions", "extensions", 10 },
	};

	print_table(&dump->printer, "logs", "logs that are not empty", columns, 6);
	for (uint32_t slot = 0; slot < dump->heap->thread_slots; slot++)
		print_log(dump, slot);
	print_table_end(&dump->printer);
}

static const char *operation_name(uint64_t run)
{
	switch (run_operation(run)) {
	case RUN_ALLOC:
		return "allocate";
	case RUN_FREE:
		return "free";
	default:
		return "damaged";
	}
}

static void print_intent(struct dump *dump, uint32_t slot, unsigned which)
{
	uint64_t run = atomic_load_explicit(
		&dump->heap->logs[slot].intent[which], memory_order_acquire);
	struct cell cells[] = {
		cell_number(slot),
		cell_text(which == 0 ? "the thread" : "its log"),
		cell_text(operation_name(run)),
		cell_number(run_page(run)),
		cell_number(run_pages(run)),
	};

	if (run != 0)
		print_row(&dump->printer, cells);
}

static void print_intents(struct dump *dump)
{
	static const struct column columns[] = {
		{ "slot", "slot", 5 },
		{ "by", "by", -10 },
		{ "operation", "operation", -9 },
		{ "page", "page", 10 },
		{ "pages", "pages", 9 },
	};

	print_table(&dump->printer, "intents", "page operations under way", columns, 5);
	for (uint32_t slot = 0; slot < dump->heap->thread_slots; slot++)
		for (unsigned which = 0; which < 2; which++)
			print_intent(dump, slot, which);
	print_table_end(&dump->printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

static bool has_arena(const struct dump *dump)
{
	uint64_t arena = dump->arguments->arena;

	if (arena == ANY || arena < heap_arena_count(dump->heap))
		return true;
	complain(dump->arguments->path, "there is no arena %" PRIu64 "; the heap has %" PRIu64, arena,
		heap_arena_count(dump->heap));
	return false;
}

static enum status print_all(struct dump *dump, const struct view *view)
{
	const struct arguments *arguments = dump->arguments;
	bool complete;

	print_begin(&dump->printer, arguments->json, "dump", arguments->path);
	view_print_state(view, &dump->printer);
	complete = print_arenas(dump);
	print_chunks(dump);
	print_spans(dump);
	if (arguments->blocks)
		print_blocks(dump);
	print_logs(dump);
	print_intents(dump);
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
	enum status status = view_open(&view, arguments->path);

	if (status != STATUS_FINE)
		return status;
	dump.heap = &view.heap;
	dump.in_use = view.state == STATE_IN_USE;
	if (arguments->offset != ANY)
		dump.head = span_find(&view.heap, arguments->offset >> PAGE_SHIFT);
	status = has_arena(&dump) ? print_all(&dump, &view) : STATUS_ERROR;
	view_close(&view);
	return status;
}
