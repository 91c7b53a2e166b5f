/* test_tool_procs.c -- spanheap procs and spanheap stat --watch
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "shm/lock.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/tool_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { FINE = 0, ERROR = 1, UNCLEAN = 2 };

/* What stands behind a handle. */
static struct heap *heap_of(struct sh_heap *heap)
{
	return (struct heap *)(void *)heap;
}

static uint64_t tag_of_first(struct sh_heap *heap)
{
	return atomic_load(&heap_of(heap)->thread_slot[0].owner);
}

/* A heap whose fork children have nothing of it: not even the one that becomes the tool. */
static struct sh_heap *new_heap(void)
{
	struct sh_options options = files_options();

	options.fork = SH_FORK_DONTFORK;
	return files_new_with(&options);
}

static struct run procs(int status)
{
	struct run run = RUN("procs", "--json", files_path);

	CU_ASSERT_EQUAL(run.status, status);
	if (run.status != status)
		printf("\n%.3000s%.1000s\n", run.out, run.err);
	CU_ASSERT_TRUE(json_valid(run.out));
	return run;
}

static void expect_text(const char *text, const char *wanted, uint64_t times)
{
	uint64_t found = count_text(text, wanted);

	CU_ASSERT_EQUAL(found, times);
	if (found != times)
		printf("\n%s: %llu times, not %llu, in\n%.5000s\n", wanted,
			(unsigned long long)found, (unsigned long long)times, text);
}

/* --- procs --------------------------------------------------------------------------------- */

static void test_nobody(void)
{
	struct run run;

	files_make_closed(1000);
	run = RUN("procs", files_path);
	CU_ASSERT_EQUAL(run.status, FINE);
	expect_text(run.out, "nobody\n", 1);
	run_free(&run);
	run = procs(FINE);
	expect_text(run.out, "\"users\": \"nobody\"", 1);
	expect_text(run.out, "\"processes\": []", 1);
	expect_text(run.out, "\"threads\": []", 1);
	run_free(&run);
}

static void read_until_killed(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);
	struct sh_reader *reader;

	(void)unused;
	REQUIRE(sh_read_lock(heap) == 0 && sh_read_lock(heap) == 0);
	REQUIRE(sh_reader_open(heap, &reader) == 0);
	sh_reader_lock(reader);
	files_reach(1);
	for (;;)
		pause();
}

static void die_in_transaction(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_txn *txn;

	(void)unused;
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_alloc(txn, 100, 0) != 0 && sh_txn_alloc(txn, 200, 0) != 0);
	files_die();
}

static void stop(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_alloc(heap, 100) != 0);
	raise(SIGSTOP);
}

static void expect_users(const char *out)
{
	expect_text(out, "\"users\": \"3 alive, 1 dead\"", 1);
	expect_text(out, "\"state\": \"stopped\"", 1);
	expect_text(out, "\"access\": \"reads\"", 1);
	expect_text(out, "\"access\": \"writes\"", 3);
	/* Its process, and its thread. */
	expect_text(out, "\"state\": \"dead\"", 2);
	expect_text(out, "\"kind\": \"thread\"", 4);
	expect_text(out, "\"kind\": \"reader\"", 1);
	expect_text(out, "\"kind\": \"detached\"", 1);
	expect_text(out, "\"transaction\": \"open\"", 2);
	expect_text(out, "\"entries\": 2", 1);
	expect_text(out, "\"depth\": 2", 1);
	/* One of the two holds the grace period up; nobody asked about the other one. */
	expect_text(out, "\"age\": \"held\"", 1);
	expect_text(out, "\"age\": \"new\"", 1);
	CU_ASSERT_EQUAL(json_number_of(out, "limbo_blocks"), 2);
	CU_ASSERT_EQUAL(json_number_of(out, "limbo_bytes"), 112 + 20 * PAGE_BYTES);
	CU_ASSERT(json_number_of(out, "owned_spans") != 0);
	expect_text(out, "\"locks\": []", 1);
}

static void test_users(void)
{
	struct sh_heap *heap = new_heap();
	struct heap *view = heap_of(heap);
	sh_off small = files_block(heap, 100);
	sh_off large = files_block(heap, 20 * PAGE_BYTES);
	struct sh_txn *txn;
	struct run run;
	pid_t reader;
	pid_t stopped;

	files_reset_steps();
	reader = files_start(read_until_killed, NULL);
	files_wait_for(1);
	stopped = files_start(stop, NULL);
	CU_ASSERT_EQUAL(waitpid(stopped, NULL, WUNTRACED), stopped);
	txn = files_begin(heap, SH_DETACHED);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, small), 0);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, large), 0);
	CU_ASSERT_EQUAL(rcu_poll(&view->rcu, &view->system, rcu_tag(&view->rcu), NULL), RCU_HELD);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 10, 0), 0);
	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	run = procs(FINE);
	expect_users(run.out);
	run_free(&run);
	EXPECT(FINE, "procs", files_path);
	sh_txn_abort(txn);
	files_finish_killed(reader);
	files_finish_killed(stopped);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void test_locks(void)
{
	struct sh_heap *heap = new_heap();
	_Atomic uint64_t *lock = &heap_of(heap)->derived->growth_lock;
	struct run run;

	CU_ASSERT_EQUAL(lock_try(lock, tag_of_first(heap), &heap_of(heap)->system), LOCK_TAKEN);
	run = procs(FINE);
	expect_text(run.out, "\"lock\": ", 1);
	expect_text(run.out, "\"lock\": \"growth\"", 1);
	expect_text(run.out, "\"waited_for\": \"no\"", 1);
	run_free(&run);
	lock_release(lock, &heap_of(heap)->system);
	/* Of somebody who is not there. */
	atomic_store(lock, tag_make(7, 12345));
	run = procs(FINE);
	expect_text(run.out, "\"state\": \"dead\"", 1);
	run_free(&run);
	atomic_store(lock, 0);
	files_close(heap);
}

/* All are dead, and the control file tells who they were. */
static void test_all_dead(void)
{
	struct run run;

	files_make_closed(1000);
	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	run = procs(UNCLEAN);
	expect_text(run.out, "\"users\": \"0 alive, 1 dead\"", 1);
	expect_text(run.out, "\"transaction\": \"open\"", 1);
	run_free(&run);
	unlink(files_control);
	run = procs(3);
	expect_text(run.out, "\"users\": \"nobody\"", 1);
	run_free(&run);
}

static void look_as_nobody(void *unused)
{
	struct run run;

	(void)unused;
	files_become_nobody();
	run = RUN("procs", files_path);
	REQUIRE(run.status == ERROR && strstr(run.err, "control file") != NULL);
	run_free(&run);
}

static void test_unreadable(void)
{
	struct sh_heap *heap;

	if (geteuid() != 0) {
		printf("SKIPPED, not root: ");
		return;
	}
	heap = new_heap();
	CU_ASSERT_EQUAL(chmod(files_directory, 0755), 0);
	CU_ASSERT_EQUAL(chmod(files_path, 0644), 0);
	CU_ASSERT_EQUAL(files_run(look_as_nobody, NULL), 0);
	files_close(heap);
}

#define MUTANTS 60

/* Whatever stands in the control file behind its identity. */
static void test_mutants(void)
{
	struct random random = random_seeded("mutants of the control file");
	uint8_t bytes[512];
	int fd;

	files_make_closed(1000);
	CU_ASSERT_EQUAL(files_run(die_in_transaction, NULL), SIGKILL);
	fd = open(files_control, O_RDWR | O_CLOEXEC);
	for (int i = 0; i < MUTANTS; i++) {
		uint64_t where = 132 + random_below(&random, 1 << 18);
		struct run run;

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)random_next(&random);
		CU_ASSERT_EQUAL(pwrite(fd, bytes, sizeof(bytes), (off_t)where), sizeof(bytes));
		run = RUN("procs", "--json", files_path);
		CU_ASSERT(run.status < 4);
		CU_ASSERT_TRUE(json_valid(run.out));
		run_free(&run);
	}
	close(fd);
}

static void work_until_killed(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	files_reach_next();
	for (;;) {
		sh_off off = sh_alloc(heap, 100);

		REQUIRE(sh_read_lock(heap) == 0);
		sh_read_unlock(heap);
		REQUIRE(sh_free_deferred(heap, off) == 0);
	}
}

/* Who comes and goes is never taken for a dead one. */
static void test_beside_work(void)
{
	struct sh_heap *heap = new_heap();
	pid_t workers[2];

	files_reset_steps();
	for (int i = 0; i < 2; i++)
		workers[i] = files_start(work_until_killed, NULL);
	files_wait_for(2);
	for (int i = 0; i < 20; i++) {
		struct run run = procs(FINE);

		expect_text(run.out, "\"users\": \"3 alive, 0 dead\"", 1);
		run_free(&run);
	}
	for (int i = 0; i < 2; i++)
		files_finish_killed(workers[i]);
	files_close(heap);
}

/* --- stat --watch -------------------------------------------------------------------------- */

/* A watch that runs: what it writes goes to `out`. */
static pid_t start_watch(int *out, const char *seconds, bool json)
{
	const char *const arguments[] = { "stat", "--watch", seconds, files_path,
		json ? "--json" : NULL, NULL };

	*out = memfd_create("out", MFD_CLOEXEC);
	return start_tool(*out, STDERR_FILENO, arguments);
}

/* What stands in it; to be freed. */
static char *text_of(int out)
{
	char *text = calloc(1, 1 << 20);

	CU_ASSERT_FATAL(text != NULL && pread(out, text, (1 << 20) - 1, 0) >= 0);
	return text;
}

static void wait_for_lines(int out, uint64_t lines)
{
	uint64_t found;

	do {
		char *text = text_of(out);

		found = count_text(text, "\n");
		free(text);
		usleep(1000);
	} while (found < lines);
}

static void test_watch(void)
{
	struct sh_heap *heap = files_new();
	char *text;
	char *line;
	char *rest;
	uint64_t last = 0;
	int out;
	pid_t tool = start_watch(&out, "0.03", true);

	for (uint64_t lines = 1; lines < 6; lines++) {
		wait_for_lines(out, lines);
		files_block(heap, 1000);
		files_block(heap, 100000);
	}
	kill(tool, SIGINT);
	CU_ASSERT_EQUAL(wait_for_tool(tool), FINE);
	text = text_of(out);
	/* The first look was before any block, the last one behind at least one. */
	CU_ASSERT_EQUAL(json_number_of(text, "large_blocks"), 0);
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		CU_ASSERT_TRUE(json_valid(line));
		expect_text(line, "\"per_second\": {", 1);
		last = json_number_of(line, "large_blocks");
	}
	CU_ASSERT_TRUE(last >= 1 && last <= 5);
	free(text);
	close(out);
	files_close(heap);
}

/* Text; what shrinks; and the end when the file is gone. */
static void test_watch_until_gone(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = files_block(heap, 100000);
	char *text;
	int out;
	pid_t tool = start_watch(&out, "0.02", false);

	wait_for_lines(out, 3);
	CU_ASSERT_EQUAL(sh_free(heap, off), 0);
	wait_for_lines(out, 6);
	files_close(heap);
	unlink(files_path);
	CU_ASSERT_EQUAL(wait_for_tool(tool), FINE);
	text = text_of(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "  -"));
	expect_text(text, "small blocks", 1);
	free(text);
	close(out);
}

static void test_watch_arguments(void)
{
	struct run run;

	files_make_closed(1000);
	EXPECT(ERROR, "stat", "--watch=x", files_path);
	EXPECT(ERROR, "stat", "--watch=0", files_path);
	EXPECT(ERROR, "info", "--watch", files_path);
	EXPECT(ERROR, "procs", "--watch", files_path);
	/* The only name is the file's. */
	EXPECT(ERROR, "stat", "--watch", "2");
	run = RUN("stat", "-h");
	expect_text(run.out, "--watch [SECONDS]", 1);
	run_free(&run);
}

static CU_TestInfo procs_tests[] = {
	{ "nobody", test_nobody },
	{ "users", test_users },
	{ "locks", test_locks },
	{ "all dead", test_all_dead },
	{ "unreadable", test_unreadable },
	{ "mutants", test_mutants },
	{ "beside work", test_beside_work },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo watch_tests[] = {
	{ "watch", test_watch },
	{ "until it is gone", test_watch_until_gone },
	{ "arguments", test_watch_arguments },
	CU_TEST_INFO_NULL,
};

int test_tool_procs_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "tool, procs",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = procs_tests },
		{ .pName = "tool, stat --watch",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = watch_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
