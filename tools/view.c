/* view.c -- a heap file as a read-only verb sees it
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/view.h"

#include "recovery/proof.h"
#include "recovery/superblock.h"
#include "tools/state.h"

#include <inttypes.h>
#include <spanheap.h>
#include <stdlib.h>
#include <string.h>

/* How often a heap in use is looked at anew when what was read does not fit together. */
#define VIEW_TRIES 5

/* --- superblock ---------------------------------------------------------------------------- */

static uint64_t header_bytes(const struct superblock *superblock)
{
	return heap_header_bytes(superblock->max_bytes, superblock->thread_slot_count);
}

/* Whether a whole superblock stands at `offset`: one that is read though nothing else is there. */
static bool copy_is_whole(const struct view *view, uint64_t offset)
{
	const struct superblock *superblock = &view->superblock;
	uint64_t bytes = header_bytes(superblock);
	char *alone = calloc(1, bytes);
	struct superblock found;
	bool whole = false;
	int copies;

	if (alone == NULL)
		return false;
	if (offset + sizeof(found) <= view->input.bytes) {
		memcpy(alone, view->input.base + offset, sizeof(found));
		whole = superblock_read(alone, bytes, &found, &copies) == 0;
	}
	free(alone);
	return whole;
}

static enum copy_state copy_state(const struct view *view, uint64_t offset)
{
	if (memcmp(view->input.base + offset, &view->superblock, sizeof(view->superblock)) == 0)
		return COPY_CURRENT;
	return copy_is_whole(view, offset) ? COPY_OLDER : COPY_DAMAGED;
}

static int read_superblock(struct view *view)
{
	struct superblock *superblock = &view->superblock;
	int copies;
	int error = superblock_read(view->input.base, view->input.bytes, superblock, &copies);

	if (error != 0)
		return error;
	view->copies[0] = copy_state(view, 0);
	view->copies[1] = copy_state(view,
		heap_superblock_b_offset(superblock->max_bytes, superblock->thread_slot_count));
	return 0;
}

/* --- directory ----------------------------------------------------------------------------- */

static uint64_t head_end(const struct view *view, uint64_t arena)
{
	return arena_zone(&view->heap, arena) + ARENA_HEAD_BYTES;
}

static bool head_inside(const struct view *view, uint64_t arena)
{
	/* A word of 0 below the count is damage: whoever looks at that arena looks for a zone. */
	return (arena_word(&view->heap, arena) & ARENA_CONTINUES) != 0 ||
		head_end(view, arena) <= view->input.bytes;
}

/* The entry of a continuation, if it can be true. */
static uint64_t cut_continuation(struct view *view, uint64_t arena, uint64_t word)
{
	const struct heap *heap = &view->heap;

	if (proof_entry_sane(heap, arena)) {
		if (word == ARENA_GIVEN_BACK || proof_arena_end(heap, arena) <= view->input.bytes)
			return word;
		if (input_reaches(&view->input, proof_arena_end(heap, arena)))
			return ARENA_GIVEN_BACK;
	}
	problems_note(&view->wrong, (uint64_t)((char *)&heap->directory[arena] - heap->base),
		"arena %" PRIu64 ": its entry, 0x%" PRIx64
		", names no continuation inside the file",
		arena, word);
	return ARENA_GIVEN_BACK;
}

/* The frontier as far as it can be true. */
static uint64_t cut_frontier(struct view *view, uint64_t arena, uint64_t frontier)
{
	const struct heap *heap = &view->heap;
	uint64_t first = arena_first_chunk(heap, arena);
	uint64_t end = arena_end_chunk(heap, arena);
	uint64_t backed = view->input.bytes / CHUNK_BYTES;
	uint64_t off = (uint64_t)((char *)&heap->directory[arena] - heap->base);

	if (frontier & ARENA_CONTINUES)
		return cut_continuation(view, arena, frontier);
	/* No data; also of a last arena that its zone fills. */
	if (frontier == first)
		return first;
	if (frontier < first || frontier > end) {
		problems_note(&view->wrong, off,
			"arena %" PRIu64 ": its frontier, chunk %" PRIu64 ", is not inside it",
			arena, frontier);
		frontier = frontier < first || end < first ? first : end;
	}
	if (frontier > first && frontier > backed) {
		if (!input_reaches(&view->input, frontier * CHUNK_BYTES))
			problems_note(&view->wrong, off,
				"arena %" PRIu64 ": the file ends in chunk %" PRIu64
				", before the frontier, chunk %" PRIu64,
				arena, backed, frontier);
		frontier = backed > first ? backed : first;
	}
	return frontier;
}

static uint64_t cut_arena_count(struct view *view)
{
	const struct heap *heap = &view->heap;
	uint64_t count = atomic_load_explicit(&heap->running->arena_count, memory_order_acquire);

	if (count > heap->max_arenas) {
		problems_note(&view->wrong, SUPERBLOCK_STRIDE,
			"the arena count, %" PRIu64 ", is above the heap's limit of %" PRIu64,
			count, heap->max_arenas);
		count = heap->max_arenas;
	}
	for (uint64_t arena = 0; arena < count; arena++)
		if (!head_inside(view, arena)) {
			if (!input_reaches(&view->input, head_end(view, arena)))
				problems_note(&view->wrong, arena_zone(heap, arena),
					"arena %" PRIu64 ": the file ends before its head", arena);
			return arena;
		}
	return count;
}

/* What lies behind the end of a file that has grown since it was opened is left out, and no problem.
 *
 * Stores to the private mapping, so that neither damage nor growth leads outside it later. */
static void pin_directory(struct view *view)
{
	struct heap *heap = &view->heap;
	uint64_t count = cut_arena_count(view);

	for (uint64_t arena = 0; arena < count; arena++) {
		_Atomic uint64_t *frontier = &heap->directory[arena].frontier;

		atomic_store_explicit(frontier,
			cut_frontier(view, arena,
				atomic_load_explicit(frontier, memory_order_acquire)),
			memory_order_relaxed);
	}
	atomic_store_explicit(&heap->running->arena_count, count, memory_order_relaxed);
}

/* --- opening ------------------------------------------------------------------------------- */

static void init_heap(struct view *view)
{
	const struct superblock *superblock = &view->superblock;

	view->heap = (struct heap){
		.base = view->input.base,
		.max_bytes = superblock->max_bytes,
		.incarnation = superblock->incarnation,
		.process_slots = superblock->process_slot_count,
		.thread_slots = superblock->thread_slot_count,
	};
	heap_view_init(&view->heap);
	view->stamp = atomic_load_explicit(&view->heap.running->stamp, memory_order_relaxed);
}

/* One look at the file; *moves: it may look otherwise the next time. */
static int look(struct view *view, const char *path, bool *moves)
{
	int error = input_open(&view->input, path);

	*moves = false;
	view->wrong = (struct problems){ .list = NULL };
	view->reader = (struct reader){ .heap = NULL };
	if (error != 0)
		return error;
	*moves = input_in_use(&view->input);
	error = read_superblock(view);
	if (error == 0)
		error = input_allow_stores(&view->input, header_bytes(&view->superblock));
	if (error != 0) {
		input_close(&view->input);
		return error;
	}
	init_heap(view);
	pin_directory(view);
	state_find(view, *moves);
	view->heap.directory_is_old = view->state == STATE_IN_USE;
	*moves = view_moves(view);
	return 0;
}

static enum status complain_of_superblock(const struct view *view, const char *path, int error)
{
	const char *difference =
		error == SH_EVERSION ? superblock_difference(&view->superblock) : NULL;

	if (difference != NULL)
		complain(path, "the file is of another build: %s", difference);
	return complain_of(path, error);
}

enum status view_open(struct view *view, const char *path)
{
	bool moves;
	int error = look(view, path, &moves);

	/* Whoever opens or grows the heap writes superblock and directory word by word. */
	for (int i = 1; i < VIEW_TRIES && moves; i++) {
		if (error == 0 && view->wrong.count == 0)
			break;
		if (error == 0)
			view_close(view);
		error = look(view, path, &moves);
	}
	return error == 0 ? STATUS_FINE : complain_of_superblock(view, path, error);
}

enum status view_open_to_look(struct view *view, const struct arguments *arguments)
{
	enum status status = view_open(view, arguments->path);

	if (status == STATUS_FINE && !arguments->no_slot)
		reader_join(&view->reader, view);
	return status;
}

/* How often a heap in use is looked at that seems damaged. */
#define LOOKS 5u

bool view_look_again(struct view *view, const struct arguments *arguments, unsigned looks,
	enum status *status)
{
	if (looks >= LOOKS || !view_moves(view))
		return false;
	view_close(view);
	*status = view_open_to_look(view, arguments);
	return true;
}

void view_close(struct view *view)
{
	reader_leave(&view->reader);
	problems_free(&view->wrong);
	input_close(&view->input);
}

bool view_moves(const struct view *view)
{
	struct superblock superblock;

	return view->state == STATE_IN_USE || input_in_use(&view->input) ||
		!input_read(&view->input, 0, &superblock, sizeof(superblock)) ||
		(view->copies[0] == COPY_CURRENT &&
			superblock.sequence != view->superblock.sequence);
}

enum status view_status(const struct view *view)
{
	if (view->wrong.count != 0 || view->state == STATE_TORN)
		return STATUS_DAMAGED;
	return view->state == STATE_RECOVERABLE ? STATUS_UNCLEAN : STATUS_FINE;
}

void view_print_state(const struct view *view, struct printer *printer)
{
	print_text(printer, "state", "state", state_name(view->state));
	print_text(printer, "reason", "because", view->reason);
	print_flag(printer, "in_use", "in use", view->state == STATE_IN_USE);
	if (view->reader.why_not != NULL)
		print_text(printer, "no_sections", "read sections", view->reader.why_not);
}
