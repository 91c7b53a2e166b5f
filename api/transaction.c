/* transaction.c -- transactions, and the calls that are one
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/detached.h"
#include "api/error.h"
#include "api/thread.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"

#include <errno.h>
#include <string.h>

static struct sh_heap *heap_of(const struct sh_txn *txn)
{
	return atomic_load_explicit(&txn->state->heap, memory_order_relaxed);
}

/* --- begin and end ------------------------------------------------------------------------- */

/* Begins the calling thread's transaction; NULL and what sh_txn_begin() returns. */
static struct sh_txn *begin(struct sh_heap *heap, int *error)
{
	struct thread_state *state = thread_here(heap, error);

	if (state == NULL)
		return NULL;
	if (state->txn.open) {
		*error = EBUSY;
		return NULL;
	}
	transaction_begin(&state->txn.transaction, &state->thread);
	state->txn.open = true;
	return &state->txn;
}

/* The same of one that no thread owns. */
static struct sh_txn *begin_detached(struct sh_heap *heap, int *error)
{
	struct thread_state *state;

	*error = handle_refuses(heap);
	state = *error == 0 ? detached_take(heap, error) : NULL;
	if (state == NULL)
		return NULL;
	transaction_begin(&state->txn.transaction, &state->thread);
	state->txn.open = true;
	return &state->txn;
}

static void end(struct sh_txn *txn, void (*carry_out)(struct transaction *transaction))
{
	carry_out(&txn->transaction);
	txn->open = false;
	thread_done(txn->state);
	if (txn->detached)
		detached_put(heap_of(txn), txn->state);
}

int sh_txn_begin(struct sh_heap *heap, unsigned flags, struct sh_txn **txn)
{
	int error = EINVAL;

	*txn = NULL;
	if (flags == SH_DETACHED)
		*txn = begin_detached(heap, &error);
	else if (flags == 0)
		*txn = begin(heap, &error);
	return *txn != NULL ? 0 : error;
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

/* --- recording ----------------------------------------------------------------------------- */

static int check_sizes(const struct sh_heap *heap, size_t size, unsigned flags)
{
	if (size == 0 || (flags & ~(SH_ZERO | SH_NOSCAN)) != 0)
		return EINVAL;
	return size > heap->heap.max_bytes ? ENOMEM : 0;
}

/* Allocates in the open transaction; 0 and *error. */
static sh_off allocate(struct sh_txn *txn, size_t size, unsigned flags, int *error)
{
	struct sh_heap *heap = heap_of(txn);
	uint64_t bytes = ((uint64_t)size + 15) & ~UINT64_C(15);
	sh_off off;

	*error = check_sizes(heap, size, flags);
	if (*error != 0)
		return 0;
	off = transaction_allocate(&txn->transaction, bytes, (flags & SH_NOSCAN) != 0, error);
	if (off != 0 && (flags & SH_ZERO) && size_is_small(bytes))
		memset(sh_ptr(heap, off), 0, bytes);
	else if (off != 0 && (flags & SH_ZERO))
		pages_zero(&txn->state->thread, off >> PAGE_SHIFT, bytes);
	return off;
}

sh_off sh_txn_alloc(struct sh_txn *txn, size_t size, unsigned flags)
{
	int error = EINVAL;
	sh_off off = txn->open ? allocate(txn, size, flags, &error) : 0;

	return off != 0 ? off : error_no_block(error);
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

int sh_txn_add(struct sh_txn *txn, void *ptr, size_t len)
{
	struct sh_heap *heap;
	uint64_t off;

	if (!txn->open)
		return EINVAL;
	heap = heap_of(txn);
	off = (uint64_t)((uintptr_t)ptr - (uintptr_t)heap->heap.base);
	if (!bytes_are_inside(&heap->heap, off, len == 0 ? 1 : len))
		return EINVAL;
	return len == 0 ? 0 : transaction_add(&txn->transaction, off, len);
}

int sh_txn_write(struct sh_txn *txn, void *dst, const void *src, size_t len)
{
	int error = sh_txn_add(txn, dst, len);

	if (error == 0)
		memmove(dst, src, len);
	return error;
}

int sh_txn_store(struct sh_txn *txn, uint64_t *dst, uint64_t value)
{
	uint64_t off;

	if (!txn->open || !words_are_inside(&heap_of(txn)->heap, dst, sizeof(*dst), &off))
		return EINVAL;
	return transaction_store(&txn->transaction, off, value);
}

int sh_txn_root(struct sh_txn *txn, const char *name, sh_off off)
{
	return txn->open ? transaction_root(&txn->transaction, name, off) : EINVAL;
}

/* --- alloc and publish, unpublish and free ------------------------------------------------- */

/* A transaction for one word of the heap; NULL and *error. */
static struct sh_txn *begin_for_word(struct sh_heap *heap, const sh_off *word, uint64_t *off,
	int *error)
{
	*error = handle_refuses(heap);
	if (*error == 0 && !words_are_inside(&heap->heap, word, sizeof(*word), off))
		*error = EINVAL;
	return *error == 0 ? begin(heap, error) : NULL;
}

sh_off sh_alloc_to(struct sh_heap *heap, sh_off *dst, size_t size, unsigned flags)
{
	uint64_t word;
	int error;
	struct sh_txn *txn = begin_for_word(heap, dst, &word, &error);
	sh_off off;

	if (txn == NULL)
		return error_no_block(error);
	off = allocate(txn, size, flags, &error);
	if (off != 0)
		error = transaction_store(&txn->transaction, word, off);
	end(txn, error == 0 ? transaction_commit : transaction_abort);
	return error == 0 ? off : error_no_block(error);
}

int sh_free_from(struct sh_heap *heap, sh_off *dst)
{
	uint64_t word;
	int error;
	struct sh_txn *txn = begin_for_word(heap, dst, &word, &error);

	if (txn == NULL)
		return error;
	error = 0;
	if (*dst != 0)
		error = transaction_free(&txn->transaction, *dst);
	if (error == 0 && *dst != 0)
		error = transaction_store(&txn->transaction, word, 0);
	end(txn, error == 0 ? transaction_commit : transaction_abort);
	return error;
}
