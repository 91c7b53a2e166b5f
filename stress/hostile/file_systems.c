/* file_systems.c -- the same life of a heap on each file system, and its end when the disk is full
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEATHS 6u
#define DEATHS_OF_ALL 4u

/* --- a life -------------------------------------------------------------------------------- */

static void hold_mutex(void *path)
{
	struct sh_heap *heap = open_heap(path, 0);

	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), 0);
	reach(1, 1);
	pause();
}

/* A live process is not taken for a dead one, and a dead one not for a live one. */
static void tell_dead_from_living(struct sh_heap *heap, char *path)
{
	struct sh_reap_report report;
	pid_t holder;

	reach(1, 0);
	EXPECT_EQUAL(sh_reap(heap, NULL), 0);
	holder = start(hold_mutex, path);
	wait_for(1, 1);
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes, 0);
	EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), EBUSY);
	finish_killed(holder);
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), SH_EOWNERDIED);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
}

/* Some die in the middle of their work, others go on. */
static void survive(struct sh_heap *heap, char *path)
{
	pid_t survivor = start(work_until_killed, path);

	for (unsigned i = 0; i < DEATHS; i++) {
		pid_t victim;

		reach(0, 0);
		victim = start(work_until_killed, path);
		wait_for(0, 1);
		sleep_ms(1 + i * 3);
		finish_killed(victim);
		check_heap_content(heap);
	}
	finish_killed(survivor);
	check_heap_content(heap);
}

static void use_in_child(void *heap)
{
	work(heap, 7, 50);
	close_heap(heap);
}

static void all_die(char *path)
{
	for (unsigned i = 0; i < DEATHS_OF_ALL; i++) {
		pid_t one;
		pid_t other;

		reach(0, 0);
		one = start(work_until_killed, path);
		other = start(work_until_killed, path);
		wait_for(0, 1);
		sleep_ms(5 + i * 5);
		finish_killed(one);
		finish_killed(other);
		check_file(path);
	}
}

static void live_on(const char *place)
{
	char path[700];
	struct sh_heap *heap;

	snprintf(path, sizeof(path), "%s", path_in(place));
	heap = new_heap(path);
	tell_dead_from_living(heap, path);
	survive(heap, path);
	run(use_in_child, heap);
	grow(heap, 12);
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
	all_die(path);
	EXPECT_EQUAL(files_beside(path), 2);
	tell("%u deaths beside survivors and %u of all, nothing lost; the living kept what they "
	     "held",
		DEATHS + 1, DEATHS_OF_ALL);
}

void run_on_ext4(void)
{
	own_mounts();
	live_on(place_image("ext4", 160));
}

void run_on_xfs(void)
{
	own_mounts();
	live_on(place_image("xfs", 320));
}

void run_on_btrfs(void)
{
	own_mounts();
	live_on(place_image("btrfs", 256));
}

void run_on_tmpfs(void)
{
	own_mounts();
	live_on(place_tmpfs(160));
}

void run_on_overlayfs(void)
{
	own_mounts();
	live_on(place_overlay());
}

/* --- the disk is full ---------------------------------------------------------------------- */

static void fill_in_child(void *path)
{
	struct sh_heap *heap = open_heap(path, 0);
	uint64_t bytes;
	int error;

	/* A thread that owns no span yet needs a page of the control file for the first. */
	work(heap, 3, 10);
	error = fill(heap, &bytes);
	atomic_store(&board->value[0], bytes);
	EXPECT_EQUAL(error, ENOSPC);
	check_heap_content(heap);
	work(heap, 3, 10);
	close_heap(heap);
	reach(2, 1);
}

static void die_on_full_disk(void *path)
{
	struct sh_heap *heap = open_heap(path, 0);
	struct bank *bank = bank_of(heap);
	struct sh_txn *txn;

	EXPECT_EQUAL(sh_mutex_lock(heap, &bank->mutex), 0);
	EXPECT_EQUAL(sh_root_set(heap, "died", 16), 0);
	EXPECT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	for (unsigned i = 0; i < HELD; i++)
		if (bank->held[i] != 0) {
			EXPECT_EQUAL(sh_txn_free(txn, bank->held[i], 0), 0);
			EXPECT_EQUAL(sh_txn_store(txn, &bank->held[i], 0), 0);
		}
	EXPECT_EQUAL(sh_txn_commit(txn), 0);
	EXPECT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	EXPECT_EQUAL(sh_txn_add(txn, &bank->left, sizeof(bank->left)), 0);
	bank->left += 77;
	kill(getpid(), SIGKILL);
}

static void work_again(const char *path)
{
	struct sh_heap *heap = open_heap(path, 0);
	sh_off off;

	EXPECT_EQUAL(sh_root_get(heap, "died", &off), 0);
	work(heap, 7, 50);
	check_heap_content(heap);
	close_heap(heap);
}

static void fill_up(const char *place)
{
	char path[700];
	int status;

	snprintf(path, sizeof(path), "%s", path_in(place));
	close_heap(new_heap(path));
	status = finish(start(fill_in_child, path));
	if (WIFSIGNALED(status))
		fail(__FILE__, __LINE__, "signal %d (%s) where ENOSPC was due", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	EXPECT_EQUAL(status, 0);
	EXPECT(is_clean(path));
	/* Not a byte is left. */
	command("dd if=/dev/zero of=%s/most bs=1M; dd if=/dev/zero of=%s/rest bs=4096", place,
		place);
	EXPECT_EQUAL(finish(start(die_on_full_disk, path)), SIGKILL);
	check_file(path);
	/* ext4 gives the blocks back when its journal is written. */
	EXPECT_EQUAL(command("rm %s/most %s/rest && sync -f %s", place, place, place), 0);
	work_again(path);
	tell("ENOSPC after %llu MiB, the heap was whole and went on; a death and a recovery on the "
	     "full disk lost nothing",
		(unsigned long long)(atomic_load(&board->value[0]) >> 20));
}

void run_full_ext4(void)
{
	own_mounts();
	fill_up(place_image("ext4", 96));
}

void run_full_xfs(void)
{
	own_mounts();
	fill_up(place_image("xfs", 320));
}

void run_full_btrfs(void)
{
	own_mounts();
	fill_up(place_image("btrfs", 256));
}

void run_full_tmpfs(void)
{
	own_mounts();
	fill_up(place_tmpfs(64));
}

/* On a small tmpfs below. */
void run_full_overlayfs(void)
{
	const char *below;

	own_mounts();
	below = place_tmpfs(64);
	snprintf(folder, sizeof(folder), "%s", below);
	fill_up(place_overlay());
}
