/* span.c -- spans: creation, ownership, retirement
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/span.h"

#include "heap/deferred.h"
#include "heap/growth.h"
#include "heap/owned.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "shm/order.h"

#include <errno.h>

/* How many listed spans an allocation tries before it takes fresh pages: a span whose only free
 * bits belong to open logs would be tried for ever. */
#define CLAIM_TRIES 32u
/* How many chunks with spans of an earlier incarnation it looks through. */
#define CLAIM_SIGHTS 2u

/* --- finding ------------------------------------------------------------------------------- */

uint64_t span_find(const struct heap *heap, uint64_t page)
{
	uint64_t named = page;
	uint64_t head;
	uint64_t hot;

	if (!page_is_data(heap, page)) {
		uint64_t origin = page_origin(heap, page);

		/* In a continuation: of the run at the end of the arena where it begins. */
		named = ((origin + 1) << ARENA_PAGES_SHIFT) - 1;
		if (origin == UINT64_MAX || !page_is_data(heap, named))
			return 0;
	}
	head = table_head(atomic_load_explicit(span_table_entry(heap, named), memory_order_acquire),
		named);
	if (head == 0 || head > named || !page_is_data(heap, head) || !page_is_head(heap, head))
		return 0;
	if (page - head < span_of_head(heap, head)->pages)
		return head;
	/* What a damaged record covers cannot be known: the table says so for what it may cover. */
	hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire);
	return hot_set_aside(hot, heap->incarnation) ? head : 0;
}

struct span_record span_record_read(const struct heap *heap, uint64_t head)
{
	const struct span *span = span_of_head(heap, head);
	struct span_record record = {
		/* acquire: pairs with the fence in span_write_record(); who sees a field of the next
		 * life sees another generation in span_record_stands(). */
		.generation = atomic_load_explicit(&span->generation, memory_order_acquire),
		.bytes = atomic_load_explicit(&span->bytes, memory_order_relaxed),
		.pages = atomic_load_explicit(&span->pages, memory_order_relaxed),
		.span_class = atomic_load_explicit(&span->span_class, memory_order_relaxed),
		.purpose = atomic_load_explicit(&span->purpose, memory_order_relaxed),
		.run_flags = atomic_load_explicit(&span->run_flags, memory_order_relaxed),
	};

	return record;
}

bool span_record_stands(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	/* acquire fence: what the caller read comes before this look. */
	atomic_thread_fence(memory_order_acquire);
	return page_is_head(heap, head) &&
		atomic_load_explicit(&span_of_head(heap, head)->generation, memory_order_relaxed) ==
		record->generation;
}

/* Whether the hot word, of whatever incarnation, says that the block is being freed or resized: then
 * it may have more pages than it needs. */
static bool was_resizing(const struct heap *heap, uint64_t head)
{
	uint32_t owner = hot_owner(atomic_load_explicit(&span_of_head(heap, head)->hot,
		memory_order_acquire));

	return owner >= HOT_DYING && owner < HOT_QUARANTINE;
}

static bool agrees_with_itself(const struct heap *heap, uint64_t head,
	const struct span_record *record)
{
	bool one_arena = page_arena(head + record->pages - 1) == page_arena(head);

	switch (record->purpose) {
	case SPAN_OBJECTS:
		return one_arena && record->span_class < SPAN_CLASS_COUNT &&
			record->pages == span_size_class(heap, record->span_class)->pages;
	case SPAN_LARGE:
	case SPAN_LOG:
		return (record->span_class | 1u) == SPAN_CLASS_LARGE && record->bytes != 0 &&
			record->bytes <= record->pages * PAGE_BYTES &&
			(span_large_pages(record->bytes) == record->pages ||
				was_resizing(heap, head));
	case SPAN_MANUAL:
		return record->span_class == SPAN_CLASS_LARGE && record->bytes == 0 &&
			(record->run_flags & ~(RUN_IO | RUN_HUGE)) == 0;
	default:
		return false;
	}
}

bool span_record_plausible(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	return bytes_are_data(heap, page_offset(head), page_offset(record->pages)) &&
		agrees_with_itself(heap, head, record);
}

bool span_record_is_newer(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	return heap->directory_is_old && page_is_data(heap, head) && record->pages != 0 &&
		head + record->pages <= heap->max_bytes >> PAGE_SHIFT &&
		!bytes_are_data(heap, page_offset(head), page_offset(record->pages)) &&
		agrees_with_itself(heap, head, record);
}

bool span_table_agrees(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	uint32_t expected =
		record->purpose == SPAN_OBJECTS ? TABLE_OBJECTS | record->pages : (uint32_t)head;

	return atomic_load_explicit(span_table_entry(heap, head), memory_order_relaxed) == expected;
}

static uint64_t hot_first_touch(const struct heap *heap, uint64_t head)
{
	struct span_record record = span_record_read(heap, head);

	if (!head_is_set(heap, head))
		return heap_hot(heap, HOT_NONE, 0);
	if (!span_record_plausible(heap, head, &record))
		return heap_hot(heap, HOT_QUARANTINE, 0);
	if (record.purpose == SPAN_OBJECTS)
		return heap_hot(heap,
			span_table_agrees(heap, head, &record) ? HOT_UNOWNED : HOT_QUARANTINE,
			record.span_class);
	return heap_hot(heap, record.purpose == SPAN_LARGE ? HOT_LARGE : HOT_QUARANTINE,
		record.span_class);
}

uint64_t span_hot(const struct heap *heap, uint64_t head)
{
	struct span *span = span_of_head(heap, head);
	uint64_t hot = atomic_load_explicit(&span->hot, memory_order_acquire);
	uint64_t laid;

	if (hot_laid(hot, heap->incarnation))
		return hot;
	laid = hot_first_touch(heap, head);
	if (hot_owner(laid) == HOT_NONE)
		return laid;
	/* What was deferred before the restart; before anybody can have deferred after it. */
	if (deferred_is_pending(heap, head))
		deferred_note(heap, head);
	/* A span of an earlier incarnation: until somebody lays its word nobody can retire it, so
	 * its head bit stays set from the look above to this CAS, or the CAS fails. */
	if (atomic_compare_exchange_strong_explicit(&span->hot, &hot, laid, memory_order_acq_rel,
		    memory_order_acquire))
		return laid;
	return hot;
}

/* --- creation ------------------------------------------------------------------------------ */

bool span_continues(const struct heap *heap, uint64_t head)
{
	return page_arena(head + span_of_head(heap, head)->pages - 1) != page_arena(head);
}

void span_write_table(const struct heap *heap, uint64_t head, uint64_t first, uint64_t npages)
{
	uint64_t limit = run_pages(run_clip(run_make(RUN_PLAIN, first, npages)));

	for (uint64_t i = 0; i < limit; i++)
		atomic_store_explicit(span_table_entry(heap, first + i), (uint32_t)head,
			memory_order_relaxed);
}

void span_write_record(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	struct span *span = span_of_head(heap, head);

	atomic_store_explicit(&span->generation,
		atomic_load_explicit(&span->generation, memory_order_relaxed) + 1,
		memory_order_relaxed);
	/* release fence: pairs with span_record_stands(). */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&span->pages, record->pages, memory_order_relaxed);
	atomic_store_explicit(&span->purpose, record->purpose, memory_order_relaxed);
	atomic_store_explicit(&span->span_class, record->span_class, memory_order_relaxed);
	atomic_store_explicit(&span->run_flags, record->run_flags, memory_order_relaxed);
	atomic_store_explicit(&span->bytes, record->bytes, memory_order_relaxed);
}

static void write_bits(const struct heap *heap, uint64_t head, unsigned words)
{
	struct span *span = span_of_head(heap, head);
	struct span_more *more = span_more_of_head(heap, head);

	for (unsigned i = 0; i < words && i < SPAN_INLINE_WORDS; i++) {
		atomic_store_explicit(&span->allocated[i], 0, memory_order_relaxed);
		atomic_store_explicit(&span->freed[i], 0, memory_order_relaxed);
		atomic_store_explicit(&span->limbo[i], 0, memory_order_relaxed);
	}
	for (unsigned i = SPAN_INLINE_WORDS; i < words; i++) {
		atomic_store_explicit(&more->allocated[i - SPAN_INLINE_WORDS], 0,
			memory_order_relaxed);
		atomic_store_explicit(&more->freed[i - SPAN_INLINE_WORDS], 0, memory_order_relaxed);
		atomic_store_explicit(&more->limbo[i - SPAN_INLINE_WORDS], 0, memory_order_relaxed);
	}
}

static void set_hot(const struct heap *heap, uint64_t head, uint32_t owner, unsigned span_class)
{
	atomic_store_explicit(&span_of_head(heap, head)->hot, heap_hot(heap, owner, span_class),
		memory_order_release);
}

static void set_place(const struct heap *heap, uint64_t head, unsigned place)
{
	atomic_store_explicit(&span_of_head(heap, head)->place, (uint16_t)place,
		memory_order_relaxed);
}

static unsigned place_of(const struct heap *heap, uint64_t head)
{
	return atomic_load_explicit(&span_of_head(heap, head)->place, memory_order_relaxed);
}

static void forget_hints(struct thread *thread, uint64_t head, uint32_t npages)
{
	for (uint64_t page = head; page < head + npages; page++)
		if (thread->hints[page % PAGE_HINTS].page == page)
			thread->hints[page % PAGE_HINTS].page = 0;
}

/* The span is no longer in the thread's books. Crash before: named still, looked at once more. */
static void drop(struct thread *thread, uint64_t head, unsigned span_class, uint32_t npages)
{
	unsigned place = place_of(thread->heap, head);

	owned_unlink(thread, span_class, place, npages);
	forget_hints(thread, head, npages);
	owned_drop(thread, place);
}

uint64_t span_create(struct thread *thread, unsigned span_class, int *error)
{
	const struct heap *heap = thread->heap;
	const struct size_class *size_class = span_size_class(heap, span_class);
	uint64_t head;
	unsigned place;

	if (!owned_ready(thread)) {
		*error = ENOSPC;
		return 0;
	}
	head = pages_allocate(thread, size_class->pages, error);
	if (head == 0)
		return 0;
	place = owned_take(thread, head);
	/* Crash: owned names a page that is no span; the reaper sees no hot word of the slot. */
	crash_order();
	span_write_record(heap, head,
		&(struct span_record){
			.pages = size_class->pages,
			.span_class = (uint8_t)span_class,
			.purpose = SPAN_OBJECTS,
		});
	span_write_table(heap, head, head + 1, size_class->pages - 1u);
	atomic_store_explicit(span_table_entry(heap, head), TABLE_OBJECTS | size_class->pages,
		memory_order_relaxed);
	write_bits(heap, head, size_class->words);
	set_place(heap, head, place);
	set_hot(heap, head, hot_owned_by(thread->slot), span_class);
	/* Crash: the intent names the run, its head bit is clear: returned, hot word cleared. */
	crash_order();
	head_set(heap, head);
	/* Crash: a span of the dead; the reaper makes it unowned. */
	pages_close_intent(thread->log, 0);
	return head;
}

uint64_t span_prepare_aligned(struct thread *thread, uint64_t bytes, uint64_t align,
	enum span_purpose purpose, bool noscan, int *error)
{
	const struct heap *heap = thread->heap;
	uint64_t npages = span_large_pages(bytes);
	unsigned span_class = SPAN_CLASS_LARGE - (noscan ? 0u : 1u);
	uint32_t owner = purpose == SPAN_LARGE ? HOT_LARGE : hot_dying_by(thread->slot);
	uint64_t align_pages = align > PAGE_BYTES ? align >> PAGE_SHIFT : 1;
	uint64_t head = pages_allocate_aligned(thread, npages, align_pages, error);

	if (head == 0)
		return 0;
	span_write_record(heap, head,
		&(struct span_record){
			.bytes = bytes,
			.pages = (uint32_t)npages,
			.span_class = (uint8_t)span_class,
			.purpose = (uint8_t)purpose,
		});
	span_write_table(heap, head, head, npages);
	atomic_store_explicit(span_limbo(heap, head, 0), 0, memory_order_relaxed);
	set_hot(heap, head, owner, span_class);
	return head;
}

uint64_t span_prepare_large(struct thread *thread, uint64_t bytes, enum span_purpose purpose,
	bool noscan, int *error)
{
	return span_prepare_aligned(thread, bytes, 1, purpose, noscan, error);
}

void span_commit_large(struct thread *thread, uint64_t head)
{
	/* Crash: no head bit; the run is returned. A log that names the block finds it not there. */
	crash_order();
	head_set(thread->heap, head);
	/* Crash: a block nobody knows, unless a log names it. */
	pages_close_intent(thread->log, 0);
}

/* --- freeing pages ------------------------------------------------------------------------- */

/* Whether the large span at `head` is the caller's to free, for `slot`, from here on. */
static bool mark_dying(const struct heap *heap, uint32_t slot, uint64_t head)
{
	struct span *span = span_of_head(heap, head);
	uint64_t hot = span_hot(heap, head);
	uint64_t dying = heap_hot(heap, hot_dying_by(slot), hot_class(hot));

	if (!head_is_set(heap, head))
		return false;
	/* Marked by the dead one for whom the caller acts, or the slot's own log extension. */
	if (hot == dying)
		return true;
	if (hot_owner(hot) != HOT_LARGE)
		return false;
	/* Of two racing frees one wins. */
	return atomic_compare_exchange_strong_explicit(&span->hot, &hot, dying,
		memory_order_acq_rel, memory_order_relaxed);
}

bool span_free_begin(struct thread *thread, uint32_t slot, unsigned which, uint64_t head)
{
	struct heap *heap = thread->heap;
	struct slot_log *log = &heap->logs[slot];

	pages_make_room(thread, slot);
	pages_open_intent(log, which, RUN_FREE, head, span_of_head(heap, head)->pages);
	/* Crash: not begun; the reaper sees a hot word that is not the slot's, and drops it. Until that says so the
	 * intent has no page: another slot can be freeing them. */
	crash_order();
	if (!mark_dying(heap, slot, head)) {
		pages_close_intent(log, which);
		return false;
	}
	/* Crash: the reaper goes on. */
	crash_order();
	head_clear(heap, head);
	return true;
}

void span_free_end(struct thread *thread, uint32_t slot, unsigned which)
{
	struct slot_log *log = &thread->heap->logs[slot];
	uint64_t run = atomic_load_explicit(&log->intent[which], memory_order_relaxed);

	/* Crash: the intent returns the pages. */
	pages_to_limbo(thread, slot, run_page(run), run_pages(run));
	/* Crash: in limbo and in the intent; returned once. */
	pages_close_intent(log, which);
	/* Crash: nobody's continuations; the reaper gives them back. */
	if (run_pages(run) != run_pages(run_clip(run)))
		growth_give_back(thread);
}

void span_unlist(struct heap *heap, uint64_t head)
{
	atomic_store_explicit(&heap->listed[head], 0, memory_order_relaxed);
}

void span_retire(struct thread *thread, uint64_t head)
{
	struct heap *heap = thread->heap;
	struct span *span = span_of_head(heap, head);
	unsigned span_class = span->span_class;
	uint32_t npages = span->pages;

	pages_make_room(thread, thread->slot);
	pages_open_intent(thread->log, 0, RUN_FREE, head, npages);
	/* Crash: the reaper finishes it: nobody else can claim or fill the span. */
	crash_order();
	set_hot(heap, head, hot_dying_by(thread->slot), span_class);
	crash_order();
	head_clear(heap, head);
	span_unlist(heap, head);
	pages_to_limbo(thread, thread->slot, head, npages);
	drop(thread, head, span_class, npages);
	pages_close_intent(thread->log, 0);
	pages_settle_limbo(thread);
}

/* --- resizing large blocks ----------------------------------------------------------------- */

static uint64_t large_pages(const struct heap *heap, uint64_t head)
{
	return atomic_load_explicit(&span_of_head(heap, head)->pages, memory_order_relaxed);
}

static void set_large_pages(const struct heap *heap, uint64_t head, uint64_t npages)
{
	atomic_store_explicit(&span_of_head(heap, head)->pages, (uint32_t)npages,
		memory_order_release);
}

static void set_large_bytes(const struct heap *heap, uint64_t head, uint64_t bytes)
{
	crash_order();
	atomic_store_explicit(&span_of_head(heap, head)->bytes, bytes, memory_order_relaxed);
	crash_order();
}

/* Takes the last pages of a block that needs `npages` out of it, into limbo. */
static void drop_tail(struct thread *thread, uint64_t head, uint64_t npages)
{
	struct heap *heap = thread->heap;

	pages_open_intent(thread->log, 0, RUN_FREE, head + npages,
		large_pages(heap, head) - npages);
	/* Crash: the block has pages that it does not need; they are taken out. */
	crash_order();
	set_large_pages(heap, head, npages);
	span_free_end(thread, thread->slot, 0);
}

/* Adds free pages behind the block to it; false when they are not free. */
static bool add_tail(struct thread *thread, uint64_t head, uint64_t npages)
{
	struct heap *heap = thread->heap;
	uint64_t end = head + large_pages(heap, head);

	if (!pages_take_at(thread, end, head + npages - end))
		return false;
	/* Crash: the intent names pages that are not the block's: returned. */
	span_write_table(heap, head, end, head + npages - end);
	crash_order();
	set_large_pages(heap, head, npages);
	/* Crash: pages that the block does not need; taken out again. */
	return true;
}

/* Between mark and unmark. */
static bool resize_marked(struct thread *thread, uint64_t head, uint64_t bytes)
{
	const struct heap *heap = thread->heap;
	uint64_t npages = span_large_pages(bytes);
	uint64_t before = large_pages(heap, head);

	/* What lies in continuations is given back as a whole or not at all. */
	if (npages < before && span_continues(heap, head) && !page_is_data(heap, head + npages))
		return true;

	if (npages > before && !add_tail(thread, head, npages))
		return false;
	/* The block is resized. */
	set_large_bytes(heap, head, bytes);
	if (npages > before)
		pages_close_intent(thread->log, 0);
	else if (npages < before)
		drop_tail(thread, head, npages);
	return true;
}

bool span_resize_large(struct thread *thread, uint64_t head, uint64_t bytes)
{
	struct heap *heap = thread->heap;
	bool resized = false;

	if (bytes == 0 || bytes > heap->max_bytes || !page_is_data(heap, head))
		return false;
	pages_make_room(thread, thread->slot);
	slot_touch(heap, thread->slot, head);
	/* Crash: the block is as it was, and its hot word not the slot's. */
	if (mark_dying(heap, thread->slot, head)) {
		resized = resize_marked(thread, head, (bytes + 15) & ~UINT64_C(15));
		crash_order();
		set_hot(heap, head, HOT_LARGE, span_of_head(heap, head)->span_class);
		crash_order();
	}
	slot_touch(heap, thread->slot, 0);
	pages_settle_limbo(thread);
	return resized;
}

/* Whether the slot has marked the span as its own to free or to change. */
static bool is_dying_by(const struct heap *heap, uint32_t slot, uint64_t head)
{
	uint64_t hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire);

	return hot_laid(hot, heap->incarnation) && hot_owner(hot) == hot_dying_by(slot);
}

/* Whether the slot is in a resize of the block. */
static bool is_resizing(const struct heap *heap, uint32_t slot, uint64_t head)
{
	return page_is_data(heap, head) && head_is_set(heap, head) &&
		span_of_head(heap, head)->purpose == SPAN_LARGE && is_dying_by(heap, slot, head);
}

/* Puts what the dead slot's intent names into its limbo, unless it is there. */
static void park_tail(struct thread *thread, uint32_t dead, uint64_t run)
{
	const struct slot_words *words = heap_slot_words(thread->heap, dead);
	uint64_t count = atomic_load_explicit(&words->limbo_count, memory_order_acquire);

	if (count != 0 &&
		atomic_load_explicit(&words->limbo[count - 1], memory_order_relaxed) ==
			run_clip(run))
		return;
	pages_to_limbo(thread, dead, run_page(run), run_pages(run));
}

void span_resume_resize(struct thread *thread, uint32_t dead)
{
	struct heap *heap = thread->heap;
	struct slot_log *log = &heap->logs[dead];
	uint64_t head =
		atomic_load_explicit(&heap_slot_words(heap, dead)->touching, memory_order_acquire);
	uint64_t needed;
	uint64_t run;

	if (!is_resizing(heap, dead, head))
		return;
	needed = span_large_pages(span_of_head(heap, head)->bytes);
	if (large_pages(heap, head) > needed) {
		/* Whether it was growing or shrinking, the intent names these pages, or will. */
		pages_open_intent(log, 0, RUN_FREE, head + needed,
			large_pages(heap, head) - needed);
		crash_order();
		set_large_pages(heap, head, needed);
	}
	run = atomic_load_explicit(&log->intent[0], memory_order_relaxed);
	if (run != 0 && run_page(run) >= head + needed)
		park_tail(thread, dead, run);
	crash_order();
	pages_close_intent(log, 0);
	crash_order();
	/* Crash before: once more, with nothing left to do but this. */
	set_hot(heap, head, HOT_LARGE, span_of_head(heap, head)->span_class);
	crash_order();
	slot_touch(heap, dead, 0);
}

bool span_frees(const struct heap *heap, uint32_t slot, uint64_t run)
{
	uint64_t touching =
		atomic_load_explicit(&heap_slot_words(heap, slot)->touching, memory_order_acquire);

	return run_is_data(heap, run) &&
		(is_dying_by(heap, slot, run_page(run)) || is_resizing(heap, slot, touching));
}

/* --- ownership ----------------------------------------------------------------------------- */

unsigned span_free_count(const struct heap *heap, uint64_t head,
	const struct size_class *size_class)
{
	uint64_t live = 0;

	for (unsigned word = 0; word < size_class->words; word++) {
		/* seq_cst: for who lists, after the load of the hot word; pairs with the fetch_or of a
		 * free, which comes before its look at the hot word. One of the two sees the other. */
		uint64_t freed = atomic_load(span_freed(heap, head, word));
		uint64_t allocated = atomic_load(span_allocated(heap, head, word));

		live += page_bits_count(allocated & ~freed & span_word_mask(size_class, word));
	}
	return size_class->objects - (unsigned)live;
}

static bool worth_a_visit(const struct heap *heap, uint64_t head, unsigned span_class)
{
	const struct size_class *size_class = span_size_class(heap, span_class);

	return span_free_count(heap, head, size_class) >= size_class->worth;
}

static _Atomic uint64_t *class_chunk_word(const struct heap *heap, uint64_t chunk,
	unsigned span_class)
{
	uint64_t arena = chunk >> ARENA_CHUNKS_SHIFT;
	uint64_t within = chunk & (ARENA_CHUNKS - 1);

	return heap->class_chunks + (arena * CLASS_CHUNK_ROWS + span_class) * CLASS_CHUNK_WORDS +
		within / 64;
}

static uint64_t class_chunk_bit(uint64_t chunk)
{
	return UINT64_C(1) << (chunk & (ARENA_CHUNKS - 1) & 63);
}

/* A look first: most often the bit is set. */
static void set_bit(_Atomic uint64_t *word, uint64_t bit)
{
	if (!(atomic_load(word) & bit))
		atomic_fetch_or(word, bit);
}

bool span_is_listed(const struct heap *heap, uint64_t head, unsigned span_class)
{
	uint64_t chunk = head >> CHUNK_PAGES_SHIFT;

	return atomic_load(&heap->listed[head]) == span_listing(span_class) &&
		(atomic_load(class_chunk_word(heap, chunk, span_class)) & class_chunk_bit(chunk)) !=
		0;
}

static void set_listed(struct heap *heap, uint64_t head, unsigned span_class)
{
	uint64_t chunk = head >> CHUNK_PAGES_SHIFT;

	if (atomic_load(&heap->listed[head]) != span_listing(span_class))
		atomic_store(&heap->listed[head], span_listing(span_class));
	/* Crash: listed, and perhaps not found by its class: whoever is in charge repeats this.
	 * seq_cst: pairs with the clear and the second look in drop_class_chunk. */
	set_bit(class_chunk_word(heap, chunk, span_class), class_chunk_bit(chunk));
}

void span_list(struct heap *heap, uint64_t head)
{
	const struct span *span = span_of_head(heap, head);
	uint64_t hot = atomic_load(&span->hot);
	uint64_t seen;

	do {
		unsigned span_class = hot_class(hot);

		if (hot_owner(hot) != HOT_UNOWNED || span_is_listed(heap, head, span_class) ||
			!worth_a_visit(heap, head, span_class))
			return;
		set_listed(heap, head, span_class);
		/* seq_cst: after the store. When the span became another one meanwhile, its listing
		 * may have been overwritten (rule C). */
		seen = hot;
		hot = atomic_load(&span->hot);
	} while (hot != seen);
}

bool span_claim(struct thread *thread, uint64_t head, uint64_t hot)
{
	struct heap *heap = thread->heap;
	struct span *span = span_of_head(heap, head);
	uint64_t mine = thread->mine | hot_class(hot);
	unsigned place;

	if (hot_owner(hot) != HOT_UNOWNED)
		return false;
	place = owned_take(thread, head);
	if (place == 0)
		return false;
	/* Crash: the hot word is not the slot's; the reaper lists the span if that is needed. */
	crash_order();
	if (!atomic_compare_exchange_strong_explicit(&span->hot, &hot, mine, memory_order_acq_rel,
		    memory_order_relaxed)) {
		owned_drop(thread, place);
		return false;
	}
	/* Crash: the dead one's; the reaper makes it unowned and lists it. */
	set_place(heap, head, place);
	span_unlist(heap, head);
	return true;
}

/* Makes the span unowned and lists it if it is worth it. Crash: `owned` names it; repeated. */
static void let_go(struct heap *heap, uint64_t head, unsigned span_class)
{
	/* seq_cst: pairs with the free's fetch_or, see span_free_count(). */
	atomic_store(&span_of_head(heap, head)->hot, heap_hot(heap, HOT_UNOWNED, span_class));
	span_list(heap, head);
}

void span_give_up(struct thread *thread, uint64_t head)
{
	struct heap *heap = thread->heap;
	struct span *span = span_of_head(heap, head);
	unsigned span_class = span->span_class;
	unsigned place = place_of(heap, head);

	owned_unlink(thread, span_class, place, span->pages);
	forget_hints(thread, head, span->pages);
	let_go(heap, head, span_class);
	/* From let_go on the record can be another one's; the place is ours. */
	owned_drop(thread, place);
}

/* --- collecting ---------------------------------------------------------------------------- */

/* The next active slot from *slot on, dead or alive: *off is what its log is freeing. */
static bool next_applying(const struct heap *heap, uint32_t high_water, uint32_t *slot,
	uint64_t *off)
{
	for (; *slot < high_water; *slot = (*slot | 63) + 1) {
		/* acquire: pairs with the fetch_or before the first hazard. */
		uint64_t active = atomic_load_explicit(&heap->derived->active[*slot / 64],
					  memory_order_acquire) >>
			(*slot & 63);

		if (active == 0)
			continue;
		*slot += (uint32_t)__builtin_ctzll(active);
		*off = atomic_load_explicit(&heap->logs[*slot].applying, memory_order_acquire);
		++*slot;
		return true;
	}
	return false;
}

bool span_is_hazard(const struct heap *heap, uint64_t off)
{
	uint32_t high_water = heap_slot_high_water(heap);
	uint32_t slot = 0;
	uint64_t applying;

	while (next_applying(heap, high_water, &slot, &applying))
		if (applying == off)
			return true;
	return false;
}

/* The bits of a word that open logs are freeing. */
static uint64_t hazards(const struct heap *heap, uint64_t head, const struct size_class *size_class,
	unsigned word)
{
	uint64_t base = page_offset(head) + (uint64_t)word * 64 * size_class->bytes;
	uint32_t high_water = heap_slot_high_water(heap);
	uint32_t slot = 0;
	uint64_t bits = 0;
	uint64_t off;

	while (next_applying(heap, high_water, &slot, &off))
		if (off - base < 64 * (uint64_t)size_class->bytes)
			bits |= UINT64_C(1) << ((off - base) * size_class->reciprocal >> 32);
	return bits;
}

/* Takes `bits` of freed back; returns those that must wait. */
static uint64_t collect_bits(const struct heap *heap, uint64_t head,
	const struct size_class *size_class, unsigned word, uint64_t bits)
{
	_Atomic uint64_t *allocated = span_allocated(heap, head, word);

	bits &= ~hazards(heap, head, size_class, word);
	/* After the hazards: a log's deferred free has one until its bit is in limbo. */
	bits &= ~atomic_load_explicit(span_limbo(heap, head, word), memory_order_acquire);
	atomic_store_explicit(allocated,
		atomic_load_explicit(allocated, memory_order_relaxed) & ~bits,
		memory_order_relaxed);
	/* Crash: freed is set where allocated is not; the next owner's first collect clears
	 * it. release: who sees freed cleared sees allocated cleared. */
	crash_order();
	return atomic_fetch_and_explicit(span_freed(heap, head, word), ~bits,
		       memory_order_release) &
		~bits;
}

uint64_t span_collect(struct thread *thread, uint64_t head, unsigned word)
{
	const struct heap *heap = thread->heap;
	const struct size_class *size_class =
		span_size_class(heap, span_of_head(heap, head)->span_class);
	/* acquire: pairs with the fetch_or of a free; the hazard of a log's free was set before. */
	uint64_t waiting = atomic_load_explicit(span_freed(heap, head, word), memory_order_acquire);

	if (waiting != 0)
		waiting = collect_bits(heap, head, size_class, word, waiting);
	/* Of a block that was freed by a plain and a deferred free at once. */
	waiting |= atomic_load_explicit(span_limbo(heap, head, word), memory_order_relaxed);
	return ~(atomic_load_explicit(span_allocated(heap, head, word), memory_order_relaxed) |
		       waiting) &
		span_word_mask(size_class, word);
}

unsigned span_collect_all(struct thread *thread, uint64_t head, bool *empty)
{
	const struct heap *heap = thread->heap;
	unsigned words = span_size_class(heap, span_of_head(heap, head)->span_class)->words;
	unsigned found = words;

	*empty = true;
	for (unsigned word = words; word-- > 0;) {
		if (span_collect(thread, head, word) != 0)
			found = word;
		if (atomic_load_explicit(span_allocated(heap, head, word), memory_order_relaxed) !=
			0)
			*empty = false;
	}
	return found;
}

/* Claims a span that looks empty, and retires it if it is. */
static void try_retire(struct thread *thread, uint64_t head)
{
	bool empty;

	if (!span_claim(thread, head, span_hot(thread->heap, head)))
		return;
	span_collect_all(thread, head, &empty);
	if (empty)
		span_retire(thread, head);
	else
		span_give_up(thread, head);
}

/* --- searching ----------------------------------------------------------------------------- */

/* Stack. One search for a listed span. */
struct search {
	struct thread *thread;
	unsigned span_class;
	unsigned tries;  /* claims left */
	unsigned sights; /* chunks to look through left */
};

/* Entries of a listed row are read eight at a time. */
#define ROW_ENTRIES UINT64_C(8)
#define ROW_ONES UINT64_C(0x0101010101010101)
#define ROW_LOW_BITS (UINT64_C(0x7f) * ROW_ONES)

static uint64_t row_load(const struct heap *heap, uint64_t page)
{
	return atomic_load((_Atomic uint64_t *)(void *)&heap->listed[page]);
}

/* The highest bit of each entry that is `listing`. */
static uint64_t row_match(uint64_t row, uint8_t listing)
{
	uint64_t differs = row ^ ROW_ONES * listing;

	return ~(((differs & ROW_LOW_BITS) + ROW_LOW_BITS) | differs | ROW_LOW_BITS);
}

/* Lists a span of an earlier incarnation as it should be, unless somebody did. */
static void see(struct heap *heap, uint64_t head)
{
	uint64_t hot = span_hot(heap, head);
	uint8_t unlisted = 0;

	if (hot_owner(hot) != HOT_UNOWNED || !worth_a_visit(heap, head, hot_class(hot)))
		return;
	/* Never over what somebody else stored: he is in charge of it. The bit of its class's chunk is
	 * set still, since the restart, or was cleared by somebody who looks again. */
	atomic_compare_exchange_strong(&heap->listed[head], &unlisted,
		span_listing(hot_class(hot)));
}

bool span_is_unseen(const struct heap *heap, uint64_t chunk)
{
	return (atomic_load(class_chunk_word(heap, chunk, CLASS_CHUNK_UNSEEN)) &
		       class_chunk_bit(chunk)) != 0;
}

/* Puts the spans of a chunk in order that an earlier incarnation left. */
static void see_chunk(struct heap *heap, uint64_t chunk)
{
	uint64_t base = chunk << CHUNK_PAGES_SHIFT;

	for (unsigned i = 0; i < CHUNK_WORDS; i++, base += WORD_PAGES) {
		uint64_t heads = atomic_load_explicit(head_word(heap, base), memory_order_acquire);

		for (; heads != 0; heads &= heads - 1)
			see(heap, base + page_bits_lowest(heads));
	}
	/* Crash: looked through once more. */
	atomic_fetch_and(class_chunk_word(heap, chunk, CLASS_CHUNK_UNSEEN),
		~class_chunk_bit(chunk));
}

/* What the hot word of a span of the class says that a thread could claim. */
static uint64_t claimable_hot(const struct heap *heap, unsigned span_class)
{
	return heap_hot(heap, HOT_UNOWNED, span_class);
}

/* Whether a listed page is the head of an unowned span of the class. */
static bool claimable(const struct heap *heap, uint64_t head, unsigned span_class)
{
	return span_hot(heap, head) == claimable_hot(heap, span_class);
}

/* The next listed, unowned span of the class in the chunk, from page `from` on; 0: none. */
static uint64_t next_listed(const struct heap *heap, uint64_t chunk, unsigned span_class,
	uint64_t from)
{
	uint64_t end = (chunk + 1) << CHUNK_PAGES_SHIFT;

	for (uint64_t base = from & ~(ROW_ENTRIES - 1); base < end; base += ROW_ENTRIES) {
		uint64_t hits = row_match(row_load(heap, base), span_listing(span_class));

		if (from > base)
			hits &= ~UINT64_C(0) << (from - base) * 8;
		for (; hits != 0; hits &= hits - 1) {
			uint64_t head = base + page_bits_lowest(hits) / 8;

			if (claimable(heap, head, span_class))
				return head;
		}
	}
	return 0;
}

/* Clears the class's bit of a chunk in which nothing was found, unless something turns up. */
static void drop_class_chunk(struct thread *thread, uint64_t chunk, unsigned span_class)
{
	struct heap *heap = thread->heap;
	_Atomic uint64_t *word = class_chunk_word(heap, chunk, span_class);
	uint64_t bit = class_chunk_bit(chunk);

	atomic_store_explicit(&thread->words->searching, span_searching(chunk, span_class),
		memory_order_relaxed);
	crash_order();
	/* seq_cst: pairs with set_listed(): who listed before is seen by the second look, who lists
	 * after it sets the bit again. */
	atomic_fetch_and(word, ~bit);
	/* Crash: the reaper sets the bit again. */
	if (next_listed(heap, chunk, span_class, chunk << CHUNK_PAGES_SHIFT) != 0)
		atomic_fetch_or(word, bit);
	crash_order();
	atomic_store_explicit(&thread->words->searching, 0, memory_order_release);
}

/* Claims a span of the class in the chunk; 0 when there is none with a free block. */
static uint64_t claim_in_chunk(struct search *search, uint64_t chunk)
{
	struct thread *thread = search->thread;
	uint64_t head = chunk << CHUNK_PAGES_SHIFT;
	bool empty;

	if (span_is_unseen(thread->heap, chunk)) {
		search->sights--;
		see_chunk(thread->heap, chunk);
	}
	while (search->tries > 0 &&
		(head = next_listed(thread->heap, chunk, search->span_class, head)) != 0) {
		search->tries--;
		if (span_claim(thread, head, claimable_hot(thread->heap, search->span_class))) {
			if (span_collect_all(thread, head, &empty) <
				span_size_class(thread->heap, search->span_class)->words)
				return head;
			span_give_up(thread, head);
		}
		head++;
	}
	return 0;
}

uint64_t span_claim_listed(struct thread *thread, unsigned span_class)
{
	struct heap *heap = thread->heap;
	struct search search = { thread, span_class, CLAIM_TRIES, CLAIM_SIGHTS };

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t first = arena * ARENA_CHUNKS;

		for (uint64_t i = 0; i < CLASS_CHUNK_WORDS; i++) {
			uint64_t bits =
				atomic_load(class_chunk_word(heap, first + i * 64, span_class));

			for (; bits != 0; bits &= bits - 1) {
				uint64_t chunk = first + i * 64 + (uint64_t)__builtin_ctzll(bits);
				uint64_t head = claim_in_chunk(&search, chunk);

				if (head != 0)
					return head;
				if (search.tries == 0)
					return 0;
				drop_class_chunk(thread, chunk, span_class);
				if (search.sights == 0)
					return 0;
			}
		}
	}
	return 0;
}

static uint64_t claim_if_free(struct thread *thread, uint64_t head, unsigned span_class)
{
	bool empty;

	if (!claimable(thread->heap, head, span_class) ||
		span_free_count(thread->heap, head, span_size_class(thread->heap, span_class)) ==
			0 ||
		!span_claim(thread, head, claimable_hot(thread->heap, span_class)))
		return 0;
	if (span_collect_all(thread, head, &empty) <
		span_size_class(thread->heap, span_class)->words)
		return head;
	span_give_up(thread, head);
	return 0;
}

uint64_t span_claim_any(struct thread *thread, unsigned span_class)
{
	const struct heap *heap = thread->heap;

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t base = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
		uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;

		for (; base < end; base += WORD_PAGES) {
			uint64_t heads =
				atomic_load_explicit(head_word(heap, base), memory_order_acquire);

			for (; heads != 0; heads &= heads - 1) {
				uint64_t head = claim_if_free(thread,
					base + page_bits_lowest(heads), span_class);

				if (head != 0)
					return head;
			}
		}
	}
	return 0;
}

/* The next listed page from `from` on, in any arena; 0: none up to the end. */
static uint64_t next_listed_page(struct heap *heap, uint64_t from)
{
	for (uint64_t arena = page_arena(from); arena < heap_arena_count(heap); arena++) {
		uint64_t first = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
		uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;

		for (from = from > first ? from : first; from < end;
			from = (from | (ROW_ENTRIES - 1)) + 1) {
			uint64_t rest;

			if (span_is_unseen(heap, from >> CHUNK_PAGES_SHIFT))
				see_chunk(heap, from >> CHUNK_PAGES_SHIFT);
			rest = row_load(heap, from & ~(ROW_ENTRIES - 1)) >>
				(from % ROW_ENTRIES * 8);

			if (rest != 0)
				return from + page_bits_lowest(rest) / 8;
		}
	}
	return 0;
}

/* Whether no block of the unowned span is live, as far as a look without owning it can tell. */
static bool looks_empty(const struct heap *heap, uint64_t head)
{
	uint64_t hot = span_hot(heap, head);
	unsigned words;

	if (hot_owner(hot) != HOT_UNOWNED || hot_class(hot) >= SPAN_CLASS_COUNT)
		return false;
	words = span_size_class(heap, hot_class(hot))->words;
	for (unsigned word = 0; word < words; word++) {
		uint64_t freed =
			atomic_load_explicit(span_freed(heap, head, word), memory_order_acquire);

		if (atomic_load_explicit(span_allocated(heap, head, word), memory_order_acquire) &
			~freed)
			return false;
	}
	return true;
}

void span_retire_if_empty(struct thread *thread, uint64_t head)
{
	if (looks_empty(thread->heap, head))
		try_retire(thread, head);
}

/* Gives back the empty spans that the thread keeps for itself. */
static void retire_kept(struct thread *thread)
{
	struct owned_set *set = &thread->owned;

	for (unsigned i = 0; i < sizeof(set->empty) / sizeof(set->empty[0]); i++)
		while (set->empty[i] != 0)
			span_retire(thread,
				owned_head(thread,
					i * 64 + (unsigned)page_bits_lowest(set->empty[i])));
}

void span_trim(struct thread *thread, uint64_t limit)
{
	uint64_t page = thread->trim_page;

	if (thread->owned.empty_pages != 0)
		retire_kept(thread);
	for (uint64_t i = 0; i < limit; i++) {
		page = next_listed_page(thread->heap, page);
		if (page == 0)
			break;
		span_retire_if_empty(thread, page);
		page++;
	}
	thread->trim_page = page;
}

/* --- for the dead -------------------------------------------------------------------------- */

void span_release_dead(struct thread *thread, uint32_t dead, uint64_t head)
{
	struct heap *heap = thread->heap;
	uint64_t hot;

	if (!page_is_data(heap, head))
		return;
	hot = span_hot(heap, head);
	if (hot_owner(hot) == hot_owned_by(dead))
		let_go(heap, head, hot_class(hot));
	else
		span_list(heap, head);
	if (deferred_is_pending(heap, head))
		deferred_note(heap, head);
}

static void release_searching(struct heap *heap, uint64_t searching)
{
	uint64_t chunk = searching & ((UINT64_C(1) << 48) - 1);
	uint64_t span_class = (searching >> 48) - 1;

	if (searching != 0 && span_class < SPAN_CLASS_COUNT &&
		chunk < heap_arena_count(heap) * ARENA_CHUNKS)
		atomic_fetch_or(class_chunk_word(heap, chunk, (unsigned)span_class),
			class_chunk_bit(chunk));
}

void span_release_all_dead(struct thread *thread, uint32_t dead)
{
	struct slot_words *words = heap_slot_words(thread->heap, dead);
	uint64_t touching = atomic_load_explicit(&words->touching, memory_order_acquire);
	uint64_t limit = atomic_load_explicit(&words->owned_limit, memory_order_acquire);

	for (unsigned place = 1; place <= limit && place <= OWNED_COUNT; place++) {
		_Atomic uint64_t *owned = heap_owned(thread->heap, dead, place);
		uint64_t head = atomic_load_explicit(owned, memory_order_acquire);

		if (head == 0)
			continue;
		span_release_dead(thread, dead, head);
		/* Crash: named still, looked at once more. */
		atomic_store_explicit(owned, 0, memory_order_release);
	}
	if (touching != 0)
		span_release_dead(thread, dead, touching);
	atomic_store_explicit(&words->touching, 0, memory_order_release);
	release_searching(thread->heap,
		atomic_load_explicit(&words->searching, memory_order_acquire));
	atomic_store_explicit(&words->searching, 0, memory_order_release);
}
