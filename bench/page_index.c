/* page_index.c -- the page allocator's own functions: scans of bitmaps, frees of spans
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * These call inner functions of the library on an index in plain memory, with pages of 8 KiB, and the
 * public functions for the frees of whole spans. A figure is bytes of the heap that are scanned or
 * freed in a millisecond of processor time. */
#define _GNU_SOURCE
#include "heap/page_index.h"
#include "heap/page_bits.h"
#include "subjects.h"

#include <sys/mman.h>

#define HEAP_BYTES (UINT64_C(1) << 40)
#define HEAP_PAGES (HEAP_BYTES / PAGE_BYTES)
#define HEAP_CHUNKS (HEAP_BYTES / CHUNK_BYTES)
#define SMALL_PAGES (UINT64_C(1) << 20)
#define SPANS 65536u
#define SEARCHES 10000u

/* Process. What the row that is running works on. */
static struct page_index page_index;
static block_name spans[SPANS];
static const char *heap_folder;

static void make_index(void)
{
	struct page_index_layout layout;
	void *memory;

	page_index_layout(HEAP_CHUNKS, &layout);
	memory = mmap(NULL, layout.total_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		die("no memory for the index: %s", strerror(errno));
	page_index_attach(&page_index, memory, HEAP_CHUNKS);
}

/* Keeps the compiler from leaving out what nobody looks at. */
static void use(uint64_t value)
{
	volatile uint64_t sink = value;

	(void)sink;
}

/* Heap bytes per millisecond of one round. */
static double rate(uint64_t bytes, uint64_t elapsed_ns)
{
	return (double)bytes / ((double)elapsed_ns / 1e6);
}

/* --- scans: everything is in use but the last page -------------------------------------------- */

static double scan_bitmap(void)
{
	uint64_t start = cpu_ns();

	use(page_bits_range_is_clear(page_index.free_words, 0, HEAP_PAGES - 1));
	return rate(HEAP_BYTES, cpu_ns() - start);
}

static double count_bitmap(void)
{
	uint64_t start = cpu_ns();

	use(page_index_count(&page_index, 0, HEAP_PAGES));
	return rate(HEAP_BYTES, cpu_ns() - start);
}

static double rebuild(void)
{
	uint64_t start = cpu_ns();

	page_index_rebuild(&page_index, HEAP_CHUNKS);
	return rate(HEAP_BYTES, cpu_ns() - start);
}

/* Nanoseconds of a search for the one free page, the last. The hint is put back, so that it begins at
 * the bottom. */
static double find_page(void)
{
	uint64_t start = cpu_ns();

	for (unsigned i = 0; i < SEARCHES; i++) {
		*page_index.search_hint = 0;
		use(page_index_find(&page_index, 1));
	}
	return (double)(cpu_ns() - start) / SEARCHES;
}

/* --- frees ------------------------------------------------------------------------------------ */

static double give_pages(void)
{
	uint64_t start = cpu_ns();

	/* Every second page, so that runs do not merge. */
	for (uint64_t page = 1; page < SMALL_PAGES; page += 2)
		page_index_give(&page_index, page, 1);
	double result = rate(SMALL_PAGES / 2 * PAGE_BYTES, cpu_ns() - start);

	for (uint64_t page = 1; page < SMALL_PAGES; page += 2)
		page_index_take(&page_index, page, 1);
	return result;
}

/* As many runs as a page lock's journal names. */
static double give_runs(void)
{
	struct page_index_run runs[32];
	uint64_t start = cpu_ns();

	for (uint64_t page = 1; page + 64 < SMALL_PAGES; page += 64) {
		for (unsigned i = 0; i < LENGTH_OF(runs); i++)
			runs[i] = (struct page_index_run){ page + 2 * i, 1 };
		page_index_give_runs(&page_index, runs, LENGTH_OF(runs));
	}
	double result = rate(SMALL_PAGES / 2 * PAGE_BYTES, cpu_ns() - start);

	for (uint64_t page = 1; page + 64 < SMALL_PAGES; page += 64)
		for (unsigned i = 0; i < LENGTH_OF(runs); i++)
			page_index_take(&page_index, page + 2 * i, 1);
	return result;
}

/* Blocks that are spans of their own, through the public functions. */
static double free_spans(size_t size, uint64_t span_bytes)
{
	char path[PATH_BYTES];
	struct sh_heap *heap;
	uint64_t start;
	int error;

	heap_path(heap_folder, path);
	heap_remove(heap_folder);
	error = sh_open(path, SH_CREATE | SH_EXCL, NULL, &heap);
	if (error != 0)
		die("%s: %s", path, sh_strerror(error));
	unsigned count =
		(unsigned)(GIB / span_bytes) < SPANS ? (unsigned)(GIB / span_bytes) : SPANS;

	for (unsigned i = 0; i < count; i++)
		spans[i] = sh_alloc(heap, size);
	start = cpu_ns();
	for (unsigned i = 0; i < count; i++)
		sh_free(heap, spans[i]);
	double result = rate(count * span_bytes, cpu_ns() - start);

	heap_remove(heap_folder);
	sh_close(heap);
	return result;
}

/* One block of 8 KiB is a span of one page. */
static double free_small_spans(void)
{
	return free_spans(PAGE_BYTES, PAGE_BYTES);
}

static double free_large_spans(void)
{
	return free_spans(8 * PAGE_BYTES, 8 * PAGE_BYTES);
}

/* --- the table -------------------------------------------------------------------------------- */

struct row {
	const char *name;
	double (*run)(void);
	double unit;
	const char *unit_name;
	const char *goal;
};

static const struct row rows[] = {
	{ "scan of the free-page bitmap", scan_bitmap, 1e9, "GB/ms", "600" },
	{ "count of the free pages", count_bitmap, 1e9, "GB/ms", "" },
	{ "summaries rebuilt from the bitmap", rebuild, 1e9, "GB/ms", "" },
	{ "search through all summaries", find_page, 1, "ns each", "" },
	{ "pages given to the index one by one", give_pages, 1e6, "MB/ms", "128" },
	{ "pages given to the index by 32", give_runs, 1e6, "MB/ms", "128" },
	{ "sh_free() of spans of 8 KiB", free_small_spans, 1e6, "MB/ms", "128" },
	{ "sh_free() of spans of 64 KiB", free_large_spans, 1e6, "MB/ms", "" },
};

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	static double values[REPETITIONS_MAX];
	struct table table = table_begin("The page allocator: heap bytes scanned or freed per "
					 "millisecond, 1 TiB of pages",
		(const char *[]){ "function", "unit", "rate", "goal", NULL });

	heap_folder = options.folders[0];
	make_index();
	page_index_give(&page_index, HEAP_PAGES - 1, 1);
	for (size_t i = 0; i < LENGTH_OF(rows); i++) {
		rows[i].run();
		for (unsigned r = 0; r < options.repetitions; r++)
			values[r] = rows[i].run() / rows[i].unit;
		table_cell(&table, "%s", rows[i].name);
		table_cell(&table, "%s", rows[i].unit_name);
		table_median(&table, values, options.repetitions);
		table_cell(&table, "%s", rows[i].goal);
	}
	table_end(&table);
	return 0;
}
