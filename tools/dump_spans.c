/* dump_spans.c -- spanheap dump: spans and blocks
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/page_bits.h"
#include "recovery/check.h"
#include "tools/dump.h"

static bool class_wanted(const struct dump *dump, const struct span_look *look)
{
	uint64_t bytes = dump->arguments->class_bytes;

	if (bytes == ANY)
		return true;
	if (bytes > SMALL_MAX_BYTES)
		return look->size_class == NULL;
	return look->size_class != NULL && look->record.span_class >> 1 == size_class_of(bytes);
}

static bool span_wanted(const struct dump *dump, const struct span_look *look)
{
	uint64_t arena = dump->arguments->arena;

	return (dump->head == ANY || dump->head == look->head) &&
		(arena == ANY || arena == page_arena(look->head)) && class_wanted(dump, look);
}

/* --- spans --------------------------------------------------------------------------------- */

/* A page run, by its flags. */
static const char *manual_name(const struct span_look *look)
{
	if (look->record.run_flags & RUN_IO)
		return look->record.run_flags & RUN_HUGE ? "pages, I/O, huge" : "pages, I/O";
	return look->record.run_flags & RUN_HUGE ? "pages, huge" : "pages";
}

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
	case SPAN_MANUAL:
		return manual_name(look);
	default:
		return "damaged";
	}
}

/* Stack. What a hot word says; only while the heap is in use does it mean anything. */
struct ownership {
	struct cell state;
	struct cell slot;
};

static struct ownership ownership_of(const struct dump *dump, const struct span_look *look)
{
	uint32_t owner = hot_owner(look->hot);
	struct ownership ownership = { .state = cell_none(), .slot = cell_none() };

	if (!dump->in_use || !hot_laid(look->hot, dump->heap->incarnation) || owner == HOT_NONE ||
		owner == HOT_LARGE)
		return ownership;
	if (look_is_set_aside(look, dump->heap, dump->in_use)) {
		ownership.state = cell_text("set aside");
	} else if (owner == HOT_UNOWNED) {
		ownership.state = cell_text("unowned");
	} else {
		ownership.state = cell_text(owner >= HOT_DYING ? "dying" : "owned");
		ownership.slot = cell_number((owner & ~HOT_DYING) - 1);
	}
	return ownership;
}

static struct cell block_bytes_cell(const struct span_look *look)
{
	if (!look->plausible)
		return cell_none();
	if (look->record.purpose == SPAN_MANUAL)
		return cell_none();
	return cell_number(look->size_class != NULL ? look->size_class->bytes : look->record.bytes);
}

static struct cell used_cell(const struct span_look *look)
{
	if (!look->plausible || look->record.purpose == SPAN_MANUAL)
		return cell_none();
	return cell_number(look->used);
}

static struct cell total_cell(const struct span_look *look)
{
	if (!look->plausible || look->record.purpose == SPAN_MANUAL)
		return cell_none();
	return cell_number(look->size_class != NULL ? look->size_class->objects : 1);
}

static void print_span(struct dump *dump, const struct span_look *look)
{
	struct ownership ownership = ownership_of(dump, look);
	struct cell cells[] = {
		cell_number(look->head),
		cell_offset(page_offset(look->head)),
		cell_number(look->record.pages),
		cell_text(purpose_name(look)),
		block_bytes_cell(look),
		used_cell(look),
		total_cell(look),
		cell_text(look_is_noscan(look) ? "noscan" : "scan"),
		cell_number(look->record.generation),
		ownership.state,
		ownership.slot,
	};

	print_row(&dump->printer, cells);
}

static int span_visit(void *argument, uint64_t head)
{
	struct dump *dump = argument;
	struct span_look look;

	if (look_at_span(dump->heap, dump->reader, head, &look) && span_wanted(dump, &look))
		print_span(dump, &look);
	return 0;
}

void dump_spans(struct dump *dump)
{
	static const struct column columns[] = {
		{ "page", "page", 10 },
		{ "offset", "offset", 14 },
		{ "pages", "pages", 6 },
		{ "purpose", "purpose", -16 },
		{ "block_bytes", "block bytes", 12 },
		{ "used", "used", 4 },
		{ "total", "of", 4 },
		{ "kind", "kind", -6 },
		{ "generation", "generation", 10 },
		{ "state", "state", -9 },
		{ "slot", "slot", 5 },
	};

	print_table(&dump->printer, "spans", "spans", columns, 11);
	check_each_span(dump->heap, NULL, span_visit, dump);
	print_table_end(&dump->printer);
}

/* --- blocks -------------------------------------------------------------------------------- */

static void print_block(struct dump *dump, const struct span_look *look, uint64_t off)
{
	struct cell cells[] = {
		cell_offset(off),
		cell_number(look->size_class != NULL ? look->size_class->bytes
						     : look->record.bytes),
		cell_text(look_is_noscan(look) ? "noscan" : "scan"),
	};

	print_row(&dump->printer, cells);
}

static void print_objects(struct dump *dump, const struct span_look *look)
{
	const struct size_class *size_class = look->size_class;

	for (unsigned word = 0; word < size_class->words; word++) {
		for (uint64_t live = look->live[word]; live != 0; live &= live - 1)
			print_block(dump, look,
				page_offset(look->head) +
					(word * 64 + page_bits_lowest(live)) * size_class->bytes);
	}
}

static int block_visit(void *argument, uint64_t head)
{
	struct dump *dump = argument;
	struct span_look look;

	if (!look_at_span(dump->heap, dump->reader, head, &look) || !look.plausible ||
		!span_wanted(dump, &look))
		return 0;
	if (look.size_class != NULL)
		print_objects(dump, &look);
	else if (look.record.purpose == SPAN_LARGE && look.used != 0)
		print_block(dump, &look, page_offset(head));
	return 0;
}

void dump_blocks(struct dump *dump)
{
	static const struct column columns[] = {
		{ "offset", "offset", 14 },
		{ "bytes", "usable bytes", 12 },
		{ "kind", "kind", 0 },
	};

	print_table(&dump->printer, "blocks", "live blocks", columns, 3);
	check_each_span(dump->heap, NULL, block_visit, dump);
	print_table_end(&dump->printer);
}
