/* map.h -- what the pages of a heap file are used for, cell by cell of a picture
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TOOL_MAP_H
#define SPANHEAP_TOOL_MAP_H

#include "tools/look.h"
#include "tools/view.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A picture has at most so many cells, of a power of two pages each. */
#define MAP_ROW_CELLS 128u
#define MAP_CELLS (64u * MAP_ROW_CELLS)

/* What a page is used for. In a cell with several uses the one with the most pages is shown, of as many the
 * earlier one, but from USE_SET_ASIDE on any page is enough. */
enum page_use {
	USE_OBJECTS,
	USE_LARGE,
	USE_RUN,
	USE_LOG,
	USE_FREE,
	USE_METADATA,
	USE_UNBACKED, /* behind the frontier of its arena: not handed out yet */
	USE_SET_ASIDE,
	USE_DAMAGED,
	PAGE_USES,
};

/* Process. A span or run, as it was when it was counted; all zero: none. */
struct map_span {
	uint64_t head;
	uint64_t pages;
	uint64_t block_bytes; /* of its size class; 0: it has none */
	uint64_t blocks;
	uint64_t live_blocks; /* of these, or of a large block whether it is live */
};

/* Process. A part of the picture. */
struct map_cell {
	uint32_t pages[PAGE_USES];
	uint64_t live_bytes;
	struct map_span span; /* that has all of the cell's pages */
};

/* Process. The picture.
 *
 *   cell_count = ceil((end_page - first_page) / cell_pages) <= MAP_CELLS
 *   pages[use] = sum of pages[use] of the cells */
struct map {
	const struct heap *heap;
	struct thread *reader; /* in whose sections spans are looked at; NULL: without */
	bool in_use;
	uint64_t first_page;
	uint64_t end_page;
	uint64_t cell_pages;
	uint64_t cell_count;
	struct map_cell *cells;
	uint64_t pages[PAGE_USES];
	uint64_t live_bytes[PAGE_USES];
};

/* Stack. Cells in a row that look the same. */
struct map_patch {
	uint64_t cell;
	uint64_t cells;
	enum page_use use;
	unsigned fullness;
	struct map_span span; /* that has all of them */
};

/* How full cells are is told in so many steps; those of free pages and the like are never full. */
#define MAP_FULLNESSES 5u

/* A word for people, and for JSON. */
const char *map_use_name(enum page_use use);
const char *map_use_key(enum page_use use);

/* The pages that a patch covers, [*page, *end). */
void map_patch_pages(const struct map *map, const struct map_patch *patch, uint64_t *page,
	uint64_t *end);

/* Bytes of live blocks in it. */
uint64_t map_patch_live_bytes(const struct map *map, const struct map_patch *patch);

/* Goes on to the next patch, which ends before cell `limit` at the latest; all zero before the first. False: there is
 * none. */
bool map_next_patch(const struct map *map, uint64_t limit, struct map_patch *patch);

/* Writes the picture as SVG, or a page of HTML with the picture and what it means in it. */
void map_draw(const struct map *map, const struct view *view, FILE *out);
void map_write_page(const struct map *map, const struct view *view, FILE *out);

#endif
