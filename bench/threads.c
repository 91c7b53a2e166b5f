/* threads.c -- several threads or processes at once: the shapes of threadtest and larson
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * threadtest: each worker allocates 10,000 blocks of 64 B and frees them, again and again.
 * larson: each worker replaces random blocks of 16 B to 1 KiB in a set of 1,000; then the workers
 * exchange their sets, so that blocks are freed by others than their allocator.
 *
 * A figure is millions of blocks in a second, of all workers together. */
#define _GNU_SOURCE
#include "crew.h"

#define TEST_BLOCKS 10000u
#define TEST_ROUNDS 100u
#define LARSON_BLOCKS 1000u
#define LARSON_GENERATIONS 20u
#define LARSON_REPLACEMENTS 50000u

/* Shared mapping. */
struct shared {
	unsigned divisor; /* of the number of operations */
	block_name sets[CREW_MAX][TEST_BLOCKS];
};

static void threadtest(struct crew *crew, unsigned index, struct allocator allocator, void *memory)
{
	struct shared *shared = memory;
	block_name *blocks = shared->sets[index];

	(void)crew;
	for (unsigned round = 0; round < TEST_ROUNDS / shared->divisor; round++) {
		for (unsigned i = 0; i < TEST_BLOCKS; i++) {
			blocks[i] = block_allocate(allocator, 64);
			block_touch(allocator, blocks[i]);
		}
		for (unsigned i = 0; i < TEST_BLOCKS; i++)
			block_free(allocator, blocks[i]);
	}
}

static void replace(struct allocator allocator, block_name *blocks, uint64_t *random,
	unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t number = random_next(random);
		block_name *place = &blocks[random_below(number, LARSON_BLOCKS)];

		if (*place != 0)
			block_free(allocator, *place);
		*place = block_allocate(allocator, random_size(number, 16, 1024));
		block_touch(allocator, *place);
	}
}

static void larson(struct crew *crew, unsigned index, struct allocator allocator, void *memory)
{
	struct shared *shared = memory;
	uint64_t random = SEED + index;

	for (unsigned generation = 0; generation < LARSON_GENERATIONS; generation++) {
		block_name *blocks = shared->sets[(index + generation) % crew->count];

		replace(allocator, blocks, &random, LARSON_REPLACEMENTS / shared->divisor);
		pthread_barrier_wait(&crew->barrier);
	}
}

struct shape {
	const char *name;
	crew_fn *work;
	uint64_t blocks; /* of each worker */
};

static const struct shape shapes[] = {
	{ "threadtest", threadtest, (uint64_t)TEST_BLOCKS *TEST_ROUNDS },
	{ "larson", larson, (uint64_t)LARSON_GENERATIONS *LARSON_REPLACEMENTS },
};

static void measure(const struct subject *subject, const void *argument, double *results)
{
	const struct crew_task *task = argument;
	const struct shape *shape = task->what;
	struct allocator allocator = subject_start(subject, 64 * MIB);
	struct shared *shared = shared_memory(sizeof(*shared));
	struct crew *crew = crew_make(task->workers, task->processes);
	uint64_t elapsed;

	shared->divisor = (task->quick ? 5 : 1) * subject->slowness;
	elapsed = crew_run(crew, allocator, shape->work, shared);
	uint64_t blocks = shape->blocks / shared->divisor * task->workers;

	results[0] = (double)blocks / (double)elapsed * 1e3;
}

static void measure_shape(const struct shape *shape, const struct subjects *subjects,
	const struct options *options)
{
	char title[128];
	struct crew_task task = { .quick = options->quick, .what = shape };

	snprintf(title, sizeof(title), "Workers at once: %s, million blocks per second",
		shape->name);
	struct table table = crew_table(title);

	for (unsigned s = 0; s < subjects->count; s++) {
		const struct subject *subject = &subjects->of[s];

		task.processes = false;
		crew_measure_row(&table, subject, measure, task, options->repetitions);
		if (!subject_is_shared(subject))
			continue;
		task.processes = true;
		crew_measure_row(&table, subject, measure, task, options->repetitions);
	}
	table_end(&table);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = subjects_all(&options);

	for (size_t s = 0; s < LENGTH_OF(shapes); s++)
		if (options_want(&options, shapes[s].name))
			measure_shape(&shapes[s], &subjects, &options);
	return 0;
}
