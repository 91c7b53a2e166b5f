/* object.c -- blocks: allocation and free
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/object.h"

#include "heap/pages.h"
#include "heap/span.h"
#include "shm/order.h"

#include <spanheap.h>

/* --- finding ------------------------------------------------------------------------------- */

/* Why no block is at `off`: was there one, in a span that is gone? */
static int gone_or_bad(const struct heap *heap, uint64_t head, uint64_t off)
{
	struct span_record record = span_record_read(heap, head);
	uint64_t delta = off - page_offset(head);

	if (head_is_set(heap, head) || !span_record_plausible(heap, head, &record))
		return SH_EBADPTR;
	if (record.purpose == SPAN_LARGE)
		return delta == 0 ? SH_EDOUBLEFREE : SH_EBADPTR;
	if (record.purpose != SPAN_OBJECTS)
		return SH_EBADPTR;
	return delta < record.pages * PAGE_BYTES &&
			delta % span_size_class(heap, record.span_class)->bytes == 0
		? SH_EDOUBLEFREE
		: SH_EBADPTR;
}

static int find_small(const struct heap *heap, struct block *block)
{
	const struct size_class *size_class = span_size_class(heap, block->span_class);
	uint64_t delta = block->off - page_offset(block->head);
	uint64_t index = delta * size_class->reciprocal >> 32;

	if (delta >= size_class->pages * PAGE_BYTES)
		return SH_EBADPTR;
	if (index >= size_class->objects || index * size_class->bytes != delta)
		return SH_EBADPTR;
	block->word = (uint32_t)(index / 64);
	block->bit = UINT64_C(1) << (index & 63);
	block->bytes = size_class->bytes;
	return 0;
}

static int find_in_span(const struct heap *heap, struct block *block, uint64_t hot)
{
	uint32_t owner = hot_owner(hot);

	block->span_class = hot_class(hot);
	if (owner == HOT_LARGE) {
		block->bit = 0;
		block->bytes = span_of_head(heap, block->head)->bytes;
		return block->off == page_offset(block->head) ? 0 : SH_EBADPTR;
	}
	if (owner == HOT_NONE || (owner >= HOT_DYING && owner != HOT_UNOWNED))
		return gone_or_bad(heap, block->head, block->off);
	return find_small(heap, block);
}

int block_find(const struct heap *heap, uint64_t off, struct block *block)
{
	uint64_t page = off >> PAGE_SHIFT;
	uint64_t head;

	if (!page_is_data(heap, page))
		return SH_EBADPTR;
	head = atomic_load_explicit(span_table_entry(heap, page), memory_order_acquire);
	if (head == 0 || head > page)
		return SH_EBADPTR;
	/* In the chunk of the page it is data as that is. */
	if ((head ^ page) >> CHUNK_PAGES_SHIFT != 0 && !page_is_data(heap, head))
		return SH_EBADPTR;
	block->off = off;
	block->head = head;
	block->span = span_of_head(heap, head);
	return find_in_span(heap, block, span_hot(heap, head));
}

int block_find_by_record(const struct heap *heap, uint64_t off, struct block *block)
{
	uint64_t head = span_find(heap, off >> PAGE_SHIFT);
	struct span_record record;

	if (head == 0)
		return SH_EBADPTR;
	record = span_record_read(heap, head);
	if (!span_record_plausible(heap, head, &record) ||
		(record.purpose != SPAN_OBJECTS && record.purpose != SPAN_LARGE))
		return SH_EBADPTR;
	*block = (struct block){
		.off = off,
		.head = head,
		.span = span_of_head(heap, head),
		.span_class = record.span_class,
		.bytes = record.bytes,
	};
	if (record.purpose == SPAN_LARGE)
		return off == page_offset(head) ? 0 : SH_EBADPTR;
	return find_small(heap, block);
}

static _Atomic uint64_t *block_allocated(const struct heap *heap, const struct block *block)
{
	return block->word < SPAN_INLINE_WORDS ? &block->span->allocated[block->word]
					       : span_allocated(heap, block->head, block->word);
}

static _Atomic uint64_t *block_freed(const struct heap *heap, const struct block *block)
{
	return block->word < SPAN_INLINE_WORDS ? &block->span->freed[block->word]
					       : span_freed(heap, block->head, block->word);
}

static bool is_live_small(const struct heap *heap, const struct block *block)
{
	/* freed first, see object.h; acquire: pairs with the owner's collect. */
	uint64_t freed = atomic_load_explicit(block_freed(heap, block), memory_order_acquire);
	uint64_t allocated =
		atomic_load_explicit(block_allocated(heap, block), memory_order_acquire);

	return (allocated & ~freed & block->bit) != 0;
}

bool block_is_live(const struct heap *heap, const struct block *block)
{
	return block->bit == 0 || is_live_small(heap, block);
}

/* --- allocation ---------------------------------------------------------------------------- */

static void cursor_set(struct thread *thread, unsigned span_class, uint64_t head, unsigned word,
	uint64_t free_bits)
{
	const struct heap *heap = thread->heap;
	const struct size_class *size_class = span_size_class(heap, span_class);

	uint32_t rest = size_class->objects - word * 64;

	for (uint32_t i = 0; i < size_class->pages; i++)
		thread->class_of_page[(head + i) % PAGE_HINTS] = (uint8_t)span_class;
	thread->cursors[span_class] = (struct cursor){
		.free_bits = free_bits,
		.allocated = span_allocated(heap, head, word),
		.freed = span_freed(heap, head, word),
		.block_base = page_offset(head) + (uint64_t)word * 64 * size_class->bytes,
		.bytes = size_class->bytes,
		.page = head,
		.reciprocal = size_class->reciprocal,
		.word_bytes = (rest < 64 ? rest : 64) * size_class->bytes,
		.word = word,
		.words = size_class->words,
	};
}

/* Looks through the words of the thread's span, from the one after the current on, then the
 * current one itself. */
static bool refill_from_own(struct thread *thread, unsigned span_class)
{
	struct cursor *cursor = &thread->cursors[span_class];
	uint64_t head = cursor->page;
	uint32_t words = cursor->words;
	uint32_t word = cursor->word;

	for (uint32_t i = 0; i < words; i++) {
		word = word + 1 == words ? 0 : word + 1;
		uint64_t bits = span_collect(thread, head, word);

		if (bits != 0) {
			cursor_set(thread, span_class, head, word, bits);
			return true;
		}
	}
	return false;
}

static void cursor_drop(struct thread *thread, unsigned span_class)
{
	struct cursor *cursor = &thread->cursors[span_class];

	if (cursor->page == 0)
		return;
	span_give_up(thread, cursor->page, span_class);
	*cursor = (struct cursor){ .page = 0 };
}

/* Points the cursor at the lowest free block of a span that the thread just got, collected. */
static void cursor_begin(struct thread *thread, unsigned span_class, uint64_t head)
{
	unsigned words = span_size_class(thread->heap, span_class)->words;

	for (unsigned word = 0; word < words; word++) {
		uint64_t bits = span_free_bits(thread->heap, head, word);

		cursor_set(thread, span_class, head, word, bits);
		if (bits != 0)
			return;
	}
}

/* Gives the thread a span of the class with a free block. False and *error when there is none. */
static bool refill(struct thread *thread, unsigned span_class, int *error)
{
	uint64_t head;

	if (thread->cursors[span_class].page != 0 && refill_from_own(thread, span_class))
		return true;
	/* Handed over: full, so no list names it until somebody frees in it. */
	cursor_drop(thread, span_class);
	head = span_claim_listed(thread, span_class);
	if (head == 0)
		head = span_create(thread, span_class, error);
	if (head == 0)
		return false;
	cursor_begin(thread, span_class, head);
	return true;
}

static bool have_bits(struct thread *thread, unsigned span_class, int *error)
{
	return thread->cursors[span_class].free_bits != 0 || refill(thread, span_class, error);
}

uint64_t object_allocate(struct thread *thread, unsigned span_class, int *error)
{
	if (!have_bits(thread, span_class, error))
		return 0;
	return object_allocate_here(&thread->cursors[span_class]);
}

uint64_t object_reserve(struct thread *thread, unsigned span_class, int *error)
{
	struct cursor *cursor = &thread->cursors[span_class];

	if (!have_bits(thread, span_class, error))
		return 0;
	return cursor_block(cursor, cursor_take_bit(cursor));
}

static uint64_t bit_of_block(const struct cursor *cursor, uint64_t off)
{
	return UINT64_C(1) << ((off - cursor->block_base) / cursor->bytes);
}

void object_publish(struct thread *thread, unsigned span_class, uint64_t off)
{
	struct cursor *cursor = &thread->cursors[span_class];

	cursor_publish(cursor, bit_of_block(cursor, off));
}

void object_cancel(struct thread *thread, unsigned span_class, uint64_t off)
{
	struct cursor *cursor = &thread->cursors[span_class];

	cursor->free_bits |= bit_of_block(cursor, off);
}

/* --- free ---------------------------------------------------------------------------------- */

/* By the span's owner: plain stores. */
static int free_own(struct thread *thread, const struct block *block)
{
	struct cursor *cursor = &thread->cursors[block->span_class];
	_Atomic uint64_t *allocated = block_allocated(thread->heap, block);

	if (!is_live_small(thread->heap, block))
		return SH_EDOUBLEFREE;
	atomic_store_explicit(allocated,
		atomic_load_explicit(allocated, memory_order_relaxed) & ~block->bit,
		memory_order_release);
	if (cursor->page == block->head && cursor->word == block->word)
		cursor->free_bits |= block->bit;
	return 0;
}

static void set_touching(struct thread *thread, uint32_t slot, uint64_t head)
{
	atomic_store_explicit(&heap_slot_words(thread->heap, slot)->touching, head,
		memory_order_release);
	crash_order();
}

/* Sets the freed bit of a block in a span of somebody else's or nobody's, and lists the span if it
 * is nobody's. Returns the word's bits before. `touching` of the slot names the span. */
static uint64_t free_remote(struct thread *thread, uint32_t slot, const struct block *block)
{
	struct heap *heap = thread->heap;
	uint64_t before;

	set_touching(thread, slot, block->head);
	/* seq_cst: before the look at the hot word, see not_full() in span.c. */
	before = atomic_fetch_or(block_freed(heap, block), block->bit);
	/* Crash: freed, and in nobody's list; touching names it. So when the bit was set before, by
	 * a dead thread for whose log this repeats it, the listing is repeated, too. */
	if (hot_owner(atomic_load(&block->span->hot)) == HOT_UNOWNED)
		span_list(heap, block->head, block->span_class);
	set_touching(thread, slot, 0);
	return before;
}

static int free_others(struct thread *thread, const struct block *block)
{
	if (!is_live_small(thread->heap, block))
		return SH_EDOUBLEFREE;
	if (free_remote(thread, thread->slot, block) & block->bit)
		return SH_EDOUBLEFREE;
	span_retire_if_empty(thread, block->head);
	return 0;
}

static int free_large(struct thread *thread, const struct block *block)
{
	if (!span_free_begin(thread, thread->slot, 0, block->head))
		return SH_EDOUBLEFREE;
	span_free_end(thread, thread->slot, 0);
	pages_settle_limbo(thread);
	return 0;
}

static bool owned_by(const struct thread *thread, const struct block *block)
{
	return thread->cursors[block->span_class].page == block->head;
}

int object_free(struct thread *thread, uint64_t off)
{
	struct block block = { .bit = 0 };
	int error = block_find(thread->heap, off, &block);

	if (error != 0)
		return error;
	if (block.bit == 0)
		return free_large(thread, &block);
	return owned_by(thread, &block) ? free_own(thread, &block) : free_others(thread, &block);
}

void object_free_for_log(struct thread *thread, uint32_t slot, const struct block *block)
{
	_Atomic uint64_t *allocated = span_allocated(thread->heap, block->head, block->word);
	uint64_t live = atomic_load_explicit(allocated, memory_order_acquire);

	if (!(live & block->bit))
		return;
	/* A plain store only by the span's owner, and only for itself: whoever acts for another slot
	 * may own the span, but dies without the other's log knowing. */
	if (slot == thread->slot && owned_by(thread, block))
		atomic_store_explicit(allocated, live & ~block->bit, memory_order_release);
	else
		free_remote(thread, slot, block);
}

void object_freed_for_log(struct thread *thread, uint32_t slot, const struct block *block)
{
	struct cursor *cursor = &thread->cursors[block->span_class];

	if (!owned_by(thread, block))
		return;
	/* Not for the dead's frees: those are in freed, and collected. */
	if (slot == thread->slot && cursor->word == block->word)
		cursor->free_bits |=
			block->bit & ~atomic_load_explicit(cursor->allocated, memory_order_relaxed);
}

void object_give_back(struct thread *thread)
{
	for (unsigned span_class = 0; span_class < SPAN_CLASS_COUNT; span_class++) {
		struct cursor *cursor = &thread->cursors[span_class];
		uint64_t head = cursor->page;
		bool empty;

		if (head == 0)
			continue;
		span_collect_all(thread, head, &empty);
		if (empty)
			span_retire(thread, head, span_class);
		else
			span_give_up(thread, head, span_class);
		*cursor = (struct cursor){ .page = 0 };
	}
}
