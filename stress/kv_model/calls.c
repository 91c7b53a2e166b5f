/* calls.c -- the calls of spanheap.h that the store makes, of a model process
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv_model/calls.h"

#include "stress/kv_model/arena.h"
#include "stress/model/explorer.h"
#include "stress/model/world.h"

#include "heap/object.h"
#include "heap/root.h"
#include "heap/transaction.h"
#include "recovery/check.h"
#include "recovery/mutex.h"
#include "shm/lock.h"

#include <errno.h>
#include <spanheap.h>
#include <stdlib.h>

/* Process. */
struct sh_txn {
	struct transaction transaction;
	bool open;
};

/* Process. */
struct sh_reader {
	struct sh_section section;
};

static struct world *world;
static struct sh_txn transactions[WORLD_PROCESSES];
static struct sh_reader readers[WORLD_PROCESSES];
static unsigned acting = CALLS_BODY;
static struct heap *opened;
static bool checking;

/* Never filled: all sections begin by a call. */
__thread struct sh_read_here sh_read_here __attribute__((tls_model("initial-exec")));

void calls_begin(struct world *made)
{
	world = made;
}

void calls_act_as(unsigned process)
{
	acting = process;
	arena_turn_to(process == CALLS_BODY ? ARENA_OF_BODY : ARENA_OF_STORE);
}

static unsigned process_here(void)
{
	return acting == CALLS_BODY ? explorer_process() : acting;
}

void calls_set_heap(struct heap *heap)
{
	opened = heap;
}

void calls_begin_check(struct heap *heap)
{
	opened = heap;
	checking = true;
	arena_turn_to(ARENA_OF_CHECK);
}

void calls_end_check(void)
{
	checking = false;
	arena_turn_to(ARENA_OF_BODY);
}

static struct heap *inside(struct sh_heap *heap)
{
	return (struct heap *)(void *)heap;
}

static struct thread *here(void)
{
	return &world->threads[process_here()];
}

/* At the end of calls: nothing is locked. */
static void done(struct thread *thread)
{
	if (!thread->met_dead)
		return;
	thread->met_dead = false;
	thread->heap->reap(thread);
}

/* --- opening ------------------------------------------------------------------------------- */

int sh_open(const char *path, unsigned flags, const struct sh_options *options,
	struct sh_heap **heap)
{
	(void)path;
	(void)flags;
	(void)options;
	*heap = (struct sh_heap *)(void *)opened;
	return 0;
}

int sh_close(struct sh_heap *heap)
{
	(void)heap;
	return 0;
}

int sh_root_get(struct sh_heap *heap, const char *name, sh_off *off)
{
	uint64_t words[ROOT_NAME_BYTES / 8];

	*off = 0;
	if (!root_name(name, words))
		return SH_ENOTFOUND;
	return root_get(inside(heap), words, off) ? 0 : SH_ENOTFOUND;
}

/* --- transactions -------------------------------------------------------------------------- */

int sh_txn_begin(struct sh_heap *heap, unsigned flags, struct sh_txn **txn)
{
	struct sh_txn *own = &transactions[process_here()];

	(void)heap;
	*txn = NULL;
	if (flags != 0)
		return EINVAL;
	if (own->open)
		return EBUSY;
	transaction_begin(&own->transaction, here());
	own->open = true;
	*txn = own;
	return 0;
}

static void end(struct sh_txn *txn, void (*carry_out)(struct transaction *transaction))
{
	carry_out(&txn->transaction);
	txn->open = false;
	done(here());
}

int sh_txn_commit(struct sh_txn *txn)
{
	if (!txn->open)
		return EINVAL;
	end(txn, transaction_commit);
	return 0;
}

void sh_txn_abort(struct sh_txn *txn)
{
	if (txn->open)
		end(txn, transaction_abort);
}

sh_off sh_txn_alloc(struct sh_txn *txn, size_t size, unsigned flags)
{
	struct heap *heap = here()->heap;
	uint64_t bytes = ((uint64_t)size + 15) & ~UINT64_C(15);
	int error = EINVAL;
	sh_off off = txn->open
		? transaction_allocate(&txn->transaction, bytes, (flags & SH_NOSCAN) != 0, &error)
		: 0;

	if (off == 0)
		explorer_fail("an allocation of the store failed");
	if (flags & SH_ZERO)
		memset(heap_at(heap, off), 0, bytes);
	return off;
}

int sh_txn_free(struct sh_txn *txn, sh_off off, unsigned flags)
{
	if (!txn->open || (flags & ~SH_DEFERRED) != 0)
		return EINVAL;
	if (off == 0)
		return 0;
	return flags == SH_DEFERRED ? transaction_free_deferred(&txn->transaction, off)
				    : transaction_free(&txn->transaction, off);
}

int sh_txn_store(struct sh_txn *txn, uint64_t *dst, uint64_t value)
{
	uint64_t off;

	if (!txn->open || !words_are_inside(here()->heap, dst, sizeof(*dst), &off))
		return EINVAL;
	return transaction_store(&txn->transaction, off, value);
}

int sh_txn_root(struct sh_txn *txn, const char *name, sh_off off)
{
	return txn->open ? transaction_root(&txn->transaction, name, off) : EINVAL;
}

/* --- sections ------------------------------------------------------------------------------ */

void sh_section_wake(const struct sh_section *section)
{
	__atomic_store_n(section->waiting, 0, __ATOMIC_RELAXED);
}

int sh_read_lock_function(struct sh_heap *heap)
{
	(void)heap;
	if (checking)
		return EROFS;
	thread_begin_reading(here());
	return 0;
}

void sh_read_unlock_function(struct sh_heap *heap)
{
	struct thread *thread = here();

	(void)heap;
	if (rcu_is_reading(&thread->heap->rcu, thread->slot))
		thread_end_reading(thread);
}

int sh_reader_open(struct sh_heap *heap, struct sh_reader **reader)
{
	(void)heap;
	thread_enroll(here());
	*reader = &readers[process_here()];
	(*reader)->section = here()->section;
	return 0;
}

void sh_reader_close(struct sh_reader *reader)
{
	(void)reader;
}

/* --- mutexes ------------------------------------------------------------------------------- */

int sh_mutex_lock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	struct thread *thread = here();
	int error = mutex_lock(thread, mutex, LOCK_NO_DEADLINE);

	(void)heap;
	done(thread);
	return error;
}

int sh_mutex_trylock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	struct thread *thread = here();
	int error = mutex_trylock(thread, mutex);

	(void)heap;
	done(thread);
	return error;
}

int sh_mutex_unlock(struct sh_heap *heap, struct sh_mutex *mutex)
{
	return mutex_unlock(inside(heap), here(), mutex);
}

/* --- looking ------------------------------------------------------------------------------- */

size_t sh_usable_size(struct sh_heap *heap, sh_off off)
{
	struct block block;

	return block_find(inside(heap), off, &block) == 0 && block_is_live(&block) ? block.bytes
										   : 0;
}

static sh_off left_out[CALLS_BYSTANDERS];
static uint64_t left_out_count;
static uint64_t met;

/* A walk under way. Stack. */
struct walk {
	sh_block_fn *each;
	void *argument;
	uint64_t next; /* of those that are left out */
};

/* Keeps them in order. */
void calls_leave_out(uint64_t off)
{
	uint64_t at = left_out_count++;

	if (at == CALLS_BYSTANDERS)
		explorer_fail("too many bystanders");
	for (; at > 0 && left_out[at - 1] > off; at--)
		left_out[at] = left_out[at - 1];
	left_out[at] = off;
}

bool calls_met_all(void)
{
	return met == left_out_count;
}

static int show_block(const struct sh_block *block, void *argument)
{
	struct walk *walk = argument;

	while (walk->next < left_out_count && left_out[walk->next] < block->off)
		walk->next++;
	if (walk->next == left_out_count || left_out[walk->next] != block->off)
		return walk->each(block, walk->argument);
	met++;
	return 0;
}

int sh_walk(struct sh_heap *heap, sh_block_fn *each, void *argument)
{
	struct walk walk = { .each = each, .argument = argument };

	met = 0;
	return walk_heap(inside(heap), NULL, show_block, &walk);
}

/* --- for the checker ----------------------------------------------------------------------- */

void calls_track(void)
{
	explorer_track("transactions", transactions, sizeof(transactions), EXPLORER_PRIVATE);
	explorer_track("readers", readers, sizeof(readers), EXPLORER_PRIVATE);
}

void calls_clear(void *memory, size_t bytes)
{
	uint64_t *words = memory;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		if (words[i] != 0)
			words[i] = 0;
}

void calls_forget(unsigned process)
{
	calls_clear(&transactions[process], sizeof(transactions[process]));
	calls_clear(&readers[process], sizeof(readers[process]));
}
