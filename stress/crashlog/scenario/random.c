/* random.c -- operations at random, and the content that they meet
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/calls.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"

#define KEPT 160u
#define KEPT_RUNS 12u

/* Process. What there is to work on; 0: nothing here. */
static sh_off kept[KEPT];
static sh_off runs[KEPT_RUNS];
static uint64_t run_pages[KEPT_RUNS];
static uint64_t state;

static uint64_t below(uint64_t limit)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (state >> 33) % limit;
}

/* Mostly small ones. */
static size_t some_bytes(void)
{
	switch (below(16)) {
	case 0:
		return 1 + below(60000);
	case 1:
	case 2:
		return 1 + below(8000);
	default:
		return 1 + below(300);
	}
}

static void on_block(sh_off *block)
{
	if (*block == 0) {
		*block = call_alloc("random: alloc", some_bytes(), 0, 0);
		return;
	}
	switch (below(4)) {
	case 0:
		*block = call_realloc("random: realloc", *block, some_bytes());
		break;
	case 1:
		call_free_deferred("random: free deferred", *block);
		*block = 0;
		break;
	default:
		call_free("random: free", *block);
		*block = 0;
	}
}

static void on_run(unsigned i)
{
	if (runs[i] == 0) {
		run_pages[i] = 1 + below(9);
		runs[i] = call_pages_alloc("random: pages", run_pages[i], below(2) ? SH_IO : 0);
	} else if (run_pages[i] > 1 && below(2) != 0) {
		run_pages[i]--;
		call_pages_free("random: a page freed", runs[i] + run_pages[i] * 8192, 1);
	} else {
		call_pages_free("random: pages freed", runs[i], run_pages[i]);
		runs[i] = 0;
	}
}

static void random_transaction(void)
{
	sh_off made[4] = { 0 };
	unsigned at[4];
	unsigned count = 1 + (unsigned)below(4);
	bool commits = below(4) != 0;
	struct sh_txn *txn;

	for (unsigned i = 0; i < count; i++)
		at[i] = (unsigned)(i * (KEPT / 4) + below(KEPT / 4));
	operation_begin("random: transaction", 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	for (unsigned i = 0; i < count; i++) {
		made[i] = sh_txn_alloc(txn, some_bytes(), 0);
		MUST(made[i] != 0);
		if (kept[at[i]] != 0)
			MUST(sh_txn_free(txn, kept[at[i]], below(2) ? SH_DEFERRED : 0) == 0);
	}
	if (commits)
		MUST(sh_txn_commit(txn) == 0);
	else
		sh_txn_abort(txn);
	operation_end();
	for (unsigned i = 0; commits && i < count; i++) {
		if (kept[at[i]] != 0)
			book_remove(kept[at[i]]);
		kept[at[i]] = book_add(heap, made[i], 0);
	}
	operation_done();
	for (unsigned i = 0; commits && i < count; i++)
		book_fill(heap, made[i]);
}

static void one_operation(void)
{
	switch (below(12)) {
	case 0:
	case 1:
		on_run((unsigned)below(KEPT_RUNS));
		break;
	case 2:
	case 3:
		random_transaction();
		break;
	case 4:
		call_synchronize("random: synchronize");
		break;
	default:
		on_block(&kept[below(KEPT)]);
	}
}

void operations_random(uint64_t seed, unsigned count)
{
	state = seed * 2 + 1;
	for (unsigned i = 0; i < count; i++)
		one_operation();
}

void operations_fill_heap(uint64_t seed)
{
	operations_random(seed + 1000, 400);
}
