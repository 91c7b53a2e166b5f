/* object.h -- blocks: allocation and free
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A block's bit in `allocated` commits its allocation. Allocation is in two steps, so that a log can
 * name the block between them: reserve picks a free bit of the thread's own span, which no other
 * thread can give out, and publish sets it. A reserved block that is not published is free.
 *
 * Frees look at limbo, freed and allocated, in this order (live_bits() in heap/heap.h): in another one a
 * drain, or a free and a collect, in between make a freed block look live. */
#ifndef SPANHEAP_OBJECT_H
#define SPANHEAP_OBJECT_H

#include "heap/heap.h"

/* Stack. A block, live or dead, as its offset and its span tell. */
struct block {
	uint64_t off;
	uint64_t head;       /* first page of its span */
	struct span *span;   /* its record */
	uint32_t owner;      /* of its span, as the hot word tells (heap/hot.h) */
	uint32_t span_class; /* or SPAN_CLASS_LARGE, SPAN_CLASS_LARGE - 1 */
	uint32_t word;
	uint64_t bit;   /* 0: a large block */
	uint64_t bytes; /* usable */
};

/* The word of bits of a small block. */
static inline _Atomic uint64_t *block_allocated(const struct block *block)
{
	return span_allocated_word(block->span, block->word);
}

/* Where a block's deferred free is noted, and by which bit: a large one has the first. */
static inline _Atomic uint64_t *block_limbo(const struct block *block)
{
	return span_allocated_word(block->span, block->bit == 0 ? 0 : block->word) +
		SPAN_LIMBO_STEP;
}

static inline uint64_t block_limbo_bit(const struct block *block)
{
	return block->bit == 0 ? 1 : block->bit;
}

/* Finds the live or dead block that starts at `off`. 0, SH_EBADPTR when no block can start there,
 * SH_EDOUBLEFREE when one did and its span is gone. For any value of `off`. */
int block_find(const struct heap *heap, uint64_t off, struct block *block);

/* The same from the span's record alone, for a process that may not write: it cannot lay the hot word.
 * 0 or SH_EBADPTR; a block of a span that is gone is none. */
int block_find_by_record(const struct heap *heap, uint64_t off, struct block *block);

/* Whether the block is allocated and not freed. Right only if its owner keeps it. */
static inline bool block_is_live(const struct block *block)
{
	if (block->bit != 0)
		return (live_bits(block_allocated(block)) & block->bit) != 0;
	/* acquire: pairs with the fetch_or of a deferred free. */
	return (atomic_load_explicit(block_limbo(block), memory_order_acquire) &
		       block_limbo_bit(block)) == 0;
}

/* Allocates a small block of a class; 0 and *error when there is no page for it. */
uint64_t object_allocate(struct thread *thread, unsigned span_class, int *error);

/* --- the fast halves: what the cursor alone can tell ---------------------------------------- */

static inline uint64_t cursor_take_bit(struct cursor *cursor)
{
	uint64_t bit = cursor->free_bits & -cursor->free_bits;

	cursor->free_bits ^= bit;
	return bit;
}

static inline uint64_t cursor_block(const struct cursor *cursor, uint64_t bit)
{
	return cursor->block_base + (uint64_t)__builtin_ctzll(bit) * cursor->bytes;
}

/* Sets the block's bit. False: limbo or freed has the bit, too, and cursor_publish_odd() comes next. */
static inline bool cursor_set_bit(const struct cursor *cursor, uint64_t bit)
{
	_Atomic uint64_t *allocated = cursor->allocated;

	/* The commit of the allocation. Crash: allocated, and known to nobody or to a log.
	 * release: who finds the block live sees the span's record. */
	atomic_store_explicit(allocated,
		atomic_load_explicit(allocated, memory_order_relaxed) | bit, memory_order_release);
	return __builtin_expect((ended_bits(allocated) & bit) == 0, 1);
}

/* Whether the block can be given out all the same. */
bool cursor_publish_odd(const struct cursor *cursor, uint64_t bit);

/* False when the block cannot be given out after all. */
static inline bool cursor_publish(const struct cursor *cursor, uint64_t bit)
{
	return cursor_set_bit(cursor, bit) || cursor_publish_odd(cursor, bit);
}

/* Allocates a block of the cursor's class; cursor->free_bits is not 0. 0: another one must be tried. */
static inline uint64_t object_allocate_here(struct cursor *cursor)
{
	uint64_t bit = cursor_take_bit(cursor);

	return cursor_publish(cursor, bit) ? cursor_block(cursor, bit) : 0;
}

enum object_freed {
	OBJECT_NOT_FREED, /* nothing was changed */
	OBJECT_FREED,
	OBJECT_WORD_EMPTIED, /* freed; object_word_emptied() comes next */
};

/* Clears a bit of a word of `allocated` of the thread's own span, unless it is clear or freed. */
static inline enum object_freed object_clear_bit(_Atomic uint64_t *allocated, uint64_t bit)
{
	uint64_t ended = ended_bits(allocated);
	uint64_t held = atomic_load_explicit(allocated, memory_order_acquire);
	uint64_t left = held & ~bit;

	if ((held & ~ended & bit) == 0)
		return OBJECT_NOT_FREED;
	/* Crash: freed or not. release: who sees the block free sees all that its holder did. */
	atomic_store_explicit(allocated, left, memory_order_release);
	return left != 0 ? OBJECT_FREED : OBJECT_WORD_EMPTIED;
}

static inline struct page_hint *thread_hint(struct thread *thread, uint64_t page)
{
	return &thread->hints[page % PAGE_HINTS];
}

/* Leaves a hint of the page of a small block, in a span of the thread's own, for the next one. */
struct page_hint *thread_leave_hint(struct thread *thread, const struct block *block);

/* The block at `off`, just freed by way of a hint, was the last live one of its
 * word of bits, and the thread's cursor is elsewhere: perhaps the span is empty. */
void object_word_emptied(struct thread *thread, uint64_t off);

/* Frees the block of a bit of a word of `allocated` in the span of a hint. */
static inline enum object_freed object_free_in(const struct thread *thread,
	const struct page_hint *hint, _Atomic uint64_t *allocated, uint64_t bit)
{
	enum object_freed freed = object_clear_bit(allocated, bit);
	size_t span_class;

	if (freed != OBJECT_WORD_EMPTIED)
		return freed;
	span_class = atomic_load_explicit(&hint->span->span_class, memory_order_relaxed);
	return thread->cursors[span_class].allocated == allocated ? OBJECT_FREED
								  : OBJECT_WORD_EMPTIED;
}

/* Whether there is a hint of the page of `off`, and a block of its span may begin there: *index. Behind the
 * span's last block no bit is set. For any `off`. */
static inline bool hint_finds(const struct page_hint *hint, uint64_t off, uint64_t *index)
{
	return hint->page == off >> PAGE_SHIFT &&
		size_class_index(hint->reciprocal, off - hint->base, index) &&
		*index < SPAN_MAX_OBJECTS;
}

/* Frees a live block in a span of the thread's own of whose page there is a hint. What is none, or not
 * live, or takes a closer look, is not freed. For any `off`. */
static inline enum object_freed object_free_hinted(struct thread *thread, uint64_t off)
{
	const struct page_hint *hint = thread_hint(thread, off >> PAGE_SHIFT);
	uint64_t index;

	if (!hint_finds(hint, off, &index))
		return OBJECT_NOT_FREED;
	return object_free_in(thread, hint, span_allocated_word(hint->span, index / 64),
		UINT64_C(1) << (index & 63));
}

/* The two steps of object_allocate. What was reserved is published or cancelled next; false: it could not
 * be, another one must be reserved. */
uint64_t object_reserve(struct thread *thread, unsigned span_class, int *error);
bool object_publish(struct thread *thread, unsigned span_class, uint64_t off);
void object_cancel(struct thread *thread, unsigned span_class, uint64_t off);

/* Frees a block for the thread itself, outside of any log. 0 or an SH_E... code.
 * Crash: freed or not. */
int object_free(struct thread *thread, uint64_t off);

/* Sets the block free for the log of `slot`, whose one writer the caller is and whose `applying`
 * names the block; does nothing when it is free already. Consequences for the span come with
 * object_freed_for_log(), after the log's entry is retired. */
void object_free_for_log(struct thread *thread, uint32_t slot, const struct block *block);
void object_freed_for_log(struct thread *thread, uint32_t slot, const struct block *block);

/* Gives all spans of the thread back: before it leaves. */
void object_give_back(struct thread *thread);

/* Whether blocks of that size have a size class; others are spans of their own. */
static inline bool size_is_small(uint64_t bytes)
{
	return bytes <= SMALL_MAX_BYTES;
}

#endif
