/* operation_target.c -- a sequence of calls and deaths, beside a model of what must be true
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The death of all: the call under way is left by a jump, nothing that the processes remembered is there, the
 * heap file is opened anew. Then each call that returned stands, and the one that did not is done or not. */
#include "stress/fuzz/operation_target.h"

#include "heap/deferred.h"
#include "heap/manual.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/check.h"
#include "stress/fuzz/arena.h"
#include "stress/fuzz/extent.h"

#include <errno.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 48u
#define ROOTS 4u
#define RUNS 8u
#define CALL_BYTES 3u
#define CALLS_MOST 120u
#define THREADS 3u

enum call {
	CALL_ALLOCATE,
	CALL_ALLOCATE_LARGE,
	CALL_FREE,
	CALL_FREE_DEFERRED,
	CALL_ROOT,
	CALL_RUN,
	CALL_FREE_RUN,
	CALL_TRANSACTION,
	CALL_ABORT,
	CALL_GIVE_BACK,
	CALL_DIE,       /* between two calls */
	CALL_DIE_LATER, /* inside the next one */
	CALL_COUNT,
};

/* Process. What must be true. */
struct model {
	uint64_t block[BLOCKS]; /* 0: none */
	uint64_t root[ROOTS];
	uint64_t run[RUNS];
	uint64_t run_pages[RUNS];
	bool dirty; /* a death may have left a block, or a run, that nobody knows */
};

/* Process. The call under way, for the time after a death inside. */
struct under_way {
	enum call call;
	unsigned a; /* places in the model that it changes */
	unsigned b;
	uint64_t value; /* that a root gets */
};

static struct model model;
static struct under_way now;
static uint64_t deaths;

/* --- deaths -------------------------------------------------------------------------------- */

/* A call makes a few of them, if any. */
static void arm_callbacks(uint64_t count)
{
	fuzz_heap.death_in = count == 0 ? 0 : 1 + count % 4;
}

static operation_arm_fn *arm = arm_callbacks;

void operation_set_deaths(operation_arm_fn *other)
{
	arm = other;
}

uint64_t operation_deaths(void)
{
	return deaths;
}

/* --- what is there ------------------------------------------------------------------------- */

static bool is_live(uint64_t off)
{
	struct block block;

	return block_find(&fuzz_heap.image.heap, off, &block) == 0 && block_is_live(&block);
}

static void name_of(unsigned root, uint64_t name[ROOT_NAME_BYTES / 8])
{
	char text[16];

	snprintf(text, sizeof(text), "root%u", root % ROOTS);
	if (!root_name(text, name))
		fuzz_fail("no name");
}

static uint64_t root_value(unsigned root)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	uint64_t value = 0;

	name_of(root, name);
	root_get(&fuzz_heap.image.heap, name, &value);
	return value;
}

static int count_block(const struct sh_block *block, void *count)
{
	(void)block;
	++*(uint64_t *)count;
	return 0;
}

static int count_run(const struct sh_pages *pages, void *count)
{
	(void)pages;
	++*(uint64_t *)count;
	return 0;
}

static int no_problem(const struct sh_problem *problem, void *unused)
{
	(void)unused;
	fuzz_fail("0x%llx: %s", (unsigned long long)problem->off, problem->text);
}

static uint64_t blocks_of_model(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		count += model.block[i] != 0;
	return count;
}

static uint64_t runs_of_model(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < RUNS; i++)
		count += model.run[i] != 0;
	return count;
}

/* Everything of the model is there; and nothing else, but what one death may have left: one block, one run. */
static void compare(uint64_t left)
{
	uint64_t blocks = 0;
	uint64_t runs = 0;
	uint64_t problems;

	check_heap(&fuzz_heap.image.heap, &fuzz_heap.threads[0], no_problem, NULL, &problems);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (model.block[i] != 0 && !is_live(model.block[i]))
			fuzz_fail("block 0x%llx is lost", (unsigned long long)model.block[i]);
	for (unsigned i = 0; i < ROOTS; i++)
		if (root_value(i) != model.root[i])
			fuzz_fail("root %u is 0x%llx, not 0x%llx", i,
				(unsigned long long)root_value(i),
				(unsigned long long)model.root[i]);
	for (unsigned i = 0; i < RUNS; i++)
		if (model.run[i] != 0 &&
			manual_find(&fuzz_heap.image.heap, model.run[i]) != model.run[i])
			fuzz_fail("run %llu is lost", (unsigned long long)model.run[i]);
	walk_heap(&fuzz_heap.image.heap, NULL, count_block, &blocks);
	walk_manual(&fuzz_heap.image.heap, NULL, count_run, &runs);
	if (blocks < blocks_of_model() || blocks > blocks_of_model() + left)
		fuzz_fail("%llu blocks, not %llu", (unsigned long long)blocks,
			(unsigned long long)blocks_of_model());
	if (runs < runs_of_model() || runs > runs_of_model() + left)
		fuzz_fail("%llu runs, not %llu", (unsigned long long)runs,
			(unsigned long long)runs_of_model());
}

/* --- the death of all ---------------------------------------------------------------------- */

/* Whether the transaction under way was carried out: its root tells. */
static void learn_transaction(void)
{
	if (root_value(now.b) != now.value || now.value == 0)
		return;
	model.root[now.b % ROOTS] = now.value;
	model.block[now.a] = now.value;
	if (is_live(now.value))
		return;
	fuzz_fail("a transaction was carried out in part: 0x%llx is not live",
		(unsigned long long)now.value);
}

/* What the call under way may have done is asked, and taken for true. */
static void learn(void)
{
	switch (now.call) {
	case CALL_FREE:
	case CALL_FREE_DEFERRED:
		if (model.block[now.a] != 0 && !is_live(model.block[now.a]))
			model.block[now.a] = 0;
		break;
	case CALL_ROOT:
		if (root_value(now.b) == now.value)
			model.root[now.b % ROOTS] = now.value;
		break;
	case CALL_FREE_RUN:
		if (model.run[now.a] != 0 &&
			manual_find(&fuzz_heap.image.heap, model.run[now.a]) != model.run[now.a])
			model.run[now.a] = 0;
		break;
	case CALL_TRANSACTION:
		learn_transaction();
		break;
	default:
		break;
	}
}

/* A block or run that nobody knows is freed, so that the next death may leave one. */
static struct extents strangers;

static int add_stranger(const struct sh_block *block, void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < BLOCKS; i++)
		if (model.block[i] == block->off)
			return 0;
	extents_add(&strangers, block->off, block->size);
	return 0;
}

static int add_strange_run(const struct sh_pages *pages, void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < RUNS; i++)
		if (page_offset(model.run[i]) == pages->off)
			return 0;
	if (manual_free(&fuzz_heap.threads[0], pages->off >> PAGE_SHIFT, pages->npages) != 0)
		fuzz_fail("a run that a death left cannot be freed");
	return 0;
}

static void free_strangers(void)
{
	strangers.count = 0;
	walk_heap(&fuzz_heap.image.heap, NULL, add_stranger, NULL);
	walk_manual(&fuzz_heap.image.heap, NULL, add_strange_run, NULL);
	for (unsigned i = 0; i < strangers.count; i++)
		if (object_free(&fuzz_heap.threads[0], strangers.extent[i].off) != 0)
			fuzz_fail("a block that a death left cannot be freed");
}

/* Opens what the dead left; the opener dies as well when `steps` says when. */
static void recover_all(uint64_t steps, bool trusts)
{
	if (setjmp(fuzz_heap.death) == 0) {
		arm(steps);
		fuzz_open(trusts, 0);
	}
	arm(0);
	if (fuzz_open(trusts, THREADS) != 0)
		fuzz_fail("the heap cannot be opened again");
	learn();
	compare(1);
	free_strangers();
	now = (struct under_way){ .call = CALL_COUNT };
	compare(0);
}

/* --- calls --------------------------------------------------------------------------------- */

static struct thread *some_thread(unsigned number)
{
	return &fuzz_heap.threads[number % THREADS];
}

static void allocate_small(unsigned a, unsigned b)
{
	uint64_t bytes = 1 + b * (a % 4 == 0 ? SMALL_MAX_BYTES / 256 : 1u);
	int error = 0;

	if (model.block[now.a] == 0)
		model.block[now.a] = object_allocate(some_thread(a),
			span_class_make(size_class_of(bytes), b % 2 == 0), &error);
}

static void allocate_large(unsigned a, unsigned b)
{
	int error = 0;
	struct thread *thread = some_thread(a);
	uint64_t head;

	if (model.block[now.a] != 0)
		return;
	head = span_prepare_large(thread, SMALL_MAX_BYTES + 1 + b * PAGE_BYTES / 4, SPAN_LARGE,
		false, &error);
	if (head != 0)
		span_commit_large(thread, head);
	model.block[now.a] = page_offset(head);
}

static void free_block(unsigned a, bool deferred)
{
	int error;

	if (model.block[now.a] == 0)
		return;
	error = deferred ? deferred_free(some_thread(a), model.block[now.a])
			 : object_free(some_thread(a), model.block[now.a]);
	if (error != 0)
		fuzz_fail("a live block cannot be freed: %d", error);
	model.block[now.a] = 0;
}

static void set_root(unsigned a)
{
	uint64_t name[ROOT_NAME_BYTES / 8];

	name_of(now.b, name);
	if (root_set(some_thread(a), name, now.value) != 0)
		fuzz_fail("a root cannot be set");
	model.root[now.b % ROOTS] = now.value;
}

static void allocate_run(unsigned a, unsigned b)
{
	int error;
	uint64_t npages = 1 + b % 40;

	if (model.run[now.a % RUNS] != 0)
		return;
	model.run[now.a % RUNS] = manual_allocate(some_thread(a), npages, 0, &error);
	model.run_pages[now.a % RUNS] = npages;
}

static void free_run(unsigned a)
{
	if (model.run[now.a] == 0)
		return;
	if (manual_free(some_thread(a), model.run[now.a], model.run_pages[now.a]) != 0)
		fuzz_fail("a run cannot be freed");
	model.run[now.a] = 0;
}

/* Process: memory that the library gets by malloc() for one is not lost by a death. */
static struct transaction transaction;

/* Allocates a block and frees another, and sets a root: all or nothing. */
static void transact(unsigned a, unsigned b, bool commit)
{
	int error = 0;
	uint64_t off;

	if (model.block[now.a] != 0)
		return;
	transaction_begin(&transaction, some_thread(a));
	off = transaction_allocate(&transaction, 1 + 5 * b, false, &error);
	if (off == 0 || transaction_root(&transaction, b % 2 == 0 ? "root0" : "root1", off) != 0) {
		transaction_abort(&transaction);
		return;
	}
	now.b = b % 2;
	now.value = commit ? off : 0;
	if (!commit) {
		transaction_abort(&transaction);
		return;
	}
	transaction_commit(&transaction);
	model.block[now.a] = off;
	model.root[now.b] = off;
}

static void give_back(unsigned a)
{
	object_give_back(some_thread(a));
	pages_give_back(some_thread(a));
}

static void call(enum call kind, unsigned a, unsigned b)
{
	bool run = kind == CALL_RUN || kind == CALL_FREE_RUN;

	now = (struct under_way){
		.call = kind,
		.a = b % (run ? RUNS : BLOCKS),
		.b = a,
		.value = kind == CALL_ROOT ? model.block[b % BLOCKS] : 0,
	};
	switch (kind) {
	case CALL_ALLOCATE:
		allocate_small(a, b);
		break;
	case CALL_ALLOCATE_LARGE:
		allocate_large(a, b);
		break;
	case CALL_FREE:
	case CALL_FREE_DEFERRED:
		free_block(a, kind == CALL_FREE_DEFERRED);
		break;
	case CALL_ROOT:
		set_root(a);
		break;
	case CALL_RUN:
		allocate_run(a, b);
		break;
	case CALL_FREE_RUN:
		free_run(a);
		break;
	case CALL_TRANSACTION:
	case CALL_ABORT:
		transact(a, b, kind == CALL_TRANSACTION);
		break;
	case CALL_GIVE_BACK:
		give_back(a);
		break;
	default:
		break;
	}
}

/* The call, in which everybody dies after so many steps; 0: nobody does. */
static void call_and_die(enum call kind, unsigned a, unsigned b, uint64_t steps)
{
	if (setjmp(fuzz_heap.death) == 0) {
		arm(steps);
		call(kind, a, b);
		arm(0);
		return;
	}
	deaths++;
	arm(0);
	recover_all(steps / 2, a % 2 == 0);
}

void operation_target(const uint8_t *data, size_t size)
{
	static uint64_t steps;

	fuzz_place_empty();
	fuzz_protect(false);
	memset(&model, 0, sizeof(model));
	now = (struct under_way){ .call = CALL_COUNT };
	if (fuzz_open(true, THREADS) != 0)
		fuzz_fail("a new heap cannot be opened");
	steps = 0;
	for (size_t i = 0; i + CALL_BYTES <= size && i < CALLS_MOST * CALL_BYTES; i += CALL_BYTES) {
		enum call kind = (enum call)(data[i] % CALL_COUNT);

		if (kind == CALL_DIE) {
			now = (struct under_way){ .call = CALL_COUNT };
			recover_all(data[i + 2], data[i + 1] % 2 == 0);
			continue;
		}
		if (kind == CALL_DIE_LATER) {
			steps = data[i + 1];
			continue;
		}
		call_and_die(kind, data[i + 1], data[i + 2], steps);
		steps = 0;
	}
	compare(0);
	recover_all(0, true);
}
