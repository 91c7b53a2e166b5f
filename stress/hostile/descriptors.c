/* descriptors.c -- what a process may do to its descriptors, children and locks
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUTEXES 3000u

static char path[700];

static void make_heap(const char *place)
{
	snprintf(path, sizeof(path), "%s", path_in(place));
	close_heap(new_heap(path));
}

/* --- closefrom(3) -------------------------------------------------------------------------- */

static void work_in_child(void *heap)
{
	work(heap, 5, 50);
	close_heap(heap);
}

/* Takes all numbers that the library may have had for a log of the application's. */
static void close_everything(int log)
{
	int moved = fcntl(log, F_DUPFD, 900);

	EXPECT(moved >= 900);
	EXPECT_EQUAL(close_range(3, (unsigned)moved - 1, 0), 0);
	EXPECT_EQUAL(close_range((unsigned)moved + 1, ~0u, 0), 0);
	for (int fd = 3; fd < 24; fd++)
		EXPECT_EQUAL(dup2(moved, fd), fd);
	for (int fd = 512; fd < 600; fd++)
		EXPECT_EQUAL(dup2(moved, fd), fd);
}

static void close_and_go_on(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);
	struct stat status;
	char name[720];
	int log;

	(void)unused;
	snprintf(name, sizeof(name), "%s.log", path);
	log = open(name, O_RDWR | O_CREAT, 0600);
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), 0);
	close_everything(log);
	reach(1, 1);
	wait_for(1, 2);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	grow(heap, 12);
	run(work_in_child, heap);
	work(heap, 1, 50);
	close_heap(heap);
	EXPECT(fstat(900, &status) == 0 && status.st_size == 0);
	for (int fd = 512; fd < 600; fd++)
		EXPECT(fcntl(fd, F_GETFD) >= 0);
}

static void survive_closefrom(const char *place)
{
	struct sh_reap_report report;
	struct sh_heap *heap;
	pid_t child;

	make_heap(place);
	heap = open_heap(path, 0);
	child = start(close_and_go_on, NULL);
	wait_for(1, 1);
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes, 0);
	EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), EBUSY);
	/* With nobody else attached the heap must not look deserted either. */
	close_heap(heap);
	EXPECT(!is_clean(path));
	heap = open_heap(path, 0);
	EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), EBUSY);
	reach(1, 2);
	finish_well(child);
	check_heap_content(heap);
	close_heap(heap);
	check_file(path);
	tell("it stayed alive to the others, kept its mutex, grew, forked and closed; the "
	     "application's files were not touched");
}

void run_closefrom(void)
{
	survive_closefrom(place_plain());
}

void run_closefrom_overlayfs(void)
{
	own_mounts();
	survive_closefrom(place_overlay());
}

/* --- fork ---------------------------------------------------------------------------------- */

struct child {
	struct sh_heap *heap;
	unsigned post;
};

static void call_in_child(void *argument)
{
	const struct child *child = argument;

	for (unsigned i = 0; i < 20; i++)
		work(child->heap, i, 20);
	reach(child->post, 1);
	pause();
}

void run_fork_with_calls(void)
{
	struct child children[3];
	struct sh_reap_report report;
	struct sh_heap *heap;
	pid_t pids[3];

	make_heap(place_plain());
	heap = open_heap(path, 0);
	for (unsigned i = 0; i < 3; i++) {
		children[i] = (struct child){ heap, 4 + i };
		pids[i] = start(call_in_child, &children[i]);
	}
	work(heap, 99, 200);
	/* None of them must be left to clean up after the others. */
	for (unsigned i = 0; i < 3; i++)
		wait_for(children[i].post, 1);
	for (unsigned i = 0; i < 3; i++)
		finish_killed(pids[i]);
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes, 3);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
	tell("three children worked beside their parent as processes of their own, and were reaped "
	     "as such");
}

/* Uses the heap by addresses alone. */
static void store_only(void *bank)
{
	struct bank *mine = bank;

	reach(1, 1);
	while (atomic_load(&board->step[1]) < 2) {
		mine->left++;
		mine->right--;
	}
	mine->right = -mine->left;
	reach(1, 3);
	wait_for(1, 4);
}

static void leave_a_child_behind(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);
	struct bank *bank = bank_of(heap);
	pid_t child;

	(void)unused;
	child = start(store_only, bank);
	wait_for(1, 1);
	close_heap(heap);
	reach(2, 1);
	finish(child);
}

void run_fork_without_calls(void)
{
	struct sh_reap_report report = { 0 };
	struct sh_heap *heap;
	uint64_t took_ns = 1;
	pid_t parent;

	make_heap(place_plain());
	parent = start(leave_a_child_behind, NULL);
	wait_for(2, 1);
	EXPECT(!is_clean(path));
	heap = open_heap(path, 0);
	EXPECT_EQUAL(sh_recovery_report(heap, &report, &took_ns), 0);
	EXPECT(report.processes == 0 && took_ns == 0);
	reach(1, 2);
	wait_for(1, 3);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(!is_clean(path));
	reach(1, 4);
	finish_well(parent);
	EXPECT(!is_clean(path));
	check_file(path);
	tell("a child that only followed pointers was attached all the time: an opener joined it, "
	     "the "
	     "last close beside it did not call the file clean");
}

/* --- robust mutexes of the application ----------------------------------------------------- */

static void hold_many_mutexes(void *unused)
{
	static pthread_mutex_t mutexes[MUTEXES];
	struct sh_heap *heap = open_heap(path, 0);
	pthread_mutexattr_t robust;

	(void)unused;
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), 0);
	pthread_mutexattr_init(&robust);
	pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
	for (unsigned i = 0; i < MUTEXES; i++) {
		pthread_mutex_init(&mutexes[i], &robust);
		EXPECT_EQUAL(pthread_mutex_lock(&mutexes[i]), 0);
	}
	reach(1, 1);
	pause();
}

void run_many_robust_mutexes(void)
{
	struct sh_heap *heap;
	uint64_t killed_us;
	pid_t child;

	make_heap(place_plain());
	heap = open_heap(path, 0);
	child = start(hold_many_mutexes, NULL);
	wait_for(1, 1);
	EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), EBUSY);
	killed_us = now_us();
	finish_killed(child);
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), SH_EOWNERDIED);
	tell("%u of them, more than the kernel walks: the death was seen by the byte lock, after "
	     "%.1f "
	     "ms",
		MUTEXES, (double)(now_us() - killed_us) / 1000);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
}
