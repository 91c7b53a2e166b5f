/* test_readonly.c -- processes that attach for reading: their sections, their deaths, who comes and goes
 * beside them
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "recovery/superblock.h"
#include "shm/tag.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"
#include "tests/tool_runner.h"
#include "tests/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* Steps that parent and child agree on. */
enum { READY = 1, INSIDE, MAY_GO, DONE };

/* What stands behind a handle. */
static struct heap *heap_of(struct sh_heap *heap)
{
	return (struct heap *)(void *)heap;
}

static bool marked_clean(void)
{
	struct superblock superblock;
	int fd = open(files_path, O_RDONLY | O_CLOEXEC);
	bool read = pread(fd, &superblock, sizeof(superblock), 0) == (ssize_t)sizeof(superblock);

	close(fd);
	return read && superblock.clean == 1;
}

static ino_t control_inode(void)
{
	struct stat status;

	return stat(files_control, &status) == 0 ? status.st_ino : 0;
}

static int ignore_block(const struct sh_block *block, void *argument)
{
	(void)block;
	(void)argument;
	return 0;
}

static int ignore_pages(const struct sh_pages *pages, void *argument)
{
	(void)pages;
	(void)argument;
	return 0;
}

/* --- calls --------------------------------------------------------------------------------- */

static void require_refusals(struct sh_heap *heap, sh_off off)
{
	struct sh_mutex *mutex = sh_ptr(heap, off);
	sh_off word = off;
	struct sh_txn *txn;

	REQUIRE(sh_alloc(heap, 10) == 0 && errno == EROFS);
	REQUIRE(sh_realloc(heap, off, 10) == 0 && errno == EROFS);
	REQUIRE(sh_alloc_to(heap, &word, 10, 0) == 0 && errno == EROFS);
	REQUIRE(sh_pages_alloc(heap, 1, 0) == 0 && errno == EROFS);
	REQUIRE(sh_pages_free(heap, off, 1) == EROFS && sh_reserve(heap, 1) == EROFS);
	REQUIRE(sh_free(heap, off) == EROFS && sh_free_from(heap, &word) == EROFS);
	REQUIRE(sh_free_deferred(heap, off) == EROFS);
	REQUIRE(sh_root_set(heap, "words", 16) == EROFS);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == EROFS);
	REQUIRE(sh_txn_begin(heap, SH_DETACHED, &txn) == EROFS);
	REQUIRE(sh_mutex_lock(heap, mutex) == EROFS && sh_mutex_trylock(heap, mutex) == EROFS);
	REQUIRE(sh_mutex_timedlock(heap, mutex, 1) == EROFS);
	REQUIRE(sh_mutex_unlock(heap, mutex) == EROFS);
	REQUIRE(sh_reap(heap, NULL) == EROFS);
}

static void require_looks(struct sh_heap *heap, sh_off off)
{
	struct sh_stats stats = SH_STATS_INIT;
	uint64_t problems;

	REQUIRE(sh_usable_size(heap, off) >= 4096);
	REQUIRE(sh_walk(heap, ignore_block, NULL) == 0);
	REQUIRE(sh_pages_walk(heap, ignore_pages, NULL) == 0);
	REQUIRE(sh_check(heap, 0, files_show_problem, NULL, &problems) == 0 && problems == 0);
	REQUIRE(sh_stats(heap, &stats) == 0);
	REQUIRE(stats.processes == 2 && stats.threads == 2 && stats.small_blocks == 1);
	REQUIRE(stats.control_disk_bytes != 0);
}

static void use_all_calls(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);
	struct sh_reader *reader;
	sh_off off;

	(void)unused;
	REQUIRE(sh_read_lock(heap) == 0 && sh_read_lock(heap) == 0);
	REQUIRE(sh_root_get(heap, "words", &off) == 0);
	REQUIRE(sh_synchronize(heap) == EDEADLK && sh_close(heap) == EBUSY);
	require_looks(heap, off);
	require_refusals(heap, off);
	sh_read_unlock(heap);
	sh_read_unlock(heap);
	REQUIRE(sh_reader_open(heap, &reader) == 0);
	sh_reader_lock(reader);
	REQUIRE(sh_close(heap) == EBUSY);
	sh_reader_unlock(reader);
	sh_reader_close(reader);
	REQUIRE(sh_synchronize(heap) == 0);
	require_refusals(heap, off);
	REQUIRE(sh_close(heap) == 0);
}

static void test_calls(void)
{
	struct sh_heap *heap = files_new();

	files_new_words(heap);
	CU_ASSERT_EQUAL(files_run(use_all_calls, NULL), 0);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- sections ------------------------------------------------------------------------------ */

static void read_until_told(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);
	sh_off off;

	(void)unused;
	REQUIRE(sh_read_lock(heap) == 0);
	REQUIRE(sh_root_get(heap, "block", &off) == 0);
	files_reach(INSIDE);
	files_wait_for(MAY_GO);
	usleep(20000);
	REQUIRE(*(unsigned char *)sh_ptr(heap, off) == 0x5a);
	files_reach(DONE);
	sh_read_unlock(heap);
	REQUIRE(sh_close(heap) == 0);
}

/* A grace period of a writer waits for the section of a process that only reads. */
static void test_waited_for(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = files_block(heap, 100);
	pid_t child;

	files_reset_steps();
	CU_ASSERT_EQUAL(sh_root_set(heap, "block", off), 0);
	child = files_start(read_until_told, NULL);
	files_wait_for(INSIDE);
	CU_ASSERT_EQUAL(sh_root_set(heap, "block", 0), 0);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), 0);
	files_reach(MAY_GO);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_TRUE(files_has_reached(DONE));
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void synchronize_reading(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);

	(void)unused;
	files_reach(INSIDE);
	REQUIRE(sh_synchronize(heap) == 0);
	REQUIRE(files_has_reached(MAY_GO));
	REQUIRE(sh_close(heap) == 0);
}

/* And the other way round. */
static void test_waits(void)
{
	struct sh_heap *heap = files_new();
	pid_t child;

	files_reset_steps();
	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	child = files_start(synchronize_reading, NULL);
	files_wait_for(INSIDE);
	usleep(20000);
	files_reach(MAY_GO);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_close(heap);
}

/* --- deaths -------------------------------------------------------------------------------- */

static void die_reading(void *flags)
{
	struct sh_heap *heap = files_child_open(*(unsigned *)flags);
	struct sh_reader *reader;

	REQUIRE(sh_reader_open(heap, &reader) == 0);
	sh_reader_lock(reader);
	REQUIRE(sh_read_lock(heap) == 0);
	files_die();
}

static unsigned reading = SH_RDONLY;
static unsigned writing;

static void test_dead_reader(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = files_block(heap, 100);
	struct sh_stats stats = SH_STATS_INIT;
	struct sh_reap_report report;

	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(files_run(die_reading, &reading), SIGKILL);
	CU_ASSERT_EQUAL(sh_free_deferred(heap, off), 0);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.rolled_back + report.blocks_freed + report.pages_returned, 0);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.processes, 1);
	CU_ASSERT_EQUAL(stats.threads + stats.detached_slots, 1);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void read_beside_the_dead(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);
	uint64_t completed;

	(void)unused;
	files_reach(READY);
	files_wait_for(MAY_GO);
	completed = atomic_load(&heap_of(heap)->rcu.words->completed);
	/* Nobody is there to clean up: it is not waited for. */
	REQUIRE(sh_synchronize(heap) == 0);
	/* To those who free, the section of the dead one goes on. */
	REQUIRE(atomic_load(&heap_of(heap)->rcu.words->completed) == completed);
	REQUIRE(sh_check(heap, 0, NULL, NULL, NULL) == 0);
	REQUIRE(sh_close(heap) == 0);
}

/* All who write die, one of them in a section; who reads is left. */
static void test_dead_writer(void)
{
	struct sh_heap *heap = files_new();
	pid_t child;

	files_reset_steps();
	child = files_start(read_beside_the_dead, NULL);
	files_wait_for(READY);
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	CU_ASSERT_EQUAL(files_run(die_reading, &writing), SIGKILL);
	files_reach(MAY_GO);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void open_writing(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_close(heap) == 0);
}

/* Beside one who reads, others who read come and die, more than there are slots: the next one cleans up. */
static void test_dead_readers_alone(void)
{
	struct sh_heap *heap;

	files_close(files_new_of(4, 12));
	CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, 0, &heap), 0);
	{
		struct sh_heap *reader = files_open(SH_RDONLY);
		struct sh_stats stats = SH_STATS_INIT;

		CU_ASSERT_EQUAL(sh_close(heap), 0);
		CU_ASSERT_TRUE(marked_clean());
		for (int i = 0; i < 20; i++)
			CU_ASSERT_EQUAL(files_run(die_reading, &reading), SIGKILL);
		CU_ASSERT_EQUAL(sh_synchronize(reader), 0);
		CU_ASSERT_EQUAL(files_run(open_writing, NULL), 0);
		CU_ASSERT_EQUAL(sh_stats(reader, &stats), 0);
		CU_ASSERT_EQUAL(stats.processes, 1);
		files_close(reader);
	}
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- the last one who writes --------------------------------------------------------------- */

static void write_and_close(void *name)
{
	struct sh_heap *heap = files_child_open(0);

	REQUIRE(!marked_clean());
	REQUIRE(sh_root_set(heap, name, sh_alloc(heap, 1000)) == 0);
	REQUIRE(sh_close(heap) == 0);
}

#define LARGE_BYTES (20 * PAGE_BYTES)

static void write_large_and_close(void *name)
{
	struct sh_heap *heap = files_child_open(0);
	sh_off off = sh_alloc(heap, LARGE_BYTES);

	REQUIRE(off != 0);
	memset(sh_ptr(heap, off), 0x5a, LARGE_BYTES);
	REQUIRE(sh_root_set(heap, name, off) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void write_and_die(void *name)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_txn *txn;

	REQUIRE(!marked_clean());
	REQUIRE(sh_root_set(heap, name, sh_alloc(heap, 1000)) == 0);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0 && sh_txn_alloc(txn, 100, 0) != 0);
	files_die();
}

static void expect_root(struct sh_heap *heap, const char *name)
{
	sh_off off;

	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), 0);
	CU_ASSERT(sh_usable_size(heap, off) >= 1000);
}

/* A heap that a writer closed beside us, who read. */
static struct sh_heap *left_reading(void)
{
	struct sh_heap *writer;
	struct sh_heap *reader;

	files_close(files_new());
	CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, 0, &writer), 0);
	reader = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_read_lock(reader), 0);
	CU_ASSERT_FALSE(marked_clean());
	/* Not waited for, and the file is clean: nobody writes. */
	CU_ASSERT_EQUAL(sh_close(writer), 0);
	CU_ASSERT_TRUE(marked_clean());
	sh_read_unlock(reader);
	return reader;
}

/* Writers come and go beside one who reads: the run goes on, with its control file. */
static void test_writers_come_back(void)
{
	struct sh_heap *heap = left_reading();
	ino_t control = control_inode();

	CU_ASSERT_EQUAL(files_run(write_and_close, "a"), 0);
	expect_root(heap, "a");
	CU_ASSERT_TRUE(marked_clean());
	CU_ASSERT_EQUAL(files_run(write_and_die, "b"), SIGKILL);
	expect_root(heap, "b");
	CU_ASSERT_FALSE(marked_clean());
	CU_ASSERT_EQUAL(files_run(write_and_close, "c"), 0);
	expect_root(heap, "c");
	CU_ASSERT_TRUE(marked_clean());
	CU_ASSERT_EQUAL(control_inode(), control);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 3);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
	heap = files_open(0);
	CU_ASSERT_NOT_EQUAL(control_inode(), control);
	files_expect_good(heap);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 3);
	files_close(heap);
}

/* The one who came back is killed, and who read goes: proved, recovered. */
static void test_killed_after_coming_back(void)
{
	struct sh_heap *heap = left_reading();

	CU_ASSERT_EQUAL(files_run(write_and_die, "b"), SIGKILL);
	files_close(heap);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY, &heap), EROFS);
	heap = files_open(0);
	expect_root(heap, "b");
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void free_deferred(void *off)
{
	struct sh_heap *heap = files_child_open(0);

	REQUIRE(sh_free_deferred(heap, *(sh_off *)off) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void drain(void *free_before)
{
	struct sh_heap *heap = files_child_open(0);
	struct sh_stats stats = SH_STATS_INIT;

	REQUIRE(sh_synchronize(heap) == 0);
	REQUIRE(sh_stats(heap, &stats) == 0);
	REQUIRE(stats.free_bytes > *(uint64_t *)free_before);
	REQUIRE(sh_close(heap) == 0);
}

/* What is freed by one who then closes is held by our section until another one comes, clean or not. */
static void test_limbo_outlives_writers(void)
{
	struct sh_heap *heap = left_reading();
	struct sh_stats stats = SH_STATS_INIT;
	sh_off off;

	CU_ASSERT_EQUAL(files_run(write_large_and_close, "a"), 0);
	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &off), 0);
	CU_ASSERT_EQUAL(files_run(free_deferred, &off), 0);
	CU_ASSERT_TRUE(marked_clean());
	CU_ASSERT_EQUAL(*(unsigned char *)sh_ptr(heap, off + LARGE_BYTES - 1), 0x5a);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL(files_run(drain, &stats.free_bytes), 0);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void read_beside_one_who_reads(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);

	(void)unused;
	REQUIRE(sh_read_lock(heap) == 0);
	sh_read_unlock(heap);
	REQUIRE(sh_close(heap) == 0);
}

/* Who reads joins others who do, whatever the file says of itself. */
static void test_readers_join(void)
{
	struct sh_heap *heap = left_reading();

	CU_ASSERT_EQUAL(files_run(read_beside_one_who_reads, NULL), 0);
	CU_ASSERT_EQUAL(files_run(write_and_die, "b"), SIGKILL);
	CU_ASSERT_EQUAL(files_run(read_beside_one_who_reads, NULL), 0);
	files_close(heap);
	files_close(files_open(0));
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- without slots ------------------------------------------------------------------------- */

/* Opened when nobody was there: it reads, has no sections, and is in nobody's way. */
static void test_alone(void)
{
	struct sh_heap *heap;
	struct sh_reader *reader;

	files_make_closed(1000);
	heap = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_read_lock(heap), EROFS);
	CU_ASSERT_EQUAL(sh_reader_open(heap, &reader), EROFS);
	CU_ASSERT_EQUAL(sh_synchronize(heap), EROFS);
	expect_root(heap, "a");
	CU_ASSERT_EQUAL(files_run(write_and_close, "b"), 0);
	CU_ASSERT_EQUAL(sh_read_lock(heap), EROFS);
	expect_root(heap, "b");
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- fork ---------------------------------------------------------------------------------- */

static void use_inherited(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_stats stats = SH_STATS_INIT;

	/* The section that it was forked in is the parent's. */
	sh_read_unlock(heap);
	REQUIRE(sh_read_lock(heap) == 0);
	sh_read_unlock(heap);
	REQUIRE(sh_stats(heap, &stats) == 0);
	REQUIRE(stats.processes >= 2 && stats.threads >= 2);
	REQUIRE(sh_alloc(heap, 10) == 0 && errno == EROFS);
	files_die();
}

static void test_fork(void)
{
	struct sh_heap *heap = left_reading();
	struct sh_stats stats = SH_STATS_INIT;

	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(files_run(use_inherited, heap), SIGKILL);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL(files_run(open_writing, NULL), 0);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.processes, 1);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- threads ------------------------------------------------------------------------------- */

static void *read_and_wait(void *heap)
{
	if (sh_read_lock(heap) != 0)
		return heap;
	sh_read_unlock(heap);
	files_reach_next();
	files_wait_for(10);
	return NULL;
}

/* Threads that have slots when the heap is closed, and end afterwards. */
static void test_threads(void)
{
	struct sh_heap *heap = left_reading();
	pthread_t threads[3];
	void *result;

	files_reset_steps();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, read_and_wait, heap);
	files_wait_for(3);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
	files_reach(10);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		CU_ASSERT_PTR_NULL(result);
	}
	files_close(files_open(0));
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- serial numbers ------------------------------------------------------------------------ */

static uint64_t tag_of_first(struct sh_heap *heap)
{
	struct heap *view = heap_of(heap);

	for (uint32_t slot = 0; slot < view->thread_slots; slot++) {
		uint64_t owner = atomic_load(&view->thread_slot[slot].owner);

		if (owner != 0 && (owner & THREAD_CLAIM) == 0 && tag_is_reader(owner))
			return owner;
	}
	return 0;
}

/* Tags of those who read never come twice, are none that a writer can get, and leave the heap file as it
 * was. */
static void test_serials(void)
{
	struct sh_heap *heap = files_new();
	struct sh_heap *reader;
	uint64_t serial = atomic_load(&heap_of(heap)->running->next_serial);
	uint64_t before = 0;

	for (int i = 0; i < 5; i++) {
		uint64_t tag;

		CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, SH_RDONLY, &reader), 0);
		tag = tag_of_first(reader);
		CU_ASSERT(tag > before);
		before = tag;
		CU_ASSERT_EQUAL(sh_close(reader), 0);
		CU_ASSERT_EQUAL(tag_of_first(heap), 0);
	}
	CU_ASSERT_EQUAL(atomic_load(&heap_of(heap)->running->next_serial), serial);
	/* A counter that is damaged, or at its end, makes none of them. */
	for (unsigned i = 0; i < 64; i++) {
		uint64_t count = UINT64_MAX << i;

		CU_ASSERT_FALSE(tag_is_reader(tag_make(3, tag_writer_serial(count))));
		CU_ASSERT_TRUE(tag_is_reader(tag_make(3, tag_reader_serial(count))));
	}
	CU_ASSERT_FALSE(tag_is_reader(tag_make(TAG_SLOT_LIMIT - 1, TAG_SERIAL_LIMIT)));
	files_close(heap);
}

/* --- rights -------------------------------------------------------------------------------- */

static void refused_as_nobody(void *error)
{
	struct sh_heap *heap;

	files_become_nobody();
	REQUIRE(sh_open(files_path, SH_RDONLY, NULL, &heap) == *(int *)error && heap == NULL);
}

static void refused_to_all(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	files_drop_inherited();
	REQUIRE(sh_open(files_path, 0, NULL, &heap) == SH_ECONTROL);
	REQUIRE(sh_open(files_path, SH_RDONLY, NULL, &heap) == SH_ECONTROL);
}

static void read_as_nobody(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	files_become_nobody();
	REQUIRE(sh_open(files_path, 0, NULL, &heap) == EACCES);
	REQUIRE(sh_open(files_path, SH_RDONLY, NULL, &heap) == 0);
	REQUIRE(sh_read_lock(heap) == 0);
	sh_read_unlock(heap);
	REQUIRE(sh_synchronize(heap) == 0 && sh_close(heap) == 0);
}

static void look_as_nobody(void *unused)
{
	static const char *const verbs[] = { "info", "dump", "stat", "map", "check" };

	(void)unused;
	files_become_nobody();
	for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		struct run run = RUN(verbs[i], files_path);

		REQUIRE(run.status == 0);
		run_free(&run);
	}
}

/* Who may read the heap file and not write the control file has no sections, but the tool. */
static void test_rights(void)
{
	struct sh_heap *heap;
	int error = EACCES;

	if (geteuid() != 0) {
		printf("SKIPPED, not root: ");
		return;
	}
	heap = files_new();
	CU_ASSERT_EQUAL(chmod(files_directory, 0755), 0);
	CU_ASSERT_EQUAL(chmod(files_path, 0644), 0);
	CU_ASSERT_EQUAL(files_run(refused_as_nobody, &error), 0);
	CU_ASSERT_EQUAL(files_run(look_as_nobody, NULL), 0);
	CU_ASSERT_EQUAL(chmod(files_control, 0666), 0);
	CU_ASSERT_EQUAL(files_run(read_as_nobody, NULL), 0);
	/* What was granted holds for the next run, too. */
	files_close(heap);
	heap = files_open(0);
	CU_ASSERT_EQUAL(files_run(read_as_nobody, NULL), 0);
	files_expect_good(heap);
	/* Not to those who may not read the heap. */
	CU_ASSERT_EQUAL(chmod(files_path, 0640), 0);
	CU_ASSERT_EQUAL(files_run(refused_as_nobody, &error), 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	/* A control file that is open to them is refused to all. */
	heap = files_open(0);
	CU_ASSERT_EQUAL(chmod(files_control, 0646), 0);
	CU_ASSERT_EQUAL(files_run(refused_to_all, NULL), 0);
	CU_ASSERT_EQUAL(chmod(files_control, 0640), 0);
	files_close(heap);
}

/* --- beside work --------------------------------------------------------------------------- */

/* Looks at everything, over and over. */
static void look_until_killed(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);
	struct sh_stats stats = SH_STATS_INIT;
	uint64_t problems;

	(void)unused;
	files_reach_next();
	for (;;) {
		REQUIRE(sh_read_lock(heap) == 0);
		REQUIRE(sh_walk(heap, ignore_block, NULL) == 0);
		sh_read_unlock(heap);
		REQUIRE(sh_pages_walk(heap, ignore_pages, NULL) == 0);
		REQUIRE(sh_stats(heap, &stats) == 0);
		REQUIRE(sh_check(heap, 0, files_show_problem, NULL, &problems) == 0);
		REQUIRE(problems == 0);
		REQUIRE(sh_synchronize(heap) == 0);
	}
}

static void test_beside_work(void)
{
	struct random random = random_seeded("read-only beside work");
	struct sh_heap *heap = files_new();

	files_new_words(heap);
	files_reset_steps();
	for (uint32_t round = 1; round <= 6; round++) {
		pid_t looker = files_start(look_until_killed, NULL);
		pid_t worker = worker_start(&random);

		files_wait_for(round);
		usleep((unsigned)(100000 + random_below(&random, 50000)));
		CU_ASSERT_EQUAL(files_finish_killed(round & 1 ? worker : looker), SIGKILL);
		usleep(20000);
		CU_ASSERT_EQUAL(files_finish_killed(round & 1 ? looker : worker), SIGKILL);
		files_expect_good(heap);
	}
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* --- */

/* The first one wants a folder that everybody can look into. */
static CU_TestInfo tests[] = {
	{ "rights", test_rights },
	{ "calls", test_calls },
	{ "sections are waited for", test_waited_for },
	{ "grace periods wait", test_waits },
	{ "dead reader", test_dead_reader },
	{ "dead writer", test_dead_writer },
	{ "dead readers alone", test_dead_readers_alone },
	{ "writers come back", test_writers_come_back },
	{ "killed after coming back", test_killed_after_coming_back },
	{ "limbo outlives writers", test_limbo_outlives_writers },
	{ "readers join", test_readers_join },
	{ "alone", test_alone },
	{ "fork", test_fork },
	{ "threads", test_threads },
	{ "serials", test_serials },
	{ "beside work", test_beside_work },
	CU_TEST_INFO_NULL,
};

int test_readonly_register(void)
{
	return places_register("read-only", tests, tests + 1);
}
