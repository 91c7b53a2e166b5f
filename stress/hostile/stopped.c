/* stopped.c -- a process that is stopped while it holds a lock: waited for, named, not robbed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "shm/byte_lock.h"
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define TRIES 4000u
#define WAIT_MS 300u
#define LARGE_BYTES (600u << 10)
#define CHUNKS_BYTES (12u << 20)

static char path[700];

static void make_heap(void)
{
	snprintf(path, sizeof(path), "%s", path_in(place_plain()));
	close_heap(new_heap(path));
}

/* struct sh_heap begins with it. */
static struct heap *inside(struct sh_heap *heap)
{
	return (struct heap *)heap;
}

/* The process id that the holder's slots name. */
static uint64_t pid_of(struct sh_heap *heap, uint64_t holder)
{
	const struct thread_slot *slot =
		&inside(heap)->thread_slot[tag_slot(holder & ~TAG_WAITERS)];

	return atomic_load(&inside(heap)->process_slot[atomic_load(&slot->process)].pid);
}

/* --- locks in the control file ------------------------------------------------------------- */

struct lock_scenario {
	const char *name;
	void (*use)(struct sh_heap *heap); /* takes the lock for most of its time */
	_Atomic uint64_t *(*word)(struct sh_heap *heap);
};

static void use_for_ever(void *argument)
{
	const struct lock_scenario *scenario = argument;
	struct sh_heap *heap = open_heap(path, 0);

	reach(1, 1);
	for (;;)
		scenario->use(heap);
}

static void use_once(void *argument)
{
	const struct lock_scenario *scenario = argument;
	struct sh_heap *heap = open_heap(path, 0);

	reach(2, 1);
	scenario->use(heap);
	reach(2, 2);
	close_heap(heap);
}

/* Stops the child at a moment at which it holds the lock; the word. */
static uint64_t stop_inside(pid_t child, _Atomic uint64_t *word)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t held;

		usleep(i * 37 % 500);
		stop_process(child);
		held = atomic_load(word) & ~TAG_WAITERS;
		if (held != 0)
			return held;
		kill(child, SIGCONT);
	}
	fail(__FILE__, __LINE__, "it was never stopped inside the lock");
}

static void stop_with(const struct lock_scenario *scenario)
{
	struct sh_reap_report report;
	struct sh_heap *heap;
	pid_t holder;
	pid_t waiter;
	uint64_t held;
	_Atomic uint64_t *word;

	make_heap();
	holder = start(use_for_ever, (void *)(uintptr_t)scenario);
	wait_for(1, 1);
	heap = open_heap(path, 0);
	word = scenario->word(heap);
	held = stop_inside(holder, word);
	waiter = start(use_once, (void *)(uintptr_t)scenario);
	EXPECT(stays_below(2, 2, WAIT_MS));
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes, 0);
	EXPECT_EQUAL(atomic_load(word) & ~TAG_WAITERS, held);
	EXPECT_EQUAL(pid_of(heap, held), holder);
	kill(holder, SIGCONT);
	wait_for(2, 2);
	finish_killed(holder);
	finish_well(waiter);
	EXPECT_EQUAL(sh_reap(heap, NULL), 0);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
	tell("the %s was waited for, and its word named the process; when it went on, so did the "
	     "waiter",
		scenario->name);
}

static void use_mutex(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), 0);
	for (unsigned i = 0; i < 1000; i++)
		atomic_signal_fence(memory_order_seq_cst);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
}

static _Atomic uint64_t *mutex_word(struct sh_heap *heap)
{
	return (_Atomic uint64_t *)&bank_of(heap)->mutex.word;
}

void run_stopped_with_mutex(void)
{
	static const struct lock_scenario scenario = { "sh_mutex", use_mutex, mutex_word };

	stop_with(&scenario);
}

/* More pages than a thread keeps for itself. */
static void use_pages(struct sh_heap *heap)
{
	sh_off block = sh_alloc(heap, LARGE_BYTES);

	EXPECT(block != 0);
	EXPECT_EQUAL(sh_free(heap, block), 0);
}

static _Atomic uint64_t *page_word(struct sh_heap *heap)
{
	return &inside(heap)->derived->page_lock;
}

void run_stopped_with_page_lock(void)
{
	static const struct lock_scenario scenario = { "page lock", use_pages, page_word };

	stop_with(&scenario);
}

static void use_root(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_root_set(heap, "a name that is used for nothing else", 16), 0);
	EXPECT_EQUAL(sh_root_set(heap, "a name that is used for nothing else", 0), 0);
}

static _Atomic uint64_t *root_word(struct sh_heap *heap)
{
	return &inside(heap)->derived->root_lock;
}

void run_stopped_with_root_lock(void)
{
	static const struct lock_scenario scenario = { "root lock", use_root, root_word };

	stop_with(&scenario);
}

/* Until the heap is full; it lives long enough to be stopped before. */
static void use_growth(struct sh_heap *heap)
{
	if (sh_alloc(heap, CHUNKS_BYTES) == 0) {
		EXPECT_EQUAL(errno, ENOMEM);
		fail(__FILE__, __LINE__, "the heap was full before it was stopped inside the lock");
	}
}

static _Atomic uint64_t *growth_word(struct sh_heap *heap)
{
	return &inside(heap)->derived->growth_lock;
}

void run_stopped_with_growth_lock(void)
{
	static const struct lock_scenario scenario = { "growth lock", use_growth, growth_word };

	stop_with(&scenario);
}

/* --- the opening lock ---------------------------------------------------------------------- */

static void open_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		close_heap(open_heap(path, 0));
}

static void open_once(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	reach(2, 1);
	heap = open_heap(path, 0);
	reach(2, 2);
	close_heap(heap);
}

static bool is_being_opened(int fd)
{
	bool held = false;

	EXPECT_EQUAL(byte_lock_test(fd, BYTE_OPENING, &held), 0);
	return held;
}

void run_stopped_while_opening(void)
{
	unsigned tries = 0;
	pid_t holder;
	pid_t waiter;
	int fd;

	make_heap();
	fd = open(path, O_RDWR | O_CLOEXEC);
	holder = start(open_for_ever, NULL);
	do {
		if (tries != 0)
			kill(holder, SIGCONT);
		EXPECT(tries++ < TRIES);
		usleep(tries * 37 % 3000);
		stop_process(holder);
	} while (!is_being_opened(fd));
	waiter = start(open_once, NULL);
	EXPECT(stays_below(2, 2, WAIT_MS));
	EXPECT(is_being_opened(fd));
	kill(holder, SIGCONT);
	wait_for(2, 2);
	finish_killed(holder);
	finish_well(waiter);
	close(fd);
	check_file(path);
	tell("another sh_open() waited for it, and went on when it did");
}

/* --- the right to act for the dead --------------------------------------------------------- */

#define LOG_ENTRIES 30000u
#define REAPINGS 20u

static void die_in_long_transaction(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);
	struct sh_txn *txn;

	(void)unused;
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), 0);
	EXPECT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	for (unsigned i = 0; i < LOG_ENTRIES; i++)
		EXPECT(sh_txn_alloc(txn, 64, 0) != 0);
	kill(getpid(), SIGKILL);
}

static void reap_once(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);

	(void)unused;
	reach(1, 1);
	wait_for(1, 2);
	EXPECT_EQUAL(sh_reap(heap, NULL), 0);
	close_heap(heap);
}

static void take_over(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);

	(void)unused;
	reach(2, 1);
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), SH_EOWNERDIED);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	reach(2, 2);
	close_heap(heap);
}

/* The tag of a thread that acts for a dead one; 0: none does. */
static uint64_t find_reaper(struct sh_heap *heap)
{
	for (uint32_t slot = 0; slot < inside(heap)->thread_slots; slot++) {
		uint64_t reaper = atomic_load(&inside(heap)->thread_slot[slot].reaper);

		if (reaper != 0)
			return reaper;
	}
	return 0;
}

/* Stops the child while it acts for the dead; 0 when it was done before. */
static uint64_t stop_reaping(struct sh_heap *heap, pid_t child)
{
	uint64_t end_us = now_us() + 300000;

	while (find_reaper(heap) == 0)
		if (now_us() > end_us)
			return 0;
	stop_process(child);
	return find_reaper(heap);
}

/* A process dies, another one begins to act for it and is stopped. *reaper is that one; 0 when it was
 * done before. */
static uint64_t stop_a_reaper(struct sh_heap *heap, pid_t *reaper)
{
	uint64_t held;

	reach(1, 0);
	/* It is there before the death: who opens a heap reaps. */
	*reaper = start(reap_once, NULL);
	wait_for(1, 1);
	EXPECT_EQUAL(finish(start(die_in_long_transaction, NULL)), SIGKILL);
	reach(1, 2);
	held = stop_reaping(heap, *reaper);
	if (held != 0)
		return held;
	kill(*reaper, SIGCONT);
	finish_well(*reaper);
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), SH_EOWNERDIED);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	return 0;
}

void run_stopped_while_reaping(void)
{
	struct sh_heap *heap;
	uint64_t held = 0;
	pid_t reaper = 0;
	pid_t waiter;

	make_heap();
	heap = open_heap(path, 0);
	for (unsigned i = 0; i < REAPINGS && held == 0; i++)
		held = stop_a_reaper(heap, &reaper);
	if (held == 0)
		skip("%u reapers were done before they could be stopped", REAPINGS);
	EXPECT_EQUAL(pid_of(heap, held), reaper);
	waiter = start(take_over, NULL);
	EXPECT(stays_below(2, 2, WAIT_MS));
	EXPECT_EQUAL(find_reaper(heap), held);
	kill(reaper, SIGCONT);
	finish_well(reaper);
	wait_for(2, 2);
	finish_well(waiter);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
	tell("the dead one's mutex was not passed on before its transaction was undone by the "
	     "stopped "
	     "one; its word named the process");
}
