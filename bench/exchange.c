/* exchange.c -- two processes that pass blocks to each other, and what a free of another's block costs
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Allocators of one process are measured with threads instead.
 *
 * Throughput: each worker allocates blocks, passes them on in groups of 64, and frees the groups that
 * it gets; a single worker passes them to itself. Million blocks in a second, wall-clock time.
 *
 * Frees: the owner allocates without a pause and passes the blocks on; the other one takes 128 of
 * them and frees them. The time of each such group is taken; the figure is the median per block.
 * Local frees are those of 128 blocks that the same thread has just allocated, by the same clock. */
#define _GNU_SOURCE
#include "crew.h"
#include "ring.h"

#define GROUP 64u
#define GROUPS 10000u
#define EXCHANGE_CAPACITY 4096u
/* So many blocks wait in a ring before the first of them is freed, also with a single worker. */
#define EXCHANGE_LAG 2048u
#define FREES_GROUP 128u
#define FREES_GROUPS_MAX 4000u

/* Shared mapping. Ring i holds what worker i passes on. */
struct shared {
	size_t min_bytes;
	size_t max_bytes;
	unsigned groups;
	_Atomic bool done;
	uint64_t group_ns[FREES_GROUPS_MAX];
	struct ring rings[2];
};

static void allocate_group(struct allocator allocator, const struct shared *shared,
	uint64_t *random, block_name *group, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		group[i] = block_allocate(allocator,
			random_size(random_next(random), shared->min_bytes, shared->max_bytes));
		block_touch(allocator, group[i]);
	}
}

static void free_group(struct allocator allocator, const block_name *group, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		block_free(allocator, group[i]);
}

/* --- throughput ------------------------------------------------------------------------------- */

/* Who finds nothing lets others run: there may be fewer cores than workers. */
static bool free_one_group(struct allocator allocator, struct ring *ring)
{
	block_name group[GROUP];

	if (!ring_pop(ring, group, GROUP)) {
		sched_yield();
		return false;
	}
	free_group(allocator, group, GROUP);
	return true;
}

static void exchange(struct crew *crew, unsigned index, struct allocator allocator, void *memory)
{
	struct shared *shared = memory;
	struct ring *out = &shared->rings[index];
	struct ring *in = &shared->rings[(index + 1) % crew->count];
	uint64_t random = SEED + index;
	block_name group[GROUP];
	unsigned freed = 0;

	for (unsigned i = 0; i < shared->groups; i++) {
		allocate_group(allocator, shared, &random, group, GROUP);
		while (!ring_push(out, group, GROUP))
			freed += free_one_group(allocator, in);
		if (ring_length(in) > EXCHANGE_LAG)
			freed += free_one_group(allocator, in);
	}
	/* As many groups come as go. */
	while (freed < shared->groups)
		freed += free_one_group(allocator, in);
}

/* The blocks that are passed on, and how many of them may be under way. */
struct traffic {
	size_t min_bytes;
	size_t max_bytes;
	unsigned capacity;
};

static struct shared *make_shared(const struct traffic *traffic)
{
	struct shared *shared = shared_memory(sizeof(*shared));

	shared->min_bytes = traffic->min_bytes;
	shared->max_bytes = traffic->max_bytes;
	shared->rings[0].capacity = traffic->capacity;
	shared->rings[1].capacity = traffic->capacity;
	return shared;
}

static void measure_exchange(const struct subject *subject, const void *argument, double *results)
{
	const struct crew_task *task = argument;
	struct allocator allocator = subject_start(subject, 64 * MIB);
	struct shared *shared = make_shared(task->what);
	struct crew *crew = crew_make(task->workers, task->processes);
	uint64_t elapsed;

	shared->groups = GROUPS / (task->quick ? 10 : 1) / subject->slowness;
	elapsed = crew_run(crew, allocator, exchange, shared);
	results[0] =
		(double)((uint64_t)shared->groups * GROUP * task->workers) / (double)elapsed * 1e3;
}

static void exchange_table(const char *title, size_t min_bytes, size_t max_bytes,
	const struct subjects *subjects, const struct options *options)
{
	struct traffic traffic = { min_bytes, max_bytes, EXCHANGE_CAPACITY };
	struct crew_task task = { .quick = options->quick, .what = &traffic };
	struct table table = crew_table(title);

	for (unsigned s = 0; s < subjects->count; s++) {
		task.processes = subject_is_shared(&subjects->of[s]);
		crew_measure_row(&table, &subjects->of[s], measure_exchange, task,
			options->repetitions);
	}
	table_end(&table);
}

/* --- frees ------------------------------------------------------------------------------------ */

static void own_blocks(struct allocator allocator, struct shared *shared)
{
	uint64_t random = SEED;
	block_name group[FREES_GROUP];

	while (!atomic_load_explicit(&shared->done, memory_order_relaxed)) {
		allocate_group(allocator, shared, &random, group, FREES_GROUP);
		while (!ring_push(&shared->rings[0], group, FREES_GROUP) &&
			!atomic_load_explicit(&shared->done, memory_order_relaxed))
			sched_yield();
	}
}

static void free_blocks(struct allocator allocator, struct shared *shared)
{
	block_name group[FREES_GROUP];

	for (unsigned i = 0; i < shared->groups; i++) {
		while (!ring_pop(&shared->rings[0], group, FREES_GROUP))
			sched_yield();
		uint64_t start = now_ns();

		free_group(allocator, group, FREES_GROUP);
		shared->group_ns[i] = now_ns() - start;
	}
	atomic_store_explicit(&shared->done, true, memory_order_relaxed);
}

static void free_local_blocks(struct allocator allocator, struct shared *shared)
{
	uint64_t random = SEED;
	block_name group[FREES_GROUP];

	for (unsigned i = 0; i < shared->groups; i++) {
		allocate_group(allocator, shared, &random, group, FREES_GROUP);
		uint64_t start = now_ns();

		free_group(allocator, group, FREES_GROUP);
		shared->group_ns[i] = now_ns() - start;
	}
}

static void frees(struct crew *crew, unsigned index, struct allocator allocator, void *memory)
{
	if (crew->count == 1)
		free_local_blocks(allocator, memory);
	else if (index == 0)
		own_blocks(allocator, memory);
	else
		free_blocks(allocator, memory);
}

static double median_per_block(const struct shared *shared)
{
	static double values[FREES_GROUPS_MAX];

	for (unsigned i = 0; i < shared->groups; i++)
		values[i] = (double)shared->group_ns[i] / FREES_GROUP;
	return quantile(values, shared->groups, 0.5);
}

static void measure_frees(const struct subject *subject, const void *argument, double *results)
{
	const struct crew_task *task = argument;
	struct allocator allocator = subject_start(subject, 64 * MIB);
	struct shared *shared = make_shared(task->what);
	struct crew *crew = crew_make(task->workers, task->processes);

	shared->groups = FREES_GROUPS_MAX / (task->quick ? 10 : 1) / subject->slowness;
	/* The median is over thousands of groups: the first ones do not matter. */
	crew->cold = true;
	crew_run(crew, allocator, frees, shared);
	results[0] = median_per_block(shared);
}

/* How many blocks the owner may be ahead. */
static const unsigned capacities[] = { 256, 65536 };

static void frees_row(struct table *table, const struct subject *subject, bool quick,
	unsigned repetitions)
{
	struct traffic traffic = { .min_bytes = 64, .max_bytes = 64 };
	struct crew_task task = { .processes = subject_is_shared(subject),
		.quick = quick,
		.what = &traffic };
	static double values[1 + LENGTH_OF(capacities)][REPETITIONS_MAX];
	double medians[1 + LENGTH_OF(capacities)] = { 0 };

	for (unsigned r = 0; r < repetitions; r++) {
		task.workers = 1;
		traffic.capacity = capacities[0];
		subject_measure(subject, measure_frees, &task, &values[0][r], 1);
		task.workers = CREW_WORKERS;
		for (unsigned c = 0; c < LENGTH_OF(capacities); c++) {
			traffic.capacity = capacities[c];
			subject_measure(subject, measure_frees, &task, &values[1 + c][r], 1);
		}
	}
	crew_print_label(table, subject, task.processes);
	for (unsigned c = 0; c < LENGTH_OF(values); c++)
		medians[c] = table_median(table, values[c], repetitions);
	for (unsigned c = 1; c < LENGTH_OF(values); c++)
		table_number(table, medians[c] / medians[0]);
}

static void frees_table(const struct subjects *subjects, const struct options *options)
{
	struct table table =
		table_begin("Free of a block that another worker allocated, 64 B, ns per free",
			(const char *[]){ "allocator", "local", "remote, 256 ahead",
				"remote, 65,536 ahead", "256/local", "65,536/local", NULL });

	for (unsigned s = 0; s < subjects->count; s++)
		frees_row(&table, &subjects->of[s], options->quick, options->repetitions);
	table_end(&table);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = { .count = 0 };

	subjects_add_spanheap(&subjects, &options);
	subjects_add_malloc(&subjects);
	subjects_add_boost(&subjects, options.folders[0]);
	exchange_table("Blocks of 64 B passed between two workers, million blocks per second", 64,
		64, &subjects, &options);
	exchange_table("The same with blocks of 16 B to 1 KiB", 16, 1024, &subjects, &options);
	frees_table(&subjects, &options);
	return 0;
}
