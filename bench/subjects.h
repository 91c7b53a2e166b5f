/* subjects.h -- what is compared: an allocator and, for those with a file, the folder of the file
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each measurement is a process of its own with an allocator that nobody used before. Subjects take
 * turns within each repetition, so that what else the machine does falls on all of them. */
#ifndef SPANHEAP_BENCH_SUBJECTS_H
#define SPANHEAP_BENCH_SUBJECTS_H

#include "allocators.h"
#include "table.h"

#define SUBJECTS_MAX 10u
#define SLOWNESS_MAX 8u

struct subject {
	enum allocator_kind kind;
	const char *folder;
	char label[32];
	/* Operations are so many times fewer where their number is fixed: libpmemobj takes
	 * microseconds for each. */
	unsigned slowness;
};

struct subjects {
	struct subject of[SUBJECTS_MAX];
	unsigned count;
};

static inline void subjects_add(struct subjects *subjects, enum allocator_kind kind,
	const char *folder, const char *label)
{
	if (subjects->count == SUBJECTS_MAX)
		die("at most %u subjects", SUBJECTS_MAX);
	struct subject *subject = &subjects->of[subjects->count++];

	*subject = (struct subject){ .kind = kind, .folder = folder, .slowness = 1 };
	if (kind == ALLOCATOR_PMEMOBJ_ATOMIC || kind == ALLOCATOR_PMEMOBJ_TRANSACTION)
		subject->slowness = SLOWNESS_MAX;
	if (kind == ALLOCATOR_BOOST)
		subject->slowness = 2;
	snprintf(subject->label, sizeof(subject->label), "%s", label);
}

/* spanheap, once for each folder. */
static inline void subjects_add_spanheap(struct subjects *subjects, const struct options *options)
{
	char label[32];

	for (unsigned f = 0; f < options->folder_count; f++) {
		snprintf(label, sizeof(label), "spanheap %s",
			file_system_name(options->folders[f]));
		subjects_add(subjects, ALLOCATOR_SPANHEAP, options->folders[f], label);
	}
}

/* The allocators of one process. */
static inline void subjects_add_malloc(struct subjects *subjects)
{
	subjects_add(subjects, ALLOCATOR_MIMALLOC, NULL, "mimalloc");
	subjects_add(subjects, ALLOCATOR_JEMALLOC, NULL, "jemalloc");
	subjects_add(subjects, ALLOCATOR_GLIBC, NULL, "glibc");
}

/* Says which peer is left out, when it was not built. */
static inline bool subjects_have(const char *module, const char *package)
{
	if (peer_exists(module))
		return true;
	note("SKIPPED: %s was not built; ./dev deps installs %s", module, package);
	return false;
}

static inline void subjects_add_boost(struct subjects *subjects, const char *folder)
{
	if (subjects_have("boost", "libboost-dev"))
		subjects_add(subjects, ALLOCATOR_BOOST, folder, "Boost");
}

static inline void subjects_add_pmemobj(struct subjects *subjects, const char *folder)
{
	if (!subjects_have("pmemobj", "libpmemobj-dev"))
		return;
	subjects_add(subjects, ALLOCATOR_PMEMOBJ_ATOMIC, folder, "pmemobj atomic");
	subjects_add(subjects, ALLOCATOR_PMEMOBJ_TRANSACTION, folder, "pmemobj txn");
}

/* All of them; those of others with a file in the first folder only. */
static inline struct subjects subjects_all(const struct options *options)
{
	struct subjects subjects = { .count = 0 };

	subjects_add_spanheap(&subjects, options);
	subjects_add_malloc(&subjects);
	subjects_add_boost(&subjects, options->folders[0]);
	subjects_add_pmemobj(&subjects, options->folders[0]);
	return subjects;
}

/* A fresh allocator with room for `bytes` of live blocks. */
static inline struct allocator subject_start(const struct subject *subject, uint64_t bytes)
{
	char path[PATH_BYTES];
	struct allocator allocator;
	/* Those whose file cannot grow get what fragmentation may take. */
	uint64_t room = bytes + bytes / 2 + 256 * MIB;

	if (subject->kind == ALLOCATOR_MIMALLOC)
		return allocator_mimalloc();
	if (subject->kind == ALLOCATOR_JEMALLOC)
		return allocator_jemalloc();
	if (subject->kind == ALLOCATOR_GLIBC)
		return allocator_glibc();
	heap_path(subject->folder, path);
	heap_remove(subject->folder);
	if (subject->kind == ALLOCATOR_SPANHEAP)
		allocator = allocator_spanheap(path, 0);
	else if (subject->kind == ALLOCATOR_BOOST)
		allocator = allocator_peer("boost", path, room, false);
	else
		allocator = allocator_peer("pmemobj", path, room,
			subject->kind == ALLOCATOR_PMEMOBJ_TRANSACTION);
	return allocator;
}

/* --- a process for each measurement ----------------------------------------------------------- */

/* Measures, and writes the results. */
typedef void measure_fn(const struct subject *subject, const void *argument, double *results);

/* Calls `measure` in a process of its own for `count` results. */
static inline void subject_measure(const struct subject *subject, measure_fn *measure,
	const void *argument, double *results, unsigned count)
{
	int fd;
	pid_t child = fork_with_pipe(&fd);

	if (child == 0) {
		measure(subject, argument, results);
		result_send(fd, results, count * sizeof(results[0]));
		_exit(0);
	}
	result_receive(fd, results, count * sizeof(results[0]));
	close(fd);
	waitpid(child, NULL, 0);
	if (subject->folder != NULL)
		heap_remove(subject->folder);
}

/* --- a loop that lasts long enough ------------------------------------------------------------ */

/* Stack. Rounds are repeated until they have used a budget of time. */
struct pace {
	uint64_t budget_ns;
	uint64_t spent_ns;
	uint64_t blocks;
};

static inline struct pace pace_of(bool quick)
{
	return (struct pace){ .budget_ns = quick ? 20000000 : 150000000 };
}

/* Of what runs once before it is measured. */
static inline struct pace pace_of_warming(bool quick)
{
	struct pace pace = pace_of(quick);

	pace.budget_ns /= 4;
	return pace;
}

static inline bool pace_goes_on(const struct pace *pace)
{
	return pace->spent_ns < pace->budget_ns;
}

static inline double pace_result(const struct pace *pace)
{
	return (double)pace->spent_ns / (double)pace->blocks;
}

/* --- a row of a table ------------------------------------------------------------------------- */

/* Prints a median for each subject, and the ratio of the first ones, spanheap's, to mimalloc's. */
static inline void subjects_print_row(struct table *table, const struct subjects *subjects,
	double values[][REPETITIONS_MAX], unsigned repetitions)
{
	double medians[SUBJECTS_MAX] = { 0 };
	double reference = 0;

	for (unsigned s = 0; s < subjects->count; s++) {
		if (values[s][0] < 0) {
			table_nothing(table);
			continue;
		}
		medians[s] = table_median(table, values[s], repetitions);
		if (subjects->of[s].kind == ALLOCATOR_MIMALLOC)
			reference = medians[s];
	}
	for (unsigned s = 0; s < subjects->count; s++)
		if (subjects->of[s].kind == ALLOCATOR_SPANHEAP)
			table_number(table, medians[s] / reference);
}

/* How the figures of a row come about. */
struct subjects_row {
	const char *name;
	measure_fn *measure;
	const void *task;   /* what `measure` is told */
	unsigned processes; /* of each subject; the subjects take turns */
	unsigned results;   /* of each process */
	unsigned slowest;   /* subjects slower than this are left out */
};

static inline void subjects_measure_row(struct table *table, const struct subjects *subjects,
	const struct subjects_row *row)
{
	static double values[SUBJECTS_MAX][REPETITIONS_MAX];

	for (unsigned p = 0; p < row->processes; p++)
		for (unsigned s = 0; s < subjects->count; s++) {
			unsigned turn = (s + p) % subjects->count;
			double *results = &values[turn][p * row->results];

			if (subjects->of[turn].slowness > row->slowest)
				values[turn][0] = -1;
			else
				subject_measure(&subjects->of[turn], row->measure, row->task,
					results, row->results);
		}
	table_cell(table, "%s", row->name);
	subjects_print_row(table, subjects, values, row->processes * row->results);
}

/* Begins a table with a column for each subject and one for each ratio. */
static inline struct table subjects_table(const char *title, const char *what,
	const struct subjects *subjects)
{
	static char ratios[SUBJECTS_MAX][32];
	const char *heads[2 * SUBJECTS_MAX + 2] = { what };
	unsigned count = 1;

	for (unsigned s = 0; s < subjects->count; s++)
		heads[count++] = subjects->of[s].label;
	for (unsigned s = 0; s < subjects->count; s++)
		if (subjects->of[s].kind == ALLOCATOR_SPANHEAP) {
			snprintf(ratios[s], sizeof(ratios[s]), "%s/mimalloc",
				file_system_name(subjects->of[s].folder));
			heads[count++] = ratios[s];
		}
	return table_begin(title, heads);
}

#endif
