/* allocate.c -- time of allocation and free by one thread: pairs, and batches
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A figure is the processor time per block: one allocation, a store into its first word, one free.
 * All but the workload named "first" run once before the clock starts, and find memory that the
 * allocator has already. */
#define _GNU_SOURCE
#include "subjects.h"

#define MILLION 1000000u
#define THOUSAND 1000u
#define PAIRS_PER_ROUND 10000u

/* Process. The blocks of the workload that is running. */
static block_name blocks[MILLION];

struct workload {
	const char *name;
	double (*run)(struct allocator allocator, const struct workload *workload,
		struct pace pace);
	size_t size;
	unsigned count; /* blocks of a batch */
	bool shuffled;  /* freed in random order */
	bool first;     /* not run before it is measured */
};

/* One more block lives on: a page that each free makes empty costs mimalloc more. */
static double pairs(struct allocator allocator, const struct workload *workload, struct pace pace)
{
	size_t size = workload->size;
	block_name other = block_allocate(allocator, size);

	while (pace_goes_on(&pace)) {
		uint64_t start = cpu_ns();

		for (unsigned i = 0; i < PAIRS_PER_ROUND; i++)
			block_pair(allocator, size);
		pace.spent_ns += cpu_ns() - start;
		pace.blocks += PAIRS_PER_ROUND;
	}
	block_free(allocator, other);
	return pace_result(&pace);
}

static void allocate_all(struct allocator allocator, size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		blocks[i] = block_allocate(allocator, size);
		block_touch(allocator, blocks[i]);
	}
}

static void free_all(struct allocator allocator, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		block_free(allocator, blocks[i]);
}

static void shuffle(unsigned count)
{
	uint64_t state = SEED;

	for (unsigned i = count - 1; i > 0; i--) {
		unsigned other = (unsigned)random_below(random_next(&state), i + 1);
		block_name block = blocks[i];

		blocks[i] = blocks[other];
		blocks[other] = block;
	}
}

/* Small batches are repeated between two looks at the clock: one costs as much as some blocks. */
static double small_batches(struct allocator allocator, const struct workload *workload,
	struct pace pace)
{
	while (pace_goes_on(&pace)) {
		uint64_t start = cpu_ns();

		for (unsigned i = 0; i < 10; i++) {
			allocate_all(allocator, workload->size, workload->count);
			free_all(allocator, workload->count);
		}
		pace.spent_ns += cpu_ns() - start;
		pace.blocks += UINT64_C(10) * workload->count;
	}
	return pace_result(&pace);
}

static double large_batches(struct allocator allocator, const struct workload *workload,
	struct pace pace)
{
	while (pace_goes_on(&pace)) {
		uint64_t start = cpu_ns();

		allocate_all(allocator, workload->size, workload->count);
		pace.spent_ns += cpu_ns() - start;
		if (workload->shuffled)
			shuffle(workload->count);
		start = cpu_ns();
		free_all(allocator, workload->count);
		pace.spent_ns += cpu_ns() - start;
		pace.blocks += workload->count;
		if (workload->first)
			break;
	}
	return pace_result(&pace);
}

static const struct workload workloads[] = {
	{ "pairs, 16 B", pairs, 16, 0, false, false },
	{ "pairs, 64 B", pairs, 64, 0, false, false },
	{ "pairs, 256 B", pairs, 256, 0, false, false },
	{ "pairs, 1 KiB", pairs, 1024, 0, false, false },
	{ "pairs, 4 KiB", pairs, 4096, 0, false, false },
	{ "pairs, 8 KiB", pairs, 8192, 0, false, false },
	{ "pairs, 32 KiB", pairs, 32768, 0, false, false },
	{ "batches of 1,000, 16 B", small_batches, 16, THOUSAND, false, false },
	{ "batches of 1,000, 64 B", small_batches, 64, THOUSAND, false, false },
	{ "batches of 1,000, 256 B", small_batches, 256, THOUSAND, false, false },
	{ "batches of 1,000, 1 KiB", small_batches, 1024, THOUSAND, false, false },
	{ "batches of 1,000, 4 KiB", small_batches, 4096, THOUSAND, false, false },
	{ "batches of 1,000, 8 KiB", small_batches, 8192, THOUSAND, false, false },
	{ "batches of 1,000, 32 KiB", small_batches, 32768, THOUSAND, false, false },
	{ "batches of 1,000,000, 64 B", large_batches, 64, MILLION, false, false },
	{ "the same, freed in random order", large_batches, 64, MILLION, true, false },
	{ "first batch of 1,000,000, 64 B", large_batches, 64, MILLION, false, true },
};

/* What a measuring process is told. */
struct task {
	const struct workload *workload;
	bool quick;
};

static void measure(const struct subject *subject, const void *argument, double *results)
{
	const struct task *task = argument;
	struct workload workload = *task->workload;
	uint64_t live = (uint64_t)workload.size * (workload.count + 1);
	struct allocator allocator = subject_start(subject, live);

	if (workload.count == MILLION)
		workload.count /= subject->slowness;
	if (!workload.first)
		workload.run(allocator, &workload, pace_of_warming(task->quick));
	results[0] = workload.run(allocator, &workload, pace_of(task->quick));
}

static void measure_row(struct table *table, const struct subjects *subjects,
	const struct options *options, const struct workload *workload)
{
	struct task task = { .workload = workload, .quick = options->quick };

	subjects_measure_row(table, subjects,
		&(struct subjects_row){ .name = workload->name,
			.measure = measure,
			.task = &task,
			.processes = options->repetitions,
			.results = 1,
			.slowest = SLOWNESS_MAX });
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = subjects_all(&options);
	struct table table = subjects_table("One thread: pairs and batches, CPU ns per block",
		"workload", &subjects);

	for (size_t w = 0; w < LENGTH_OF(workloads); w++)
		if (options_want(&options, workloads[w].name))
			measure_row(&table, &subjects, &options, &workloads[w]);
	table_end(&table);
	return 0;
}
