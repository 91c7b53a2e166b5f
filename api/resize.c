/* resize.c -- blocks that grow and shrink
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/allocate.h"
#include "api/error.h"
#include "heap/object.h"
#include "heap/span.h"

#include <errno.h>
#include <string.h>

/* --- in place ------------------------------------------------------------------------------ */

/* Within its pages by one store, or into free pages behind it, or by giving its last pages back. Crash: the
 * block has its old length or its new one. */
static bool resize_large(struct thread *thread, const struct block *block, uint64_t bytes)
{
	if (span_large_pages(bytes) !=
		atomic_load_explicit(&block->span->pages, memory_order_relaxed))
		return span_resize_large(thread, block->head, bytes);
	atomic_store_explicit(&block->span->bytes, bytes, memory_order_relaxed);
	return true;
}

static bool resize_in_place(struct thread *thread, const struct block *block, uint64_t size)
{
	if (block->bit == 0)
		return !size_is_small(size) &&
			resize_large(thread, block, (size + 15) & ~UINT64_C(15));
	return size_is_small(size) && size_class_of(size) == block->span_class >> 1;
}

/* --- what both calls begin with ------------------------------------------------------------- */

static int check_size(const struct sh_heap *heap, size_t size)
{
	if (size == 0)
		return EINVAL;
	return size > heap->heap.max_bytes ? ENOMEM : 0;
}

/* The live block at `off`. */
static int find_live(struct sh_heap *heap, sh_off off, struct block *block)
{
	int error = block_find(&heap->heap, off, block);

	if (error == 0 && !block_is_live(block))
		error = SH_EDOUBLEFREE;
	return error;
}

static unsigned flags_of(const struct block *block)
{
	return block->span_class & 1u ? SH_NOSCAN : 0;
}

static void copy_content(struct sh_heap *heap, sh_off to, const struct block *from, size_t size)
{
	memcpy(sh_ptr(heap, to), sh_ptr(heap, from->off), size < from->bytes ? size : from->bytes);
}

/* --- sh_realloc() -------------------------------------------------------------------------- */

static sh_off move(struct sh_heap *heap, const struct block *block, size_t size)
{
	sh_off off = sh_alloc_ex(heap, size, 0, flags_of(block));

	/* Nobody expects that a block cannot shrink. */
	if (off == 0)
		return size <= block->bytes ? block->off : 0;
	copy_content(heap, off, block, size);
	/* Crash: both are allocated, and nobody knows of the new one. */
	sh_free(heap, block->off);
	return off;
}

static sh_off resize(struct sh_heap *heap, struct thread_state *state, sh_off off, size_t size)
{
	struct block block = { .bit = 0 };
	int error = state->txn.open ? allocate_refuses_free(state, off) : 0;

	if (error == 0)
		error = find_live(heap, off, &block);
	if (error != 0)
		return error_no_block(error);
	if (!resize_in_place(&state->thread, &block, size))
		return move(heap, &block, size);
	thread_done(state);
	return off;
}

sh_off sh_realloc(struct sh_heap *heap, sh_off off, size_t size)
{
	int error = check_size(heap, size);
	struct thread_state *state = error == 0 ? thread_here(heap, &error) : NULL;

	if (state == NULL)
		return error_no_block(error);
	return off == 0 ? sh_alloc(heap, size) : resize(heap, state, off, size);
}

/* --- sh_realloc_to() ----------------------------------------------------------------------- */

/* The block moves, and *dst with it, in the open transaction. 0 and *error. */
static sh_off move_in(struct sh_txn *txn, struct sh_heap *heap, sh_off *dst,
	const struct block *block, size_t size, int *error)
{
	sh_off off = sh_txn_alloc(txn, size, flags_of(block));

	if (off == 0) {
		*error = errno;
		return 0;
	}
	copy_content(heap, off, block, size);
	*error = sh_txn_store(txn, dst, off);
	if (*error == 0)
		*error = sh_txn_free(txn, block->off, 0);
	return *error == 0 ? off : 0;
}

static sh_off move_to(struct sh_heap *heap, sh_off *dst, const struct block *block, size_t size)
{
	struct sh_txn *txn;
	int error = sh_txn_begin(heap, 0, &txn);
	sh_off off;

	if (error != 0)
		return error_no_block(error);
	off = move_in(txn, heap, dst, block, size, &error);
	if (off != 0) {
		sh_txn_commit(txn);
		return off;
	}
	sh_txn_abort(txn);
	return size <= block->bytes ? block->off : error_no_block(error);
}

static sh_off resize_to(struct sh_heap *heap, struct thread_state *state, sh_off *dst, size_t size)
{
	struct block block = { .bit = 0 };
	int error = find_live(heap, *dst, &block);

	if (error != 0)
		return error_no_block(error);
	if (!resize_in_place(&state->thread, &block, size))
		return move_to(heap, dst, &block, size);
	thread_done(state);
	return *dst;
}

sh_off sh_realloc_to(struct sh_heap *heap, sh_off *dst, size_t size)
{
	int error = check_size(heap, size);
	struct thread_state *state = error == 0 ? thread_here(heap, &error) : NULL;
	uint64_t word;

	if (state == NULL)
		return error_no_block(error);
	if (!words_are_inside(&heap->heap, dst, sizeof(*dst), &word))
		return error_no_block(EINVAL);
	if (state->txn.open)
		return error_no_block(EBUSY);
	return *dst == 0 ? sh_alloc_to(heap, dst, size, 0) : resize_to(heap, state, dst, size);
}
