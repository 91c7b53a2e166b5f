/* recover.c -- deriving the control file from the heap file; finishing what the dead left
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/recover.h"

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
}

static int back_arenas(struct heap *heap)
{
	int error = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(heap) && error == 0; arena++)
		error = heap_back_control(heap, arena);
	return error;
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
	uint64_t words = end > first ? (end - first) / WORD_PAGES : 0;

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

static void settle_logs(struct thread *thread, struct recovery *recovery)
{
	struct heap *heap = thread->heap;

	for (uint32_t slot = 0; slot < heap->thread_slots; slot++) {
		if (recovery->progress != NULL && slot % 64 == 0)
			recovery->progress("logs", slot, heap->thread_slots,
				recovery->progress_argument);
		if (!log_idle(&heap->logs[slot]))
			transaction_settle(thread, slot);
	}
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
				head_is_set(heap, run_page(run)) ==
					(run_operation(run) == RUN_ALLOC))
				thread->counts.operations_finished++;
			else
				thread->counts.operations_undone++;
			pages_close_intent(log, which);
		}
	}
}

/* Limbo, caches and ownership that settling left in the new control file: the free pages are
 * derived from the heads next, so nothing of it means anything. */
static void drop_slot_words(struct heap *heap)
{
	for (uint32_t slot = 0; slot < heap->thread_slots; slot++) {
		struct slot_words *words = heap_slot_words(heap, slot);

		atomic_store_explicit(&words->limbo_count, 0, memory_order_relaxed);
		atomic_store_explicit(&words->cache_mask, 0, memory_order_relaxed);
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

static uint64_t next_head(const struct heap *heap, uint64_t from, uint64_t end)
{
	while (from < end) {
		uint64_t bits = atomic_load_explicit(head_word(heap, from), memory_order_relaxed) >>
			(from & 63);

		if (bits != 0) {
			from += page_bits_lowest(bits);
			return from < end ? from : end;
		}
		from = (from | 63) + 1;
	}
	return end;
}

static void mend_table(struct heap *heap, uint64_t head, uint64_t npages)
{
	for (uint64_t i = 0; i < npages; i++) {
		_Atomic uint32_t *entry = span_table_entry(heap, head + i);

		if (atomic_load_explicit(entry, memory_order_relaxed) != (uint32_t)head)
			atomic_store_explicit(entry, (uint32_t)head, memory_order_relaxed);
	}
}

static void clear_free_range(struct heap *heap, uint64_t first, uint64_t npages)
{
	page_bits_clear_range(heap->pages.free_words, first, npages);
}

/* Takes the pages of the span at `head` out of the free pages. `next` is the head after it, or the
 * end. */
static void count_span(struct heap *heap, uint64_t head, uint64_t next, struct recovery *recovery)
{
	struct span *span = span_of_head(heap, head);
	struct span_record record = span_record_read(heap, head);

	if (span_record_plausible(heap, head, &record) && head + record.pages <= next) {
		/* A log's run: the logs are settled. */
		if (record.purpose == SPAN_LOG) {
			head_clear(heap, head);
			return;
		}
		recovery->spans++;
		mend_table(heap, head, record.pages);
		clear_free_range(heap, head, record.pages);
		return;
	}
	/* What the pages behind it hold cannot be known, so they are not given out. */
	atomic_store_explicit(&span->hot, heap_hot(heap, HOT_QUARANTINE, 0), memory_order_relaxed);
	mend_table(heap, head, next - head);
	clear_free_range(heap, head, next - head);
	report(recovery, head, "the span's record cannot be true: set aside");
}

static void derive_free_pages(struct heap *heap, uint64_t arena, struct recovery *recovery)
{
	uint64_t first = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t head;

	atomic_store_explicit(&heap->published[arena], end >> CHUNK_PAGES_SHIFT,
		memory_order_relaxed);
	if (end <= first)
		return;
	page_bits_set_range(heap->pages.free_words, first, end - first);
	for (head = next_head(heap, first, end); head < end;) {
		uint64_t next = next_head(heap, head + 1, end);

		count_span(heap, head, next, recovery);
		head = next;
	}
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
}

int recover(struct heap *heap, const struct superblock *superblock, struct thread *thread,
	struct recovery *recovery)
{
	uint32_t own = recover_own_slot(heap->thread_slots);
	int error;

	lay_header(heap, superblock);
	error = back_arenas(heap);
	if (error != 0)
		return error;
	thread_init(thread, heap, own, tag_make(own, TAG_SERIAL_LIMIT));
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		list_everything(heap, arena);
	settle_logs(thread, recovery);
	drop_intents(thread);
	drop_slot_words(heap);
	derive_all(heap, recovery);
	/* Whoever finds the magic finds everything else. */
	crash_order();
	heap->header->magic = CONTROL_MAGIC;
	return 0;
}

void recover_stamp_arenas(struct heap *heap)
{
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		atomic_store_explicit(&arena_header(heap, arena)->incarnation, heap->incarnation,
			memory_order_relaxed);
}

bool recover_arenas_older(const struct heap *heap, const struct superblock *superblock)
{
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		const struct arena_header *header = arena_header(heap, arena);

		if (header->magic != ARENA_MAGIC || header->arena != arena ||
			atomic_load_explicit(&header->incarnation, memory_order_relaxed) >
				superblock->incarnation)
			return false;
	}
	return true;
}
