/* map.c -- spanheap map: what the pages are used for
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/map.h"

#include "heap/manual.h"
#include "recovery/check.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- uses ---------------------------------------------------------------------------------- */

static const struct {
	const char *key;
	const char *name;
} uses[PAGE_USES] = {
	[USE_OBJECTS] = { "objects", "spans of small blocks" },
	[USE_LARGE] = { "large", "large blocks" },
	[USE_RUN] = { "run", "page runs" },
	[USE_LOG] = { "log", "logs of long transactions" },
	[USE_FREE] = { "free", "free" },
	[USE_METADATA] = { "metadata", "metadata" },
	[USE_UNBACKED] = { "unbacked", "not handed out yet" },
	[USE_SET_ASIDE] = { "set_aside", "set aside by a salvage" },
	[USE_DAMAGED] = { "damaged", "damaged" },
};

const char *map_use_name(enum page_use use)
{
	return uses[use].name;
}

const char *map_use_key(enum page_use use)
{
	return uses[use].key;
}

/* --- counting ------------------------------------------------------------------------------ */

/* Stack. Pages with one use. */
struct stretch {
	uint64_t page;
	uint64_t end;
	enum page_use use;
	enum page_use before; /* what they were counted as; the same: nothing */
	struct map_span span; /* that has them; or none */
	uint64_t live_bytes;  /* in all of [page, end) */
};

static void count_in_cell(struct map *map, struct map_cell *cell, const struct stretch *stretch,
	uint64_t pages, uint64_t live_bytes)
{
	/* A damaged heap may have pages in two spans; then none is taken away twice. */
	uint64_t before = stretch->before == stretch->use ? 0 : cell->pages[stretch->before];
	uint64_t taken = pages < before ? pages : before;

	cell->pages[stretch->use] += (uint32_t)pages;
	cell->pages[stretch->before] -= (uint32_t)taken;
	map->pages[stretch->use] += pages;
	map->pages[stretch->before] -= taken;
	cell->live_bytes += live_bytes;
	map->live_bytes[stretch->use] += live_bytes;
	if (pages == map->cell_pages)
		cell->span = stretch->span;
}

/* Live bytes in the first pages of a stretch, as if they were spread evenly. */
static uint64_t live_bytes_before(const struct stretch *stretch, uint64_t page)
{
	double share = (double)(page - stretch->page) / (double)(stretch->end - stretch->page);

	return page == stretch->end ? stretch->live_bytes
				    : (uint64_t)(share * (double)stretch->live_bytes);
}

/* Counts the part of a stretch that the picture has. */
static void count_stretch(struct map *map, const struct stretch *stretch)
{
	uint64_t page = stretch->page > map->first_page ? stretch->page : map->first_page;
	uint64_t end = stretch->end < map->end_page ? stretch->end : map->end_page;

	while (page < end) {
		uint64_t cell = (page - map->first_page) / map->cell_pages;
		uint64_t cell_end = map->first_page + (cell + 1) * map->cell_pages;
		uint64_t next = cell_end < end ? cell_end : end;

		count_in_cell(map, &map->cells[cell], stretch, next - page,
			live_bytes_before(stretch, next) - live_bytes_before(stretch, page));
		page = next;
	}
}

static void count_as(struct map *map, enum page_use use, uint64_t page, uint64_t end)
{
	struct stretch stretch = { .page = page, .end = end, .use = use, .before = use };

	if (page < end)
		count_stretch(map, &stretch);
}

/* Where the data of an arena begin and end; what is in front of them is metadata. */
static uint64_t data_page(const struct heap *heap, uint64_t arena)
{
	if (!arena_is_ordinary(heap, arena))
		return arena << ARENA_PAGES_SHIFT;
	return arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
}

static uint64_t data_end_page(const struct heap *heap, uint64_t arena)
{
	uint64_t chunks = arena_word_chunks(arena_word(heap, arena));
	uint64_t begin = data_page(heap, arena);
	uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;

	if (!arena_is_ordinary(heap, arena))
		return begin + (chunks < ARENA_CHUNKS ? chunks : ARENA_CHUNKS) * CHUNK_PAGES;
	return end > begin ? end : begin;
}

/* As if there were no span. */
static void count_arena(struct map *map, uint64_t arena)
{
	const struct heap *heap = map->heap;
	uint64_t begin = arena << ARENA_PAGES_SHIFT;
	uint64_t first = data_page(heap, arena);
	uint64_t frontier = data_end_page(heap, arena);

	/* Of a continuation all pages belong to the run that goes on there, or to nothing. */
	if (!arena_is_ordinary(heap, arena))
		frontier = first;
	count_as(map, USE_METADATA, begin, first);
	count_as(map, USE_FREE, first, frontier);
	count_as(map, USE_UNBACKED, frontier, (arena + 1) << ARENA_PAGES_SHIFT);
}

static enum page_use use_of(const struct map *map, const struct span_look *look)
{
	if (!look->plausible)
		return USE_DAMAGED;
	if (look_is_set_aside(look, map->heap, map->in_use))
		return USE_SET_ASIDE;
	switch (look->record.purpose) {
	case SPAN_OBJECTS:
		return USE_OBJECTS;
	case SPAN_LARGE:
		return USE_LARGE;
	case SPAN_MANUAL:
		return USE_RUN;
	case SPAN_LOG:
		return USE_LOG;
	default:
		return USE_DAMAGED;
	}
}

static uint64_t live_bytes_of(const struct span_look *look, uint64_t pages)
{
	if (!look->plausible)
		return 0;
	if (look->size_class != NULL)
		return look->used * look->size_class->bytes;
	if (look->record.purpose == SPAN_LARGE)
		return look->used != 0 ? look->record.bytes : 0;
	return pages * PAGE_BYTES;
}

/* What a damaged record covers is not known; while a run is cut, its record covers the next one, too. */
static uint64_t pages_of(const struct map *map, const struct span_look *look)
{
	uint64_t end = look->head + look->record.pages;

	if (!look->plausible)
		return 1;
	if (span_record_is_newer(map->heap, look->head, &look->record))
		return data_end_page(map->heap, page_arena(look->head)) - look->head;
	if (look->record.purpose == SPAN_MANUAL)
		end = manual_next_head(map->heap, look->head, end);
	return end - look->head;
}

/* The part that lies in continuations, whose pages were counted as such, and then the one before. */
static void count_over_arenas(struct map *map, struct stretch *stretch, uint64_t limit)
{
	struct stretch rest = *stretch;
	uint64_t live_bytes = live_bytes_before(stretch, limit);

	rest.page = limit;
	rest.before = USE_UNBACKED;
	rest.live_bytes -= live_bytes;
	count_stretch(map, &rest);
	stretch->end = limit;
	stretch->live_bytes = live_bytes;
}

static struct map_span span_of(const struct span_look *look, uint64_t pages)
{
	return (struct map_span){
		.head = look->head,
		.pages = pages,
		.block_bytes = look->size_class != NULL ? look->size_class->bytes : 0,
		.blocks = look->size_class != NULL ? look->size_class->objects : 1,
		.live_blocks = look->used,
	};
}

static int count_span(void *argument, uint64_t head)
{
	struct map *map = argument;
	struct span_look look;
	struct stretch stretch = { .page = head, .before = USE_FREE };
	uint64_t limit = (page_arena(head) + 1) << ARENA_PAGES_SHIFT;

	/* What became another span while it was looked at is in none. */
	if (!look_at_span(map->heap, map->reader, head, &look) ||
		!span_record_stands(map->heap, head, &look.record))
		return 0;
	stretch.end = head + pages_of(map, &look);
	stretch.span = span_of(&look, stretch.end - head);
	stretch.use = use_of(map, &look);
	stretch.live_bytes = live_bytes_of(&look, stretch.end - head);
	if (stretch.end > limit)
		count_over_arenas(map, &stretch, limit);
	count_stretch(map, &stretch);
	return 0;
}

static void count_all(struct map *map)
{
	for (uint64_t arena = 0; arena < heap_arena_count(map->heap); arena++)
		count_arena(map, arena);
	check_each_span(map->heap, NULL, count_span, map);
}

/* --- patches ---------------------------------------------------------------------------------- */

static enum page_use cell_use(const struct map_cell *cell)
{
	enum page_use most = USE_OBJECTS;

	for (unsigned use = PAGE_USES; use-- > USE_SET_ASIDE;)
		if (cell->pages[use] != 0)
			return (enum page_use)use;
	for (unsigned use = 0; use < USE_SET_ASIDE; use++)
		if (cell->pages[use] > cell->pages[most])
			most = (enum page_use)use;
	return most;
}

static uint64_t cell_bytes(const struct map *map, uint64_t cell)
{
	struct map_patch patch = { .cell = cell, .cells = 1 };
	uint64_t page;
	uint64_t end;

	map_patch_pages(map, &patch, &page, &end);
	return (end - page) * PAGE_BYTES;
}

static struct map_patch patch_of(const struct map *map, uint64_t cell)
{
	const struct map_cell *of = &map->cells[cell];
	double fullness = MAP_FULLNESSES * (double)of->live_bytes / (double)cell_bytes(map, cell);

	return (struct map_patch){
		.cell = cell,
		.cells = 1,
		.use = cell_use(of),
		.fullness = fullness < MAP_FULLNESSES ? (unsigned)fullness : MAP_FULLNESSES - 1,
		.span = of->span,
	};
}

bool map_next_patch(const struct map *map, uint64_t limit, struct map_patch *patch)
{
	uint64_t cell = patch->cell + patch->cells;

	if (limit > map->cell_count)
		limit = map->cell_count;
	if (cell >= limit)
		return false;
	*patch = patch_of(map, cell);
	while (++cell < limit) {
		struct map_patch next = patch_of(map, cell);

		if (next.use != patch->use || next.fullness != patch->fullness ||
			next.span.head != patch->span.head)
			break;
		patch->cells++;
	}
	return true;
}

void map_patch_pages(const struct map *map, const struct map_patch *patch, uint64_t *page,
	uint64_t *end)
{
	*page = map->first_page + patch->cell * map->cell_pages;
	*end = *page + patch->cells * map->cell_pages;
	if (*end > map->end_page)
		*end = map->end_page;
}

uint64_t map_patch_live_bytes(const struct map *map, const struct map_patch *patch)
{
	uint64_t live_bytes = 0;

	for (uint64_t i = 0; i < patch->cells; i++)
		live_bytes += map->cells[patch->cell + i].live_bytes;
	return live_bytes;
}

/* --- JSON ---------------------------------------------------------------------------------- */

static void print_uses(const struct map *map, struct printer *printer)
{
	static const struct column columns[] = {
		{ "use", "use", -10 },
		{ "pages", "pages", 10 },
		{ "live_bytes", "live bytes", 14 },
	};

	print_table(printer, "uses", "uses", columns, 3);
	for (unsigned use = 0; use < PAGE_USES; use++) {
		struct cell cells[] = {
			cell_text(map_use_key((enum page_use)use)),
			cell_number(map->pages[use]),
			cell_number(map->live_bytes[use]),
		};

		print_row(printer, cells);
	}
	print_table_end(printer);
}

static void print_patches(const struct map *map, struct printer *printer)
{
	static const struct column columns[] = {
		{ "page", "page", 10 },
		{ "offset", "offset", 14 },
		{ "pages", "pages", 10 },
		{ "use", "use", -10 },
		{ "live_bytes", "live bytes", 14 },
		{ "head", "head", 10 },
	};
	struct map_patch patch = { .cells = 0 };

	print_table(printer, "patches", "patches", columns, 6);
	while (map_next_patch(map, map->cell_count, &patch)) {
		uint64_t page;
		uint64_t end;

		map_patch_pages(map, &patch, &page, &end);
		struct cell cells[] = {
			cell_number(page),
			cell_offset(page_offset(page)),
			cell_number(end - page),
			cell_text(map_use_key(patch.use)),
			cell_number(map_patch_live_bytes(map, &patch)),
			patch.span.head != 0 ? cell_number(patch.span.head) : cell_none(),
		};

		print_row(printer, cells);
	}
	print_table_end(printer);
}

static void print_map(const struct map *map, const struct view *view)
{
	struct printer printer;

	print_begin(&printer, true, "map", view->input.path);
	view_print_state(view, &printer);
	print_number(&printer, "page_bytes", "page bytes", PAGE_BYTES);
	print_number(&printer, "first_page", "first page", map->first_page);
	print_number(&printer, "pages", "pages", map->end_page - map->first_page);
	print_number(&printer, "cell_pages", "pages of a cell", map->cell_pages);
	print_uses(map, &printer);
	print_patches(map, &printer);
	problems_print(&view->wrong, &printer, "problems", "problems");
	print_end(&printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

/* Narrows the picture down to the pages around an offset. */
static bool choose_around(struct map *map, uint64_t offset)
{
	uint64_t page = offset >> PAGE_SHIFT;
	uint64_t begin = page - page % MAP_CELLS;

	if (page < map->first_page || page >= map->end_page)
		return false;
	if (map->first_page < begin)
		map->first_page = begin;
	if (map->end_page > begin + MAP_CELLS)
		map->end_page = begin + MAP_CELLS;
	return true;
}

/* What to show: all data, or those of an arena, or the pages around an offset, each in a cell of its own. False: there
 * is no such place; complains. */
static bool choose_pages(struct map *map, const struct arguments *arguments)
{
	uint64_t arenas = heap_arena_count(map->heap);
	bool all = arguments->arena == ANY;
	uint64_t first = all ? 0 : arguments->arena;
	uint64_t last = all ? arenas - 1 : arguments->arena;

	if (!all && arguments->arena >= arenas) {
		complain(arguments->path, "there is no arena %" PRIu64 "; the heap has %" PRIu64,
			arguments->arena, arenas);
		return false;
	}
	if (arenas != 0) {
		map->first_page = data_page(map->heap, first);
		map->end_page = data_end_page(map->heap, last);
	}
	if (arguments->offset == ANY || choose_around(map, arguments->offset))
		return true;
	complain(arguments->path, "offset 0x%" PRIx64 " is not one of the data %s",
		arguments->offset, all ? "of this heap" : "of that arena");
	return false;
}

static bool make_cells(struct map *map)
{
	uint64_t pages = map->end_page - map->first_page;

	map->cell_pages = 1;
	while (map->cell_pages * MAP_CELLS < pages)
		map->cell_pages *= 2;
	map->cell_count = (pages + map->cell_pages - 1) / map->cell_pages;
	map->cells = calloc(map->cell_count + 1, sizeof(*map->cells));
	return map->cells != NULL;
}

static enum status count(struct map *map, const struct view *view,
	const struct arguments *arguments)
{
	*map = (struct map){
		.heap = &view->heap,
		.reader = reader_thread(&view->reader),
		.in_use = view->state == STATE_IN_USE,
	};
	if (!choose_pages(map, arguments))
		return STATUS_ERROR;
	if (!make_cells(map)) {
		complain(arguments->path, "not enough memory for the picture");
		return STATUS_ERROR;
	}
	count_all(map);
	return STATUS_FINE;
}

static enum status open_and_count(struct map *map, struct view *view,
	const struct arguments *arguments)
{
	enum status status = view_open_to_look(view, arguments);

	for (unsigned looks = 1; status == STATUS_FINE; looks++) {
		status = count(map, view, arguments);
		if (status != STATUS_FINE) {
			view_close(view);
			return status;
		}
		if (map->pages[USE_DAMAGED] == 0 ||
			!view_look_again(view, arguments, looks, &status))
			return STATUS_FINE;
		free(map->cells);
	}
	return status;
}

static void show(const struct map *map, const struct view *view, const struct arguments *arguments)
{
	if (arguments->json)
		print_map(map, view);
	else if (arguments->html)
		map_write_page(map, view, stdout);
	else
		map_draw(map, view, stdout);
}

enum status map_run(const struct arguments *arguments)
{
	struct view view;
	struct map map;
	enum status status;

	if (arguments->json && arguments->html) {
		complain(NULL, "map: --json or --html, not both");
		return STATUS_ERROR;
	}
	status = open_and_count(&map, &view, arguments);
	if (status != STATUS_FINE)
		return status;
	show(&map, &view, arguments);
	status = map.pages[USE_DAMAGED] != 0 ? STATUS_DAMAGED : view_status(&view);
	free(map.cells);
	view_close(&view);
	return status;
}
