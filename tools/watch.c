/* watch.c -- spanheap stat --watch: the statistics again and again, with what changed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tools/stat.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- one look ------------------------------------------------------------------------------ */

/* What is shown with its changes; in text those with a title. */
struct watched {
	const char *key;
	const char *title;
	size_t offset;
};

#define WATCHED(field, title)                                   \
	{                                                       \
#field, title, offsetof(struct sh_stats, field) \
	}

static const struct watched watched[] = {
	WATCHED(disk_bytes, "on disk"),
	WATCHED(data_bytes, NULL),
	WATCHED(free_bytes, "free"),
	WATCHED(small_blocks, "small blocks"),
	WATCHED(small_block_bytes, NULL),
	WATCHED(large_blocks, "large"),
	WATCHED(large_block_bytes, NULL),
	WATCHED(manual_runs, NULL),
	WATCHED(manual_bytes, NULL),
	WATCHED(open_transactions, "transactions"),
};

#define WATCHED_COUNT (sizeof(watched) / sizeof(watched[0]))

/* Stack. The last look. */
struct watch {
	const struct arguments *arguments;
	struct printer printer; /* of text: one table */
	uint64_t looks;
	uint64_t started_ns;
	uint64_t ns;
	uint64_t numbers[WATCHED_COUNT];
	int64_t rates[WATCHED_COUNT]; /* per second, since the look before; 0 of the first */
	uint64_t heap_id[2];
	enum status status;
};

/* Per second; of what changed at all never 0. */
static int64_t rate_of(int64_t change, double seconds)
{
	double rate = (double)change / seconds;

	if (rate > -1 && rate < 1)
		return (change > 0) - (change < 0);
	return (int64_t)(rate < 0 ? rate - 0.5 : rate + 0.5);
}

/* Takes the numbers in, and what they changed by. */
static void take_numbers(struct watch *watch, const struct sh_stats *stats)
{
	uint64_t now = system_now_ns(NULL);
	double seconds = (double)(now - watch->ns) / 1e9;

	for (size_t i = 0; i < WATCHED_COUNT; i++) {
		uint64_t number;

		memcpy(&number, (const char *)stats + watched[i].offset, sizeof(number));
		watch->rates[i] = watch->looks == 0 || seconds <= 0
			? 0
			: rate_of((int64_t)(number - watch->numbers[i]), seconds);
		watch->numbers[i] = number;
	}
	watch->ns = now;
	if (watch->looks++ == 0)
		watch->started_ns = now;
}

static uint64_t elapsed_ms(const struct watch *watch)
{
	return (watch->ns - watch->started_ns) / 1000000;
}

static void print_object(const struct watch *watch, const struct view *view,
	const struct sh_stats *stats)
{
	struct printer printer;

	print_begin_line(&printer, "stat", watch->arguments->path);
	print_number(&printer, "elapsed_ms", "", elapsed_ms(watch));
	stat_print(view, stats, &printer);
	print_group(&printer, "per_second", "");
	for (size_t i = 0; i < WATCHED_COUNT; i++)
		json_signed(&printer.json, watched[i].key, watch->rates[i]);
	print_group_end(&printer);
	print_end(&printer);
}

#define RATE_BYTES 24

/* A number and its change, of each. */
static void print_line(struct watch *watch)
{
	struct cell cells[1 + 2 * WATCHED_COUNT] = { cell_number(elapsed_ms(watch) / 1000) };
	char rates[WATCHED_COUNT][RATE_BYTES];
	unsigned count = 1;

	for (size_t i = 0; i < WATCHED_COUNT; i++) {
		if (watched[i].title == NULL)
			continue;
		snprintf(rates[i], RATE_BYTES, "%+" PRId64, watch->rates[i]);
		cells[count++] = cell_number(watch->numbers[i]);
		cells[count++] = cell_text(rates[i]);
	}
	print_row(&watch->printer, cells);
}

/* False: the heap is another one by now. */
static bool is_the_same(struct watch *watch, const struct view *view)
{
	if (watch->looks == 0)
		memcpy(watch->heap_id, view->superblock.heap_id, sizeof(watch->heap_id));
	return memcmp(watch->heap_id, view->superblock.heap_id, sizeof(watch->heap_id)) == 0;
}

/* Whether the watch goes on. */
static bool look(struct watch *watch)
{
	struct sh_stats stats;
	struct view view;
	enum status status;
	bool same;

	/* Gone: that is how it ends, not an error. */
	if (watch->looks != 0 && access(watch->arguments->path, F_OK) != 0 && errno == ENOENT)
		return false;
	status = stat_open(&view, &stats, watch->arguments);
	if (status != STATUS_FINE) {
		watch->status = status;
		return false;
	}
	same = is_the_same(watch, &view);
	if (same) {
		stats.disk_bytes = view.input.disk_bytes;
		take_numbers(watch, &stats);
		if (watch->arguments->json)
			print_object(watch, &view, &stats);
		else
			print_line(watch);
		watch->status = stat_status(&view, &stats);
	}
	view_close(&view);
	return same && fflush(stdout) == 0;
}

/* --- again and again ----------------------------------------------------------------------- */

static void begin_table(struct watch *watch, struct column columns[1 + 2 * WATCHED_COUNT])
{
	unsigned count = 1;

	columns[0] = (struct column){ "seconds", "s", 6 };
	for (size_t i = 0; i < WATCHED_COUNT; i++) {
		if (watched[i].title == NULL)
			continue;
		columns[count++] = (struct column){ watched[i].key, watched[i].title, 12 };
		columns[count++] = (struct column){ watched[i].key, "/s", -8 };
	}
	print_table(&watch->printer, "looks", "what the heap holds, and how it changes", columns,
		count);
}

/* Whether the time passed without a signal that ends the watch. */
static bool sleep_until(uint64_t ns, const sigset_t *ends)
{
	uint64_t now = system_now_ns(NULL);
	uint64_t left = ns > now ? ns - now : 0;
	struct timespec limit = { (time_t)(left / 1000000000), (long)(left % 1000000000) };

	return sigtimedwait(ends, NULL, &limit) < 0;
}

enum status stat_watch(const struct arguments *arguments)
{
	struct column columns[1 + 2 * WATCHED_COUNT];
	struct watch watch = { .arguments = arguments };
	uint64_t step_ns = (uint64_t)(arguments->watch_seconds * 1e9);
	uint64_t next = system_now_ns(NULL);
	sigset_t ends;

	/* Asked for between looks, so that none is cut short. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (!arguments->json)
		begin_table(&watch, columns);
	while (look(&watch)) {
		/* A look that took longer than a step does not make the next ones come in a row. */
		next = next + step_ns > watch.ns ? next + step_ns : watch.ns + step_ns;
		if (!sleep_until(next, &ends))
			break;
	}
	return watch.status;
}
