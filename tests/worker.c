/* worker.c -- a process that works on the heap until it is killed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/worker.h"

#include "heap/heap.h"
#include "tests/heap_files.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEPT 64u

struct account *account_of(struct sh_heap *heap)
{
	return (struct account *)(void *)files_find_words(heap);
}

static void lock_account(struct sh_heap *heap, struct account *account)
{
	int error = sh_mutex_lock(heap, &account->mutex);

	REQUIRE(error == 0 || error == SH_EOWNERDIED);
	REQUIRE(account->left == account->right);
}

static void change_account(struct sh_heap *heap, struct random *random)
{
	struct account *account = account_of(heap);
	struct sh_txn *txn;

	lock_account(heap, account);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_add(txn, &account->left, 16) == 0);
	account->left++;
	account->right++;
	if (random_below(random, 3) == 0)
		sh_txn_abort(txn);
	else
		REQUIRE(sh_txn_commit(txn) == 0);
	REQUIRE(sh_mutex_unlock(heap, &account->mutex) == 0);
}

static void change_root(struct sh_heap *heap, struct random *random)
{
	struct account *account = account_of(heap);
	char name[8];
	struct sh_txn *txn;
	sh_off before;
	sh_off off;

	snprintf(name, sizeof(name), "r%u", (unsigned)random_below(random, 4));
	lock_account(heap, account);
	sh_root_get(heap, name, &before);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	off = sh_txn_alloc(txn, 1 + random_below(random, 3 * SMALL_MAX_BYTES), 0);
	REQUIRE(off != 0 && sh_txn_root(txn, name, off) == 0);
	REQUIRE(sh_txn_free(txn, before, 0) == 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	REQUIRE(sh_mutex_unlock(heap, &account->mutex) == 0);
}

static void work(struct sh_heap *heap, struct random *random, uint64_t steps)
{
	sh_off kept[KEPT] = { 0 };

	for (uint64_t step = 0; step < steps; step++) {
		uint64_t i = random_below(random, KEPT);
		size_t size =
			1 + random_below(random, random_below(random, 50) == 0 ? 100000 : 2000);

		REQUIRE(sh_free(heap, kept[i]) == 0);
		kept[i] = sh_alloc(heap, size);
		REQUIRE(kept[i] != 0);
		memset(sh_ptr(heap, kept[i]), 1, size);
		if (random_below(random, 10) == 0)
			change_account(heap, random);
		if (random_below(random, 10) == 0)
			change_root(heap, random);
	}
	for (unsigned i = 0; i < KEPT; i++)
		REQUIRE(sh_free(heap, kept[i]) == 0);
}

/* Stack, of the thread that starts the other one. */
struct beside {
	struct sh_heap *heap;
	struct random random;
};

static void *work_in_thread(void *argument)
{
	struct beside *beside = argument;

	work(beside->heap, &beside->random, UINT64_MAX);
	return NULL;
}

/* Opens, works in two threads for a while, closes, again and again, until it is killed. */
static void work_until_killed(void *argument)
{
	struct random random = { .state = *(uint64_t *)argument };
	pthread_t thread;

	for (;;) {
		struct sh_heap *heap = files_child_open(0);

		work(heap, &random, random_below(&random, 100));
		if (random_below(&random, 2) == 0) {
			struct beside beside = { heap, { random_next(&random) } };

			pthread_create(&thread, NULL, work_in_thread, &beside);
			work(heap, &random, UINT64_MAX);
		}
		REQUIRE(sh_close(heap) == 0);
	}
}

pid_t worker_start(struct random *random)
{
	uint64_t seed = random_next(random);

	return files_start(work_until_killed, &seed);
}
