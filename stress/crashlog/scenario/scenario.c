/* scenario.c -- a program that does everything that a heap can do, one operation at a time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Linked with the library as it is installed, and run under the tool that logs stores; by itself it does
 * the same and logs nothing. */
#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/coming.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"
#include "stress/crashlog/scenario/other.h"

#include <string.h>

#define MAX_BYTES (UINT64_C(256) << 20)
/* 16 arenas. */
#define LARGE_MAX_BYTES (UINT64_C(16) << 30)

/* Stack. The arguments. */
struct course {
	const char *folder;
	uint64_t seed;
	unsigned random_operations;
};

static void close_heap(void)
{
	MUST(sh_close(heap) == 0);
}

/* --- states of an open heap ---------------------------------------------------------------- */

static void run_all(const struct course *course, bool longest_log)
{
	logging_start(course->folder);
	operations_directed();
	if (longest_log)
		operations_with_longest_log();
	operations_random(course->seed, course->random_operations);
	logging_stop();
	close_heap();
}

static void on_fresh(const struct course *course)
{
	heap = coming_open();
	run_all(course, true);
}

static void on_used(const struct course *course)
{
	heap = coming_open();
	operations_fill_heap(course->seed);
	run_all(course, false);
}

static void on_reopened(const struct course *course)
{
	heap = coming_open();
	operations_fill_heap(course->seed);
	close_heap();
	heap = coming_open();
	run_all(course, false);
}

static void on_large(const struct course *course)
{
	coming_prepare(course->folder, LARGE_MAX_BYTES);
	heap = coming_open();
	logging_start(course->folder);
	operations_over_arenas();
	logging_stop();
	close_heap();
}

/* --- states of one that is not ------------------------------------------------------------- */

static void fill(const struct course *course)
{
	heap = coming_open();
	operations_fill_heap(course->seed);
}

static void on_closed(const struct course *course)
{
	fill(course);
	close_heap();
	logging_start(course->folder);
	operations_on_closed();
	logging_stop();
}

static void on_killed(const struct course *course)
{
	size_t bytes = 2 * sizeof(uint64_t);
	sh_off words;
	sh_off block;

	fill(course);
	words = book_zero(book_add(heap, sh_alloc_ex(heap, bytes, 0, SH_ZERO), 0), bytes);
	block = book_fill(heap, book_add(heap, sh_alloc(heap, bytes), 0));
	close_heap();
	other_die(block, words);
	logging_start(course->folder);
	operations_on_killed();
	logging_stop();
}

static void on_attended(const struct course *course)
{
	fill(course);
	close_heap();
	other_attend();
	logging_start(course->folder);
	operations_beside_another();
	logging_stop();
	other_leave();
}

/* --- */

static const struct state {
	const char *name;
	void (*run)(const struct course *course);
} states[] = {
	{ "fresh", on_fresh },
	{ "used", on_used },
	{ "reopened", on_reopened },
	{ "large", on_large },
	{ "closed", on_closed },
	{ "killed", on_killed },
	{ "attended", on_attended },
};

static _Noreturn void usage(void)
{
	fputs("usage: crashlog_scenario FOLDER STATE SEED RANDOM-OPERATIONS\n", stderr);
	exit(2);
}

static const struct state *state_of(const char *name)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(states[i].name, name) == 0)
			return &states[i];
	usage();
}

int main(int argc, char **argv)
{
	struct course course;

	if (argc != 5)
		usage();
	course = (struct course){
		.folder = argv[1],
		.seed = strtoull(argv[3], NULL, 0),
		.random_operations = (unsigned)strtoul(argv[4], NULL, 0),
	};
	coming_prepare(argv[1], MAX_BYTES);
	other_prepare(argv[0], argv[1]);
	if (strcmp(argv[2], OTHER_ATTENDS) == 0 || strcmp(argv[2], OTHER_DIES) == 0)
		other_main(argv[2], course.seed, strtoull(argv[4], NULL, 0));
	state_of(argv[2])->run(&course);
	return 0;
}
