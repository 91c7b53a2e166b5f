/* map_draw.c -- spanheap map: the picture, and a page about it
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/map.h"
#include "tools/markup.h"
#include "tools/state.h"

#include <inttypes.h>

/* --- shape and colors ---------------------------------------------------------------------- */

/* In pixels. A patch is a pixel narrower than its cells, so that neighbors of a color stay apart. */
#define CELL 8u
#define LEFT 120u /* of the cells; the offsets of rows stand there */
#define TOP 56u
#define LABEL_ROWS 8u
#define LEGEND_LINE 20u
#define WIDTH (LEFT + MAP_ROW_CELLS * CELL + 16u)

/* From empty to full. */
static const char *const colors[PAGE_USES][MAP_FULLNESSES] = {
	[USE_OBJECTS] = { "#d6e6f4", "#abd0e6", "#6aaed6", "#3787c0", "#105ba4" },
	[USE_LARGE] = { "#d5efcf", "#b2e0ab", "#7bc77c", "#3da75a", "#137d39" },
	[USE_RUN] = { "#fdd9b4", "#fdb97d", "#fd9243", "#ee6511", "#c04403" },
	[USE_LOG] = { "#e2e2ef", "#c6c7e1", "#a8a6cf", "#8683bd", "#6a51a3" },
	[USE_FREE] = { "#f0f0f0", "#f0f0f0", "#f0f0f0", "#f0f0f0", "#f0f0f0" },
	[USE_METADATA] = { "#8c8c8c", "#8c8c8c", "#8c8c8c", "#8c8c8c", "#8c8c8c" },
	[USE_SET_ASIDE] = { "#ffe14d", "#ffe14d", "#ffe14d", "#ffe14d", "#ffe14d" },
	[USE_DAMAGED] = { "#e0002d", "#e0002d", "#e0002d", "#e0002d", "#e0002d" },
};

static uint64_t row_count(const struct map *map)
{
	return (map->cell_count + MAP_ROW_CELLS - 1) / MAP_ROW_CELLS;
}

static uint64_t legend_top(const struct map *map)
{
	return TOP + row_count(map) * CELL + 12;
}

static uint64_t height(const struct map *map)
{
	uint64_t lines = 0;

	for (unsigned use = 0; use < PAGE_USES; use++)
		lines += map->pages[use] != 0;
	return legend_top(map) + lines * LEGEND_LINE + 12;
}

static void write_bytes(FILE *out, uint64_t bytes)
{
	const char *unit;
	double scaled = bytes_scaled(bytes, &unit);

	fprintf(out, "%.4g %s", scaled, unit);
}

/* --- what a patch is, in words ------------------------------------------------------------- */

static void write_pages(FILE *out, uint64_t pages)
{
	fprintf(out, pages == 1 ? "1 page" : "%" PRIu64 " pages", pages);
}

/* A span that has all of the patch. */
static void write_span(const struct map_patch *patch, FILE *out)
{
	const struct map_span *span = &patch->span;

	fprintf(out, "%s at page %" PRIu64 ", ", map_use_name(patch->use), span->head);
	write_pages(out, span->pages);
	if (span->block_bytes != 0)
		fprintf(out, ", %" PRIu64 " of %" PRIu64 " blocks of %" PRIu64 " bytes live",
			span->live_blocks, span->blocks, span->block_bytes);
	else if (patch->use == USE_LARGE && span->live_blocks == 0)
		fputs(", freed, waits for readers", out);
}

static void write_mixture(const struct map *map, const struct map_patch *patch, FILE *out)
{
	uint64_t pages[PAGE_USES] = { 0 };
	const char *separator = "";

	for (uint64_t i = 0; i < patch->cells; i++)
		for (unsigned use = 0; use < PAGE_USES; use++)
			pages[use] += map->cells[patch->cell + i].pages[use];
	for (unsigned use = 0; use < PAGE_USES; use++) {
		if (pages[use] == 0)
			continue;
		fputs(separator, out);
		write_pages(out, pages[use]);
		fprintf(out, " %s", map_use_name((enum page_use)use));
		separator = ", ";
	}
}

static void write_patch_title(const struct map *map, const struct map_patch *patch, FILE *out)
{
	uint64_t page;
	uint64_t end;

	map_patch_pages(map, patch, &page, &end);
	fprintf(out, "0x%" PRIx64 " to 0x%" PRIx64 ": ", page_offset(page), page_offset(end));
	if (patch->span.head != 0)
		write_span(patch, out);
	else
		write_mixture(map, patch, out);
	if (patch->use < USE_FREE) {
		fputs("; live: ", out);
		write_bytes(out, map_patch_live_bytes(map, patch));
	}
}

/* --- the picture --------------------------------------------------------------------------- */

static void draw_patch(const struct map *map, const struct map_patch *patch, FILE *out)
{
	uint64_t row = patch->cell / MAP_ROW_CELLS;
	uint64_t column = patch->cell % MAP_ROW_CELLS;

	if (patch->use == USE_UNBACKED)
		return;
	fprintf(out,
		"<rect x=\"%" PRIu64 "\" y=\"%" PRIu64 "\" width=\"%" PRIu64
		"\" height=\"%u\" fill=\"%s\"><title>",
		LEFT + column * CELL, TOP + row * CELL, patch->cells * CELL - 1, CELL - 1,
		colors[patch->use][patch->fullness]);
	write_patch_title(map, patch, out);
	fputs("</title></rect>\n", out);
}

/* A patch ends with its row. */
static void draw_row(const struct map *map, uint64_t row, FILE *out)
{
	struct map_patch patch = { .cell = row * MAP_ROW_CELLS };
	uint64_t page = map->first_page + patch.cell * map->cell_pages;

	if (row % LABEL_ROWS == 0)
		fprintf(out,
			"<text x=\"%u\" y=\"%" PRIu64 "\" text-anchor=\"end\">0x%" PRIx64
			"</text>\n",
			LEFT - 8, TOP + row * CELL + CELL, page_offset(page));
	while (map_next_patch(map, (row + 1) * MAP_ROW_CELLS, &patch))
		draw_patch(map, &patch, out);
}

static void draw_heading(const struct map *map, const struct view *view, FILE *out)
{
	fprintf(out, "<text x=\"%u\" y=\"22\" font-size=\"15\">", LEFT);
	markup_text(out, view->input.path);
	fprintf(out, ": %s</text>\n<text x=\"%u\" y=\"42\">a row is ", state_name(view->state),
		LEFT);
	write_bytes(out, MAP_ROW_CELLS * map->cell_pages * PAGE_BYTES);
	fputs(", a cell ", out);
	write_pages(out, map->cell_pages);
	fputs(" of ", out);
	write_bytes(out, PAGE_BYTES);
	fputs("; the darker, the fuller of live blocks</text>\n", out);
}

static void draw_key(enum page_use use, uint64_t y, FILE *out)
{
	unsigned steps = use < USE_FREE ? MAP_FULLNESSES : 1;

	for (unsigned i = 0; i < steps; i++)
		fprintf(out,
			"<rect x=\"%u\" y=\"%" PRIu64
			"\" width=\"%u\" height=\"12\" fill=\"%s\"/>\n",
			LEFT + i * (MAP_FULLNESSES * 12 / steps), y - 11,
			MAP_FULLNESSES * 12 / steps - 1, colors[use][i]);
}

static void draw_legend(const struct map *map, FILE *out)
{
	uint64_t y = legend_top(map);

	for (unsigned use = 0; use < PAGE_USES; use++) {
		if (map->pages[use] == 0)
			continue;
		y += LEGEND_LINE;
		if (use != USE_UNBACKED)
			draw_key((enum page_use)use, y, out);
		fprintf(out, "<text x=\"%u\" y=\"%" PRIu64 "\">%s: ", LEFT + 72, y,
			map_use_name((enum page_use)use));
		write_bytes(out, map->pages[use] * PAGE_BYTES);
		if (use < USE_FREE) {
			fputs(", live: ", out);
			write_bytes(out, map->live_bytes[use]);
		}
		fputs("</text>\n", out);
	}
}

void map_draw(const struct map *map, const struct view *view, FILE *out)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%" PRIu64
		"\" viewBox=\"0 0 %u %" PRIu64
		"\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>",
		WIDTH, height(map), WIDTH, height(map));
	fputs("pages of ", out);
	markup_text(out, view->input.path);
	fputs("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n", out);
	draw_heading(map, view, out);
	for (uint64_t row = 0; row < row_count(map); row++)
		draw_row(map, row, out);
	draw_legend(map, out);
	fputs("</svg>\n", out);
}

/* --- the page about it --------------------------------------------------------------------- */

static void write_problems(const struct map *map, const struct view *view, FILE *out)
{
	if (map->pages[USE_DAMAGED] == 0 && view->wrong.count == 0)
		return;
	fputs("<p><strong>Something contradicts itself: <code>spanheap check</code> says what,\n"
	      "with offsets.</strong></p>\n",
		out);
}

/* Of HTML. */
static const char *const meanings[PAGE_USES] = {
	[USE_OBJECTS] =
		"A span is a few pages cut into blocks of one size. Many pale ones: blocks of\n"
		"that size were freed here and there, and only such blocks can take their places\n"
		"until a span is empty and its pages are free (<code>spanheap stat</code> tells\n"
		"which sizes).",
	[USE_LARGE] =
		"Blocks of more than four pages, each with pages of its own. A pale one is small\n"
		"for its pages, or was freed and waits for readers.",
	[USE_RUN] = "Pages that programs manage themselves.",
	[USE_LOG] = "They are given back when their transaction ends.",
	[USE_FREE] =
		"Pages to be handed out, the lowest first; a thread may have set some of them\n"
		"aside for itself. Many between others are fragmentation: a large block needs\n"
		"its pages in a row.",
	[USE_METADATA] =
		"The beginning of an arena: tables that say what each of its pages is. Much of\n"
		"it is a hole of the file until the arena is full.",
	[USE_UNBACKED] = "White: a hole of the file.",
	[USE_SET_ASIDE] =
		"What did not fit when a torn heap was salvaged. Nothing is allocated there.",
	[USE_DAMAGED] = "A record that cannot be true.",
};

static void write_explanation(FILE *out)
{
	fputs("<h2>How to read it</h2>\n"
	      "<p>The picture is the data of the file, row by row; the numbers on the left are\n"
	      "offsets. Metadata in front of them are left out. Point at a patch to learn what it\n"
	      "is.</p>\n<dl>\n",
		out);
	for (unsigned use = 0; use < PAGE_USES; use++)
		fprintf(out, "<dt>%s</dt><dd>%s</dd>\n", map_use_name((enum page_use)use),
			meanings[use]);
	fputs("</dl>\n"
	      "<p>A cell with several uses has the color of most of its pages, but anything set\n"
	      "aside or damaged shows. <code>spanheap map --offset 0x... FILE</code> shows the\n"
	      "pages around a place, each in a cell; <code>spanheap dump --offset 0x... --blocks\n"
	      "FILE</code> lists the blocks of its span.</p>\n",
		out);
}

void map_write_page(const struct map *map, const struct view *view, FILE *out)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>", out);
	markup_text(out, view->input.path);
	fputs("</title>\n<style>\n"
	      "body { font: 15px sans-serif; max-width: 75em; margin: 2em auto; }\n"
	      "svg { max-width: 100%; height: auto; }\n"
	      "dt { font-weight: bold; }\n"
	      "</style></head>\n<body>\n<h1>",
		out);
	markup_text(out, view->input.path);
	fprintf(out, "</h1>\n<p>%s: ", state_name(view->state));
	markup_text(out, view->reason);
	fputs(".</p>\n", out);
	write_problems(map, view, out);
	map_draw(map, view, out);
	write_explanation(out);
	fputs("</body></html>\n", out);
}
