/* crew.h -- several threads or processes at work on one allocator at once
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What they share beside the allocator lies in a mapping of their own. Wall-clock time counts here:
 * from the moment that the first begins until the last is done. They do all of the work once before
 * that, so that memory is there. */
#ifndef SPANHEAP_BENCH_CREW_H
#define SPANHEAP_BENCH_CREW_H

#include "subjects.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define CREW_MAX 8u

/* Shared mapping. */
struct crew {
	unsigned count;
	bool processes;
	bool cold;                 /* no warming up: the work is not done twice */
	pthread_barrier_t barrier; /* of all workers, for whoever needs one */
	uint64_t start_ns[CREW_MAX];
	uint64_t end_ns[CREW_MAX];
};

/* What worker number `index` does. */
typedef void crew_fn(struct crew *crew, unsigned index, struct allocator allocator, void *shared);

/* Process. What a thread needs to know. */
struct crew_member {
	struct crew *crew;
	unsigned index;
	struct allocator allocator;
	crew_fn *work;
	void *shared;
};

/* Zeroed memory that children share. */
static inline void *shared_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("no %zu bytes of shared memory: %s", bytes, strerror(errno));
	return memory;
}

static inline struct crew *crew_make(unsigned count, bool processes)
{
	struct crew *crew = shared_memory(sizeof(*crew));
	pthread_barrierattr_t attributes;

	if (count > CREW_MAX)
		die("at most %u workers", CREW_MAX);
	crew->count = count;
	crew->processes = processes;
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&crew->barrier, &attributes, count);
	pthread_barrierattr_destroy(&attributes);
	return crew;
}

static inline void *crew_member_run(void *argument)
{
	struct crew_member *member = argument;
	struct crew *crew = member->crew;

	/* The first call of a thread takes its slot. */
	block_free(member->allocator, block_allocate(member->allocator, 64));
	if (!crew->cold)
		member->work(crew, member->index, member->allocator, member->shared);
	pthread_barrier_wait(&crew->barrier);
	crew->start_ns[member->index] = now_ns();
	member->work(crew, member->index, member->allocator, member->shared);
	crew->end_ns[member->index] = now_ns();
	return NULL;
}

static inline void crew_run_threads(struct crew_member *members, unsigned count)
{
	pthread_t threads[CREW_MAX];

	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, crew_member_run, &members[i]) != 0)
			die("no thread could be started");
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* A fork child is attached to the parent's heap as a process of its own. */
static inline void crew_run_processes(struct crew_member *members, unsigned count)
{
	pid_t children[CREW_MAX];

	for (unsigned i = 0; i < count; i++) {
		children[i] = fork_mortal();
		if (children[i] == 0) {
			crew_member_run(&members[i]);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		int status;

		if (waitpid(children[i], &status, 0) < 0 || status != 0)
			die("a worker ended with status %d", status);
	}
}

/* Lets all workers work; returns the nanoseconds that it took. */
static inline uint64_t crew_run(struct crew *crew, struct allocator allocator, crew_fn *work,
	void *shared)
{
	struct crew_member members[CREW_MAX];
	uint64_t start = UINT64_MAX;
	uint64_t end = 0;

	for (unsigned i = 0; i < crew->count; i++)
		members[i] = (struct crew_member){ crew, i, allocator, work, shared };
	if (crew->processes)
		crew_run_processes(members, crew->count);
	else
		crew_run_threads(members, crew->count);
	for (unsigned i = 0; i < crew->count; i++) {
		start = crew->start_ns[i] < start ? crew->start_ns[i] : start;
		end = crew->end_ns[i] > end ? crew->end_ns[i] : end;
	}
	return end - start;
}

/* Whether several processes can use the subject's heap at once. */
static inline bool subject_is_shared(const struct subject *subject)
{
	return subject->kind == ALLOCATOR_SPANHEAP || subject->kind == ALLOCATOR_BOOST;
}

/* --- one worker beside several ---------------------------------------------------------------- */

#define CREW_WORKERS 2u

/* What a measuring process is told. */
struct crew_task {
	unsigned workers;
	bool processes;
	bool quick;
	const void *what; /* they do: the benchmark's own */
};

static inline struct table crew_table(const char *title)
{
	return table_begin(title,
		(const char *[]){ "allocator", "one worker", "two", "two/one", NULL });
}

static inline void crew_print_label(struct table *table, const struct subject *subject,
	bool processes)
{
	table_cell(table, "%s, %s", subject->label, processes ? "processes" : "threads");
}

/* A row of such a table: the figure with one worker, that with two, and their ratio. */
static inline void crew_measure_row(struct table *table, const struct subject *subject,
	measure_fn *measure, struct crew_task task, unsigned repetitions)
{
	static double one[REPETITIONS_MAX];
	static double all[REPETITIONS_MAX];

	for (unsigned r = 0; r < repetitions; r++) {
		task.workers = 1;
		subject_measure(subject, measure, &task, &one[r], 1);
		task.workers = CREW_WORKERS;
		subject_measure(subject, measure, &task, &all[r], 1);
	}
	crew_print_label(table, subject, task.processes);
	double single = table_median(table, one, repetitions);

	table_number(table, table_median(table, all, repetitions) / single);
}

#endif
