/* info.c -- spanheap info: superblock, geometry, sizes, state, roots
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/check.h"
#include "tools/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- superblock and geometry --------------------------------------------------------------- */

static const char *copy_name(enum copy_state state)
{
	switch (state) {
	case COPY_CURRENT:
		return "current";
	case COPY_OLDER:
		return "older";
	default:
		return "damaged";
	}
}

/* A boot id is text; what stands in a file may lack its end. */
static void print_boot_id(struct printer *printer, const char *boot_id)
{
	char text[BOOT_ID_BYTES + 1] = "";

	memcpy(text, boot_id, BOOT_ID_BYTES);
	print_text(printer, "boot_id", "boot of the last open", text);
}

static void print_superblock(const struct view *view, struct printer *printer)
{
	const struct superblock *superblock = &view->superblock;

	print_group(printer, "superblock", "superblock");
	print_number(printer, "format_version", "format version", superblock->format_version);
	print_hex(printer, "heap_id", "heap id", superblock->heap_id, sizeof(superblock->heap_id));
	print_number(printer, "sequence", "sequence", superblock->sequence);
	print_text(printer, "copy_a", "copy A", copy_name(view->copies[0]));
	print_text(printer, "copy_b", "copy B", copy_name(view->copies[1]));
	print_number(printer, "incarnation", "incarnation", superblock->incarnation);
	print_flag(printer, "clean_mark", "marked clean", superblock->clean == 1);
	print_hex(printer, "nonce", "nonce of the run", superblock->nonce,
		sizeof(superblock->nonce));
	print_boot_id(printer, superblock->boot_id);
	print_number(printer, "stamp", "stamp", view->stamp);
	print_number(printer, "process_slots", "process slots", superblock->process_slot_count);
	print_number(printer, "thread_slots", "thread slots", superblock->thread_slot_count);
	print_number(printer, "root_slots", "root slots", superblock->root_count);
	print_group_end(printer);
}

static void print_geometry(struct printer *printer)
{
	print_group(printer, "geometry", "geometry");
	print_bytes(printer, "page_bytes", "page", PAGE_BYTES);
	print_bytes(printer, "chunk_bytes", "chunk", CHUNK_BYTES);
	print_bytes(printer, "arena_bytes", "arena", ARENA_BYTES);
	print_group_end(printer);
}

/* Stack. Pages that their users manage themselves. */
struct run_sum {
	uint64_t runs;
	uint64_t pages;
	uint64_t io_pages;
};

static int sum_run(const struct sh_pages *pages, void *argument)
{
	struct run_sum *sum = argument;

	sum->runs++;
	sum->pages += pages->npages;
	sum->io_pages += pages->flags & SH_IO ? pages->npages : 0;
	return 0;
}

static void print_runs(const struct view *view, struct printer *printer)
{
	struct heap heap = view->heap;
	struct run_sum sum = { .runs = 0 };

	walk_manual(&heap, NULL, sum_run, &sum);
	print_group(printer, "page_runs", "page runs");
	print_number(printer, "runs", "runs", sum.runs);
	print_number(printer, "pages", "pages", sum.pages);
	print_number(printer, "io_pages", "pages for I/O", sum.io_pages);
	print_group_end(printer);
}

static void print_sizes(const struct view *view, struct printer *printer)
{
	const struct heap *heap = &view->heap;
	uint64_t arenas = heap_arena_count(heap);
	uint64_t chunks = 0;

	for (uint64_t arena = 0; arena < arenas; arena++)
		if (arena_frontier(heap, arena) > arena_first_chunk(heap, arena))
			chunks += arena_frontier(heap, arena) - arena_first_chunk(heap, arena);
		else
			chunks += arena_word_chunks(arena_word(heap, arena));
	print_group(printer, "sizes", "sizes");
	print_bytes(printer, "max_bytes", "largest size", heap->max_bytes);
	print_bytes(printer, "file_bytes", "file", view->input.bytes);
	print_bytes(printer, "disk_bytes", "file, on disk", view->input.disk_bytes);
	print_number(printer, "arenas", "arenas", arenas);
	print_number(printer, "chunks", "chunks for data", chunks);
	print_bytes(printer, "chunk_data_bytes", "chunks for data", chunks * CHUNK_BYTES);
	print_group_end(printer);
}

/* --- roots --------------------------------------------------------------------------------- */

/* Stack. A root as it was at one moment. */
struct root_look {
	char name[ROOT_NAME_BYTES + 1];
	uint64_t value;
};

/* A change in between moves the sequence. */
static bool look_at_root(const struct root *root, struct root_look *look)
{
	uint64_t sequence = atomic_load_explicit(&root->sequence, memory_order_acquire);

	look->value = atomic_load_explicit(&root->value[sequence & 1], memory_order_relaxed);
	for (unsigned i = 0; i < ROOT_NAME_BYTES / 8; i++) {
		uint64_t word = atomic_load_explicit(&root->name[i], memory_order_relaxed);

		memcpy(look->name + 8 * i, &word, sizeof(word));
	}
	look->name[ROOT_NAME_BYTES] = '\0';
	/* acquire fence: the loads above come before the second look at the sequence. */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&root->sequence, memory_order_relaxed) == sequence;
}

#define ROOT_LOOKS 100

static void print_roots(const struct view *view, struct printer *printer)
{
	static const struct column columns[] = {
		{ "offset", "offset", 18 },
		{ "name", "name", 0 },
	};

	print_table(printer, "roots", "roots", columns, 2);
	for (uint64_t index = 0; index < ROOT_COUNT; index++) {
		const struct root *root = &view->heap.roots[index];
		struct root_look look;

		for (int i = 0; i < ROOT_LOOKS && !look_at_root(root, &look); i++)
			;
		if (look.value != 0) {
			struct cell cells[] = { cell_offset(look.value), cell_text(look.name) };

			print_row(printer, cells);
		}
	}
	print_table_end(printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

enum status info_run(const struct arguments *arguments)
{
	struct printer printer;
	struct view view;
	enum status status = view_open(&view, arguments->path);

	if (status != STATUS_FINE)
		return status;
	print_begin(&printer, arguments->json, "info", arguments->path);
	view_print_state(&view, &printer);
	print_superblock(&view, &printer);
	print_geometry(&printer);
	print_sizes(&view, &printer);
	print_runs(&view, &printer);
	print_roots(&view, &printer);
	problems_print(&view.wrong, &printer, "problems", "problems");
	print_end(&printer);
	status = view_status(&view);
	view_close(&view);
	return status;
}
