/* allocate.c -- blocks: allocation and free
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/allocate.h"

#include "api/error.h"
#include "heap/deferred.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/span.h"

#include <errno.h>
#include <string.h>

#define ALLOC_FLAGS (SH_ZERO | SH_NOSCAN)
#define BLOCK_ALIGN 16u

/* --- allocation ---------------------------------------------------------------------------- */

/* The smallest class whose blocks hold `size` bytes and are multiples of `align`: spans begin at
 * pages, so the blocks are aligned. The class of twice the power of two above both is one. */
static unsigned aligned_class(const struct heap *heap, uint64_t size, uint64_t align)
{
	unsigned size_class = size_class_of(size > align ? size : align);

	while (heap->classes.of[size_class].bytes % align != 0)
		size_class++;
	return size_class;
}

static uint64_t allocate_small(struct thread *thread, uint64_t size, uint64_t align, bool noscan,
	uint64_t *usable, int *error)
{
	unsigned size_class = aligned_class(thread->heap, size, align);

	*usable = thread->heap->classes.of[size_class].bytes;
	return object_allocate(thread, span_class_make(size_class, noscan), error);
}

static uint64_t allocate_large(struct thread *thread, uint64_t size, uint64_t align, bool noscan,
	uint64_t *usable, int *error)
{
	uint64_t head;

	*usable = (size + BLOCK_ALIGN - 1) & ~(uint64_t)(BLOCK_ALIGN - 1);
	head = span_prepare_aligned(thread, *usable, align, SPAN_LARGE, noscan, error);
	if (head == 0)
		return 0;
	span_commit_large(thread, head);
	return page_offset(head);
}

static int check_arguments(const struct sh_heap *heap, size_t size, size_t align, unsigned flags)
{
	if (size == 0 || (flags & ~ALLOC_FLAGS) != 0)
		return EINVAL;
	if (align > HUGE_BYTES || (align & (align - 1)) != 0)
		return EINVAL;
	return size > heap->heap.max_bytes ? ENOMEM : 0;
}

sh_off sh_alloc_ex(struct sh_heap *heap, size_t size, size_t align, unsigned flags)
{
	int error = check_arguments(heap, size, align, flags);
	bool noscan = (flags & SH_NOSCAN) != 0;
	struct thread_state *state;
	uint64_t usable;
	bool small;
	sh_off off;

	if (error != 0)
		return error_no_block(error);
	state = thread_here(heap, &error);
	if (state == NULL)
		return error_no_block(error);
	if (align < BLOCK_ALIGN)
		align = BLOCK_ALIGN;
	small = size_is_small(size) && align <= PAGE_BYTES;
	off = small ? allocate_small(&state->thread, size, align, noscan, &usable, &error)
		    : allocate_large(&state->thread, size, align, noscan, &usable, &error);
	thread_done(state);
	if (off == 0)
		return error_no_block(error);
	if ((flags & SH_ZERO) && small)
		memset(sh_ptr(heap, off), 0, usable);
	else if (flags & SH_ZERO)
		pages_zero(&state->thread, off >> PAGE_SHIFT, usable);
	return off;
}

/* The block was freed twice, in two ways at once. */
__attribute__((noinline)) static sh_off allocate_odd(struct sh_heap *heap, size_t size,
	const struct cursor *cursor, uint64_t bit)
{
	return cursor_publish_odd(cursor, bit) ? cursor_block(cursor, bit)
					       : sh_alloc_ex(heap, size, 0, 0);
}

sh_off sh_alloc(struct sh_heap *heap, size_t size)
{
	struct thread_state *state = thread_current;

	/* The common case: the thread was here before and its span has a free block, so no lock is
	 * taken and nothing can fail. A size of 0 wraps around. */
	if (__builtin_expect(thread_is_on(state, heap) && size - 1 < UNIT_LIMIT_BYTES, 1)) {
		uint64_t units = (size + UNIT_BYTES - 1) / UNIT_BYTES;
		size_t span_class = state->thread.class_of_units[units];
		struct cursor *cursor = &state->thread.cursors[span_class];

		if (__builtin_expect(cursor->free_bits != 0, 1)) {
			uint64_t bit = cursor_take_bit(cursor);

			if (cursor_set_bit(cursor, bit))
				return cursor_block(cursor, bit);
			return allocate_odd(heap, size, cursor, bit);
		}
	}
	return sh_alloc_ex(heap, size, 0, 0);
}

/* --- free ---------------------------------------------------------------------------------- */

int allocate_refuses_free(const struct thread_state *state, sh_off off)
{
	switch (transaction_names(&state->txn.transaction, off)) {
	case LOG_FREE:
		return SH_EDOUBLEFREE;
	case LOG_ALLOC:
		return EBUSY;
	default:
		return 0;
	}
}

/* What every free has in common; in line, so that `way` is called by name. */
__attribute__((always_inline)) static inline int free_by(struct sh_heap *heap, sh_off off,
	int (*way)(struct thread *thread, uint64_t off))
{
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		return error;
	if (off == 0)
		return 0;
	if (__builtin_expect(state->txn.open, 0))
		error = allocate_refuses_free(state, off);
	if (error == 0)
		error = way(&state->thread, off);
	thread_done(state);
	return error;
}

/* What takes a closer look. */
__attribute__((noinline)) static int free_anywhere(struct sh_heap *heap, sh_off off)
{
	return free_by(heap, off, object_free);
}

int sh_free_deferred(struct sh_heap *heap, sh_off off)
{
	return free_by(heap, off, deferred_free);
}

__attribute__((noinline)) static int look_at_emptied(struct thread_state *state, sh_off off)
{
	object_word_emptied(&state->thread, off);
	thread_done(state);
	return 0;
}

int sh_free(struct sh_heap *heap, sh_off off)
{
	struct thread_state *state = thread_current;

	if (__builtin_expect(!thread_is_on(state, heap) || state->txn.open, 0))
		return free_anywhere(heap, off);
	/* The common case, in which no lock is taken: the block lies in a span that the thread owns. An
	 * offset of 0 does not. */
	switch (object_free_hinted(&state->thread, off)) {
	case OBJECT_FREED:
		return 0;
	case OBJECT_WORD_EMPTIED:
		return look_at_emptied(state, off);
	case OBJECT_NOT_FREED:
	default:
		return free_anywhere(heap, off);
	}
}

/* --- looking ------------------------------------------------------------------------------- */

size_t sh_usable_size(struct sh_heap *heap, sh_off off)
{
	struct block block;
	int error;

	if (heap->lost)
		return 0;
	error = heap->read_only ? block_find_by_record(&heap->heap, off, &block)
				: block_find(&heap->heap, off, &block);
	return error == 0 && block_is_live(&block) ? block.bytes : 0;
}
