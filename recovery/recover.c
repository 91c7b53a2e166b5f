/* recover.c -- deriving the control file from the heap file; finishing what the dead left
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/recover.h"

#include "heap/growth.h"
#include "heap/object.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "shm/liveness.h"
#include "shm/order.h"

#include <errno.h>
#include <stdio.h>

/* --- the control header -------------------------------------------------------------------- */

uint64_t recover_control_format(const struct superblock *superblock)
{
	return superblock->abi ^ liveness_layout();
}

static void lay_header(struct heap *heap, const struct superblock *superblock)
{
	struct control_header *header = heap->header;

	header->format = recover_control_format(superblock);
	memcpy(header->heap_id, superblock->heap_id, sizeof(header->heap_id));
	memcpy(header->nonce, superblock->nonce, sizeof(header->nonce));
	memcpy(header->boot_id, superblock->boot_id, sizeof(header->boot_id));
	header->incarnation = superblock->incarnation;
	header->process_slot_count = superblock->process_slot_count;
	/* The last slot is recovery's. */
	header->thread_slot_count = superblock->thread_slot_count - 1;
	header->control_bytes = heap_control_bytes(heap->max_bytes, superblock->process_slot_count,
		superblock->thread_slot_count);
	atomic_store_explicit(&header->stamp,
		atomic_load_explicit(&heap->running->stamp, memory_order_relaxed),
		memory_order_relaxed);
	rcu_lay(&heap->rcu, heap->system.order_all == NULL);
}

/* --- hints --------------------------------------------------------------------------------- */

/* Chunks with spans are unseen, and may hold spans of every class: whoever looks for one puts them in
 * order. */
static void list_everything(struct heap *heap, uint64_t arena)
{
	_Atomic uint64_t *heads = arena_in_use(heap, arena);
	_Atomic uint64_t *rows = heap->class_chunks + arena * CLASS_CHUNK_ROWS * CLASS_CHUNK_WORDS;
	uint64_t chunks[CLASS_CHUNK_WORDS] = { 0 };
	uint64_t first = arena << ARENA_PAGES_SHIFT;
	uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t words =
		arena_is_ordinary(heap, arena) && end > first ? (end - first) / WORD_PAGES : 0;

	for (uint64_t i = 0; i < words; i++)
		if (atomic_load_explicit(&heads[i], memory_order_relaxed) != 0)
			chunks[i / CHUNK_WORDS / 64] |= UINT64_C(1) << (i / CHUNK_WORDS & 63);
	for (unsigned row = 0; row < CLASS_CHUNK_ROWS; row++)
		for (unsigned i = 0; i < CLASS_CHUNK_WORDS; i++)
			atomic_store_explicit(&rows[row * CLASS_CHUNK_WORDS + i], chunks[i],
				memory_order_relaxed);
}

/* --- logs ---------------------------------------------------------------------------------- */

/* Most logs are: one look, no store. */
static bool log_idle(const struct slot_log *log)
{
	bool idle = atomic_load_explicit(&log->word, memory_order_relaxed) == 0 &&
		atomic_load_explicit(&log->applying, memory_order_relaxed) == 0 &&
		atomic_load_explicit(&log->intent[1], memory_order_relaxed) == 0;

	for (unsigned k = 0; k < LOG_EXTENSIONS; k++)
		idle = idle && atomic_load_explicit(&log->extension[k], memory_order_relaxed) == 0;
	return idle;
}

/* Limbo and caches that settling leaves in the new control file: the free pages are derived from the heads
 * afterwards, so nothing of it means anything. */
static void drop_slot_words(struct slot_words *words)
{
	atomic_store_explicit(&words->limbo_count, 0, memory_order_relaxed);
	atomic_store_explicit(&words->cache_mask, 0, memory_order_relaxed);
}

static void settle_logs(struct thread *thread, struct recovery *recovery)
{
	struct heap *heap = thread->heap;

	for (uint32_t slot = 0; slot < heap->thread_slots; slot++) {
		if (recovery->progress != NULL && slot % 64 == 0)
			recovery->progress("logs", slot, heap->thread_slots,
				recovery->progress_argument);
		if (log_idle(&heap->logs[slot]))
			continue;
		transaction_settle(thread, slot);
		drop_slot_words(heap_slot_words(heap, slot));
	}
	drop_slot_words(thread->words);
}

/* Page operations: with its head bit a span stands, without it its pages are free. An interrupted
 * free of a span that still has its head bit is undone. */
static void drop_intents(struct thread *thread)
{
	struct heap *heap = thread->heap;

	for (uint32_t slot = 0; slot < heap->thread_slots; slot++) {
		struct slot_log *log = &heap->logs[slot];

		for (unsigned which = 0; which < 2; which++) {
			uint64_t run =
				atomic_load_explicit(&log->intent[which], memory_order_relaxed);

			if (run == 0)
				continue;
			if (page_is_data(heap, run_page(run)) &&
				page_is_head(heap, run_page(run)) ==
					(run_operation(run) == RUN_ALLOC))
				thread->counts.operations_finished++;
			else
				thread->counts.operations_undone++;
			pages_close_intent(log, which);
		}
	}
}

/* --- spans and free pages ------------------------------------------------------------------ */

static void report(struct recovery *recovery, uint64_t head, const char *text)
{
	struct sh_problem problem = { .off = page_offset(head), .text = text };

	recovery->quarantined++;
	if (recovery->problem != NULL)
		recovery->problem(&problem, recovery->problem_argument);
}

static void mend_entry(struct heap *heap, uint64_t page, uint32_t right)
{
	_Atomic uint32_t *entry = span_table_entry(heap, page);

	if (atomic_load_explicit(entry, memory_order_relaxed) != right)
		atomic_store_explicit(entry, right, memory_order_relaxed);
}

static void mend_table(struct heap *heap, uint64_t head, uint64_t npages, bool objects)
{
	uint64_t limit = run_pages(run_clip(run_make(RUN_PLAIN, head, npages)));

	mend_entry(heap, head, objects ? TABLE_OBJECTS | (uint32_t)npages : (uint32_t)head);
	for (uint64_t i = 1; i < limit; i++)
		mend_entry(heap, head + i, (uint32_t)head);
}

static void clear_free_range(struct heap *heap, uint64_t first, uint64_t npages)
{
	page_bits_clear_range(heap->pages.free_words, first,
		run_pages(run_clip(run_make(RUN_PLAIN, first, npages))));
}

/* Whether the record can be true of what the head bit says: a span or a page run, not both. */
static bool fits_its_bit(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	bool manual = record->purpose == SPAN_MANUAL;

	return span_record_plausible(heap, head, record) && manual_is_set(heap, head) == manual &&
		head_is_set(heap, head) != manual;
}

static void set_pages(struct heap *heap, uint64_t head, uint64_t npages, struct span_record *record)
{
	record->pages = (uint32_t)npages;
	atomic_store_explicit(&span_of_head(heap, head)->pages, record->pages,
		memory_order_relaxed);
}

/* A large block that a death left while it was resized has more pages than it needs. */
static void finish_resize(struct heap *heap, uint64_t head, struct span_record *record)
{
	if (record->purpose == SPAN_LARGE && record->pages > span_large_pages(record->bytes))
		set_pages(heap, head, span_large_pages(record->bytes), record);
}

/* Finishes a cut that a death left: the run's record covers the run behind it. */
static void finish_cut(struct heap *heap, uint64_t head, uint64_t next, struct span_record *record)
{
	if (record->purpose == SPAN_MANUAL && head + record->pages > next)
		set_pages(heap, head, next - head, record);
}

/* One past the last of a span's pages that are in the arena in which it begins. */
static uint64_t run_end_in_arena(uint64_t head, uint64_t npages)
{
	return head + run_pages(run_clip(run_make(RUN_PLAIN, head, npages)));
}

static bool is_deferred_large(const struct heap *heap, uint64_t head,
	const struct span_record *record)
{
	return record->purpose == SPAN_LARGE && !span_large_is_live(heap, head);
}

/* Of a large block's word one bit means something; a drain would take others for its free. */
static void forget_stray_bits(const struct heap *heap, uint64_t head,
	const struct span_record *record)
{
	if (record->purpose == SPAN_LARGE &&
		atomic_load_explicit(span_limbo(heap, head, 0), memory_order_relaxed) != 0)
		atomic_store_explicit(span_limbo(heap, head, 0), 0, memory_order_relaxed);
}

/* A log that named one of its blocks was settled before the spans table was mended. */
static void forget_quarantine(const struct heap *heap, struct span *span)
{
	uint64_t hot = atomic_load_explicit(&span->hot, memory_order_relaxed);

	if (hot_set_aside(hot, heap->incarnation))
		atomic_store_explicit(&span->hot, 0, memory_order_relaxed);
}

/* Takes the pages of the span at `head` out of the free pages. `next` is the head after it, or the
 * end of the arena. */
static void count_span(struct heap *heap, uint64_t head, uint64_t next, bool next_is_manual,
	struct recovery *recovery)
{
	struct span *span = span_of_head(heap, head);
	struct span_record record = span_record_read(heap, head);
	bool fits = fits_its_bit(heap, head, &record);

	if (fits)
		finish_resize(heap, head, &record);
	if (fits && next_is_manual)
		finish_cut(heap, head, next, &record);
	if (fits && run_end_in_arena(head, record.pages) <= next) {
		/* A log's run: the logs are settled. A block in limbo: nobody reads. */
		if (record.purpose == SPAN_LOG || is_deferred_large(heap, head, &record)) {
			head_clear(heap, head);
			return;
		}
		recovery->spans++;
		mend_table(heap, head, record.pages, record.purpose == SPAN_OBJECTS);
		forget_quarantine(heap, span);
		forget_stray_bits(heap, head, &record);
		clear_free_range(heap, head, record.pages);
		return;
	}
	/* What the pages behind it hold cannot be known, so they are not given out. */
	atomic_store_explicit(&span->hot, heap_hot(heap, HOT_QUARANTINE, 0), memory_order_relaxed);
	mend_table(heap, head, next - head, false);
	clear_free_range(heap, head, next - head);
	report(recovery, head, "the span's record cannot be true: set aside");
}

/* Head bits where no data is: a torn file's bitmaps may be newer than its directory, and the heap is
 * going to grow there. */
static void drop_heads(struct heap *heap, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page += WORD_PAGES) {
		if (heads_of_word(heap, page) == 0)
			continue;
		atomic_store_explicit(head_word(heap, page), 0, memory_order_relaxed);
		atomic_store_explicit(manual_word(heap, page), 0, memory_order_relaxed);
	}
}

/* Counts the span at `head` by its record. Returns the head after it, or `end`. */
static uint64_t count_by_record(struct heap *heap, uint64_t head, uint64_t end,
	struct recovery *recovery)
{
	uint64_t next = heap_next_head(heap, head + 1, end);

	count_span(heap, head, next, next < end && manual_is_set(heap, next), recovery);
	return next;
}

/* Counts every span by its record: whatever the file holds, no page of a span becomes free. */
static void derive_examined(struct heap *heap, uint64_t first, uint64_t end,
	struct recovery *recovery)
{
	uint64_t head = heap_next_head(heap, first, end);

	page_bits_set_range(heap->pages.free_words, first, end - first);
	while (head < end)
		head = count_by_record(heap, head, end, recovery);
}

/* Counts the spans that begin in the 64 pages from `base`, those of objects by the spans table. *taken are
 * the pages there that spans from before reach into, and afterwards those of the next 64 that these do.
 * False when the table says what cannot be. */
static bool count_word(struct heap *heap, uint64_t base, uint64_t end, uint64_t *taken,
	struct recovery *recovery)
{
	const _Atomic uint32_t *table = span_table_entry(heap, base);
	uint64_t here = *taken;
	uint64_t behind = 0;

	for (uint64_t heads = heads_of_word(heap, base); heads != 0; heads &= heads - 1) {
		uint64_t within = page_bits_lowest(heads);
		uint32_t entry = atomic_load_explicit(&table[within], memory_order_relaxed);
		uint32_t npages = entry & ~TABLE_OBJECTS;
		uint64_t mask;

		if (!(entry & TABLE_OBJECTS)) {
			count_by_record(heap, base + within, end, recovery);
			continue;
		}
		if (npages - 1 >= SPAN_OBJECTS_MOST_PAGES || (here >> within & 1) != 0)
			return false;
		mask = (UINT64_C(1) << npages) - 1;
		here |= mask << within;
		if (within + npages > WORD_PAGES)
			behind |= mask >> (WORD_PAGES - within);
		recovery->spans++;
	}
	heap->pages.free_words[base / WORD_PAGES] &= ~here;
	*taken = behind;
	return true;
}

/* The same for a file that is as its last users left it: spans of objects, which are most, are counted by
 * the spans table, and looked at when somebody touches them. False: that table is damaged. */
static bool derive_trusted(struct heap *heap, uint64_t first, uint64_t end,
	struct recovery *recovery)
{
	uint64_t taken = 0;

	page_bits_set_range(heap->pages.free_words, first, end - first);
	for (uint64_t base = first; base < end; base += WORD_PAGES)
		if (!count_word(heap, base, end, &taken, recovery))
			return false;
	return taken == 0;
}

static void derive_free_pages(struct heap *heap, uint64_t arena, struct recovery *recovery)
{
	uint64_t first = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t spans = recovery->spans;

	atomic_store_explicit(&heap->published[arena], end >> CHUNK_PAGES_SHIFT,
		memory_order_relaxed);
	if (!arena_is_ordinary(heap, arena))
		return;
	if (recovery->trusts && (end <= first || derive_trusted(heap, first, end, recovery)))
		return;
	recovery->spans = spans;
	drop_heads(heap, arena << ARENA_PAGES_SHIFT, first);
	drop_heads(heap, end > first ? end : first, (arena + 1) << ARENA_PAGES_SHIFT);
	if (end > first)
		derive_examined(heap, first, end, recovery);
}

static void derive_all(struct heap *heap, struct recovery *recovery)
{
	uint64_t arenas = heap_arena_count(heap);

	for (uint64_t arena = 0; arena < arenas; arena++) {
		if (recovery->progress != NULL)
			recovery->progress("spans", arena, arenas, recovery->progress_argument);
		derive_free_pages(heap, arena, recovery);
	}
	page_index_rebuild(&heap->pages, arenas * ARENA_CHUNKS);
	growth_give_back_alone(heap);
}

void recover(struct heap *heap, const struct superblock *superblock, struct thread *thread,
	struct recovery *recovery)
{
	uint32_t own = recover_own_slot(heap->thread_slots);

	lay_header(heap, superblock);
	thread_init(thread, heap, own, tag_make(own, TAG_SERIAL_LIMIT));
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		list_everything(heap, arena);
	settle_logs(thread, recovery);
	drop_intents(thread);
	derive_all(heap, recovery);
	/* Whoever finds the magic finds everything else. */
	crash_order();
	heap->header->magic = CONTROL_MAGIC;
}

void recover_forget_zeros(struct heap *heap)
{
	for (uint64_t arena = 0; arena < heap->max_arenas; arena++)
		atomic_store_explicit(&heap->directory[arena].touched,
			(arena + 1) << ARENA_PAGES_SHIFT, memory_order_relaxed);
}

void recover_stamp_arenas(struct heap *heap)
{
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		if (arena_is_ordinary(heap, arena))
			atomic_store_explicit(&arena_header(heap, arena)->incarnation,
				heap->incarnation, memory_order_relaxed);
}

bool recover_arenas_older(const struct heap *heap, const struct superblock *superblock)
{
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		const struct arena_header *header = arena_header(heap, arena);

		if (arena_is_ordinary(heap, arena) &&
			(header->magic != ARENA_MAGIC || header->arena != arena ||
				atomic_load_explicit(&header->incarnation, memory_order_relaxed) >
					superblock->incarnation))
			return false;
	}
	return true;
}
