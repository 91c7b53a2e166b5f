/* test_read.c -- read sections and grace periods, of threads and processes
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Step 1: the holder is in its section. Step 2: from here on it may end. Step 3: nobody waits any more.
 * Whoever waits for a grace period notes whether the section could have ended when it was over. */
#define _GNU_SOURCE
#include "api/handle.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSIDE 1u
#define MAY_END 2u
#define OVER 3u

/* Exit status of a child that could not make the world that it wants. */
#define CANNOT 77

static struct sh_section *section_of(struct sh_reader *reader)
{
	return (struct sh_section *)(void *)reader;
}

static void *run_thread(void *(*body)(void *argument), void *argument)
{
	pthread_t thread;
	void *result;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, body, argument), 0);
	pthread_join(thread, &result);
	return result;
}

/* --- who waits ----------------------------------------------------------------------------- */

/* A thread that waits for a grace period. */
struct waiter {
	struct sh_heap *heap;
	uint32_t least; /* not over before this step */
	int result;
	bool early;
	_Atomic bool returned;
	pthread_t thread;
};

static void *wait_for_readers(void *argument)
{
	struct waiter *waiter = argument;

	waiter->result = sh_synchronize(waiter->heap);
	waiter->early = !files_has_reached(waiter->least);
	atomic_store(&waiter->returned, true);
	return NULL;
}

/* Returns when it has found a section that it must wait for, or is through. */
static void begin_to_wait(struct waiter *waiter, struct sh_heap *heap, uint32_t least)
{
	struct rcu_words *words = heap->heap.rcu.words;

	*waiter = (struct waiter){ .heap = heap, .least = least };
	atomic_store(&words->waiting, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&waiter->thread, NULL, wait_for_readers, waiter), 0);
	while (atomic_load(&words->waiting) == 0 && !atomic_load(&waiter->returned))
		usleep(200);
	CU_ASSERT_FALSE(atomic_load(&waiter->returned));
}

static void end_waiting(struct waiter *waiter)
{
	pthread_join(waiter->thread, NULL);
	CU_ASSERT_EQUAL(waiter->result, 0);
	CU_ASSERT_FALSE(waiter->early);
}

/* --- who is waited for --------------------------------------------------------------------- */

/* A process or thread that is in a section until step 2. */
struct holder {
	struct sh_heap *heap;
	void (*begin)(struct holder *holder);
	void (*end)(struct holder *holder);
	struct sh_reader *reader;
};

static void lock(struct holder *holder)
{
	REQUIRE(sh_read_lock(holder->heap) == 0);
}

static void lock_by_functions(struct holder *holder)
{
	REQUIRE(sh_read_lock_function(holder->heap) == 0);
	REQUIRE(sh_read_lock_function(holder->heap) == 0);
	sh_read_unlock_function(holder->heap);
}

static void lock_as_stranger(struct holder *holder)
{
	holder->heap = files_child_open(0);
	lock(holder);
}

static void lock_reader(struct holder *holder)
{
	REQUIRE(sh_reader_open(holder->heap, &holder->reader) == 0);
	sh_reader_lock(holder->reader);
	sh_reader_lock_function(holder->reader);
	sh_reader_unlock_function(holder->reader);
}

static void unlock(struct holder *holder)
{
	sh_read_unlock(holder->heap);
}

static void unlock_by_function(struct holder *holder)
{
	sh_read_unlock_function(holder->heap);
}

static void unlock_reader(struct holder *holder)
{
	sh_reader_unlock(holder->reader);
}

static void close_reader(struct holder *holder)
{
	sh_reader_close(holder->reader);
}

static void die(struct holder *holder)
{
	(void)holder;
	files_die();
}

static void exit_process(struct holder *holder)
{
	(void)holder;
	_exit(0);
}

static void exit_thread(struct holder *holder)
{
	(void)holder;
	pthread_exit(NULL);
}

static void hold(void *argument)
{
	struct holder *holder = argument;

	holder->begin(holder);
	files_reach(INSIDE);
	files_wait_for(MAY_END);
	holder->end(holder);
	/* It is the end of the section that is waited for, not that of the process. */
	files_wait_for(OVER);
}

static void *hold_in_thread(void *argument)
{
	hold(argument);
	return NULL;
}

static void expect_waited_for_process(struct sh_heap *heap, struct holder holder, int status)
{
	struct waiter waiter;
	pid_t child;

	files_reset_steps();
	holder.heap = heap;
	child = files_start(hold, &holder);
	files_wait_for(INSIDE);
	begin_to_wait(&waiter, heap, MAY_END);
	files_reach(MAY_END);
	end_waiting(&waiter);
	files_reach(OVER);
	CU_ASSERT_EQUAL(files_finish(child), status);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
}

static void expect_waited_for_thread(struct sh_heap *heap, struct holder holder)
{
	struct waiter waiter;
	pthread_t thread;

	files_reset_steps();
	holder.heap = heap;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, hold_in_thread, &holder), 0);
	files_wait_for(INSIDE);
	begin_to_wait(&waiter, heap, MAY_END);
	files_reach(MAY_END);
	end_waiting(&waiter);
	files_reach(OVER);
	pthread_join(thread, NULL);
	sh_reader_close(holder.end == close_reader ? NULL : holder.reader);
}

static void test_threads_are_waited_for(void)
{
	static const struct holder holders[] = {
		{ .begin = lock, .end = unlock },
		{ .begin = lock_by_functions, .end = unlock },
		{ .begin = lock, .end = unlock_by_function },
		{ .begin = lock, .end = exit_thread },
		{ .begin = lock_reader, .end = unlock_reader },
		{ .begin = lock_reader, .end = close_reader },
	};
	struct sh_heap *heap = files_new();

	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++)
		expect_waited_for_thread(heap, holders[i]);
	files_close(heap);
}

static void test_processes_are_waited_for(void)
{
	static const struct holder holders[] = {
		{ .begin = lock, .end = unlock },
		{ .begin = lock_as_stranger, .end = unlock },
		{ .begin = lock_by_functions, .end = unlock_by_function },
		{ .begin = lock_reader, .end = unlock_reader },
		{ .begin = lock_reader, .end = close_reader },
		{ .begin = lock, .end = exit_process },
		{ .begin = lock_reader, .end = exit_process },
	};
	static const struct holder mortal[] = {
		{ .begin = lock, .end = die },
		{ .begin = lock_as_stranger, .end = die },
		{ .begin = lock_reader, .end = die },
	};
	struct sh_heap *heap = files_new();

	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++)
		expect_waited_for_process(heap, holders[i], 0);
	for (size_t i = 0; i < sizeof(mortal) / sizeof(mortal[0]); i++)
		expect_waited_for_process(heap, mortal[i], SIGKILL);
	files_expect_good(heap);
	files_close(heap);
}

/* --- nesting ------------------------------------------------------------------------------- */

#define DEEP 1000

static void test_nesting(void)
{
	struct sh_heap *heap = files_new();

	for (int i = 0; i < DEEP; i++)
		CU_ASSERT_EQUAL(i % 2 ? sh_read_lock(heap) : sh_read_lock_function(heap), 0);
	for (int i = 0; i < DEEP; i++) {
		CU_ASSERT_EQUAL(sh_synchronize(heap), EDEADLK);
		CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
		if (i % 3)
			sh_read_unlock(heap);
		else
			sh_read_unlock_function(heap);
	}
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	files_close(heap);
}

static void *unlock_inner(void *argument)
{
	struct holder *holder = argument;

	lock(holder);
	lock(holder);
	unlock(holder);
	files_reach(INSIDE);
	files_wait_for(MAY_END);
	unlock(holder);
	files_wait_for(OVER);
	return NULL;
}

/* The end of the inner section is not the end of the outer one. */
static void test_inner_section(void)
{
	struct holder holder = { .heap = files_new() };
	struct waiter waiter;
	pthread_t thread;

	files_reset_steps();
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, unlock_inner, &holder), 0);
	files_wait_for(INSIDE);
	begin_to_wait(&waiter, holder.heap, MAY_END);
	files_reach(MAY_END);
	end_waiting(&waiter);
	files_reach(OVER);
	pthread_join(thread, NULL);
	files_close(holder.heap);
}

/* --- who is not waited for ----------------------------------------------------------------- */

static void hold_from_now_to_the_end(void *argument)
{
	struct sh_heap *heap = argument;

	REQUIRE(sh_read_lock(heap) == 0);
	files_reach(MAY_END);
	files_wait_for(OVER);
	sh_read_unlock(heap);
}

/* A section that begins later does not keep those who wait already. */
static void test_later_sections(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reader *reader;
	struct waiter waiter;
	pid_t child;

	files_reset_steps();
	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	sh_reader_lock(reader);
	begin_to_wait(&waiter, heap, MAY_END);
	child = files_start(hold_from_now_to_the_end, heap);
	files_wait_for(MAY_END);
	sh_reader_unlock(reader);
	/* Were the child waited for, it would be for ever. */
	end_waiting(&waiter);
	files_reach(OVER);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	sh_reader_close(reader);
	files_close(heap);
}

/* Nothing is waited for outside of sections, whoever reads now and then. */
static void test_idle_readers(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reader *reader;

	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	for (int i = 0; i < 100; i++) {
		sh_reader_lock(reader);
		sh_reader_unlock(reader);
		CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	}
	sh_reader_close(reader);
	CU_ASSERT_EQUAL(heap->heap.rcu.words->waiting, 0);
	files_close(heap);
}

/* --- stopped processes --------------------------------------------------------------------- */

static void expect_stopped_is_waited_for(struct sh_heap *heap, int signal, int expected)
{
	struct holder holder = { .heap = heap, .begin = lock, .end = unlock };
	struct waiter waiter;
	int status;
	pid_t child;

	files_reset_steps();
	child = files_start(hold, &holder);
	files_wait_for(INSIDE);
	kill(child, SIGSTOP);
	CU_ASSERT_EQUAL(waitpid(child, &status, WUNTRACED), child);
	CU_ASSERT_TRUE(WIFSTOPPED(status));
	begin_to_wait(&waiter, heap, MAY_END);
	files_reach(MAY_END);
	kill(child, signal);
	end_waiting(&waiter);
	files_reach(OVER);
	CU_ASSERT_EQUAL(files_finish(child), expected);
}

static void test_stopped_processes(void)
{
	struct sh_heap *heap = files_new();

	expect_stopped_is_waited_for(heap, SIGCONT, 0);
	expect_stopped_is_waited_for(heap, SIGKILL, SIGKILL);
	files_expect_good(heap);
	files_close(heap);
}

/* --- exec ---------------------------------------------------------------------------------- */

static int stay[2]; /* a pipe: what reads of it stays until it is closed */

static void turn_into_another_program(struct holder *holder)
{
	(void)holder;
	REQUIRE(dup2(stay[0], STDIN_FILENO) == STDIN_FILENO);
	close(stay[0]);
	close(stay[1]);
	REQUIRE(execlp("cat", "cat", (char *)NULL) == 0);
}

static void expect_exec_ends(struct sh_heap *heap, void (*begin)(struct holder *holder))
{
	struct holder holder = { .heap = heap, .begin = begin, .end = turn_into_another_program };
	struct waiter waiter;
	pid_t child;

	files_reset_steps();
	CU_ASSERT_EQUAL_FATAL(pipe(stay), 0);
	child = files_start(hold, &holder);
	close(stay[0]);
	files_wait_for(INSIDE);
	begin_to_wait(&waiter, heap, MAY_END);
	files_reach(MAY_END);
	end_waiting(&waiter);
	CU_ASSERT_EQUAL(waitpid(child, NULL, WNOHANG), 0);
	close(stay[1]);
	CU_ASSERT_EQUAL(files_finish(child), 0);
}

static void test_exec(void)
{
	struct sh_heap *heap = files_new();

	expect_exec_ends(heap, lock);
	expect_exec_ends(heap, lock_reader);
	files_expect_good(heap);
	files_close(heap);
}

/* --- fork ---------------------------------------------------------------------------------- */

static void leave_the_parents_section(void *argument)
{
	struct sh_heap *heap = argument;

	sh_read_unlock(heap);
	sh_read_unlock_function(heap);
	/* With a section of its own at hand, and without one. */
	for (int i = 0; i < 3; i++) {
		REQUIRE(sh_read_lock(heap) == 0);
		REQUIRE(sh_synchronize(heap) == EDEADLK);
		sh_read_unlock(heap);
		sh_read_unlock(heap);
		sh_read_unlock_function(heap);
	}
	REQUIRE(sh_synchronize(heap) == 0);
	REQUIRE(files_has_reached(MAY_END));
	REQUIRE(sh_close(heap) == 0);
}

static void await_somebody(const struct sh_heap *heap)
{
	while (atomic_load(&heap->heap.rcu.words->waiting) == 0)
		usleep(200);
}

/* The child is outside, and cannot end what the parent is in. */
static void test_fork_inside_a_section(void)
{
	struct sh_heap *heap = files_new();
	pid_t child;

	files_reset_steps();
	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	child = files_start(leave_the_parents_section, heap);
	await_somebody(heap);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL(sh_synchronize(heap), EDEADLK);
	files_reach(MAY_END);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	files_close(heap);
}

static void use_the_parents_reader(void *argument)
{
	struct holder *holder = argument;

	sh_reader_unlock(holder->reader);
	sh_reader_unlock_function(holder->reader);
	REQUIRE(sh_synchronize(holder->heap) == 0);
	REQUIRE(files_has_reached(MAY_END));
	for (int i = 0; i < 3; i++) {
		sh_reader_lock(holder->reader);
		sh_reader_lock(holder->reader);
		sh_reader_unlock(holder->reader);
	}
	/* Not waited for: the parent's sh_synchronize() shows. */
	files_reach(OVER);
	files_wait_for(OVER + 1);
	sh_reader_close(holder->reader);
	REQUIRE(sh_close(holder->heap) == 0);
}

static void test_fork_with_a_reader(void)
{
	struct holder holder = { .heap = files_new() };
	pid_t child;

	files_reset_steps();
	lock_reader(&holder);
	child = files_start(use_the_parents_reader, &holder);
	await_somebody(holder.heap);
	files_reach(MAY_END);
	sh_reader_unlock(holder.reader);
	files_wait_for(OVER);
	CU_ASSERT_EQUAL(sh_synchronize(holder.heap), 0);
	sh_reader_lock(holder.reader);
	sh_reader_unlock(holder.reader);
	files_reach(OVER + 1);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	CU_ASSERT_EQUAL(sh_close(holder.heap), EBUSY);
	sh_reader_close(holder.reader);
	files_close(holder.heap);
}

static void expect_no_heap(void *argument)
{
	struct holder *holder = argument;
	struct sh_reader *reader;

	sh_read_unlock(holder->heap);
	sh_reader_unlock(holder->reader);
	sh_reader_lock(holder->reader);
	sh_reader_close(holder->reader);
	REQUIRE(sh_read_lock(holder->heap) == ECHILD);
	REQUIRE(sh_reader_open(holder->heap, &reader) == ECHILD && reader == NULL);
	REQUIRE(sh_synchronize(holder->heap) == ECHILD);
	sh_read_unlock_function(holder->heap);
	REQUIRE(sh_close(holder->heap) == 0);
}

static void test_children_without_the_heap(void)
{
	struct sh_options options = files_options();
	struct holder holder = { .heap = NULL };

	for (unsigned i = 0; i < 2; i++) {
		options.fork = i == 0 ? SH_FORK_ATTACH : SH_FORK_DONTFORK;
		options.max_processes = i == 0 ? 1 : 0;
		holder.heap = files_new_with(&options);
		lock(&holder);
		lock_reader(&holder);
		CU_ASSERT_EQUAL(files_run(expect_no_heap, &holder), 0);
		CU_ASSERT_EQUAL(sh_synchronize(holder.heap), EDEADLK);
		unlock(&holder);
		close_reader(&holder);
		CU_ASSERT_EQUAL(sh_synchronize(holder.heap), 0);
		files_close(holder.heap);
	}
}

/* --- two heaps ----------------------------------------------------------------------------- */

static struct sh_heap *open_second(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;
	char path[PATH_MAX];

	files_beside(path, "second");
	CU_ASSERT_EQUAL_FATAL(sh_open(path, SH_CREATE, &options, &heap), 0);
	return heap;
}

static void *synchronize(void *argument)
{
	return sh_synchronize(argument) == 0 ? argument : NULL;
}

static void test_two_heaps(void)
{
	struct sh_heap *first = files_new();
	struct sh_heap *second = open_second();
	struct waiter waiter;

	files_reset_steps();
	for (int i = 0; i < 100; i++) {
		struct sh_heap *inside = i % 2 ? first : second;
		struct sh_heap *outside = i % 2 ? second : first;

		CU_ASSERT_EQUAL(sh_read_lock(inside), 0);
		CU_ASSERT_EQUAL(sh_synchronize(outside), 0);
		CU_ASSERT_EQUAL(sh_synchronize(inside), EDEADLK);
		sh_read_unlock(inside);
	}
	/* Crosswise: what was begun first ends first. */
	CU_ASSERT_EQUAL(sh_read_lock(first), 0);
	CU_ASSERT_EQUAL(sh_read_lock(second), 0);
	CU_ASSERT_EQUAL(sh_read_lock(first), 0);
	begin_to_wait(&waiter, first, MAY_END);
	sh_read_unlock(first);
	CU_ASSERT_EQUAL(sh_synchronize(first), EDEADLK);
	files_reach(MAY_END);
	sh_read_unlock(first);
	end_waiting(&waiter);
	CU_ASSERT_PTR_NOT_NULL(run_thread(synchronize, first));
	CU_ASSERT_EQUAL(sh_synchronize(second), EDEADLK);
	CU_ASSERT_EQUAL(sh_close(second), EBUSY);
	sh_read_unlock(second);
	CU_ASSERT_EQUAL(sh_close(second), 0);
	files_close(first);
}

/* A thread that reads whatever heap it is given, and outlives them. */
struct constant_reader {
	struct sh_heap *_Atomic heap;
	_Atomic uint32_t turn; /* odd: read, and stay inside until it is even */
	_Atomic uint32_t done;
	_Atomic bool failed;
};

static void take_turn(struct constant_reader *reader, uint32_t turn)
{
	struct sh_heap *heap = atomic_load(&reader->heap);

	if (turn % 2 == 0)
		sh_read_unlock(heap);
	else if (sh_read_lock(heap) != 0)
		atomic_store(&reader->failed, true);
}

#define LAST_TURN UINT32_MAX

static void *read_in_turns(void *argument)
{
	struct constant_reader *reader = argument;
	uint32_t done = 0;

	for (;;) {
		uint32_t turn = atomic_load(&reader->turn);

		if (turn == LAST_TURN)
			return NULL;
		if (turn != done) {
			take_turn(reader, turn);
			done = turn;
			atomic_store(&reader->done, done);
		} else {
			usleep(50);
		}
	}
}

static void next_turn(struct constant_reader *reader)
{
	uint32_t turn = atomic_load(&reader->turn) + 1;

	atomic_store(&reader->turn, turn);
	while (atomic_load(&reader->done) != turn)
		usleep(50);
}

/* The thread still has a section of the heap at hand that another one closed, and the next heap may
 * come to be at its address. */
static void test_closed_by_another_thread(void)
{
	struct constant_reader reader = { .heap = NULL };
	struct sh_heap *before = NULL;
	unsigned same = 0;
	struct waiter waiter;
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, read_in_turns, &reader), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct sh_heap *heap = files_new();

		same += heap == before;
		before = heap;
		files_reset_steps();
		atomic_store(&reader.heap, heap);
		next_turn(&reader);
		begin_to_wait(&waiter, heap, MAY_END);
		files_reach(MAY_END);
		next_turn(&reader);
		end_waiting(&waiter);
		files_close(heap);
	}
	atomic_store(&reader.turn, LAST_TURN);
	pthread_join(thread, NULL);
	CU_ASSERT_FALSE(atomic_load(&reader.failed));
	printf("(%u times at the same address) ", same);
}

/* --- closing ------------------------------------------------------------------------------- */

static void test_close(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reader *reader;
	struct sh_heap *again;

	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	CU_ASSERT_EQUAL(sh_open(files_path, 0, NULL, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	/* Not even one of several. */
	CU_ASSERT_EQUAL(sh_close(again), EBUSY);
	sh_read_unlock(heap);
	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	CU_ASSERT_EQUAL(sh_close(again), 0);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	sh_reader_lock(reader);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	sh_reader_close(reader);
	sh_reader_close(NULL);
	files_close(heap);
	/* Closed cleanly: otherwise it could not be opened like this. */
	heap = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_read_lock(heap), EROFS);
	CU_ASSERT_EQUAL(sh_read_lock_function(heap), EROFS);
	CU_ASSERT_EQUAL(sh_synchronize(heap), EROFS);
	CU_ASSERT_EQUAL(sh_reader_open(heap, &reader), EROFS);
	CU_ASSERT_PTR_NULL(reader);
	files_close(heap);
}

#define ENDING 8u

struct ending {
	struct sh_heap *heap;
	pthread_barrier_t *together;
};

static void *read_and_end(void *argument)
{
	struct ending *ending = argument;

	if (sh_read_lock(ending->heap) != 0)
		return NULL;
	sh_read_unlock(ending->heap);
	pthread_barrier_wait(ending->together);
	return argument;
}

/* Threads that end while another one closes the heap. */
static void test_close_beside_ending_threads(void)
{
	for (unsigned round = 0; round < 50; round++) {
		struct ending ending = { .heap = files_new() };
		pthread_t threads[ENDING];
		pthread_barrier_t together;
		void *result;

		pthread_barrier_init(&together, NULL, ENDING + 1);
		ending.together = &together;
		for (unsigned i = 0; i < ENDING; i++)
			CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_and_end,
						      &ending),
				0);
		pthread_barrier_wait(&together);
		files_close(ending.heap);
		for (unsigned i = 0; i < ENDING; i++) {
			pthread_join(threads[i], &result);
			CU_ASSERT_PTR_NOT_NULL(result);
		}
		pthread_barrier_destroy(&together);
	}
}

/* --- readers that no thread owns ----------------------------------------------------------- */

static void *lock_given_reader(void *argument)
{
	sh_reader_lock(argument);
	return argument;
}

static void *unlock_given_reader(void *argument)
{
	sh_reader_unlock(argument);
	return argument;
}

/* The threads come and go; the section stays. */
static void test_readers_move_between_threads(void)
{
	struct sh_heap *heap = files_new();
	struct sh_reader *reader;
	struct waiter waiter;

	files_reset_steps();
	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	run_thread(lock_given_reader, reader);
	run_thread(lock_given_reader, reader);
	begin_to_wait(&waiter, heap, MAY_END);
	run_thread(unlock_given_reader, reader);
	files_reach(MAY_END);
	run_thread(unlock_given_reader, reader);
	end_waiting(&waiter);
	/* It is nobody's section, the caller's neither. */
	run_thread(lock_given_reader, reader);
	begin_to_wait(&waiter, heap, MAY_END);
	sh_reader_close(reader);
	end_waiting(&waiter);
	files_close(heap);
}

#define FEW 6u

static int first_use(void *(*body)(void *argument), struct sh_heap *heap)
{
	void *result = run_thread(body, heap);

	return (int)(intptr_t)result;
}

static void *lock_once(void *argument)
{
	int error = sh_read_lock(argument);

	if (error == 0)
		sh_read_unlock(argument);
	return (void *)(intptr_t)error;
}

static void *synchronize_once(void *argument)
{
	return (void *)(intptr_t)sh_synchronize(argument);
}

static unsigned open_all(struct sh_heap *heap, struct sh_reader *readers[FEW + 1])
{
	unsigned count = 0;

	while (count <= FEW && sh_reader_open(heap, &readers[count]) == 0)
		count++;
	return count;
}

static void take_all_and_die(void *argument)
{
	struct sh_reader *readers[FEW + 1];

	for (unsigned i = open_all(argument, readers); i > 0; i--)
		sh_reader_lock(readers[i - 1]);
	files_die();
}

static void test_slots(void)
{
	struct sh_options options = files_options();
	struct sh_reader *readers[FEW + 1];
	struct sh_heap *heap;

	options.max_threads = FEW;
	heap = files_new_with(&options);
	/* One is the calling thread's. */
	CU_ASSERT_EQUAL_FATAL(open_all(heap, readers), FEW - 1);
	CU_ASSERT_PTR_NULL(readers[FEW - 1]);
	CU_ASSERT_EQUAL(sh_reader_open(heap, &readers[FEW]), SH_ESLOTS);
	CU_ASSERT_EQUAL(first_use(lock_once, heap), SH_ESLOTS);
	CU_ASSERT_EQUAL(first_use(synchronize_once, heap), SH_ESLOTS);
	sh_reader_close(readers[0]);
	CU_ASSERT_EQUAL(first_use(lock_once, heap), 0);
	CU_ASSERT_EQUAL(first_use(synchronize_once, heap), 0);
	for (unsigned i = 1; i < FEW - 1; i++)
		sh_reader_close(readers[i]);
	/* Those of the dead are given up when slots are short. */
	CU_ASSERT_EQUAL(files_run(take_all_and_die, heap), SIGKILL);
	CU_ASSERT_EQUAL(first_use(synchronize_once, heap), 0);
	CU_ASSERT_EQUAL_FATAL(open_all(heap, readers), FEW - 1);
	for (unsigned i = 0; i < FEW - 1; i++)
		sh_reader_close(readers[i]);
	files_expect_good(heap);
	files_close(heap);
}

/* --- barriers ------------------------------------------------------------------------------ */

static bool has_fences(struct sh_heap *heap)
{
	struct sh_reader *reader;
	bool fences;

	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	fences = section_of(reader)->fences != 0;
	sh_reader_close(reader);
	return fences;
}

static void test_fences(void)
{
	static const struct holder threads = { .begin = lock, .end = unlock };
	static const struct holder strangers = { .begin = lock_as_stranger, .end = die };
	struct sh_options options = files_options();
	struct sh_heap *heap;

	options.barrier = SH_BARRIER_READER;
	heap = files_new_with(&options);
	CU_ASSERT_TRUE(has_fences(heap));
	expect_waited_for_thread(heap, threads);
	expect_waited_for_process(heap, strangers, SIGKILL);
	files_close(heap);
	/* It is a matter of the run, not of the file. */
	heap = files_open(0);
	CU_ASSERT_EQUAL(has_fences(heap), syscall(SYS_membarrier, 0, 0, 0) < 0);
	files_close(heap);
	options.barrier = SH_BARRIER_READER + 1;
	CU_ASSERT_EQUAL(sh_open(files_path, 0, &options, &heap), EINVAL);
}

/* From here on the process finds membarrier(2) forbidden. */
static void forbid_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (syscall(SYS_membarrier, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(CANNOT);
}

/* The child's status, or 0 and a word about it when the child could not do it. */
static int unless_impossible(int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != CANNOT)
		return status;
	printf("SKIPPED, no membarrier(2) or no seccomp filters: ");
	return 0;
}

static void join_without_membarrier(void *argument)
{
	struct sh_heap *heap = argument;

	REQUIRE(sh_close(heap) == 0);
	forbid_membarrier();
	REQUIRE(sh_open(files_path, 0, NULL, &heap) == SH_EBARRIER && heap == NULL);
	REQUIRE(sh_open(files_path, SH_RDONLY, NULL, &heap) == SH_EBARRIER && heap == NULL);
}

static void lose_membarrier(void *argument)
{
	struct sh_heap *heap = argument;

	REQUIRE(sh_synchronize(heap) == 0);
	forbid_membarrier();
	/* As long as nobody has ever read it takes none. */
	REQUIRE(sh_synchronize(heap) == 0);
	files_reach(INSIDE);
	files_wait_for(MAY_END);
	REQUIRE(sh_synchronize(heap) == SH_EBARRIER);
	/* It has lost nothing else. */
	REQUIRE(sh_read_lock(heap) == 0);
	sh_read_unlock(heap);
	REQUIRE(sh_alloc(heap, 100) != 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_without_membarrier(void)
{
	struct sh_heap *heap = files_new();
	pid_t child;
	int status;

	CU_ASSERT_EQUAL(unless_impossible(files_run(join_without_membarrier, heap)), 0);
	files_reset_steps();
	child = files_start(lose_membarrier, heap);
	while ((status = waitpid(child, NULL, WNOHANG)) == 0 && !files_has_reached(INSIDE))
		usleep(200);
	if (status == 0) {
		CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
		sh_read_unlock(heap);
		files_reach(MAY_END);
		CU_ASSERT_EQUAL(files_finish(child), 0);
	}
	CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void open_first_without_membarrier(struct holder *holder)
{
	forbid_membarrier();
	lock_as_stranger(holder);
	REQUIRE(sh_synchronize(holder->heap) == EDEADLK);
	sh_read_unlock(holder->heap);
	REQUIRE(sh_synchronize(holder->heap) == 0);
	lock(holder);
}

/* The first one has no membarrier: readers have fences, those of the others, too. */
static void test_first_without_membarrier(void)
{
	struct holder holder = { .begin = open_first_without_membarrier, .end = unlock };
	struct waiter waiter;
	struct sh_heap *heap;
	pid_t child;
	int ended;

	files_close(files_new());
	files_reset_steps();
	child = files_start(hold, &holder);
	while ((ended = waitpid(child, NULL, WNOHANG)) == 0 && !files_has_reached(INSIDE))
		usleep(200);
	if (ended != 0) {
		printf("SKIPPED, no membarrier(2) or no seccomp filters: ");
		return;
	}
	heap = files_open(0);
	CU_ASSERT_TRUE(has_fences(heap));
	begin_to_wait(&waiter, heap, MAY_END);
	files_reach(MAY_END);
	end_waiting(&waiter);
	files_reach(OVER);
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_close(heap);
}

/* --- what it is for ------------------------------------------------------------------------ */

#define WORDS 32u
#define READERS 2u
#define VERSIONS 2000u

/* The block that the root "words" names holds the offset of one whose words are all the same. */
static bool read_version(struct sh_heap *heap, const uint64_t *place)
{
	bool same = true;
	const uint64_t *words;

	if (sh_read_lock(heap) != 0)
		return false;
	words = sh_ptr(heap, __atomic_load_n(place, __ATOMIC_ACQUIRE));
	for (unsigned i = 1; i < WORDS; i++)
		same = same && words[i] == words[0];
	sh_read_unlock(heap);
	return same;
}

static void *read_versions(void *argument)
{
	struct sh_heap *heap = argument;
	const uint64_t *place;
	sh_off off;

	if (sh_root_get(heap, "words", &off) != 0)
		return NULL;
	place = sh_ptr(heap, off);
	while (!files_has_reached(OVER))
		if (!read_version(heap, place))
			return NULL;
	return argument;
}

static void read_versions_in_process(void *argument)
{
	struct sh_heap *heap = argument;

	REQUIRE(read_versions(heap) != NULL);
	REQUIRE(sh_close(heap) == 0);
}

static sh_off new_version(struct sh_heap *heap, uint64_t value)
{
	sh_off off = sh_alloc(heap, WORDS * 8);
	uint64_t *words = sh_ptr(heap, off);

	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	for (unsigned i = 0; i < WORDS; i++)
		words[i] = value;
	return off;
}

static void replace_versions(struct sh_heap *heap, uint64_t *place)
{
	for (uint64_t i = 1; i <= VERSIONS; i++) {
		sh_off old = *place;
		uint64_t *words = sh_ptr(heap, old);

		__atomic_store_n(place, new_version(heap, i), __ATOMIC_RELEASE);
		CU_ASSERT_EQUAL(sh_synchronize(heap), 0);
		words[0] = i * 7;
		CU_ASSERT_EQUAL(sh_free(heap, old), 0);
	}
}

/* What was unlinked stays what it is until the grace period is over. */
static void reclaim_beside_readers(unsigned barrier)
{
	struct sh_options options = files_options();
	pthread_t threads[READERS];
	pid_t children[READERS];
	struct sh_heap *heap;
	uint64_t *place;
	void *result;

	options.barrier = barrier;
	heap = files_new_with(&options);
	files_reset_steps();
	place = sh_ptr(heap, sh_alloc(heap, 8));
	*place = new_version(heap, 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "words", sh_offset(heap, place)), 0);
	for (unsigned i = 0; i < READERS; i++)
		children[i] = files_start(read_versions_in_process, heap);
	for (unsigned i = 0; i < READERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_versions, heap), 0);
	replace_versions(heap, place);
	files_reach(OVER);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], &result);
		CU_ASSERT_PTR_NOT_NULL(result);
		CU_ASSERT_EQUAL(files_finish(children[i]), 0);
	}
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	files_expect_good(heap);
	files_close(heap);
}

static void test_reclaim(void)
{
	reclaim_beside_readers(SH_BARRIER_AUTO);
	reclaim_beside_readers(SH_BARRIER_READER);
}

static CU_TestInfo tests[] = {
	{ "threads are waited for", test_threads_are_waited_for },
	{ "processes are waited for", test_processes_are_waited_for },
	{ "nesting", test_nesting },
	{ "inner section", test_inner_section },
	{ "later sections", test_later_sections },
	{ "idle readers", test_idle_readers },
	{ "stopped processes", test_stopped_processes },
	{ "exec", test_exec },
	{ "fork inside a section", test_fork_inside_a_section },
	{ "fork with a reader", test_fork_with_a_reader },
	{ "children without the heap", test_children_without_the_heap },
	{ "two heaps", test_two_heaps },
	{ "closed by another thread", test_closed_by_another_thread },
	{ "close", test_close },
	{ "close beside ending threads", test_close_beside_ending_threads },
	{ "readers move between threads", test_readers_move_between_threads },
	{ "slots", test_slots },
	{ "fences", test_fences },
	{ "without membarrier", test_without_membarrier },
	{ "first without membarrier", test_first_without_membarrier },
	{ "reclaim", test_reclaim },
	CU_TEST_INFO_NULL,
};

int test_read_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "read",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
