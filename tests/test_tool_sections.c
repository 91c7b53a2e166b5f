/* test_tool_sections.c -- spanheap(1) looks into heaps in use in read sections, and does without
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "shm/byte_lock.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/tool_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FINE = 0, ERROR = 1 };

static const char *const looking[] = { "stat", "check", "dump", "map" };

#define LOOKING 4u
#define PATIENCE_S 60u

static struct heap *heap_of(struct sh_heap *heap)
{
	return (struct heap *)(void *)heap;
}

/* Of fork children the tool is one: it must have nothing of the heap but what it opens. */
static struct sh_heap *new_heap(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;

	options.fork = SH_FORK_DONTFORK;
	heap = files_new_with(&options);
	for (unsigned i = 0; i < 2000; i++)
		files_block(heap, 16 + i * 7 % 1000);
	return heap;
}

/* How many slots those who only read were given so far. */
static uint64_t readers_so_far(struct sh_heap *heap)
{
	return atomic_load(&heap_of(heap)->header->next_reader_serial);
}

static void expect_sections(const char *verb, const char *why_not)
{
	struct run run = RUN(verb, "--json", files_path);

	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(json_valid(run.out));
	CU_ASSERT_EQUAL(count_text(run.out, "\"no_sections\""), why_not != NULL);
	if (why_not != NULL)
		CU_ASSERT_EQUAL(count_text(run.out, why_not), 1);
	run_free(&run);
}

/* --- with a slot --------------------------------------------------------------------------- */

static void test_slot(void)
{
	struct sh_heap *heap = new_heap();

	for (unsigned i = 0; i < LOOKING; i++) {
		uint64_t before = readers_so_far(heap);

		expect_sections(looking[i], NULL);
		CU_ASSERT_TRUE(readers_so_far(heap) > before);
		before = readers_so_far(heap);
		EXPECT(FINE, looking[i], "--no-slot", files_path);
		CU_ASSERT_EQUAL(readers_so_far(heap), before);
	}
	EXPECT(ERROR, "info", "--no-slot", files_path);
	files_expect_good(heap);
	files_close(heap);
	/* Closed by all: nobody is there to join. */
	for (unsigned i = 0; i < LOOKING; i++)
		expect_sections(looking[i], NULL);
}

/* Whether somebody becomes a reader within the time: the test itself is none. */
static bool somebody_reads(struct sh_heap *heap, unsigned seconds)
{
	uint64_t end = system_now_ns(NULL) + seconds * UINT64_C(1000000000);

	while (rcu_nobody_reads(&heap_of(heap)->rcu))
		if (system_now_ns(NULL) > end)
			return false;
	return true;
}

/* Looks without end: a look is over before one could be looked at. */
static pid_t start_watch(const char *option)
{
	const char *const arguments[] = { "stat", "--watch=0.01", files_path, option, NULL };
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t tool = start_tool(nowhere, nowhere, arguments);

	close(nowhere);
	return tool;
}

static void test_watch(void)
{
	struct sh_heap *heap = new_heap();
	pid_t tool;

	CU_ASSERT_FALSE(somebody_reads(heap, 0));
	tool = start_watch(NULL);
	CU_ASSERT_TRUE(somebody_reads(heap, PATIENCE_S));
	kill(tool, SIGINT);
	CU_ASSERT_EQUAL(wait_for_tool(tool), FINE);
	tool = start_watch("--no-slot");
	CU_ASSERT_FALSE(somebody_reads(heap, 1));
	kill(tool, SIGINT);
	CU_ASSERT_EQUAL(wait_for_tool(tool), FINE);
	files_close(heap);
}

/* Output that nobody reads holds up the tool, and not those who free. */
static void test_output_is_outside(void)
{
	struct sh_heap *heap = new_heap();
	const char *const arguments[] = { "dump", "--blocks", files_path, NULL };
	int ends[2];
	pid_t tool;

	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
	CU_ASSERT(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	tool = start_tool(ends[1], STDERR_FILENO, arguments);
	close(ends[1]);
	/* It has looked, and does not go on before somebody reads: these would never end. */
	CU_ASSERT_TRUE(somebody_reads(heap, PATIENCE_S));
	for (unsigned i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_EQUAL(waitpid(tool, NULL, WNOHANG), 0);
	close(ends[0]);
	CU_ASSERT_EQUAL(wait_for_tool(tool), 256 + SIGPIPE);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
	files_expect_good(heap);
	files_close(heap);
}

/* --- without ------------------------------------------------------------------------------- */

static void hold_opening_lock(void *unused)
{
	int fd = open(files_path, O_RDWR | O_CLOEXEC);

	(void)unused;
	REQUIRE(byte_lock_wait(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OPENING) == 0);
	files_reach(1);
	for (;;)
		pause();
}

/* Who opens it was stopped: others wait for him, the tool does not. */
static void test_stopped_opener(void)
{
	struct sh_heap *heap = new_heap();
	pid_t child;

	files_reset_steps();
	child = files_start(hold_opening_lock, NULL);
	files_wait_for(1);
	kill(child, SIGSTOP);
	for (unsigned i = 0; i < LOOKING; i++)
		expect_sections(looking[i], "somebody is opening or closing the heap");
	files_finish_killed(child);
	files_close(heap);
}

static void look_as_nobody(void *unused)
{
	(void)unused;
	files_become_nobody();
	for (unsigned i = 0; i < LOOKING; i++) {
		struct run run = RUN(looking[i], "--json", files_path);

		REQUIRE(run.status == FINE && json_valid(run.out));
		REQUIRE(count_text(run.out, "\"no_sections\"") == 1);
		run_free(&run);
	}
}

static void test_no_right(void)
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

/* --- beside work --------------------------------------------------------------------------- */

static void come_and_go(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	sh_off blocks[64] = { 0 };

	(void)unused;
	files_reach(1);
	for (uint64_t i = 0;; i = i * UINT64_C(6364136223846793005) + 1) {
		sh_off *block = &blocks[i >> 58];

		if (*block != 0)
			REQUIRE(sh_free_deferred(heap, *block) == 0);
		*block = sh_alloc(heap, 16 + (i >> 40) % 40000);
		REQUIRE(*block != 0);
	}
}

/* What goes away while it is looked at is no problem, and spans do not change under a look. */
static void test_beside_work(void)
{
	struct sh_heap *heap = new_heap();
	pid_t child;

	files_reset_steps();
	child = files_start(come_and_go, NULL);
	files_wait_for(1);
	for (unsigned i = 0; i < 12; i++)
		expect_sections(looking[i % LOOKING], NULL);
	files_finish_killed(child);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
	files_expect_good(heap);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "slot", test_slot },
	{ "watch", test_watch },
	{ "output is outside", test_output_is_outside },
	{ "stopped opener", test_stopped_opener },
	{ "no right", test_no_right },
	{ "beside work", test_beside_work },
	CU_TEST_INFO_NULL,
};

int test_tool_sections_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "tool, sections",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
