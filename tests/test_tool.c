/* test_tool.c -- spanheap(1), run as users run it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Whatever the file holds, and whoever uses it: the exit status is 0, 1, 2 or 3 and the right one,
 * no signal ends the tool, standard output is one JSON document when that was asked for, and the
 * verbs that read change no byte. */
#define _GNU_SOURCE
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/superblock.h"
#include "shm/byte_lock.h"
#include "tests/tool_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FINE 0
#define ERROR 1
#define UNCLEAN 2
#define DAMAGED 3

#define PATH runner_path

static const char *const reading_verbs[] = { "info", "dump", "check" };
static const char *const all_verbs[] = { "info", "dump", "check", "reap", "recover" };

/* --- heaps --------------------------------------------------------------------------------- */

#define BLOCKS 400u

/* Blocks of all sizes, some freed, some large, and a root. */
static void fill(struct fixture *f, uint64_t *blocks)
{
	uint64_t name[ROOT_NAME_BYTES / 8];

	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = fixture_block(
			&f->threads[i % 3], 16 + i * (SMALL_MAX_BYTES - 16) / BLOCKS);
	for (unsigned i = 0; i < BLOCKS; i += 4)
		CU_ASSERT_EQUAL(object_free(&f->threads[i % 2], blocks[i]), 0);
	fixture_block(&f->threads[0], SMALL_MAX_BYTES + 1);
	CU_ASSERT_TRUE(root_name("tree", name));
	CU_ASSERT_EQUAL(root_set(&f->threads[0], name, blocks[1]), 0);
}

static struct fixture *clean_heap(void)
{
	struct fixture *f = fixture_open(2, 3);
	uint64_t blocks[BLOCKS];

	fill(f, blocks);
	for (unsigned i = 0; i < 3; i++)
		fixture_give_back(&f->threads[i]);
	return f;
}

static void log_some(struct thread *thread, struct transaction *transaction,
	const uint64_t *blocks)
{
	int error;

	transaction_begin(transaction, thread);
	for (unsigned i = 0; i < 5; i++) {
		CU_ASSERT_NOT_EQUAL(transaction_allocate(transaction, 100, false, &error), 0);
		CU_ASSERT_EQUAL(transaction_free(transaction, blocks[4 * i + 1]), 0);
		CU_ASSERT_EQUAL(transaction_store(transaction, blocks[4 * i + 2], i), 0);
		CU_ASSERT_EQUAL(transaction_add(transaction, blocks[4 * i + 3], 16), 0);
	}
}

/* The commit point was reached, and nothing after it. */
static void commit_and_die(struct thread *thread)
{
	struct log_word word = log_read(thread->log);

	word.state = LOG_COMMITTED;
	log_write(thread->log, word);
}

/* Three threads died: in an open transaction, in a committed one, in an allocation of pages. */
static struct fixture *killed_heap(void)
{
	struct fixture *f = fixture_open(2, 3);
	struct transaction transactions[2];
	uint64_t blocks[BLOCKS];
	int error;

	fill(f, blocks);
	log_some(&f->threads[0], &transactions[0], blocks);
	log_some(&f->threads[1], &transactions[1], blocks + 40);
	commit_and_die(&f->threads[1]);
	CU_ASSERT_NOT_EQUAL(pages_allocate(&f->threads[2], 2, &error), 0);
	return f;
}

/* --- the command line ---------------------------------------------------------------------- */

static void test_usage(void)
{
	struct run run = RUN("frobnicate", "x");

	CU_ASSERT_EQUAL(run.status, ERROR);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.err, "frobnicate"));
	CU_ASSERT_STRING_EQUAL(run.out, "");
	run_free(&run);
	run_expect(ERROR, (const char *const[]){ NULL });
	EXPECT(FINE, "-h");
	EXPECT(FINE, "--help");
	EXPECT(FINE, "--version");
	EXPECT(ERROR, "info");
	EXPECT(ERROR, "info", "a", "b");
	EXPECT(ERROR, "info", "--frobnicate", "a");
	EXPECT(ERROR, "info", "--blocks", "a");
	EXPECT(ERROR, "check", "--salvage", "a");
	EXPECT(ERROR, "dump", "--arena");
	EXPECT(ERROR, "dump", "--arena", "x", "a");
	EXPECT(ERROR, "dump", "--offset", "-1", "a");
	EXPECT(ERROR, "dump", "--class", "", "a");
}

static void test_help(void)
{
	for (size_t i = 0; i < LENGTH_OF(all_verbs); i++) {
		struct run run = RUN(all_verbs[i], "-h");

		CU_ASSERT_EQUAL(run.status, FINE);
		CU_ASSERT_PTR_NOT_NULL(strstr(run.out, all_verbs[i]));
		CU_ASSERT_STRING_EQUAL(run.err, "");
		run_free(&run);
	}
}

static void test_later_verbs(void)
{
	static const char *const verbs[] = { "stat", "procs", "map" };

	for (size_t i = 0; i < LENGTH_OF(verbs); i++) {
		struct run run = RUN(verbs[i], "x");

		CU_ASSERT_EQUAL(run.status, ERROR);
		CU_ASSERT_PTR_NOT_NULL(strstr(run.err, "comes with a later release"));
		run_free(&run);
	}
}

/* Output that cannot be written is an error, not a heap in order. */
static void test_full_output(void)
{
	int status = system("test -c /dev/full");

	if (status != 0) {
		printf(" SKIPPED: /dev/full is not there. ");
		return;
	}
	pid_t child = fork();

	if (child == 0) {
		struct run run;
		int full = open("/dev/full", O_WRONLY);

		/* The tool's own standard output is a file; its help goes to this one. */
		(void)run;
		dup2(full, STDOUT_FILENO);
		execl(getenv("SPANHEAP_TOOL"), "spanheap", "-h", (char *)NULL);
		_exit(127);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == ERROR);
}
