/* space.c -- what memory is spent on: blocks rounded up, metadata, and everything else
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A live set of blocks of random sizes is made and, in some rows, replaced at random, as many times as
 * there are blocks. Then:
 *
 *	asked for   sum of the sizes that were asked for
 *	usable      sum of sh_usable_size() or malloc_usable_size(): bytes in use
 *	inner       (usable - asked for) / usable: internal fragmentation
 *	metadata    bytes on disk of both files, without the chunks that hold data, / usable.
 *	            spanheap info --json counts these chunks.
 *	memory      bytes on disk of both files, or what the process has more of resident memory than
 *	            before its first block / asked for */
#define _GNU_SOURCE
#include "memory.h"

#include <sys/mman.h>

enum distribution {
	EVEN,       /* each size from min to max is as likely */
	LOGARITHMIC /* each doubling is as likely */
};

struct workload {
	const char *name;
	size_t min_bytes;
	size_t max_bytes;
	uint64_t live_bytes;
	enum distribution distribution;
	bool replaced;
};

static const struct workload workloads[] = {
	{ "64 B, 64 MiB", 64, 64, 64 * MIB, EVEN, false },
	{ "16 B to 1 KiB, 64 MiB", 16, 1024, 64 * MIB, EVEN, false },
	{ "16 B to 32 KiB by doublings, 64 MiB", 16, 32768, 64 * MIB, LOGARITHMIC, false },
	{ "16 B to 1 KiB, 1 GiB", 16, 1024, GIB, EVEN, false },
	{ "16 B to 32 KiB by doublings, 1 GiB", 16, 32768, GIB, LOGARITHMIC, false },
	{ "16 B to 1 KiB, 64 MiB, replaced", 16, 1024, 64 * MIB, EVEN, true },
	{ "16 B to 32 KiB, 64 MiB, replaced", 16, 32768, 64 * MIB, LOGARITHMIC, true },
};

/* What one process finds. */
enum { RESULT_INNER, RESULT_METADATA, RESULT_MEMORY, RESULT_COUNT };

struct block {
	block_name name;
	size_t asked;
};

static size_t size_of(const struct workload *workload, uint64_t number)
{
	size_t doubled = workload->min_bytes;
	unsigned doublings = 0;

	if (workload->distribution == EVEN)
		return random_size(number, workload->min_bytes, workload->max_bytes);
	while (doubled < workload->max_bytes) {
		doubled *= 2;
		doublings++;
	}
	size_t from = workload->min_bytes << random_below(number, doublings);

	return random_size(number, from + 1, 2 * from);
}

/* All pages of a block become resident. */
static struct block new_block(struct allocator allocator, const struct workload *workload,
	uint64_t number)
{
	struct block block = { .asked = size_of(workload, number) };

	block.name = block_allocate(allocator, block.asked);
	memset(block_address(allocator, block.name), 1, block.asked);
	return block;
}

/* What the tool says of the chunks that hold data. */
static uint64_t chunk_data_bytes(const struct subject *subject, const char *tool)
{
	char command[3 * PATH_BYTES];
	char line[256];
	char path[PATH_BYTES];
	unsigned long long bytes = 0;
	FILE *output;

	heap_path(subject->folder, path);
	snprintf(command, sizeof(command), "'%s' info --json '%s'", tool, path);
	output = popen(command, "re");
	if (output == NULL)
		die("%s: %s", command, strerror(errno));
	while (fgets(line, sizeof(line), output) != NULL)
		sscanf(line, " \"chunk_data_bytes\": %llu", &bytes);
	pclose(output);
	if (bytes == 0)
		die("%s did not tell chunk_data_bytes", command);
	return bytes;
}

/* What a measuring process is told. */
struct task {
	const struct workload *workload;
	const char *tool;
};

static size_t usable_size(const struct subject *subject, struct allocator allocator,
	block_name block)
{
	if (subject->kind == ALLOCATOR_SPANHEAP)
		return sh_usable_size(allocator.heap, block);
	return allocator.usable_size(block_address(allocator, block));
}

static void measure(const struct subject *subject, const void *argument, double *results)
{
	const struct task *task = argument;
	const struct workload *workload = task->workload;
	struct allocator allocator = subject_start(subject, workload->live_bytes);
	uint64_t limit = workload->live_bytes / workload->min_bytes + 1;
	struct block *blocks = mmap(NULL, limit * sizeof(*blocks), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t random = SEED;
	uint64_t asked = 0;
	uint64_t usable = 0;
	uint64_t count = 0;

	if (blocks == MAP_FAILED)
		die("no memory for the list of blocks: %s", strerror(errno));
	uint64_t resident = resident_bytes();

	for (; asked < workload->live_bytes; asked += blocks[count++].asked)
		blocks[count] = new_block(allocator, workload, random_next(&random));
	for (uint64_t i = 0; workload->replaced && i < count; i++) {
		struct block *place = &blocks[random_below(random_next(&random), count)];

		block_free(allocator, place->name);
		*place = new_block(allocator, workload, random_next(&random));
	}
	asked = 0;
	for (uint64_t i = 0; i < count; i++) {
		asked += blocks[i].asked;
		usable += usable_size(subject, allocator, blocks[i].name);
	}
	/* The list is not the allocator's. */
	uint64_t memory = subject_memory_bytes(subject, resident + count * sizeof(*blocks));

	results[RESULT_METADATA] = -1;
	if (subject->kind == ALLOCATOR_SPANHEAP)
		results[RESULT_METADATA] =
			(double)(memory - chunk_data_bytes(subject, task->tool)) / (double)usable;
	results[RESULT_INNER] = (double)(usable - asked) / (double)usable;
	results[RESULT_MEMORY] = (double)memory / (double)asked;
}

static void measure_row(struct table *table, const struct subjects *subjects,
	const struct options *options, const struct workload *workload)
{
	struct task task = { .workload = workload, .tool = options->tool };
	double results[SUBJECTS_MAX][RESULT_COUNT] = { { 0 } };

	/* Nothing here depends on time: once is enough. */
	for (unsigned s = 0; s < subjects->count; s++)
		subject_measure(&subjects->of[s], measure, &task, results[s], RESULT_COUNT);
	table_cell(table, "%s", workload->name);
	table_cell(table, "%.1f %%", 100 * results[0][RESULT_METADATA]);
	for (unsigned s = 0; s < subjects->count; s++)
		table_cell(table, "%.1f %%", 100 * results[s][RESULT_INNER]);
	for (unsigned s = 0; s < subjects->count; s++)
		table_cell(table, "%.2f", results[s][RESULT_MEMORY]);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = { .count = 0 };

	if (options.tool == NULL)
		die("say where spanheap(1) is: --tool PATH");
	/* Space is the same on all file systems. */
	options.folder_count = 1;
	subjects_add_spanheap(&subjects, &options);
	subjects_add_malloc(&subjects);
	struct table table = table_begin("Space: metadata per byte in use, internal fragmentation, "
					 "memory per byte asked for",
		(const char *[]){ "sizes, live bytes", "metadata", "inner: spanheap", "mimalloc",
			"jemalloc", "glibc", "memory: spanheap", "mimalloc", "jemalloc", "glibc",
			NULL });

	for (size_t w = 0; w < LENGTH_OF(workloads); w++)
		if (!options.quick || workloads[w].live_bytes < GIB)
			measure_row(&table, &subjects, &options, &workloads[w]);
	table_end(&table);
	return 0;
}
