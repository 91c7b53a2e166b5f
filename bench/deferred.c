/* deferred.c -- frees after a grace period against plain ones; spans, lookups, how much is in limbo
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Frees: 200,000 blocks are allocated, untimed, and then freed in the order of their allocation or in a
 * random one, by the process that allocated them or by another one, while nobody reads or two processes
 * do at 1 kHz. The drains that sh_free_deferred() does in between count, the last one does not. A figure is
 * the processor time per block.
 *
 * Spans: blocks that are spans of their own. "At once": each is given back to the free pages, under the
 * page lock, before the next is freed. A reader is enrolled when some thread has read: freed pages wait then.
 *
 * Lookups: the size of blocks of a live set, in random order.
 *
 * Limbo: two processes replace blocks of a set without a pause, each the other's; a third one counts what
 * is in limbo. */
#define _GNU_SOURCE
#include "table.h"

#include "api/handle.h"
#include "api/thread.h"
#include "heap/pages.h"

#include <sched.h>
#include <spanheap.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define BLOCKS 200000u
#define LOOKUPS 1000000u
#define ROUNDS 10u
#define SPANS 16384u
#define SET_BLOCKS 100000u
#define SET_BYTES 256u
#define READERS 2u
#define WORKERS 2u
#define PERIODS 5u
#define SECTION_US 20u

/* Shared mapping. */
struct shared {
	_Atomic unsigned ready;
	_Atomic bool stop;
	_Atomic uint64_t deferred; /* blocks, by all workers */
	double result[WORKERS];
	sh_off blocks[LOOKUPS];
};

/* Process. */
static struct shared *shared;
static struct sh_heap *heap;
static const char *folder;
static bool quick;

static void expect(int error, const char *call)
{
	if (__builtin_expect(error != 0, 0))
		die("%s: %s", call, sh_strerror(error));
}

static sh_off allocate(size_t size)
{
	sh_off block = sh_alloc(heap, size);

	if (block == 0)
		die("sh_alloc: %s", strerror(errno));
	return block;
}

static void heap_begin(void)
{
	char path[PATH_BYTES];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	heap_path(folder, path);
	heap_remove(folder);
	expect(sh_open(path, SH_CREATE | SH_EXCL, NULL, &heap), path);
}

/* --- processes -------------------------------------------------------------------------------- */

static pid_t start(void (*work)(unsigned number), unsigned number)
{
	pid_t child = fork_mortal();

	if (child == 0) {
		work(number);
		expect(sh_close(heap), "sh_close");
		_exit(0);
	}
	return child;
}

static void expect_end(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status != 0)
		die("a process failed");
}

/* 1 kHz, a section of some microseconds each. */
static void read_until_stopped(unsigned number)
{
	(void)number;
	while (!atomic_load(&shared->stop)) {
		expect(sh_read_lock(heap), "sh_read_lock");
		for (uint64_t end = now_ns() + SECTION_US * 1000; now_ns() < end;)
			;
		sh_read_unlock(heap);
		atomic_fetch_add(&shared->ready, 1);
		usleep(1000 - SECTION_US);
	}
}

static void start_readers(pid_t *pids, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		pids[i] = start(read_until_stopped, i);
	while (atomic_load(&shared->ready) < count)
		usleep(100);
}

static void stop_all(const pid_t *pids, unsigned count)
{
	atomic_store(&shared->stop, true);
	for (unsigned i = 0; i < count; i++)
		expect_end(pids[i]);
}

/* Measures in a process of its own, with a fresh heap. */
static double apart(double (*measure)(const void *task), const void *task)
{
	double result = 0;
	int fd;
	pid_t child = fork_with_pipe(&fd);

	if (child == 0) {
		heap_begin();
		result = measure(task);
		result_send(fd, &result, sizeof(result));
		_exit(0);
	}
	result_receive(fd, &result, sizeof(result));
	close(fd);
	waitpid(child, NULL, 0);
	heap_remove(folder);
	return result;
}

/* --- frees ------------------------------------------------------------------------------------ */

/* Process. */
static struct frees_task {
	const char *name;
	size_t size;
	unsigned readers;
	bool others;
	bool random;
	bool deferred;
} frees;

static void shuffle(sh_off *blocks, unsigned count)
{
	uint64_t random = SEED;

	for (unsigned i = count - 1; i > 0; i--) {
		uint64_t other = random_below(random_next(&random), i + 1);
		sh_off block = blocks[i];

		blocks[i] = blocks[other];
		blocks[other] = block;
	}
}

static void free_all(unsigned number)
{
	uint64_t begin = cpu_ns();

	if (frees.deferred)
		for (unsigned i = 0; i < BLOCKS; i++)
			expect(sh_free_deferred(heap, shared->blocks[i]), "sh_free_deferred");
	else
		for (unsigned i = 0; i < BLOCKS; i++)
			expect(sh_free(heap, shared->blocks[i]), "sh_free");
	shared->result[number] = (double)(cpu_ns() - begin) / BLOCKS;
}

/* The time of one round per block. */
static double free_round(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		shared->blocks[i] = allocate(frees.size);
	if (frees.random)
		shuffle(shared->blocks, BLOCKS);
	if (frees.others)
		expect_end(start(free_all, 0));
	else
		free_all(0);
	expect(sh_synchronize(heap), "sh_synchronize");
	return shared->result[0];
}

static double measure_frees(const void *task)
{
	unsigned rounds = quick ? 2 : ROUNDS;
	double values[ROUNDS];
	pid_t pids[READERS];

	frees = *(const struct frees_task *)task;
	start_readers(pids, frees.readers);
	free_round();
	for (unsigned r = 0; r < rounds; r++)
		values[r] = free_round();
	stop_all(pids, frees.readers);
	return quantile(values, rounds, 0.5);
}

static const struct frees_task frees_rows[] = {
	{ .name = "own, in order", .size = 64 },
	{ .name = "own, random", .size = 64, .random = true },
	{ .name = "another's, in order", .size = 64, .others = true },
	{ .name = "another's, random", .size = 64, .others = true, .random = true },
	{ .name = "own, in order, 16 B", .size = 16 },
	{ .name = "own, in order, 1 KiB", .size = 1024 },
};

static void frees_row(struct table *table, struct frees_task task, unsigned repetitions)
{
	static double values[2][REPETITIONS_MAX];
	double medians[2];

	for (unsigned r = 0; r < repetitions; r++)
		for (unsigned deferred = 0; deferred < 2; deferred++) {
			task.deferred = deferred != 0;
			values[deferred][r] = apart(measure_frees, &task);
		}
	table_cell(table, "%s%s", task.name, task.readers != 0 ? ", 2 readers" : "");
	for (unsigned deferred = 0; deferred < 2; deferred++)
		medians[deferred] = table_median(table, values[deferred], repetitions);
	table_number(table, medians[1] / medians[0]);
	table_cell(table, "3");
}

static void frees_table(const struct options *options)
{
	static const char *const heads[] = { "blocks", "sh_free()", "sh_free_deferred()", "ratio",
		"goal", NULL };
	struct table table = table_begin("Frees of blocks of 64 B, CPU ns per block", heads);

	for (unsigned readers = 0; readers <= READERS; readers += READERS)
		for (size_t i = 0; i < LENGTH_OF(frees_rows); i++) {
			struct frees_task task = frees_rows[i];

			task.readers = readers;
			frees_row(&table, task, options->repetitions);
		}
	table_end(&table);
}

/* --- spans ------------------------------------------------------------------------------------ */

enum span_way { FREED, FREED_AT_ONCE, FREED_DEFERRED };

struct spans_task {
	const char *name;
	size_t size;
	enum span_way way;
	bool enrolled;
	const char *goal;
};

static void give_back(void)
{
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	expect(error, "thread_here");
	pages_give_back(&state->thread);
	thread_done(state);
}

static void free_span(enum span_way way, sh_off block)
{
	if (way == FREED_DEFERRED)
		expect(sh_free_deferred(heap, block), "sh_free_deferred");
	else
		expect(sh_free(heap, block), "sh_free");
	if (way == FREED_AT_ONCE)
		give_back();
}

/* Heap bytes per ns, which is MB per ms. */
static double measure_spans(const void *argument)
{
	const struct spans_task *task = argument;
	uint64_t count = GIB / 2 / task->size < SPANS ? GIB / 2 / task->size : SPANS;
	uint64_t spent = 0;

	if (task->enrolled) {
		expect(sh_read_lock(heap), "sh_read_lock");
		sh_read_unlock(heap);
	}
	for (unsigned round = 0; round < 2; round++) {
		uint64_t begin;

		for (uint64_t i = 0; i < count; i++)
			shared->blocks[i] = allocate(task->size);
		begin = cpu_ns();
		for (uint64_t i = 0; i < count; i++)
			free_span(task->way, shared->blocks[i]);
		if (task->way == FREED_DEFERRED)
			expect(sh_synchronize(heap), "sh_synchronize");
		spent = cpu_ns() - begin;
	}
	return (double)(count * task->size) / (double)spent;
}

static const struct spans_task spans_rows[] = {
	{ .name = "8 KiB, sh_free()", .size = 8192, .goal = "128" },
	{ .name = "8 KiB, sh_free(), given back at once", .size = 8192, .way = FREED_AT_ONCE },
	{ .name = "8 KiB, sh_free_deferred()", .size = 8192, .way = FREED_DEFERRED },
	{ .name = "64 KiB, sh_free()", .size = 65536, .goal = "128" },
	{ .name = "64 KiB, sh_free(), given back at once", .size = 65536, .way = FREED_AT_ONCE },
	{ .name = "64 KiB, sh_free_deferred()", .size = 65536, .way = FREED_DEFERRED },
};

static void spans_table(const struct options *options)
{
	static const char *const heads[] = { "spans", "nobody reads", "a reader is enrolled",
		"goal", NULL };
	static double values[2][REPETITIONS_MAX];
	struct table table = table_begin("Blocks that are whole spans, MB freed per ms", heads);

	for (size_t i = 0; i < LENGTH_OF(spans_rows); i++) {
		struct spans_task task = spans_rows[i];

		for (unsigned r = 0; r < options->repetitions; r++)
			for (unsigned enrolled = 0; enrolled < 2; enrolled++) {
				task.enrolled = enrolled != 0;
				values[enrolled][r] = apart(measure_spans, &task);
			}
		table_cell(&table, "%s", task.name);
		table_median(&table, values[0], options->repetitions);
		table_median(&table, values[1], options->repetitions);
		table_cell(&table, "%s", task.goal != NULL ? task.goal : "");
	}
	table_end(&table);
}

/* --- lookups ---------------------------------------------------------------------------------- */

static unsigned lookup_count(void)
{
	return quick ? LOOKUPS / 10 : LOOKUPS;
}

static void look_up(unsigned number)
{
	unsigned count = lookup_count();
	uint64_t bytes = 0;
	uint64_t begin;

	for (unsigned i = 0; i < count; i++)
		bytes += sh_usable_size(heap, shared->blocks[i]);
	begin = cpu_ns();
	for (unsigned i = 0; i < count; i++)
		bytes += sh_usable_size(heap, shared->blocks[i]);
	shared->result[number] = (double)(cpu_ns() - begin) / count;
	if (bytes < 2 * (uint64_t)count * 64)
		die("sh_usable_size: a block is too small");
}

static double measure_lookups(const void *argument)
{
	unsigned processes = *(const unsigned *)argument;
	unsigned count = lookup_count();
	pid_t pids[WORKERS];
	double sum = 0;

	for (unsigned i = 0; i < count; i++)
		shared->blocks[i] = allocate(64);
	shuffle(shared->blocks, count);
	for (unsigned i = 0; i < processes; i++)
		pids[i] = start(look_up, i);
	for (unsigned i = 0; i < processes; i++) {
		expect_end(pids[i]);
		sum += shared->result[i];
	}
	return sum / processes;
}

static void lookups_table(const struct options *options)
{
	static const char *const heads[] = { "processes", "ns", NULL };
	static double values[REPETITIONS_MAX];
	struct table table =
		table_begin("sh_usable_size() of blocks of 64 B in random order, CPU ns per call",
			heads);

	for (unsigned processes = 1; processes <= WORKERS; processes++) {
		for (unsigned r = 0; r < options->repetitions; r++)
			values[r] = apart(measure_lookups, &processes);
		table_cell(&table, "%u", processes);
		table_median(&table, values, options->repetitions);
	}
	table_end(&table);
}

/* --- limbo ------------------------------------------------------------------------------------ */

/* Two workers exchange blocks with words of the set: whatever stood there is deferred. */
static void replace_until_stopped(unsigned number)
{
	uint64_t random = SEED + number;
	uint64_t count = 0;

	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		uint64_t at = random_below(random_next(&random), SET_BLOCKS);
		sh_off block = allocate(SET_BYTES);

		block = __atomic_exchange_n(&shared->blocks[at], block, __ATOMIC_ACQ_REL);
		expect(sh_free_deferred(heap, block), "sh_free_deferred");
		if (++count % 64 == 0)
			atomic_fetch_add_explicit(&shared->deferred, 64, memory_order_relaxed);
	}
}

static uint64_t most_in_limbo(uint64_t duration_ns)
{
	uint64_t end = now_ns() + duration_ns;
	uint64_t most = 0;

	while (now_ns() < end) {
		struct sh_stats stats = SH_STATS_INIT;

		expect(sh_stats(heap, &stats), "sh_stats");
		most = stats.limbo_blocks > most ? stats.limbo_blocks : most;
		usleep(5000);
	}
	return most;
}

static void limbo_row(struct table *table, unsigned readers)
{
	uint64_t period = quick ? 100000000 : 1000000000;
	uint64_t most = 0;
	uint64_t begin;
	pid_t reading[READERS];
	pid_t working[WORKERS];

	heap_begin();
	for (unsigned i = 0; i < SET_BLOCKS; i++)
		shared->blocks[i] = allocate(SET_BYTES);
	start_readers(reading, readers);
	for (unsigned i = 0; i < WORKERS; i++)
		working[i] = start(replace_until_stopped, i);
	table_cell(table, "%u", readers);
	begin = now_ns();
	for (unsigned i = 0; i < PERIODS; i++) {
		uint64_t now = most_in_limbo(period);

		most = now > most ? now : most;
		table_cell(table, "%llu", (unsigned long long)now);
	}
	table_number(table,
		(double)atomic_load(&shared->deferred) / (double)(now_ns() - begin) * 1e3);
	table_number(table, 100.0 * (double)most / SET_BLOCKS);
	stop_all(working, WORKERS);
	stop_all(reading, readers);
	expect(sh_close(heap), "sh_close");
	heap_remove(folder);
}

static void limbo_table(void)
{
	static const char *const heads[] = { "readers at 1 kHz", "1st", "2nd", "3rd", "4th", "5th",
		"million frees/s", "% of the set", NULL };
	struct table table = table_begin("Blocks in limbo at most, in five periods one after the "
					 "other: two workers replace "
					 "in a set of 100,000 blocks",
		heads);

	limbo_row(&table, 0);
	limbo_row(&table, READERS);
	table_end(&table);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);

	folder = options.folders[0];
	quick = options.quick;
	if (options_want(&options, "frees"))
		frees_table(&options);
	if (options_want(&options, "spans"))
		spans_table(&options);
	if (options_want(&options, "lookups"))
		lookups_table(&options);
	if (options_want(&options, "limbo"))
		limbo_table();
	return 0;
}
