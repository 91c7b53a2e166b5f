/* object.c -- blocks: allocation and free
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/object.h"

#include "heap/owned.h"
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

__attribute__((always_inline)) static inline int find_small(const struct heap *heap,
	struct block *block)
{
	const struct size_class *size_class = span_size_class(heap, block->span_class);
	uint64_t delta = block->off - page_offset(block->head);
	uint64_t index;

	if (delta >= size_class->pages * PAGE_BYTES)
		return SH_EBADPTR;
	if (!size_class_index(size_class->reciprocal, delta, &index) ||
		index >= size_class->objects)
		return SH_EBADPTR;
	block->word = (uint32_t)(index / 64);
	block->bit = UINT64_C(1) << (index & 63);
	block->bytes = size_class->bytes;
	return 0;
}

__attribute__((always_inline)) static inline int find_in_span(const struct heap *heap,
	struct block *block, uint64_t hot)
{
	uint32_t owner = hot_owner(hot);

	block->owner = owner;
	block->span_class = hot_class(hot);
	if (__builtin_expect(owner - 1 < HOT_DYING - 1, 1) || owner == HOT_UNOWNED)
		return find_small(heap, block);
	if (owner != HOT_LARGE)
		return gone_or_bad(heap, block->head, block->off);
	block->bit = 0;
	block->bytes = block->span->bytes;
	return block->off == page_offset(block->head) ? 0 : SH_EBADPTR;
}

/* The record of a span that begins in another chunk; NULL when no data is there. */
__attribute__((noinline)) static struct span *find_far(const struct heap *heap, uint64_t head)
{
	return page_is_data(heap, head) ? span_of_head(heap, head) : NULL;
}

/* block_find(), in line for the free. */
__attribute__((always_inline)) static inline int find(const struct heap *heap, uint64_t off,
	struct block *block)
{
	uint64_t page = off >> PAGE_SHIFT;
	char *meta = chunk_meta(heap, page);
	uint64_t head;
	uint64_t hot;

	if (meta == NULL)
		return SH_EBADPTR;
	head = table_head(atomic_load_explicit(meta_table_entry(meta, page), memory_order_acquire),
		page);
	if (head == 0 || head > page)
		return SH_EBADPTR;
	block->off = off;
	block->head = head;
	/* In the chunk of the page it is data as that is. */
	block->span = (head ^ page) >> CHUNK_PAGES_SHIFT == 0 ? meta_span(meta, head)
							      : find_far(heap, head);
	if (block->span == NULL)
		return SH_EBADPTR;
	hot = atomic_load_explicit(&block->span->hot, memory_order_acquire);
	return find_in_span(heap, block,
		hot_laid(hot, heap->incarnation) ? hot : span_hot(heap, head));
}

int block_find(const struct heap *heap, uint64_t off, struct block *block)
{
	return find(heap, off, block);
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

static _Atomic uint64_t *block_freed(const struct block *block)
{
	return block_allocated(block) + SPAN_FREED_STEP;
}

/* --- allocation ---------------------------------------------------------------------------- */

bool cursor_publish_odd(const struct cursor *cursor, uint64_t bit)
{
	_Atomic uint64_t *freed = cursor->allocated + SPAN_FREED_STEP;

	/* limbo first: the drainer sets freed before it clears limbo. A bit there: the block was freed by a
	 * plain and a deferred free at once. It is left to the drain. */
	if (atomic_load_explicit(cursor->allocated + SPAN_LIMBO_STEP, memory_order_acquire) & bit) {
		atomic_fetch_or_explicit(freed, bit, memory_order_relaxed);
		return false;
	}
	/* The second of two racing frees landed after the block's collect. Dropped, or the new holder's
	 * block would look free. */
	atomic_fetch_and_explicit(freed, ~bit, memory_order_relaxed);
	return true;
}

static void cursor_set(struct thread *thread, unsigned span_class, uint64_t head, unsigned word,
	uint64_t free_bits)
{
	const struct heap *heap = thread->heap;
	const struct size_class *size_class = span_size_class(heap, span_class);

	thread->cursors[span_class] = (struct cursor){
		.free_bits = free_bits,
		.allocated = span_allocated(heap, head, word),
		.block_base = page_offset(head) + (uint64_t)word * 64 * size_class->bytes,
		.page = head,
		.bytes = size_class->bytes,
		.word = word,
		.words = size_class->words,
	};
}

/* Points the cursor at the first word with a free block, from `word` on, round the span to the word
 * before it. */
static bool cursor_seek(struct thread *thread, unsigned span_class, uint64_t head, uint32_t word)
{
	uint32_t words = span_size_class(thread->heap, span_class)->words;

	for (uint32_t i = 0; i < words; i++) {
		uint64_t bits = span_collect(thread, head, word);

		if (bits != 0) {
			cursor_set(thread, span_class, head, word, bits);
			return true;
		}
		word = word + 1 == words ? 0 : word + 1;
	}
	return false;
}

static bool refill_from_current(struct thread *thread, unsigned span_class)
{
	const struct cursor *cursor = &thread->cursors[span_class];

	return cursor->page != 0 &&
		cursor_seek(thread, span_class, cursor->page,
			cursor->word + 1 == cursor->words ? 0 : cursor->word + 1);
}

/* The span is full: kept, or handed over. In the latter case no list names it until enough is freed in
 * it. */
static void leave_current(struct thread *thread, unsigned span_class)
{
	struct cursor *cursor = &thread->cursors[span_class];

	if (cursor->page == 0)
		return;
	if (!owned_has_room(thread))
		span_give_up(thread, cursor->page);
	*cursor = (struct cursor){ .page = 0 };
}

/* The next span of the thread's own in the ring of the class: who comes to it finds its bits near. */
static void expect_next(const struct thread *thread, unsigned span_class)
{
	unsigned next = thread->owned.next[thread->owned.position[span_class]];

	if (next != 0)
		__builtin_prefetch(span_of_head(thread->heap, owned_head(thread, next)));
}

/* Points the cursor at a kept span with at least `least` free blocks. */
static bool take_kept(struct thread *thread, unsigned span_class, unsigned place, unsigned least)
{
	const struct size_class *size_class = span_size_class(thread->heap, span_class);
	uint64_t head = owned_head(thread, place);

	/* What open logs are freeing is counted, and perhaps not found. */
	if (span_free_count(thread->heap, head, size_class) < least ||
		!cursor_seek(thread, span_class, head, 0))
		return false;
	owned_forget_empty(thread, place, size_class->pages);
	return true;
}

/* Goes on round the ring of spans that the thread filled earlier, at most once. */
static bool go_round(struct thread *thread, unsigned span_class, unsigned looks, unsigned least)
{
	unsigned last = thread->owned.position[span_class];
	unsigned place = 0;

	while (looks-- > 0 && place != last) {
		place = owned_next(thread, span_class);
		if (take_kept(thread, span_class, place, least))
			return true;
	}
	return false;
}

static bool refill_from_kept(struct thread *thread, unsigned span_class)
{
	bool found;

	if (thread->owned.position[span_class] == 0)
		return false;
	found = go_round(thread, span_class, owned_looks(thread, span_class),
		span_size_class(thread->heap, span_class)->worth);
	owned_looked(thread, span_class, found);
	expect_next(thread, span_class);
	return found;
}

/* A span that is new to the thread. */
static bool begin_span(struct thread *thread, unsigned span_class, uint64_t head)
{
	const struct heap *heap = thread->heap;

	owned_link(thread, span_class, span_of_head(heap, head)->place,
		span_size_class(heap, span_class)->pages);
	return cursor_seek(thread, span_class, head, 0);
}

/* There are no pages for a new span: any free block will do. */
static bool refill_from_rest(struct thread *thread, unsigned span_class)
{
	uint64_t head;

	if (thread->owned.position[span_class] != 0 && go_round(thread, span_class, OWNED_COUNT, 1))
		return true;
	head = span_claim_any(thread, span_class);
	return head != 0 && begin_span(thread, span_class, head);
}

/* Gives the thread a span of the class with a free block. False and *error when there is none. */
static bool refill(struct thread *thread, unsigned span_class, int *error)
{
	uint64_t head;

	if (refill_from_current(thread, span_class))
		return true;
	leave_current(thread, span_class);
	if (refill_from_kept(thread, span_class))
		return true;
	head = span_claim_listed(thread, span_class);
	if (head == 0)
		head = span_create(thread, span_class, error);
	return head != 0 ? begin_span(thread, span_class, head)
			 : refill_from_rest(thread, span_class);
}

static bool have_bits(struct thread *thread, unsigned span_class, int *error)
{
	return thread->cursors[span_class].free_bits != 0 || refill(thread, span_class, error);
}

uint64_t object_allocate(struct thread *thread, unsigned span_class, int *error)
{
	uint64_t off = 0;

	while (off == 0 && have_bits(thread, span_class, error))
		off = object_allocate_here(&thread->cursors[span_class]);
	return off;
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

bool object_publish(struct thread *thread, unsigned span_class, uint64_t off)
{
	struct cursor *cursor = &thread->cursors[span_class];

	return cursor_publish(cursor, bit_of_block(cursor, off));
}

void object_cancel(struct thread *thread, unsigned span_class, uint64_t off)
{
	struct cursor *cursor = &thread->cursors[span_class];

	cursor->free_bits |= bit_of_block(cursor, off);
}

/* --- free ---------------------------------------------------------------------------------- */

static bool owned_by(const struct thread *thread, const struct block *block)
{
	return block->owner == hot_owned_by(thread->slot);
}

static bool is_empty(const struct heap *heap, uint64_t head, unsigned words)
{
	for (unsigned word = 0; word < words; word++)
		if (atomic_load_explicit(span_allocated(heap, head, word), memory_order_relaxed) !=
			0)
			return false;
	return true;
}

/* No block of the word is live any more: if that is so of all the span's (rule A of heap/span.h), it
 * is kept for the next search, or its pages go back. */
static void look_if_empty(struct thread *thread, uint64_t head, unsigned span_class)
{
	const struct size_class *size_class = span_size_class(thread->heap, span_class);
	unsigned place = span_of_head(thread->heap, head)->place;

	if (thread->cursors[span_class].page == head)
		return;
	if (is_empty(thread->heap, head, size_class->words) &&
		!owned_keep_empty(thread, place, size_class->pages))
		span_retire(thread, head);
}

void object_word_emptied(struct thread *thread, uint64_t off)
{
	const struct page_hint *hint = thread_hint(thread, off >> PAGE_SHIFT);

	look_if_empty(thread, hint->base >> PAGE_SHIFT, hint->span->span_class);
}

/* Sets the freed bit of a block in a span of somebody else's or nobody's, and lists the span if it
 * is nobody's. Returns the word's bits before. `touching` of the slot names the span. */
static uint64_t free_remote(struct thread *thread, uint32_t slot, const struct block *block)
{
	struct heap *heap = thread->heap;
	uint64_t before;

	slot_touch(heap, slot, block->head);
	/* seq_cst: before the look at the hot word, see span_free_count(). */
	before = atomic_fetch_or(block_freed(block), block->bit);
	/* Crash: freed, and in nobody's list; touching names it. So when the bit was set before, by
	 * a dead thread for whose log this repeats it, the listing is repeated, too. */
	span_list(heap, block->head);
	slot_touch(heap, slot, 0);
	return before;
}

struct page_hint *thread_leave_hint(struct thread *thread, const struct block *block)
{
	struct page_hint *hint = thread_hint(thread, block->off >> PAGE_SHIFT);

	*hint = (struct page_hint){
		.page = block->off >> PAGE_SHIFT,
		.base = page_offset(block->head),
		.span = block->span,
		.reciprocal = span_size_class(thread->heap, block->span_class)->reciprocal,
	};
	return hint;
}

/* By the span's owner: plain stores. Leaves a hint of the page for the next one. */
static inline int free_own(struct thread *thread, const struct block *block)
{
	const struct page_hint *hint = thread_leave_hint(thread, block);
	enum object_freed freed = object_free_in(thread, hint, block_allocated(block), block->bit);

	if (freed == OBJECT_NOT_FREED)
		return SH_EDOUBLEFREE;
	if (freed == OBJECT_WORD_EMPTIED)
		look_if_empty(thread, block->head, block->span_class);
	return 0;
}

static int free_others(struct thread *thread, const struct block *block)
{
	uint64_t before;
	uint64_t live;

	if (!block_is_live(block))
		return SH_EDOUBLEFREE;
	before = free_remote(thread, thread->slot, block);
	if (before & block->bit)
		return SH_EDOUBLEFREE;
	live = atomic_load_explicit(block_allocated(block), memory_order_relaxed) &
		~(before | block->bit);
	if (live == 0)
		span_retire_if_empty(thread, block->head);
	return 0;
}

static int free_large(struct thread *thread, const struct block *block)
{
	if (!block_is_live(block) || !span_free_begin(thread, thread->slot, 0, block->head))
		return SH_EDOUBLEFREE;
	span_free_end(thread, thread->slot, 0);
	pages_settle_limbo(thread);
	return 0;
}

int object_free(struct thread *thread, uint64_t off)
{
	struct block block = { .bit = 0 };
	int error = find(thread->heap, off, &block);

	if (error != 0)
		return error;
	if (block.bit == 0)
		return free_large(thread, &block);
	return owned_by(thread, &block) ? free_own(thread, &block) : free_others(thread, &block);
}

void object_free_for_log(struct thread *thread, uint32_t slot, const struct block *block)
{
	_Atomic uint64_t *allocated = block_allocated(block);
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
	/* Not for the dead's frees: those are in freed, and collected. */
	if (slot == thread->slot && owned_by(thread, block) &&
		atomic_load_explicit(block_allocated(block), memory_order_relaxed) == 0)
		look_if_empty(thread, block->head, block->span_class);
}

void object_give_back(struct thread *thread)
{
	memset(thread->cursors, 0, sizeof(thread->cursors));
	for (unsigned place = 1; place <= thread->owned.limit; place++) {
		uint64_t head = owned_head(thread, place);
		bool empty;

		if (head == 0)
			continue;
		span_collect_all(thread, head, &empty);
		if (empty)
			span_retire(thread, head);
		else
			span_give_up(thread, head);
	}
}
