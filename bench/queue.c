/* queue.c -- a producer and a consumer over hours of simulated work: does the file stay small?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One process allocates messages, another one frees them in the same order, but for one of 64, which it
 * keeps until 8,192 more were kept. 1,000 messages are one simulated second. Allocators of one process
 * are measured with threads.
 *
 *	hour 1, 2  messages of 16 B to 1 KiB, 64 MiB of live bytes
 *	hour 3     the same; every ten minutes the live bytes change between 16 and 64 MiB
 *	hour 4     messages of 1 to 8 KiB, 64 MiB of live bytes
 *
 * Memory is the bytes on disk of both files, or the resident memory that the allocator added. The table
 * shows it in the 45th minute of each hour as a multiple of the live bytes, in hour 3 of 64 MiB; the
 * picture shows both over time. */
#define _GNU_SOURCE
#include "crew.h"
#include "memory.h"
#include "plot.h"
#include "ring.h"

#define HOURS 4u
#define MESSAGES_PER_SECOND 1000u
#define GROUP 32u
#define KEPT 8192u
#define KEEP_ONE_OF 64u
#define LIVE_BYTES (64 * MIB)
#define SLACK_BYTES MIB
#define SAMPLES 400u

/* Shared mapping. What one side counts, in cache lines of its own. */
struct counter {
	_Alignas(128) _Atomic uint64_t bytes;
};

/* Shared mapping. */
struct shared {
	struct ring ring;
	struct counter produced;
	struct counter consumed;
	const struct subject *subject;
	uint64_t messages; /* in all: a multiple of GROUP */
	uint64_t resident_before;
	double live_mib[SAMPLES];
	double memory_mib[SAMPLES];
};

/* The simulated time of a message, in minutes. */
static double minute_of(const struct shared *shared, uint64_t message)
{
	return 60.0 * HOURS * (double)message / (double)shared->messages;
}

static size_t size_of(const struct shared *shared, uint64_t message)
{
	uint64_t state = SEED + message;
	uint64_t number;

	random_next(&state);
	random_next(&state);
	number = random_next(&state);
	if (minute_of(shared, message) < 180)
		return random_size(number, 16, 1024);
	return random_size(number, 1024, 8192);
}

static uint64_t live_target(const struct shared *shared, uint64_t message)
{
	double minute = minute_of(shared, message);

	if (minute < 120 || minute >= 180 || (unsigned)(minute / 10) % 2 == 1)
		return LIVE_BYTES;
	return LIVE_BYTES / 4;
}

static uint64_t live_bytes(struct shared *shared)
{
	return atomic_load_explicit(&shared->produced.bytes, memory_order_relaxed) -
		atomic_load_explicit(&shared->consumed.bytes, memory_order_relaxed);
}

static void produce(struct allocator allocator, struct shared *shared)
{
	block_name group[GROUP];
	uint64_t bytes = 0;

	for (uint64_t message = 0; message < shared->messages; message += GROUP) {
		while (live_bytes(shared) > live_target(shared, message))
			sched_yield();
		for (unsigned i = 0; i < GROUP; i++) {
			size_t size = size_of(shared, message + i);

			group[i] = block_allocate(allocator, size);
			memset(block_address(allocator, group[i]), 1, size);
			bytes += size;
		}
		atomic_store_explicit(&shared->produced.bytes, bytes, memory_order_relaxed);
		while (!ring_push(&shared->ring, group, GROUP))
			sched_yield();
	}
}

static void take_sample(struct shared *shared, uint64_t message)
{
	uint64_t every = shared->messages / SAMPLES / GROUP * GROUP;
	uint64_t sample = message / every;

	if (message % every != 0 || sample >= SAMPLES)
		return;
	shared->live_mib[sample] = (double)live_bytes(shared) / (double)MIB;
	shared->memory_mib[sample] =
		(double)subject_memory_bytes(shared->subject, shared->resident_before) /
		(double)MIB;
}

/* Process. The messages that the consumer keeps. */
struct kept {
	block_name blocks[KEPT];
	size_t sizes[KEPT];
	unsigned next;
};

/* Frees a message, or keeps it and frees one that was kept long ago. Returns the bytes freed. */
static size_t consume_one(struct allocator allocator, struct kept *kept, uint64_t message,
	block_name block, size_t size)
{
	if (message % KEEP_ONE_OF == 0) {
		unsigned place = kept->next++ % KEPT;
		block_name old_block = kept->blocks[place];
		size_t old_size = kept->sizes[place];

		kept->blocks[place] = block;
		kept->sizes[place] = size;
		block = old_block;
		size = old_size;
	}
	if (block != 0)
		block_free(allocator, block);
	return size;
}

/* Whether the consumer must wait so that as many bytes stay live as the producer wants. */
static bool is_ahead(struct shared *shared)
{
	uint64_t pushed = atomic_load_explicit(&shared->ring.pushed, memory_order_relaxed);

	return pushed < shared->messages &&
		live_bytes(shared) + SLACK_BYTES < live_target(shared, pushed);
}

static void consume(struct allocator allocator, struct shared *shared)
{
	static struct kept kept;
	block_name group[GROUP];
	uint64_t bytes = 0;

	for (uint64_t message = 0; message < shared->messages; message += GROUP) {
		while (is_ahead(shared))
			sched_yield();
		while (!ring_pop(&shared->ring, group, GROUP))
			sched_yield();
		for (unsigned i = 0; i < GROUP; i++)
			bytes += consume_one(allocator, &kept, message + i, group[i],
				size_of(shared, message + i));
		atomic_store_explicit(&shared->consumed.bytes, bytes, memory_order_relaxed);
		take_sample(shared, message);
	}
}

static void work(struct crew *crew, unsigned index, struct allocator allocator, void *memory)
{
	(void)crew;
	if (index == 0)
		produce(allocator, memory);
	else
		consume(allocator, memory);
}

/* --- the table and the picture ---------------------------------------------------------------- */

/* What one run finds. */
struct series {
	double live_mib[SAMPLES];
	double memory_mib[SAMPLES];
	double million_per_second;
};

#define SERIES_DOUBLES (sizeof(struct series) / sizeof(double))

static void measure(const struct subject *subject, const void *argument, double *results)
{
	const bool *quick = argument;
	struct series *series = (struct series *)(void *)results;
	struct shared *shared = shared_memory(sizeof(*shared));
	struct allocator allocator = subject_start(subject, 0);
	struct crew *crew = crew_make(2, subject_is_shared(subject));
	uint64_t elapsed;

	crew->cold = true;
	shared->subject = subject;
	shared->messages = (uint64_t)HOURS * 3600 * MESSAGES_PER_SECOND / (*quick ? 4 : 1) /
		(SAMPLES * GROUP) * (SAMPLES * GROUP);
	shared->ring.capacity = RING_MAX;
	/* Resident now, so that it does not count as the allocator's. */
	memset(shared->ring.blocks, 0, sizeof(shared->ring.blocks));
	shared->resident_before = resident_bytes();
	elapsed = crew_run(crew, allocator, work, shared);
	memcpy(series->live_mib, shared->live_mib, sizeof(series->live_mib));
	memcpy(series->memory_mib, shared->memory_mib, sizeof(series->memory_mib));
	series->million_per_second = (double)shared->messages / (double)elapsed * 1e3;
}

static void print_row(struct table *table, const struct subject *subject,
	const struct series *series)
{
	double most = 0;

	table_cell(table, "%s, %s", subject->label,
		subject_is_shared(subject) ? "processes" : "threads");
	for (unsigned hour = 1; hour <= HOURS; hour++) {
		/* The producer is minutes ahead: towards the end it works for the next hour. */
		unsigned sample = SAMPLES * (4 * hour - 1) / 4 / HOURS;
		double live =
			hour == 3 ? (double)LIVE_BYTES / (double)MIB : series->live_mib[sample];

		table_cell(table, "%.2f", series->memory_mib[sample] / live);
	}
	for (unsigned i = 0; i < SAMPLES; i++)
		most = series->memory_mib[i] > most ? series->memory_mib[i] : most;
	table_number(table, most);
	table_number(table, series->million_per_second);
}

static void draw(const char *path, const struct subjects *subjects, const struct series *series)
{
	double most = 0;

	for (unsigned s = 0; s < subjects->count; s++)
		for (unsigned i = 0; i < SAMPLES; i++)
			most = series[s].memory_mib[i] > most ? series[s].memory_mib[i] : most;
	struct plot plot = plot_begin(path, "Memory of a queue between two processes",
		"simulated hours", HOURS, "MiB", 32 * (double)(unsigned)(most / 32 + 1));

	plot_grid(&plot, 0.5, most > 512 ? 128 : 32);
	plot_curve(&plot, "live bytes", series[0].live_mib, SAMPLES);
	for (unsigned s = 0; s < subjects->count; s++)
		plot_curve(&plot, subjects->of[s].label, series[s].memory_mib, SAMPLES);
	plot_end(&plot);
}

int main(int argc, char **argv)
{
	static struct series series[SUBJECTS_MAX];
	struct options options = options_parse(argc, argv);
	struct subjects subjects = { .count = 0 };

	subjects_add_spanheap(&subjects, &options);
	subjects_add_malloc(&subjects);
	struct table table =
		table_begin("A queue of messages over four simulated hours: memory / live bytes",
			(const char *[]){ "allocator", "hour 1", "hour 2", "hour 3", "hour 4",
				"most, MiB", "million messages/s", NULL });

	for (unsigned s = 0; s < subjects.count; s++) {
		subject_measure(&subjects.of[s], measure, &options.quick, (double *)&series[s],
			SERIES_DOUBLES);
		print_row(&table, &subjects.of[s], &series[s]);
	}
	table_end(&table);
	if (options.svg != NULL)
		draw(options.svg, &subjects, series);
	return 0;
}
