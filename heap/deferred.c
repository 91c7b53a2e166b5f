/* deferred.c -- blocks that are freed when no reader can find them any more
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/deferred.h"

#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "shm/lock.h"
#include "shm/order.h"

#include <spanheap.h>

/* A thread drains when it has deferred so many bytes for each arena, because a drain looks for notes in all of
 * them; a block counts as so many at least. */
#define SETTLE_BYTES UINT64_C(1048576)
#define SETTLE_LEAST_BYTES UINT64_C(128)
/* Of a drain that goes on until nothing more can be done: others defer meanwhile. */
#define DRAIN_ROUNDS 256u

#define ENTRY_WORD_BITS 3

static_assert(SPAN_MAX_WORDS <= 1u << ENTRY_WORD_BITS, "an entry names a word of a span");

/* --- notes --------------------------------------------------------------------------------- */

static _Atomic uint64_t *noted_word(const struct heap *heap, uint64_t page)
{
	return &heap->noted[page / WORD_PAGES];
}

static uint64_t noted_bit(uint64_t page)
{
	return UINT64_C(1) << (page % WORD_PAGES);
}

bool deferred_is_noted(const struct heap *heap, uint64_t head)
{
	return (atomic_load(noted_word(heap, head)) & noted_bit(head)) != 0;
}

void deferred_note(const struct heap *heap, uint64_t head)
{
	/* seq_cst: after the limbo bit; pairs with clear_note(). */
	if (!deferred_is_noted(heap, head))
		atomic_fetch_or(noted_word(heap, head), noted_bit(head));
}

/* Words of limbo bits of the span; 0 when there is none, or one without blocks. What each bit stands for goes
 * to *block_bytes. */
static unsigned limbo_words(const struct heap *heap, uint64_t head, uint64_t *block_bytes)
{
	struct span_record record;
	const struct size_class *size_class;

	if (!page_is_data(heap, head) || !head_is_set(heap, head))
		return 0;
	record = span_record_read(heap, head);
	*block_bytes = record.bytes;
	if (record.purpose == SPAN_LARGE)
		return 1;
	if (record.purpose != SPAN_OBJECTS || record.span_class >= SPAN_CLASS_COUNT)
		return 0;
	size_class = span_size_class(heap, record.span_class);
	*block_bytes = size_class->bytes;
	return size_class->words;
}

bool deferred_is_pending(const struct heap *heap, uint64_t head)
{
	uint64_t block_bytes;
	unsigned words = limbo_words(heap, head, &block_bytes);

	for (unsigned word = 0; word < words; word++)
		if (atomic_load(span_limbo(heap, head, word)) != 0)
			return true;
	return false;
}

/* `touching` names the span. */
static void clear_note(const struct heap *heap, uint64_t head)
{
	/* seq_cst: who set a limbo bit and found the note before this is seen below. */
	atomic_fetch_and(noted_word(heap, head), ~noted_bit(head));
	/* Crash: touching names the span; its reaper notes it. */
	if (deferred_is_pending(heap, head))
		deferred_note(heap, head);
}

/* --- freeing ------------------------------------------------------------------------------- */

static inline bool set_bit(struct thread *thread, uint32_t slot, const struct block *block)
{
	struct heap *heap = thread->heap;
	uint64_t before;

	slot_touch(heap, slot, block->head);
	/* seq_cst: before the look at the note, see clear_note(). The block's unlink comes before. */
	before = atomic_fetch_or(block_limbo(block), block_limbo_bit(block));
	/* Crash: freed, and perhaps not noted; touching names the span. */
	if (__builtin_expect(!deferred_is_noted(heap, block->head), 0))
		deferred_note(heap, block->head);
	slot_touch(heap, slot, 0);
	return (before & block_limbo_bit(block)) == 0;
}

bool deferred_set(struct thread *thread, uint32_t slot, const struct block *block)
{
	return set_bit(thread, slot, block);
}

/* block_find() for a block in a span of the thread's own of whose page there is a hint. */
static inline bool find_hinted(struct thread *thread, uint64_t off, struct block *block)
{
	const struct page_hint *hint = thread_hint(thread, off >> PAGE_SHIFT);
	uint64_t index;
	unsigned span_class;

	if (!hint_finds(hint, off, &index))
		return false;
	span_class = atomic_load_explicit(&hint->span->span_class, memory_order_relaxed);
	block->head = hint->base >> PAGE_SHIFT;
	block->span = hint->span;
	block->word = (uint32_t)(index / 64);
	block->bit = UINT64_C(1) << (index & 63);
	block->bytes = span_size_class(thread->heap, span_class)->bytes;
	return true;
}

static inline int free_found(struct thread *thread, const struct block *block)
{
	return block_is_live(block) && set_bit(thread, thread->slot, block) ? 0 : SH_EDOUBLEFREE;
}

/* Leaves a hint when the next one can use it. */
__attribute__((noinline)) static int free_without_hint(struct thread *thread, uint64_t off,
	uint64_t *bytes)
{
	struct block block;
	int error = block_find(thread->heap, off, &block);

	if (error != 0)
		return error;
	if (block.bit != 0 && block.owner == hot_owned_by(thread->slot))
		thread_leave_hint(thread, &block);
	*bytes = block.bytes;
	return free_found(thread, &block);
}

static inline int find_and_free(struct thread *thread, uint64_t off, uint64_t *bytes)
{
	struct block block;

	if (!find_hinted(thread, off, &block))
		return free_without_hint(thread, off, bytes);
	*bytes = block.bytes;
	return free_found(thread, &block);
}

/* Whether the thread has deferred so much that it should drain. */
static inline bool is_due(struct thread *thread, uint64_t bytes)
{
	thread->deferred_bytes += bytes > SETTLE_LEAST_BYTES ? bytes : SETTLE_LEAST_BYTES;
	return thread->deferred_bytes >= SETTLE_BYTES * heap_arena_count(thread->heap);
}

static void settle(struct thread *thread)
{
	thread->deferred_bytes = 0;
	deferred_drain(thread);
}

int deferred_free(struct thread *thread, uint64_t off)
{
	uint64_t bytes = 0;
	int error;

	thread_begin_reading(thread);
	error = find_and_free(thread, off, &bytes);
	thread_end_reading(thread);
	if (error == 0 && __builtin_expect(is_due(thread, bytes), 0))
		settle(thread);
	return error;
}

/* --- the batch ----------------------------------------------------------------------------- */

static struct drain *drain_of(const struct heap *heap)
{
	return &heap->derived->drain;
}

static uint64_t entry_head(const struct deferred_entry *entry)
{
	return entry->where >> ENTRY_WORD_BITS;
}

static unsigned entry_word(const struct deferred_entry *entry)
{
	return entry->where & ((1u << ENTRY_WORD_BITS) - 1);
}

static uint64_t generation_of(const struct heap *heap, uint64_t head)
{
	return atomic_load_explicit(&span_of_head(heap, head)->generation, memory_order_acquire);
}

/* Entries that the batch has room for: the first ones, until they were not enough. */
static uint64_t capacity(const struct heap *heap)
{
	uint64_t entries = atomic_load_explicit(&drain_of(heap)->capacity, memory_order_relaxed);

	return entries != 0 ? entries : DEFERRED_BATCH_LEAST;
}

/* The batch was full. When the disk is, too, it stays as it is. */
static void enlarge(const struct heap *heap)
{
	if (capacity(heap) < DEFERRED_BATCH)
		atomic_store_explicit(&drain_of(heap)->capacity,
			heap_back_batch(heap) == 0 ? DEFERRED_BATCH : DEFERRED_BATCH_LEAST,
			memory_order_relaxed);
}

/* Stack. How far the batch is filled. */
struct filling {
	uint64_t limit; /* entries */
	uint64_t count;
	uint64_t bytes; /* of blocks */
};

/* In a read section: who finds the head bit set keeps the pages from their next life. */
static bool copy_words(const struct heap *heap, uint64_t head, struct filling *filling)
{
	uint64_t block_bytes;
	unsigned words = limbo_words(heap, head, &block_bytes);
	uint64_t generation = words != 0 ? generation_of(heap, head) : 0;

	if (filling->count + words > filling->limit)
		return false;
	for (unsigned word = 0; word < words; word++) {
		/* acquire: pairs with the fetch_or; the hazard of a log's free was set before. */
		uint64_t bits =
			atomic_load_explicit(span_limbo(heap, head, word), memory_order_acquire);

		if (bits == 0)
			continue;
		heap->batch[filling->count++] = (struct deferred_entry){
			.where = head << ENTRY_WORD_BITS | word,
			.generation = generation,
			.bits = bits,
		};
		filling->bytes += page_bits_count(bits) * block_bytes;
	}
	return true;
}

/* Copies the limbo words of a span that is noted into the batch. False when it has no room for all of them.
 * The bits are of the generation that is stored with them (rule E). Who drains in vain enters no section: it
 * would be a reader from then on. */
static bool copy_span(struct thread *thread, uint64_t head, struct filling *filling)
{
	bool copied;

	thread_begin_reading(thread);
	copied = copy_words(thread->heap, head, filling);
	thread_end_reading(thread);
	return copied;
}

/* Copies what is noted in [first, end). Returns the page at which the batch was full, or `end`. */
static uint64_t copy_noted(struct thread *thread, uint64_t first, uint64_t end,
	struct filling *filling)
{
	const struct heap *heap = thread->heap;

	for (uint64_t base = first & ~(WORD_PAGES - 1); base < end; base += WORD_PAGES) {
		uint64_t bits = atomic_load_explicit(noted_word(heap, base), memory_order_acquire);

		for (; bits != 0; bits &= bits - 1) {
			uint64_t head = base + page_bits_lowest(bits);
			uint64_t before = filling->count;

			if (!copy_span(thread, head, filling))
				return head;
			if (filling->count != before)
				continue;
			/* Nothing stands there. */
			slot_touch(thread->heap, thread->slot, head);
			clear_note(heap, head);
			slot_touch(thread->heap, thread->slot, 0);
		}
	}
	return end;
}

/* The same from page `from` on, arena by arena, up to page `to`; UINT64_MAX when it was not full. */
static uint64_t copy_arenas(struct thread *thread, uint64_t from, uint64_t to,
	struct filling *filling)
{
	const struct heap *heap = thread->heap;

	for (uint64_t arena = page_arena(from); arena < heap_arena_count(heap); arena++) {
		uint64_t first = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
		uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;
		uint64_t at;

		first = from > first ? from : first;
		end = to < end ? to : end;
		at = first < end ? copy_noted(thread, first, end, filling) : end;
		if (at < end)
			return at;
	}
	return UINT64_MAX;
}

/* Fills the empty batch, going on where the last one was full. Whether there is anything in it. */
static bool fill(struct thread *thread)
{
	struct heap *heap = thread->heap;
	struct drain *drain = drain_of(heap);
	uint64_t from = atomic_load_explicit(&drain->next_page, memory_order_relaxed);
	struct filling filling = { .limit = capacity(heap) };
	uint64_t next = copy_arenas(thread, from, UINT64_MAX, &filling);

	if (next == UINT64_MAX && from != 0)
		next = copy_arenas(thread, 0, from, &filling);
	atomic_store_explicit(&drain->next_page, next == UINT64_MAX ? 0 : next,
		memory_order_relaxed);
	if (next != UINT64_MAX)
		enlarge(heap);
	atomic_store_explicit(&drain->held_bytes, filling.bytes, memory_order_relaxed);
	if (filling.count == 0)
		return false;
	atomic_store_explicit(&drain->count, filling.count, memory_order_relaxed);
	/* Full fence: what was copied was unlinked before the grace period begins. */
	atomic_store_explicit(&drain->tag, rcu_tag(&heap->rcu), memory_order_relaxed);
	/* Crash: discarded; the bits are in limbo still. */
	crash_order();
	atomic_store_explicit(&drain->state, DRAIN_WAITING, memory_order_release);
	/* Begun now, it is most likely over at the next look. */
	rcu_poll(&heap->rcu, &heap->system, atomic_load_explicit(&drain->tag, memory_order_relaxed),
		NULL);
	return true;
}

/* --- applying ------------------------------------------------------------------------------ */

/* What of the entry is to be freed; *large: by freeing the span. In a read section. */
static uint64_t entry_bits(const struct heap *heap, const struct deferred_entry *entry, bool *large)
{
	uint64_t head = entry_head(entry);
	uint64_t hot = span_hot(heap, head);
	bool objects = hot_class(hot) < SPAN_CLASS_COUNT &&
		(hot_owner(hot) == HOT_UNOWNED ||
			(hot_owner(hot) != HOT_NONE && hot_owner(hot) < HOT_DYING));

	*large = hot_owner(hot) == HOT_LARGE;
	if ((!objects && !*large) || generation_of(heap, head) != entry->generation)
		return 0;
	return entry->bits &
		atomic_load_explicit(span_limbo(heap, head, entry_word(entry)),
			memory_order_acquire);
}

static void free_large(struct thread *thread, uint64_t head)
{
	if (span_is_hazard(thread->heap, page_offset(head)))
		return;
	/* Crash: the intent tells; the note stands until the span is gone. */
	if (span_free_begin(thread, thread->slot, 0, head))
		span_free_end(thread, thread->slot, 0);
}

static void free_small(const struct heap *heap, uint64_t head, unsigned word, uint64_t bits)
{
	/* seq_cst: before the look at the hot word, as any free by another than the owner. */
	atomic_fetch_or(span_freed(heap, head, word), bits);
	/* Crash: in both; not collected, and drained once more. */
	crash_order();
	/* release: who finds limbo clear finds freed set. */
	atomic_fetch_and_explicit(span_limbo(heap, head, word), ~bits, memory_order_release);
}

static void apply(struct thread *thread, const struct deferred_entry *entry)
{
	struct heap *heap = thread->heap;
	uint64_t head = entry_head(entry);
	uint64_t bits;
	bool large;

	slot_touch(heap, thread->slot, head);
	thread_begin_reading(thread);
	bits = entry_bits(heap, entry, &large);
	if (bits != 0 && !large)
		free_small(heap, head, entry_word(entry), bits);
	thread_end_reading(thread);
	if (bits != 0 && large) {
		slot_touch(heap, thread->slot, 0);
		free_large(thread, head);
		slot_touch(heap, thread->slot, head);
	} else if (bits != 0) {
		span_list(heap, head);
	}
	clear_note(heap, head);
	slot_touch(heap, thread->slot, 0);
	if (bits != 0 && !large)
		span_retire_if_empty(thread, head);
}

static void apply_all(struct thread *thread)
{
	struct heap *heap = thread->heap;
	struct drain *drain = drain_of(heap);
	uint64_t count = atomic_load_explicit(&drain->count, memory_order_relaxed);

	for (uint64_t i = 0; i < count && i < DEFERRED_BATCH; i++)
		apply(thread, &heap->batch[i]);
	/* Crash before: discarded, and what stands in limbo still is copied anew. */
	atomic_store_explicit(&drain->state, DRAIN_EMPTY, memory_order_release);
}

/* --- draining ------------------------------------------------------------------------------ */

/* Under the drain lock. */
static bool drain_locked(struct thread *thread)
{
	struct heap *heap = thread->heap;
	struct drain *drain = drain_of(heap);
	bool applied = false;

	if (atomic_load_explicit(&drain->state, memory_order_relaxed) == DRAIN_WAITING) {
		if (rcu_poll(&heap->rcu, &heap->system,
			    atomic_load_explicit(&drain->tag, memory_order_relaxed),
			    NULL) != RCU_OVER)
			return false;
		apply_all(thread);
		applied = true;
	}
	return fill(thread) || applied;
}

uint64_t deferred_held_bytes(const struct heap *heap)
{
	return atomic_load_explicit(&drain_of(heap)->held_bytes, memory_order_relaxed);
}

bool deferred_drain(struct thread *thread)
{
	struct heap *heap = thread->heap;
	struct drain *drain = drain_of(heap);
	enum lock_result taken = lock_try(&drain->lock, thread->tag, &heap->system);
	bool further;

	if (taken == LOCK_BUSY)
		return false;
	if (taken == LOCK_TAKEN_OVER) {
		/* Rule B. Crash before: whoever takes over from us does it. */
		atomic_store_explicit(&drain->state, DRAIN_EMPTY, memory_order_relaxed);
		crash_order();
		thread->met_dead = true;
	}
	further = drain_locked(thread);
	lock_release(&drain->lock, &heap->system);
	pages_settle_limbo(thread);
	return further;
}

void deferred_drain_all(struct thread *thread)
{
	for (unsigned round = 0; round < DRAIN_ROUNDS && deferred_drain(thread); round++)
		;
}

void deferred_settle(struct thread *thread, uint64_t bytes)
{
	if (is_due(thread, bytes))
		settle(thread);
}
