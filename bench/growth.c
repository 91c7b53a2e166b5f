/* growth.c -- how long allocations stall while the heap grows
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A fresh allocator hands out blocks of 32 KiB until there are enough of them. Each allocation is
 * timed together with a store into every page of the block, which is when the kernel finds memory
 * for it. Of spanheap those allocations that made the file larger stand in a row of their own,
 * without the stores. Wall-clock time. */
#define _GNU_SOURCE
#include "subjects.h"

#include <sys/stat.h>

#define BLOCK_BYTES (32 * KIB)
#define KERNEL_PAGE_BYTES 4096u
#define BLOCKS_MAX 32768u
#define STALLS 4u

/* What one process finds, as the doubles that subject_measure() passes on. */
enum {
	RESULT_P50,
	RESULT_P99,
	RESULT_P999,
	RESULT_MAX,
	RESULT_GROWN, /* the same four of the allocations that grew the file, then their number */
	RESULT_GROWN_COUNT = RESULT_GROWN + 4,
	RESULT_COUNT
};

/* Bytes on disk of the subject's heap file; 0 when it has none. */
static uint64_t file_bytes(const struct subject *subject)
{
	char path[PATH_BYTES];
	struct stat status;

	if (subject->kind != ALLOCATOR_SPANHEAP)
		return 0;
	heap_path(subject->folder, path);
	if (stat(path, &status) != 0)
		die("%s: %s", path, strerror(errno));
	return (uint64_t)status.st_blocks * 512;
}

static void touch_pages(struct allocator allocator, block_name block)
{
	volatile char *bytes = block_address(allocator, block);

	for (size_t at = 0; at < BLOCK_BYTES; at += KERNEL_PAGE_BYTES)
		bytes[at] = 1;
}

static void summarise(double *values, size_t count, double *results)
{
	static const double parts[STALLS] = { 0.5, 0.99, 0.999, 1 };

	for (unsigned i = 0; i < STALLS; i++)
		results[i] = count == 0 ? -1 : quantile(values, count, parts[i]);
}

static void measure(const struct subject *subject, const void *argument, double *results)
{
	static double all_us[BLOCKS_MAX];
	static double grown_us[BLOCKS_MAX];
	const unsigned *count = argument;
	size_t grown = 0;
	struct allocator allocator = subject_start(subject, *count * BLOCK_BYTES);
	uint64_t before = file_bytes(subject);

	for (unsigned i = 0; i < *count; i++) {
		uint64_t start = now_ns();
		block_name block = block_allocate(allocator, BLOCK_BYTES);
		uint64_t allocated = now_ns();

		touch_pages(allocator, block);
		all_us[i] = (double)(now_ns() - start) / 1e3;
		uint64_t after = file_bytes(subject);

		if (after != before)
			grown_us[grown++] = (double)(allocated - start) / 1e3;
		before = after;
	}
	summarise(all_us, *count, results);
	summarise(grown_us, grown, results + RESULT_GROWN);
	results[RESULT_GROWN_COUNT] = (double)grown;
}

static void print_row(struct table *table, double values[][REPETITIONS_MAX], unsigned repetitions,
	const char *label, const char *what)
{
	table_cell(table, "%s, %s", label, what);
	for (unsigned i = 0; i < STALLS; i++)
		table_median(table, values[i], repetitions);
}

static void measure_rows(struct table *table, const struct subject *subject,
	const struct options *options)
{
	static double values[RESULT_COUNT][REPETITIONS_MAX];
	unsigned count = options->quick ? BLOCKS_MAX / 16 : BLOCKS_MAX;
	unsigned repetitions = options_few(options);
	double results[RESULT_COUNT] = { 0 };
	char what[64];

	for (unsigned r = 0; r < repetitions; r++) {
		subject_measure(subject, measure, &count, results, RESULT_COUNT);
		for (unsigned i = 0; i < RESULT_COUNT; i++)
			values[i][r] = results[i];
	}
	print_row(table, values, repetitions, subject->label, "all");
	if (results[RESULT_GROWN_COUNT] < 1)
		return;
	snprintf(what, sizeof(what), "the %.0f that grew", results[RESULT_GROWN_COUNT]);
	print_row(table, values + RESULT_GROWN, repetitions, subject->label, what);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = { .count = 0 };

	subjects_add_spanheap(&subjects, &options);
	subjects_add_malloc(&subjects);
	struct table table = table_begin("Allocations of 32 KiB while the heap grows to 1 GiB, µs",
		(const char *[]){ "allocator, allocations", "p50", "p99", "p99.9", "max", NULL });

	for (unsigned s = 0; s < subjects.count; s++)
		measure_rows(&table, &subjects.of[s], &options);
	table_end(&table);
	return 0;
}
