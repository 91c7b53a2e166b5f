/* worker.c -- something of everything that a process does with a heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/worker.h"

#include "heap/heap.h"

#include <stdio.h>
#include <string.h>

/* The least that a heap may have: the zone of arena 0 and a few chunks of data. */
#define HEAP_BYTES (PAGE_SHIFT >= 13 ? UINT64_C(64) << 20 : (ZONE_CHUNKS + 8) * CHUNK_BYTES)
#define CALLS_MOST 14u

int heap_open(const char *path, unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = HEAP_BYTES;
	options.max_threads = HEAP_THREADS;
	options.max_processes = HEAP_PROCESSES;
	return sh_open(path, flags, &options, heap);
}

bool worker_open(struct worker *worker, const char *path, bool create)
{
	int error = heap_open(path, create ? SH_CREATE | SH_EXCL : 0, &worker->heap);

	if (error != 0)
		fprintf(stderr, "sh_open of a process at work: %s\n", sh_strerror(error));
	return error == 0;
}

static size_t some_size(struct worker *worker)
{
	switch (chance_below(&worker->chance, 12)) {
	case 0:
		return 1 + chance_below(&worker->chance, CHUNK_BYTES / 5);
	case 1:
	case 2:
		return 1 + chance_below(&worker->chance, 5 * PAGE_BYTES);
	default:
		return 1 + chance_below(&worker->chance, 900);
	}
}

/* Marks both ends, so that the pages of a block tell moments apart. */
static void mark(struct worker *worker, sh_off off, size_t bytes)
{
	char *block = sh_ptr(worker->heap, off);

	block[0] = (char)chance_next(&worker->chance);
	block[bytes - 1] = (char)chance_next(&worker->chance);
}

static sh_off *some_block(struct worker *worker)
{
	return &worker->block[chance_below(&worker->chance, WORKER_BLOCKS)];
}

/* --- calls --------------------------------------------------------------------------------- */

static void allocate_or_free(struct worker *worker)
{
	sh_off *block = some_block(worker);
	size_t bytes = some_size(worker);

	if (*block != 0) {
		if (chance_once_in(&worker->chance, 3))
			sh_free_deferred(worker->heap, *block);
		else
			sh_free(worker->heap, *block);
		*block = 0;
		return;
	}
	*block = sh_alloc_ex(worker->heap, bytes, 0,
		chance_once_in(&worker->chance, 4) ? SH_NOSCAN : 0);
	if (*block != 0)
		mark(worker, *block, bytes);
}

static void resize(struct worker *worker)
{
	sh_off *block = some_block(worker);
	size_t bytes = some_size(worker);
	sh_off now = *block == 0 ? 0 : sh_realloc(worker->heap, *block, bytes);

	if (now != 0) {
		*block = now;
		mark(worker, now, bytes);
	}
}

static void pages(struct worker *worker)
{
	unsigned i = (unsigned)chance_below(&worker->chance, WORKER_RUNS);
	size_t npages = 1 + chance_below(&worker->chance, CHUNK_PAGES / 8);

	if (worker->run[i] != 0) {
		sh_pages_free(worker->heap, worker->run[i],
			1 + chance_below(&worker->chance, worker->run_pages[i]));
		worker->run[i] = 0;
		return;
	}
	worker->run[i] = sh_pages_alloc(worker->heap, npages, 0);
	worker->run_pages[i] = npages;
	if (worker->run[i] != 0)
		mark(worker, worker->run[i], npages * PAGE_BYTES);
}

static void root(struct worker *worker)
{
	char name[16];

	snprintf(name, sizeof(name), "root%u", (unsigned)chance_below(&worker->chance, 5));
	sh_root_set(worker->heap, name, *some_block(worker));
}

static void end_transaction(struct worker *worker)
{
	if (chance_once_in(&worker->chance, 4))
		sh_txn_abort(worker->txn);
	else
		sh_txn_commit(worker->txn);
	worker->txn = NULL;
}

/* Allocates, frees, edits bytes, stores a word, sets a root. Blocks that the transaction names are
 * forgotten by the worker: whether they live is the transaction's to say. */
static void transaction(struct worker *worker)
{
	sh_off *freed = some_block(worker);
	sh_off *edited = some_block(worker);
	sh_off block;

	if (worker->txn != NULL || sh_txn_begin(worker->heap, 0, &worker->txn) != 0)
		return;
	block = sh_txn_alloc(worker->txn, some_size(worker), 0);
	if (*edited != 0 && edited != freed && sh_usable_size(worker->heap, *edited) >= 16) {
		sh_off word = (*edited + 7) & ~UINT64_C(7);

		sh_txn_write(worker->txn, sh_ptr(worker->heap, *edited), "torn", 4);
		sh_txn_store(worker->txn, sh_ptr(worker->heap, word + 8), block);
	}
	if (*freed != 0)
		sh_txn_free(worker->txn, *freed,
			chance_once_in(&worker->chance, 3) ? SH_DEFERRED : 0);
	*freed = 0;
	sh_txn_root(worker->txn, "transaction", block);
	if (!chance_once_in(&worker->chance, 3))
		end_transaction(worker);
}

void worker_turn(struct worker *worker)
{
	static void (*const calls[])(struct worker *) = { allocate_or_free, allocate_or_free,
		allocate_or_free, resize, pages, root, transaction };
	unsigned count = chance_between(&worker->chance, 1, CALLS_MOST);

	if (worker->txn != NULL)
		end_transaction(worker);
	for (unsigned i = 0; i < count && worker->txn == NULL; i++)
		calls[chance_below(&worker->chance, sizeof(calls) / sizeof(calls[0]))](worker);
}

bool worker_close(struct worker *worker)
{
	if (worker->txn != NULL)
		end_transaction(worker);
	return sh_close(worker->heap) == 0;
}
