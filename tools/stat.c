/* stat.c -- spanheap stat: what the heap holds, by size class, and what it costs
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/stats.h"

#include "tools/view.h"

#include <stdio.h>

/* --- pages --------------------------------------------------------------------------------- */

static void print_disk(const struct view *view, const struct sh_stats *stats,
	struct printer *printer)
{
	print_group(printer, "disk", "disk");
	print_bytes(printer, "file_bytes", "file", view->input.bytes);
	print_bytes(printer, "disk_bytes", "file, on disk", view->input.disk_bytes);
	print_bytes(printer, "max_bytes", "largest size", stats->max_bytes);
	print_bytes(printer, "metadata_bytes", "metadata", stats->metadata_bytes);
	print_bytes(printer, "data_bytes", "data", stats->data_bytes);
	print_share(printer, "metadata_ppm", "metadata of both", stats->metadata_bytes,
		stats->metadata_bytes + stats->data_bytes);
	print_group_end(printer);
}

static void print_data(const struct sh_stats *stats, struct printer *printer)
{
	print_group(printer, "data", "data");
	print_number(printer, "arenas", "arenas", stats->arenas);
	print_bytes(printer, "small_span_bytes", "spans of small blocks", stats->small_span_bytes);
	print_bytes(printer, "large_span_bytes", "large blocks", stats->large_span_bytes);
	print_bytes(printer, "manual_bytes", "manual runs", stats->manual_bytes);
	print_bytes(printer, "log_bytes", "logs", stats->log_bytes);
	print_bytes(printer, "damaged_bytes", "damaged", stats->damaged_bytes);
	print_bytes(printer, "free_bytes", "free", stats->free_bytes);
	print_number(printer, "free_runs", "free, in pieces", stats->free_runs);
	print_bytes(printer, "largest_free_bytes", "largest free run", stats->largest_free_bytes);
	print_share(printer, "fragmentation_ppm", "free outside of it",
		stats->free_bytes - stats->largest_free_bytes, stats->free_bytes);
	print_group_end(printer);
}

/* --- blocks -------------------------------------------------------------------------------- */

static void print_blocks(const struct sh_stats *stats, struct printer *printer)
{
	uint64_t span_bytes = stats->small_span_bytes + stats->large_span_bytes;
	uint64_t block_bytes = stats->small_block_bytes + stats->large_block_bytes;

	print_group(printer, "blocks", "blocks");
	print_number(printer, "small_blocks", "small blocks", stats->small_blocks);
	print_bytes(printer, "small_block_bytes", "in small blocks", stats->small_block_bytes);
	print_number(printer, "large_blocks", "large blocks", stats->large_blocks);
	print_bytes(printer, "large_block_bytes", "in large blocks", stats->large_block_bytes);
	print_number(printer, "manual_runs", "manual runs", stats->manual_runs);
	print_share(printer, "unused_ppm", "of their spans unused", span_bytes - block_bytes,
		span_bytes);
	print_number(printer, "open_transactions", "open transactions", stats->open_transactions);
	print_group_end(printer);
}

static void print_classes(const struct sh_stats *stats, struct printer *printer)
{
	static const struct column columns[] = {
		{ "block_bytes", "block bytes", 12 },
		{ "blocks", "blocks", 12 },
		{ "noscan_blocks", "noscan", 12 },
		{ "spans", "spans", 8 },
		{ "span_bytes", "span bytes", 14 },
		{ "used_bytes", "used bytes", 14 },
	};

	print_table(printer, "classes", "size classes in use", columns, 6);
	for (unsigned i = 0; i < SH_STATS_CLASSES; i++) {
		const struct sh_class_stats *of = &stats->classes[i];
		struct cell cells[] = {
			cell_number(of->block_bytes),
			cell_number(of->blocks),
			cell_number(of->noscan_blocks),
			cell_number(of->spans),
			cell_number(of->span_bytes),
			cell_number(of->blocks * of->block_bytes),
		};

		if (of->spans != 0)
			print_row(printer, cells);
	}
	print_table_end(printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

/* How often a heap in use is counted that seems damaged: it may have grown since it was opened. */
#define STAT_TRIES 5

static enum status open_and_count(struct view *view, struct sh_stats *stats, const char *path)
{
	enum status status = view_open(view, path);

	for (int i = 1; status == STATUS_FINE; i++) {
		*stats = (struct sh_stats)SH_STATS_INIT;
		stats_count(&view->heap, stats);
		if (stats->damaged_bytes == 0 || i == STAT_TRIES || !view_moves(view))
			break;
		view_close(view);
		status = view_open(view, path);
	}
	return status;
}

static void print(const struct view *view, const struct sh_stats *stats, struct printer *printer)
{
	view_print_state(view, printer);
	print_disk(view, stats, printer);
	print_data(stats, printer);
	print_blocks(stats, printer);
	print_classes(stats, printer);
	problems_print(&view->wrong, printer, "problems", "problems");
}

enum status stat_run(const struct arguments *arguments)
{
	struct sh_stats stats;
	struct printer printer;
	struct view view;
	enum status status = open_and_count(&view, &stats, arguments->path);

	if (status != STATUS_FINE)
		return status;
	print_begin(&printer, arguments->json, "stat", arguments->path);
	print(&view, &stats, &printer);
	print_end(&printer);
	/* As `check` would say. */
	status = stats.damaged_bytes != 0 ? STATUS_DAMAGED : view_status(&view);
	view_close(&view);
	return status;
}
