/* replace.c -- random replacement by one thread: small blocks in live sets of any size, and pages
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A live set of blocks of random sizes is made, which is not timed. Then random blocks are freed and
 * others, of random sizes, take their place. A figure is the processor time per replacement: the
 * random number, one free, one allocation, a store into the block's first word. */
#define _GNU_SOURCE
#include "subjects.h"

#include <sys/mman.h>

#define MILLION 1000000u

struct workload {
	const char *name;
	size_t min_bytes;
	size_t max_bytes;
	uint64_t live_bytes;
	/* Takes many seconds to set up: all repetitions follow each other in one process, and quick
	 * runs leave it out. */
	bool large;
};

static const struct workload workloads[] = {
	{ "16 B to 1 KiB, 1 MiB live", 16, 1024, MIB, false },
	{ "16 B to 1 KiB, 64 MiB live", 16, 1024, 64 * MIB, false },
	{ "16 B to 1 KiB, 1 GiB live", 16, 1024, GIB, true },
	{ "16 B to 1 KiB, 4 GiB live", 16, 1024, 4 * GIB, true },
	{ "4 to 32 KiB, 64 MiB live", 4096, 32768, 64 * MIB, false },
	{ "4 to 32 KiB, 1 GiB live", 4096, 32768, GIB, true },
};

/* Process. Blocks of the live set. */
struct live_set {
	block_name *blocks;
	uint64_t count;
	const struct workload *workload;
	uint64_t random;
};

static block_name new_block(struct allocator allocator, const struct workload *workload,
	uint64_t number)
{
	block_name block = block_allocate(allocator,
		random_size(number, workload->min_bytes, workload->max_bytes));

	block_touch(allocator, block);
	return block;
}

/* The list of blocks is no memory of the allocator that is measured. */
static struct live_set fill(struct allocator allocator, const struct workload *workload)
{
	struct live_set set = { .workload = workload, .random = SEED };

	set.count = workload->live_bytes * 2 / (workload->min_bytes + workload->max_bytes);
	set.blocks = mmap(NULL, set.count * sizeof(block_name), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (set.blocks == MAP_FAILED)
		die("no memory for the list of blocks: %s", strerror(errno));
	for (uint64_t i = 0; i < set.count; i++)
		set.blocks[i] = new_block(allocator, workload, random_next(&set.random));
	return set;
}

static void replace(struct allocator allocator, struct live_set *set, uint64_t count)
{
	const struct workload *workload = set->workload;
	uint64_t random = set->random;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t number = random_next(&random);
		block_name *place = &set->blocks[random_below(number, set->count)];

		block_free(allocator, *place);
		*place = new_block(allocator, workload, number);
	}
	set->random = random;
}

/* What a measuring process is told. */
struct task {
	const struct workload *workload;
	uint64_t count;
	unsigned repetitions; /* in this process */
};

static void measure(const struct subject *subject, const void *argument, double *results)
{
	const struct task *task = argument;
	struct allocator allocator = subject_start(subject, task->workload->live_bytes);
	struct live_set set = fill(allocator, task->workload);
	uint64_t count = task->count / subject->slowness;

	replace(allocator, &set, count / 2);
	for (unsigned r = 0; r < task->repetitions; r++) {
		uint64_t start = cpu_ns();

		replace(allocator, &set, count);
		results[r] = (double)(cpu_ns() - start) / (double)count;
	}
}

/* Boost and libpmemobj would take minutes to set up the largest set. */
static unsigned slowest_for(const struct workload *workload)
{
	return workload->live_bytes > GIB ? 1 : SLOWNESS_MAX;
}

static void measure_row(struct table *table, const struct subjects *subjects,
	const struct options *options, const struct workload *workload)
{
	unsigned processes = workload->large ? 1 : options->repetitions;
	struct task task = { .workload = workload,
		.count = options->quick ? MILLION / 10 : MILLION,
		.repetitions = options->repetitions / processes };

	subjects_measure_row(table, subjects,
		&(struct subjects_row){ .name = workload->name,
			.measure = measure,
			.task = &task,
			.processes = processes,
			.results = task.repetitions,
			.slowest = slowest_for(workload) });
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = subjects_all(&options);
	struct table table = subjects_table("One thread: random replacement, CPU ns per block",
		"sizes and live set", &subjects);

	for (size_t w = 0; w < LENGTH_OF(workloads); w++)
		if (options_want(&options, workloads[w].name) &&
			!(options.quick && workloads[w].large))
			measure_row(&table, &subjects, &options, &workloads[w]);
	table_end(&table);
	note(options.quick ? "Left out: live sets of 1 GiB and more."
			   : "Left out at 4 GiB: Boost and libpmemobj, which would take minutes to "
			     "set it up.");
	return 0;
}
