/* check.c -- does everything agree?
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/check.h"

#include "heap/log.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"

#include <stdarg.h>
#include <stdio.h>

/* Stack. One run of the checker. */
struct check {
	struct heap *heap;
	struct thread *thread; /* NULL: offline */
	sh_problem_fn *problem;
	void *argument;
	uint64_t problems;
	bool stopped;
	uint64_t covered; /* pages below it belong to spans seen so far */
};

__attribute__((format(printf, 3, 4))) static void report(struct check *check, uint64_t off,
	const char *format, ...)
{
	char text[256];
	struct sh_problem problem = { .off = off, .text = text };
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	check->problems++;
	if (check->problem != NULL && !check->stopped &&
		check->problem(&problem, check->argument) != 0)
		check->stopped = true;
}

/* --- arenas -------------------------------------------------------------------------------- */

static void check_arena(struct check *check, uint64_t arena)
{
	const struct heap *heap = check->heap;
	const struct arena_header *header = arena_header(heap, arena);
	uint64_t frontier =
		atomic_load_explicit(&heap->directory[arena].frontier, memory_order_acquire);

	if (header->magic != ARENA_MAGIC || header->arena != arena)
		report(check, arena_zone(heap, arena), "arena %llu: its header is damaged",
			(unsigned long long)arena);
	if (frontier < arena_first_chunk(heap, arena) || frontier > arena_end_chunk(heap, arena))
		report(check, arena << ARENA_BYTES_SHIFT,
			"arena %llu: frontier %llu is not inside it", (unsigned long long)arena,
			(unsigned long long)frontier);
}

/* --- spans --------------------------------------------------------------------------------- */

int check_each_span(const struct heap *heap, int (*visit)(void *argument, uint64_t head),
	void *argument)
{
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t page = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
		uint64_t end = arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT;

		while (page < end) {
			uint64_t bits =
				atomic_load_explicit(head_word(heap, page), memory_order_acquire) >>
				(page & 63);
			int stop;

			if (bits == 0) {
				page = (page | 63) + 1;
				continue;
			}
			page += page_bits_lowest(bits);
			if (page >= end)
				break;
			stop = visit(argument, page++);
			if (stop != 0)
				return stop;
		}
	}
	return 0;
}

static uint64_t word_live(const struct heap *heap, uint64_t head, unsigned word)
{
	/* freed first: heap/object.h. */
	uint64_t freed = atomic_load_explicit(span_freed(heap, head, word), memory_order_acquire);

	return atomic_load_explicit(span_allocated(heap, head, word), memory_order_acquire) &
		~freed;
}

uint64_t check_live_blocks(const struct heap *heap, uint64_t head)
{
	const struct size_class *size_class =
		span_size_class(heap, span_of_head(heap, head)->span_class);
	uint64_t live = 0;

	for (unsigned word = 0; word < size_class->words; word++)
		live += page_bits_count(word_live(heap, head, word));
	return live;
}

static void check_bits(struct check *check, uint64_t head)
{
	const struct heap *heap = check->heap;
	const struct size_class *size_class =
		span_size_class(heap, span_of_head(heap, head)->span_class);

	for (unsigned word = 0; word < size_class->words; word++) {
		uint64_t outside = ~span_word_mask(size_class, word);

		if ((atomic_load_explicit(span_allocated(heap, head, word), memory_order_relaxed) |
			    atomic_load_explicit(span_freed(heap, head, word),
				    memory_order_relaxed)) &
			outside)
			report(check, page_offset(head),
				"span at page %llu: bits of blocks that do not exist",
				(unsigned long long)head);
	}
}

static void check_table(struct check *check, uint64_t head, uint64_t npages)
{
	for (uint64_t i = 0; i < npages; i++) {
		uint32_t entry = atomic_load_explicit(span_table_entry(check->heap, head + i),
			memory_order_relaxed);

		if (entry != head) {
			report(check, page_offset(head + i),
				"page %llu: the spans table says %u, its span begins at %llu",
				(unsigned long long)(head + i), entry, (unsigned long long)head);
			return;
		}
	}
}

static void check_span_words(struct check *check, uint64_t head)
{
	const struct span *span = span_of_head(check->heap, head);

	if (head < check->covered)
		report(check, page_offset(head), "span at page %llu: inside the span before it",
			(unsigned long long)head);
	if (!span_record_plausible(check->heap, head)) {
		report(check, page_offset(head),
			"span at page %llu: its record (pages %u, class %u, purpose %u) cannot be "
			"true",
			(unsigned long long)head, span->pages, span->span_class, span->purpose);
		return;
	}
	check_table(check, head, span->pages);
	if (span->purpose == SPAN_OBJECTS)
		check_bits(check, head);
	check->covered = head + span->pages;
}

static int check_span(void *argument, uint64_t head)
{
	struct check *check = argument;

	/* Under the page lock nothing is created from free pages, and what is retired stays in
	 * limbo; a span that vanishes while we look is looked at no more. */
	struct check quiet = *check;

	quiet.problem = NULL;
	check_span_words(&quiet, head);
	if (quiet.problems != check->problems && head_is_set(check->heap, head))
		check_span_words(check, head);
	else
		check->covered = quiet.covered;
	return check->stopped;
}

/* --- pages --------------------------------------------------------------------------------- */

static void check_page_word(struct check *check, uint64_t base)
{
	uint64_t free_mask = check->heap->pages.free_words[base / WORD_PAGES];
	uint64_t taken = pages_taken_word(check->heap, base);
	uint64_t both = free_mask & taken;
	uint64_t neither = ~(free_mask | taken);

	if (both != 0)
		report(check, page_offset(base + page_bits_lowest(both)),
			"page %llu: free and in use",
			(unsigned long long)(base + page_bits_lowest(both)));
	if (neither != 0)
		report(check, page_offset(base + page_bits_lowest(neither)),
			"page %llu: lost, neither free nor in use",
			(unsigned long long)(base + page_bits_lowest(neither)));
}

static void check_free_pages(struct check *check, uint64_t arena)
{
	const struct heap *heap = check->heap;
	uint64_t first = arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT;
	uint64_t end = atomic_load_explicit(&heap->published[arena], memory_order_relaxed)
		<< CHUNK_PAGES_SHIFT;

	for (uint64_t base = first; base < end && !check->stopped; base += WORD_PAGES) {
		pages_lock(check->thread);
		check_page_word(check, base);
		pages_unlock(check->thread);
	}
}

static void check_summaries(struct check *check)
{
	struct page_index view = check->heap->pages;

	pages_lock(check->thread);
	/* Under the lock: pages of an arena that is not counted cannot be published meanwhile. */
	view.chunk_limit = heap_arena_count(check->heap) * ARENA_CHUNKS;
	if (view.chunk_limit != 0 && !page_index_valid(&view))
		report(check, 0, "the summaries of the free pages do not fit their bits");
	pages_unlock(check->thread);
}

/* --- ownership ----------------------------------------------------------------------------- */

static bool named_by_somebody(const struct heap *heap, uint64_t head)
{
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t slot = 0; slot < high_water; slot++) {
		const struct slot_words *words = heap_slot_words(heap, slot);

		if (atomic_load_explicit(&words->touching, memory_order_acquire) == head)
			return true;
		for (unsigned i = 0; i < OWNED_COUNT; i++)
			if (atomic_load_explicit(&words->owned[i], memory_order_acquire) == head)
				return true;
	}
	return false;
}

static bool is_full(const struct heap *heap, uint64_t head, const struct size_class *size_class)
{
	for (unsigned word = 0; word < size_class->words; word++)
		if (word_live(heap, head, word) != span_word_mask(size_class, word))
			return false;
	return true;
}

/* Rule C of heap/span.h: unowned and not full means listed, or somebody is in charge. */
static bool unlisted_and_forgotten(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);

	return head_is_set(heap, head) && hot_laid(hot, heap->incarnation) &&
		hot_owner(hot) == HOT_UNOWNED &&
		!is_full(heap, head, span_size_class(heap, hot_class(hot))) &&
		!(atomic_load(&heap->listed[head / 64]) >> (head & 63) & 1) &&
		!named_by_somebody(heap, head);
}

static bool owned_and_unnamed(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);

	return head_is_set(heap, head) && hot_laid(hot, heap->incarnation) &&
		hot_owner(hot) != HOT_NONE && hot_owner(hot) < HOT_DYING &&
		!named_by_somebody(heap, head) &&
		atomic_load(&span_of_head(heap, head)->hot) == hot;
}

/* How often something that may be moving is looked at before it is a problem. */
#define SECOND_LOOKS 3

static bool stands(const struct heap *heap, uint64_t head,
	bool (*wrong)(const struct heap *heap, uint64_t head))
{
	for (int i = 0; i < SECOND_LOOKS; i++)
		if (!wrong(heap, head))
			return false;
	return true;
}

static int check_owner(void *argument, uint64_t head)
{
	struct check *check = argument;

	if (stands(check->heap, head, unlisted_and_forgotten))
		report(check, page_offset(head),
			"span at page %llu: unowned and not full, but not listed",
			(unsigned long long)head);
	if (stands(check->heap, head, owned_and_unnamed))
		report(check, page_offset(head),
			"span at page %llu: owned by a slot that does not "
			"know it",
			(unsigned long long)head);
	return check->stopped;
}

/* --- logs and roots ------------------------------------------------------------------------ */

static void check_log(struct check *check, uint32_t slot)
{
	const struct slot_log *log = &check->heap->logs[slot];
	struct log_word word = log_read(log);
	uint64_t off = (uint64_t)((const char *)log - check->heap->base);

	if (word.state > LOG_ROLLBACK || word.index > word.count)
		report(check, off, "slot %u: its log's state is damaged", slot);
	for (unsigned which = 0; which < 2; which++) {
		uint64_t run = atomic_load_explicit(&log->intent[which], memory_order_relaxed);

		if (run != 0 && !run_is_data(check->heap, run))
			report(check, off, "slot %u: an intent names pages that hold no data",
				slot);
	}
}

static void check_root(struct check *check, uint64_t index)
{
	const struct root *root = &check->heap->roots[index];
	uint64_t sequence = atomic_load_explicit(&root->sequence, memory_order_acquire);
	uint64_t value = atomic_load_explicit(&root->value[sequence & 1], memory_order_relaxed);

	if (value >= check->heap->max_bytes)
		report(check, (uint64_t)((const char *)root - check->heap->base),
			"root %llu: its offset lies outside the heap", (unsigned long long)index);
}

/* --- all of it ----------------------------------------------------------------------------- */

static void check_truth(struct check *check)
{
	struct heap *heap = check->heap;

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		check_arena(check, arena);
	if (check->problems != 0)
		return;
	for (uint32_t slot = 0; slot < heap->thread_slots && !check->stopped; slot++)
		check_log(check, slot);
	for (uint64_t index = 0; index < ROOT_COUNT && !check->stopped; index++)
		check_root(check, index);
	check_each_span(heap, check_span, check);
}

static void check_derived(struct check *check)
{
	check_summaries(check);
	for (uint64_t arena = 0; arena < heap_arena_count(check->heap); arena++)
		check_free_pages(check, arena);
	check_each_span(check->heap, check_owner, check);
}

int check_heap(struct heap *heap, struct thread *thread, sh_problem_fn *problem, void *argument,
	uint64_t *problems)
{
	struct check check = {
		.heap = heap,
		.thread = thread,
		.problem = problem,
		.argument = argument,
	};

	check_truth(&check);
	if (thread != NULL && check.problems == 0)
		check_derived(&check);
	*problems = check.problems;
	return check.stopped ? SH_ESTOPPED : 0;
}

/* --- walking ------------------------------------------------------------------------------- */

/* Stack. One walk. */
struct walk {
	struct heap *heap;
	sh_block_fn *block;
	void *argument;
};

static int walk_objects(const struct walk *walk, uint64_t head)
{
	const struct span *span = span_of_head(walk->heap, head);
	const struct size_class *size_class = span_size_class(walk->heap, span->span_class);

	for (unsigned word = 0; word < size_class->words; word++) {
		uint64_t live =
			word_live(walk->heap, head, word) & span_word_mask(size_class, word);

		for (; live != 0; live &= live - 1) {
			struct sh_block block = {
				.off = page_offset(head) +
					(word * 64 + page_bits_lowest(live)) * size_class->bytes,
				.size = size_class->bytes,
				.kind = span->span_class & 1u ? SH_NOSCAN : 0,
			};

			if (walk->block(&block, walk->argument) != 0)
				return SH_ESTOPPED;
		}
	}
	return 0;
}

static int walk_span(void *argument, uint64_t head)
{
	const struct walk *walk = argument;
	const struct span *span = span_of_head(walk->heap, head);
	struct sh_block block;

	if (!span_record_plausible(walk->heap, head))
		return 0;
	if (span->purpose == SPAN_OBJECTS)
		return walk_objects(walk, head);
	if (span->purpose != SPAN_LARGE)
		return 0;
	block = (struct sh_block){
		.off = page_offset(head),
		.size = span->bytes,
		.kind = span->span_class == SPAN_CLASS_LARGE ? SH_NOSCAN : 0,
	};
	return walk->block(&block, walk->argument) != 0 ? SH_ESTOPPED : 0;
}

int walk_heap(struct heap *heap, sh_block_fn *block, void *argument)
{
	struct walk walk = { .heap = heap, .block = block, .argument = argument };

	return check_each_span(heap, walk_span, &walk);
}
