/* allocate.c -- time of allocation and free: spanheap, mimalloc and the C library's malloc
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * usage: allocate [--repetitions N] [--only WORKLOAD] FOLDER...
 *
 * Each measurement is a process of its own with an allocator that nobody used before; the allocators
 * take turns, so that what else the machine does falls on all of them. For spanheap one column per
 * FOLDER, in which the heap file stands meanwhile.
 *
 * A figure is the processor time per block: one allocation, a store into its first word, one free.
 * All but the workload named "first" run once before the clock starts, and find memory that the
 * allocator has already. */
#define _GNU_SOURCE
#include "allocators.h"

#include <stdbool.h>
#include <sys/wait.h>

#define BLOCK_BYTES 64u
#define MILLION 1000000u
#define LIVE_BLOCKS 100000u
#define MIXED_MIN_BYTES 16u
#define MIXED_MAX_BYTES 1024u
#define SEED UINT64_C(0x9e3779b97f4a7c15)
#define SUBJECTS_MAX 8u
#define REPETITIONS_MAX 101u

/* Process. The blocks of the workload that is running. */
static block_name blocks[MILLION];

/* --- workloads: each returns nanoseconds per block ------------------------------------------- */

/* One more block lives on: a page that each free makes empty costs mimalloc more. */
static double pairs(struct allocator allocator)
{
	const unsigned count = 20 * MILLION;
	block_name other = block_allocate(allocator, BLOCK_BYTES);
	uint64_t start = cpu_ns();

	for (unsigned i = 0; i < count; i++)
		block_pair(allocator, BLOCK_BYTES);
	uint64_t total = cpu_ns() - start;

	block_free(allocator, other);
	return (double)total / count;
}

static void allocate_all(struct allocator allocator, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		blocks[i] = block_allocate(allocator, BLOCK_BYTES);
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

static double batches(struct allocator allocator, unsigned count, unsigned rounds, bool shuffled)
{
	uint64_t total = 0;

	for (unsigned round = 0; round < rounds; round++) {
		uint64_t start = cpu_ns();

		allocate_all(allocator, count);
		total += cpu_ns() - start;
		if (shuffled)
			shuffle(count);
		start = cpu_ns();
		free_all(allocator, count);
		total += cpu_ns() - start;
	}
	return (double)total / count / rounds;
}

static double thousand(struct allocator allocator)
{
	return batches(allocator, 1000, 5000, false);
}

static double million(struct allocator allocator)
{
	return batches(allocator, MILLION, 3, false);
}

static double million_shuffled(struct allocator allocator)
{
	return batches(allocator, MILLION, 1, true);
}

static double million_first(struct allocator allocator)
{
	return batches(allocator, MILLION, 1, false);
}

static size_t mixed_size(uint64_t number)
{
	return MIXED_MIN_BYTES + random_below(number << 32, MIXED_MAX_BYTES - MIXED_MIN_BYTES + 1);
}

/* Random blocks of random sizes take the place of random others. */
static double replacement(struct allocator allocator)
{
	const unsigned count = 3 * MILLION;
	uint64_t state = SEED;
	uint64_t start;

	for (unsigned i = 0; i < LIVE_BLOCKS; i++)
		blocks[i] = block_allocate(allocator, mixed_size(random_next(&state)));
	start = cpu_ns();
	for (unsigned i = 0; i < count; i++) {
		uint64_t number = random_next(&state);
		block_name *place = &blocks[random_below(number, LIVE_BLOCKS)];

		block_free(allocator, *place);
		*place = block_allocate(allocator, mixed_size(number));
		block_touch(allocator, *place);
	}
	uint64_t total = cpu_ns() - start;

	free_all(allocator, LIVE_BLOCKS);
	return (double)total / count;
}

struct workload {
	const char *name;
	double (*run)(struct allocator allocator);
	bool warm; /* run once before it is measured */
};

static const struct workload workloads[] = {
	{ "pairs", pairs, true },
	{ "batches of 1,000", thousand, true },
	{ "batches of 1,000,000", million, true },
	{ "the same, freed in random order", million_shuffled, true },
	{ "first batch of 1,000,000", million_first, false },
	{ "replacement, 16 B to 1 KiB", replacement, true },
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

/* --- subjects -------------------------------------------------------------------------------- */

/* What is compared: an allocator and, for spanheap, the folder of its file. */
struct subject {
	enum allocator_kind kind;
	const char *folder;
	char label[32];
};

static struct subject subjects[SUBJECTS_MAX];
static unsigned subject_count;

static void add_subject(enum allocator_kind kind, const char *folder, const char *label)
{
	struct subject *subject = &subjects[subject_count];

	if (++subject_count > SUBJECTS_MAX)
		die("at most %u folders", SUBJECTS_MAX - 2);
	subject->kind = kind;
	subject->folder = folder;
	snprintf(subject->label, sizeof(subject->label), "%s", label);
}

static struct allocator start_allocator(const struct subject *subject)
{
	char path[PATH_BYTES];
	struct allocator allocator;

	if (subject->kind == ALLOCATOR_MIMALLOC)
		return allocator_mimalloc();
	if (subject->kind == ALLOCATOR_GLIBC)
		return allocator_glibc();
	heap_path(subject->folder, path);
	allocator = allocator_spanheap(path, 0);
	/* The kernel takes the files back with the process, without writing them out. */
	heap_remove(subject->folder);
	return allocator;
}

static double measure_here(const struct subject *subject, const struct workload *workload)
{
	struct allocator allocator = start_allocator(subject);

	if (workload->warm)
		workload->run(allocator);
	return workload->run(allocator);
}

/* Measures in a process of its own. */
static double measure(const struct subject *subject, const struct workload *workload)
{
	int pipe_fd[2];
	double result;
	pid_t child;

	fflush(stdout);
	if (pipe(pipe_fd) != 0 || (child = fork()) < 0)
		die("%s", strerror(errno));
	if (child == 0) {
		result = measure_here(subject, workload);
		result_send(pipe_fd[1], &result, sizeof(result));
		_exit(0);
	}
	close(pipe_fd[1]);
	result_receive(pipe_fd[0], &result, sizeof(result));
	close(pipe_fd[0]);
	waitpid(child, NULL, 0);
	return result;
}

/* --- the table ------------------------------------------------------------------------------- */

static void print_head(void)
{
	printf("%-32s", "CPU ns per block");
	for (unsigned s = 0; s < subject_count; s++)
		printf(" %14s", subjects[s].label);
	printf("  | ratios to mimalloc, glibc\n");
}

/* mimalloc and glibc are the last two subjects. */
static void print_row(const char *name, double values[][REPETITIONS_MAX], unsigned repetitions)
{
	double medians[SUBJECTS_MAX] = { 0 };

	printf("%-32s", name);
	for (unsigned s = 0; s < subject_count; s++) {
		double spread = quantile(values[s], repetitions, 0.75) -
			quantile(values[s], repetitions, 0.25);

		medians[s] = quantile(values[s], repetitions, 0.5);
		printf(" %7.2f ±%4.0f%%", medians[s], 50 * spread / medians[s]);
	}
	printf("  |");
	for (unsigned s = 0; s + 2 < subject_count; s++)
		printf("  %s %.2f, %.2f", file_system_name(subjects[s].folder),
			medians[s] / medians[subject_count - 2],
			medians[s] / medians[subject_count - 1]);
	printf("\n");
	fflush(stdout);
}

static void measure_row(const struct workload *workload, unsigned repetitions)
{
	static double values[SUBJECTS_MAX][REPETITIONS_MAX];

	for (unsigned r = 0; r < repetitions; r++)
		for (unsigned s = 0; s < subject_count; s++) {
			unsigned turn = (s + r) % subject_count;

			values[turn][r] = measure(&subjects[turn], workload);
		}
	print_row(workload->name, values, repetitions);
}

static void add_folder(const char *folder)
{
	char label[32];

	snprintf(label, sizeof(label), "spanheap %s", file_system_name(folder));
	add_subject(ALLOCATOR_SPANHEAP, folder, label);
}

int main(int argc, char **argv)
{
	unsigned repetitions = 7;
	const char *only = "";

	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (strcmp(argv[i], "--repetitions") == 0 && more)
			repetitions = number_argument("--repetitions", argv[++i]);
		else if (strcmp(argv[i], "--only") == 0 && more)
			only = argv[++i];
		else
			add_folder(argv[i]);
	}
	if (repetitions > REPETITIONS_MAX)
		die("at most %u repetitions", REPETITIONS_MAX);
	add_subject(ALLOCATOR_MIMALLOC, NULL, "mimalloc");
	add_subject(ALLOCATOR_GLIBC, NULL, "glibc");
	printf("medians of %u repetitions, ± half the distance of the quartiles\n", repetitions);
	print_head();
	for (size_t w = 0; w < WORKLOADS; w++)
		if (strstr(workloads[w].name, only) != NULL)
			measure_row(&workloads[w], repetitions);
	return 0;
}
