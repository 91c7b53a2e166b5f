/* namespaces.c -- two pid namespaces, as two containers have them: equal ids everywhere
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first process of a namespace of its own: pid 1, thread id 1. Returns its id out here. */
static pid_t start_as_pid_1(body_fn *body, void *argument)
{
	need_root();
	if (unshare(CLONE_NEWPID) != 0)
		skip("no pid namespaces: %s", strerror(errno));
	/* From here on every child of ours is the first of the new namespace, or inside it. */
	return start(body, argument);
}

/* What makes namespaces, so that each player gets a fresh one. */
struct player {
	body_fn *body;
	char *path;
	unsigned number;
};

static void hold_namespace(void *argument)
{
	struct player *player = argument;
	pid_t child = start_as_pid_1(player->body, player);

	atomic_store(&board->value[player->number], (uint64_t)child);
	finish(child);
}

/* Returns the process that waits for the player; board->value[number] is the player. */
static pid_t start_player(struct player *player)
{
	pid_t holder = start(hold_namespace, player);

	for (unsigned i = 0; atomic_load(&board->value[player->number]) == 0; i++) {
		EXPECT(i < 20000);
		usleep(1000);
	}
	return holder;
}

static void kill_player(const struct player *player, pid_t holder)
{
	kill((pid_t)atomic_load(&board->value[player->number]), SIGKILL);
	finish_well(holder);
}

static void holder(void *argument)
{
	struct player *player = argument;
	struct sh_heap *heap = open_heap(player->path, 0);
	struct bank *bank = bank_of(heap);

	EXPECT_EQUAL(getpid(), 1);
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank->mutex), 0);
	reach(1, 1);
	wait_for(1, 2);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank->mutex), 0);
	reach(1, 3);
	wait_for(1, 4);
	close_heap(heap);
}

static void waiter(void *argument)
{
	struct player *player = argument;
	struct sh_heap *heap = open_heap(player->path, 0);
	int error;

	EXPECT_EQUAL(getpid(), 1);
	reach(2, 1);
	error = sh_mutex_lock(heap, &bank_of(heap)->mutex);
	EXPECT_EQUAL(error, SH_EOWNERDIED);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	reach(2, 2);
	close_heap(heap);
}

static char *heap_for(const char *place)
{
	static char path[700];

	snprintf(path, sizeof(path), "%s", path_in(place));
	close_heap(new_heap(path));
	return path;
}

/* Two players of one heap, and the processes that wait for them. */
struct pair {
	char *path;
	struct player one; /* has the mutex */
	struct player two; /* waits for it */
	pid_t holds;
	pid_t waits;
};

static void start_pair(struct pair *pair)
{
	pair->path = heap_for(place_plain());
	pair->one = (struct player){ holder, pair->path, 0 };
	pair->two = (struct player){ waiter, pair->path, 1 };
	pair->holds = start_player(&pair->one);
	wait_for(1, 1);
	pair->waits = start_player(&pair->two);
	wait_for(2, 1);
	EXPECT(stays_below(2, 2, 100));
}

void run_equal_pids_holder_dies(void)
{
	struct pair pair;

	start_pair(&pair);
	kill_player(&pair.one, pair.holds);
	wait_for(2, 2);
	finish_well(pair.waits);
	check_file(pair.path);
	tell("both were pid 1; the waiter got the mutex with SH_EOWNERDIED");
}

void run_equal_pids_waiter_dies(void)
{
	struct pair pair;
	struct sh_reap_report report;
	struct sh_heap *heap;

	start_pair(&pair);
	kill_player(&pair.two, pair.waits);
	heap = open_heap(pair.path, 0);
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), EBUSY);
	reach(1, 2);
	wait_for(1, 3);
	EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), 0);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	reach(1, 4);
	finish_well(pair.holds);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(pair.path));
	tell("both were pid 1; the waiter's death left the holder its mutex");
}

static void work_as_pid_1(void *argument)
{
	struct player *player = argument;

	work_until_killed(player->path);
}

void run_equal_pids_work(void)
{
	char *path = heap_for(place_plain());
	struct sh_heap *heap = open_heap(path, 0);
	struct player one = { work_as_pid_1, path, 0 };
	pid_t first = start_player(&one);

	for (unsigned i = 0; i < 12; i++) {
		struct player other = { work_as_pid_1, path, 1 };
		pid_t second;

		atomic_store(&board->value[1], 0);
		reach(0, 0);
		second = start_player(&other);
		wait_for(0, 1);
		sleep_ms(2 + i);
		kill_player(&other, second);
		check_heap_content(heap);
	}
	kill_player(&one, first);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
	tell("12 deaths of workers that were all pid 1; nothing lost");
}
