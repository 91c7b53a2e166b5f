/* pause.c -- a reader that pauses while others write
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * This process writes; each reader is a child of it, which has the store by inheritance. */
#define _GNU_SOURCE
#include "stress/kv_steps/pause.h"

#include "stress/common/expect.h"
#include "stress/common/heap_files.h"
#include "stress/common/route.h"
#include "stress/common/single_step.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAP_BYTES_MAX (UINT64_C(1) << 30)
#define LIMIT_SECONDS 20u
#define INSTRUCTIONS_LIMIT UINT64_C(100000)

static char path[256];
static struct kv *store;
static struct kv_table *table;

void pause_begin(const char *folder)
{
	struct sh_options options = SH_OPTIONS_INIT;

	snprintf(path, sizeof(path), "%s/kv_steps.%d.heap", folder, (int)getpid());
	heap_files_remove(path);
	options.max_size = HEAP_BYTES_MAX;
	EXPECT_EQUAL(kv_open(path, KV_CREATE, &options, &store), 0);
	EXPECT_EQUAL(kv_table_open(store, (struct kv_bytes){ "t", 1 }, KV_CREATE, &table), 0);
	looks_fill(table);
}

void pause_end(void)
{
	uint64_t problems;

	EXPECT_EQUAL(kv_check(store, NULL, NULL, &problems), 0);
	EXPECT_EQUAL(problems, 0);
	EXPECT_EQUAL(kv_close(store), 0);
	heap_files_remove(path);
}

/* --- a reader ------------------------------------------------------------------------------ */

static _Noreturn void read_once(const struct look *look)
{
	static struct found found;
	struct kv_cursor *cursor;

	alarm(LIMIT_SECONDS);
	EXPECT_EQUAL(kv_read_begin(store), 0);
	EXPECT_EQUAL(kv_cursor_open(table, &cursor), 0);
	/* Once before, so that what is done the first time only is done. */
	look->look(table, cursor, &found);
	found.count = 0;
	step_begin_mark();
	look->look(table, cursor, &found);
	step_end_mark();
	look->judge(&found);
	kv_cursor_close(cursor);
	kv_read_end(store);
	fflush(stdout);
	_exit(0);
}

static pid_t start(const struct look *look)
{
	pid_t reader;

	fflush(stdout);
	reader = fork();
	EXPECT(reader >= 0);
	if (reader == 0)
		read_once(look);
	EXPECT(step_begin(reader));
	return reader;
}

/* Lets it go to its end; whether it found what may be. */
static bool finish(pid_t reader)
{
	int status;

	EXPECT(step_let_go(reader));
	while (waitpid(reader, &status, 0) < 0)
		EXPECT(errno == EINTR);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The way through the look when nobody writes. */
static struct route find_way(const struct look *look)
{
	pid_t reader = start(look);
	struct route way;

	EXPECT(route_record(&way, reader, INSTRUCTIONS_LIMIT, NULL, NULL));
	EXPECT(finish(reader));
	return way;
}

/* Pauses before the instruction; *pauses: what became of it. */
static void pause_before(const struct look *look, const struct work *work, const struct route *way,
	uint64_t instruction, struct pauses *pauses)
{
	pid_t reader = start(look);

	EXPECT(route_go(way, reader, instruction));
	pauses->strayed += step_place(reader) != way->waypoint[instruction].place;
	work->act(table);
	pauses->count++;
	if (finish(reader))
		return;
	pauses->bad++;
	printf("    to repeat: kv_steps --look \"%s\" --work \"%s\" --step %llu\n", look->name,
		work->name, (unsigned long long)instruction);
}

struct pauses pause_everywhere(const struct look *look, const struct work *work, uint64_t limit,
	uint64_t only)
{
	struct route way = find_way(look);
	struct pauses pauses = { .instructions = way.instructions };
	uint64_t count = pauses.instructions < limit ? pauses.instructions : limit;

	if (only != PAUSE_EVERYWHERE)
		pause_before(look, work, &way, only, &pauses);
	for (uint64_t i = 0; only == PAUSE_EVERYWHERE && i < count; i++)
		pause_before(look, work, &way, i * pauses.instructions / count, &pauses);
	route_free(&way);
	return pauses;
}
