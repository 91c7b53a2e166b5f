/* test_fork.c -- heaps in fork children, and what exec and closefrom leave of them
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void use_after_fork(void *argument)
{
	struct sh_heap *heap = argument;
	uint64_t *word = files_find_words(heap);
	sh_off off = sh_alloc(heap, 100);

	REQUIRE(off != 0);
	REQUIRE(word[0] == 11);
	word[1] = off;
	REQUIRE(sh_close(heap) == 0);
}

static void test_fork_child_uses_the_heap(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *word = files_new_words(heap);

	word[0] = 11;
	files_block(heap, 100);
	CU_ASSERT_EQUAL(files_run(use_after_fork, heap), 0);
	CU_ASSERT(sh_usable_size(heap, word[1]) >= 100);
	CU_ASSERT_EQUAL(sh_free(heap, word[1]), 0);
	files_block(heap, 100);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void outlive_parent(void *argument)
{
	struct sh_heap *heap = argument;

	/* The parent is gone, as it is when a daemon starts. */
	files_reach(1);
	files_wait_for(2);
	files_find_words(heap)[0] = sh_alloc(heap, 50);
	REQUIRE(files_find_words(heap)[0] != 0);
	REQUIRE(sh_close(heap) == 0);
	files_reach(3);
}

static void become_daemon(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	files_start_orphan(outlive_parent, heap);
}

static void test_daemon(void)
{
	struct sh_heap *heap = files_new();

	files_new_words(heap);
	files_close(heap);
	files_reset_steps();
	CU_ASSERT_EQUAL(files_run(become_daemon, NULL), 0);
	files_wait_for(1);
	CU_ASSERT_FALSE(files_is_clean());
	files_reach(2);
	files_wait_for(3);
	CU_ASSERT_TRUE(files_is_clean());
}

/* Nobody but the child is attached as soon as fork() has returned. */
static void test_parent_closes_after_fork(void)
{
	struct sh_heap *heap = files_new();
	pid_t child;

	files_reset_steps();
	files_new_words(heap);
	child = files_start(outlive_parent, heap);
	files_close(heap);
	files_wait_for(1);
	CU_ASSERT_FALSE(files_is_clean());
	files_reach(2);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	CU_ASSERT_TRUE(files_is_clean());
}

static void child_without_a_slot(void *argument)
{
	struct sh_heap *heap = argument;
	struct rlimit no_core = { 0, 0 };
	uint64_t *word;
	sh_off off;

	errno = 0;
	REQUIRE(sh_alloc(heap, 10) == 0 && errno == ECHILD);
	REQUIRE(sh_free(heap, 16) == ECHILD);
	REQUIRE(sh_root_get(heap, "words", &off) == ECHILD);
	REQUIRE(sh_usable_size(heap, 4096) == 0);
	REQUIRE(sh_check(heap, 0, NULL, NULL, NULL) == ECHILD);
	word = sh_ptr(heap, 64);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGSEGV, SIG_DFL);
	*(volatile uint64_t *)word;
}

static void child_without_a_slot_closes(void *argument)
{
	REQUIRE(sh_close(argument) == 0);
}

static void test_fork_without_a_slot(void)
{
	struct sh_heap *heap = files_new_of(1, 0);

	files_new_words(heap);
	CU_ASSERT(WIFSIGNALED(files_run(child_without_a_slot, heap)));
	CU_ASSERT_EQUAL(files_run(child_without_a_slot_closes, heap), 0);
	files_block(heap, 100);
	files_expect_good(heap);
	files_close(heap);
}

static void open_transaction_in_parent(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	/* The parent's transaction is not the child's. */
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_alloc(txn, 100, 0) != 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	files_die();
}

static void test_fork_in_a_transaction(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report;
	struct sh_txn *txn;
	uint64_t *word = files_new_words(heap);
	sh_off off;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	off = sh_txn_alloc(txn, 100, 0);
	CU_ASSERT_EQUAL(files_run(open_transaction_in_parent, heap), SIGKILL);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes, 1);
	CU_ASSERT_EQUAL(report.rolled_back, 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, word, off), 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT(sh_usable_size(heap, *word) >= 100);
	files_close(heap);
}

static void exec_other_program(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_alloc(heap, 10) != 0);
	execl("/bin/sh", "sh", "-c",
		"for f in /proc/self/fd/*; do case $(readlink $f) in \"$0\"*) exit 9;; esac; done",
		files_path, (char *)NULL);
}

static void test_exec(void)
{
	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(exec_other_program, NULL), 0);
	files_expect_opens(FILES_BLOCK_BYTES);
}

static void stay_alive_through_exec(void *unused)
{
	files_child_open(0);
	(void)unused;
	files_reach(1);
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

/* The new program is not attached. */
static void test_exec_detaches(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reap_report report = { .processes = 0 };
	pid_t child;

	files_reset_steps();
	child = files_start(stay_alive_through_exec, NULL);
	files_wait_for(1);
	for (int i = 0; i < 2000 && report.processes == 0; i++) {
		CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
		usleep(1000);
	}
	CU_ASSERT_EQUAL(report.processes, 1);
	CU_ASSERT_EQUAL(files_finish_killed(child), SIGKILL);
	files_close(heap);
}

/* Takes all the numbers that the library's descriptors had. */
static void close_all_and_reuse(int log)
{
	int moved = fcntl(log, F_DUPFD, 2000);

	REQUIRE(moved >= 2000);
	REQUIRE(close_range(3, 1999, 0) == 0);
	for (int fd = 3; fd < 40; fd++)
		REQUIRE(dup2(moved, fd) == fd);
	for (int fd = 512; fd < 600; fd++)
		REQUIRE(dup2(moved, fd) == fd);
}

static void grow_after_closefrom(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	struct stat status;
	char name[PATH_MAX];
	int log;

	(void)unused;
	files_beside(name, "log");
	log = open(name, O_RDWR | O_CREAT, 0600);
	REQUIRE(log >= 0);
	close_all_and_reuse(log);
	for (uint64_t bytes = 0; bytes < 4 * CHUNK_BYTES; bytes += 1000)
		REQUIRE(sh_alloc(heap, 1000) != 0);
	REQUIRE(files_run(use_after_fork, heap) == 0);
	REQUIRE(sh_close(heap) == 0);
	REQUIRE(fstat(log, &status) == 0 && status.st_size == 0);
	for (int fd = 512; fd < 600; fd++)
		REQUIRE(fcntl(fd, F_GETFD) >= 0);
}

static void test_closefrom(void)
{
	struct sh_heap *heap = files_new();

	files_new_words(heap)[0] = 11;
	files_close(heap);
	CU_ASSERT_EQUAL(files_run(grow_after_closefrom, NULL), 0);
	heap = files_open(0);
	files_expect_good(heap);
	files_close(heap);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "fork", test_fork_child_uses_the_heap },
	{ "daemon", test_daemon },
	{ "parent closes after fork", test_parent_closes_after_fork },
	{ "fork without a slot", test_fork_without_a_slot },
	{ "fork in a transaction", test_fork_in_a_transaction },
	{ "exec", test_exec },
	{ "exec detaches", test_exec_detaches },
	{ "closefrom", test_closefrom },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo overlay_tests[] = {
	{ "fork", test_fork_child_uses_the_heap },
	{ "daemon", test_daemon },
	{ "parent closes after fork", test_parent_closes_after_fork },
	{ "exec detaches", test_exec_detaches },
	CU_TEST_INFO_NULL,
};

int test_fork_register(void)
{
	return places_register("fork", tests, overlay_tests);
}
