/* stat.c -- spanheap stat: what the heap holds, by size class, and what it costs
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stat.h"

#include <stddef.h>
#include <string.h>

/* --- numbers ------------------------------------------------------------------------------- */

/* A field of the statistics; its name is the key. */
struct row {
	const char *key;
	const char *label;
	size_t offset;
	void (*print)(struct printer *printer, const char *key, const char *label, uint64_t number);
};

/* Macros for the sake of the field's name. */
#define BYTES(field, label) #field, label, offsetof(struct sh_stats, field), print_bytes
#define NUMBER(field, label) #field, label, offsetof(struct sh_stats, field), print_number
#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct row disk_rows[] = {
	{ BYTES(max_bytes, "largest size") },
	{ BYTES(metadata_bytes, "metadata") },
	{ BYTES(data_bytes, "data") },
};

static const struct row data_rows[] = {
	{ NUMBER(arenas, "arenas") },
	{ BYTES(small_span_bytes, "spans of small blocks") },
	{ BYTES(large_span_bytes, "large blocks") },
	{ BYTES(manual_bytes, "manual runs") },
	{ BYTES(log_bytes, "logs") },
	{ BYTES(damaged_bytes, "damaged") },
	{ BYTES(free_bytes, "free") },
	{ NUMBER(free_runs, "free, in pieces") },
	{ BYTES(largest_free_bytes, "largest free run") },
};

static const struct row block_rows[] = {
	{ NUMBER(small_blocks, "small blocks") },
	{ BYTES(small_block_bytes, "in small blocks") },
	{ NUMBER(large_blocks, "large blocks") },
	{ BYTES(large_block_bytes, "in large blocks") },
	{ NUMBER(manual_runs, "manual runs") },
};

static void print_rows(const struct sh_stats *stats, struct printer *printer,
	const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t number;

		memcpy(&number, (const char *)stats + rows[i].offset, sizeof(number));
		rows[i].print(printer, rows[i].key, rows[i].label, number);
	}
}

static void print_disk(const struct view *view, const struct sh_stats *stats,
	struct printer *printer)
{
	print_group(printer, "disk", "disk");
	print_bytes(printer, "file_bytes", "file", view->input.bytes);
	print_bytes(printer, "disk_bytes", "file, on disk", view->input.disk_bytes);
	print_rows(stats, printer, disk_rows, COUNT_OF(disk_rows));
	print_share(printer, "metadata_ppm", "metadata of both", stats->metadata_bytes,
		stats->metadata_bytes + stats->data_bytes);
	print_group_end(printer);
}

static void print_data(const struct sh_stats *stats, struct printer *printer)
{
	print_group(printer, "data", "data");
	print_rows(stats, printer, data_rows, COUNT_OF(data_rows));
	print_share(printer, "fragmentation_ppm", "free outside of it",
		stats->free_bytes - stats->largest_free_bytes, stats->free_bytes);
	print_group_end(printer);
}

static void print_blocks(const struct sh_stats *stats, struct printer *printer)
{
	uint64_t span_bytes = stats->small_span_bytes + stats->large_span_bytes;
	uint64_t block_bytes = stats->small_block_bytes + stats->large_block_bytes;

	print_group(printer, "blocks", "blocks");
	print_rows(stats, printer, block_rows, COUNT_OF(block_rows));
	print_share(printer, "unused_ppm", "of their spans unused", span_bytes - block_bytes,
		span_bytes);
	print_number(printer, "open_transactions", "open transactions", stats->open_transactions);
	print_group_end(printer);
}

/* --- size classes -------------------------------------------------------------------------- */

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

enum status stat_open(struct view *view, struct sh_stats *stats, const struct arguments *arguments)
{
	enum status status = view_open_to_look(view, arguments);

	for (unsigned looks = 1; status == STATUS_FINE; looks++) {
		*stats = (struct sh_stats)SH_STATS_INIT;
		stats_count(&view->heap, reader_thread(&view->reader), stats);
		if (stats->damaged_bytes == 0 || !view_look_again(view, arguments, looks, &status))
			break;
	}
	return status;
}

void stat_print(const struct view *view, const struct sh_stats *stats, struct printer *printer)
{
	view_print_state(view, printer);
	print_disk(view, stats, printer);
	print_data(stats, printer);
	print_blocks(stats, printer);
	print_classes(stats, printer);
	problems_print(&view->wrong, printer, "problems", "problems");
}

enum status stat_status(const struct view *view, const struct sh_stats *stats)
{
	return stats->damaged_bytes != 0 ? STATUS_DAMAGED : view_status(view);
}

enum status stat_run(const struct arguments *arguments)
{
	struct sh_stats stats;
	struct printer printer;
	struct view view;
	enum status status;

	if (arguments->watch_seconds > 0)
		return stat_watch(arguments);
	status = stat_open(&view, &stats, arguments);
	if (status != STATUS_FINE)
		return status;
	print_begin(&printer, arguments->json, "stat", arguments->path);
	stat_print(&view, &stats, &printer);
	print_end(&printer);
	status = stat_status(&view, &stats);
	view_close(&view);
	return status;
}
