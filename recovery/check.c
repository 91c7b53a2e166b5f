/* check.c -- does everything agree?
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/check.h"

#include "heap/deferred.h"
#include "heap/log.h"
#include "heap/manual.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "recovery/proof.h"

#include <stdarg.h>
#include <stdio.h>

/* Stack. One run of the checker. */
struct check {
	struct heap *heap;
	struct thread *thread; /* NULL: takes no lock, looks at truth only */
	struct thread *reader; /* in whose sections it looks; NULL: nobody else is there */
	sh_problem_fn *problem;
	void *argument;
	uint64_t problems;
	bool stopped;
	uint64_t before; /* the span seen last; 0: none */
	struct span_record before_record;
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

/* Head bits where no data can be. */
static void check_no_heads(struct check *check, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page += WORD_PAGES) {
		uint64_t bits = heads_of_word(check->heap, page);

		if (bits != 0)
			report(check, page_offset(page + page_bits_lowest(bits)),
				"page %llu: a head bit where there is no data",
				(unsigned long long)(page + page_bits_lowest(bits)));
	}
}

static void check_arena_heads(struct check *check, uint64_t arena)
{
	const struct heap *heap = check->heap;
	uint64_t first = arena << ARENA_PAGES_SHIFT;

	if (!arena_is_ordinary(heap, arena))
		return;
	check_no_heads(check, first, arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT);
	check_no_heads(check, arena_frontier(heap, arena) << CHUNK_PAGES_SHIFT,
		first + ARENA_PAGES);
}

/* Reports a damaged entry of the directory; whether the arena has a zone. One that continues no run is no
 * fault: it is given back by whoever comes across it. */
static bool check_entry(struct check *check, uint64_t arena)
{
	uint64_t word = arena_word(check->heap, arena);

	if ((word & ARENA_CONTINUES) && !proof_entry_sane(check->heap, arena))
		report(check, arena << ARENA_BYTES_SHIFT,
			"arena %llu: its entry in the directory is damaged",
			(unsigned long long)arena);
	return (word & ARENA_CONTINUES) == 0;
}

static void check_arena(struct check *check, uint64_t arena)
{
	const struct heap *heap = check->heap;
	const struct arena_header *header = arena_header(heap, arena);
	uint64_t frontier =
		atomic_load_explicit(&heap->directory[arena].frontier, memory_order_acquire);

	if (!check_entry(check, arena))
		return;
	if (header->magic != ARENA_MAGIC || header->arena != arena)
		report(check, arena_zone(heap, arena), "arena %llu: its header is damaged",
			(unsigned long long)arena);
	if (frontier < arena_first_chunk(heap, arena) || frontier > arena_end_chunk(heap, arena))
		report(check, arena << ARENA_BYTES_SHIFT,
			"arena %llu: frontier %llu is not inside it", (unsigned long long)arena,
			(unsigned long long)frontier);
}

/* --- spans --------------------------------------------------------------------------------- */

static int visit_chunk(const struct heap *heap, uint64_t chunk,
	int (*visit)(void *argument, uint64_t head), void *argument)
{
	uint64_t page = chunk << CHUNK_PAGES_SHIFT;
	uint64_t end = page + CHUNK_PAGES;

	while ((page = heap_next_head(heap, page, end)) < end) {
		int stop = visit(argument, page++);

		if (stop != 0)
			return stop;
	}
	return 0;
}

static int visit_in_section(const struct heap *heap, struct thread *reader, uint64_t chunk,
	int (*visit)(void *argument, uint64_t head), void *argument)
{
	int stop;

	if (reader == NULL)
		return visit_chunk(heap, chunk, visit, argument);
	thread_begin_reading(reader);
	stop = visit_chunk(heap, chunk, visit, argument);
	thread_end_reading(reader);
	return stop;
}

int check_each_span(const struct heap *heap, struct thread *reader,
	int (*visit)(void *argument, uint64_t head), void *argument)
{
	bool visitor = reader != NULL && thread_enroll(reader);
	int stop = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(heap) && stop == 0; arena++) {
		uint64_t chunk = arena_first_chunk(heap, arena);
		uint64_t end = arena_frontier(heap, arena);

		for (; chunk < end && stop == 0; chunk++)
			stop = visit_in_section(heap, reader, chunk, visit, argument);
	}
	if (visitor)
		thread_stop_reading(reader);
	return stop;
}

static bool bits_outside(const struct heap *heap, uint64_t head, unsigned span_class)
{
	const struct size_class *size_class = span_size_class(heap, span_class);

	for (unsigned word = 0; word < size_class->words; word++)
		if ((atomic_load_explicit(span_allocated(heap, head, word), memory_order_relaxed) |
			    atomic_load_explicit(span_freed(heap, head, word),
				    memory_order_relaxed) |
			    atomic_load_explicit(span_limbo(heap, head, word),
				    memory_order_relaxed)) &
			~span_word_mask(size_class, word))
			return true;
	return false;
}

/* Whether the spans table names something else for a page of the span. A cut that a death left has
 * page runs covered by their neighbours' records: then that one may be named. */
static bool table_differs(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	uint64_t run = run_clip(run_make(RUN_PLAIN, head, record->pages));

	if (record->purpose == SPAN_OBJECTS && !span_table_agrees(heap, head, record))
		return true;
	for (uint64_t page = head; page < head + run_pages(run); page++) {
		uint64_t named = table_head(atomic_load_explicit(span_table_entry(heap, page),
						    memory_order_relaxed),
			page);

		if (named != head &&
			(record->purpose != SPAN_MANUAL || manual_find(heap, page) == 0))
			return true;
	}
	return false;
}

/* Whether the record is of what the head bit says. */
static bool bit_differs(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	bool manual = record->purpose == SPAN_MANUAL;

	return manual_is_set(heap, head) != manual || head_is_set(heap, head) == manual;
}

/* Whether it begins inside the one before it. Page runs may while one is being cut: between sections
 * of the page lock they do not, so it is asked under it, and not at all when a death left the cut. */
static bool overlaps(const struct check *check, uint64_t head, const struct span_record *record)
{
	const struct heap *heap = check->heap;
	const struct span_record *before = &check->before_record;
	bool runs = before->purpose == SPAN_MANUAL && record->purpose == SPAN_MANUAL;

	return check->before != 0 && !(runs && check->thread == NULL) &&
		span_record_stands(heap, check->before, before) &&
		head < check->before + span_record_read(heap, check->before).pages;
}

/* A hot word of this incarnation repeats the record's class, and says that there is a span. */
static bool hot_differs(const struct heap *heap, uint64_t head, const struct span_record *record)
{
	uint64_t hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire);

	return hot_laid(hot, heap->incarnation) && hot_owner(hot) != HOT_QUARANTINE &&
		(hot_owner(hot) == HOT_NONE || hot_class(hot) != record->span_class);
}

/* What is wrong with a span, as far as one look tells; NULL: nothing. */
static const char *span_fault(const struct check *check, uint64_t head,
	const struct span_record *record)
{
	const struct heap *heap = check->heap;

	if (overlaps(check, head, record))
		return "it begins inside the span before it";
	if (!span_record_plausible(heap, head, record))
		return "its record cannot be true";
	if (bit_differs(heap, head, record))
		return "its head bit is in the other bitmap";
	if (table_differs(heap, head, record))
		return "the spans table does not name it for all of its pages";
	if (record->purpose == SPAN_OBJECTS && bits_outside(heap, head, record->span_class))
		return "bits of blocks that do not exist";
	if (check->thread != NULL && record->purpose != SPAN_MANUAL &&
		hot_differs(heap, head, record))
		return "its hot word is not that of its record";
	return NULL;
}

/* How often something that may be moving is looked at before it is a problem. */
#define LOOKS 3

/* One look at a span; page runs stand still under the page lock. Whether it stood as long. */
static bool look_at_span(const struct check *check, uint64_t head, struct span_record *record,
	const char **fault)
{
	bool locked = check->thread != NULL && manual_is_set(check->heap, head);
	bool stood;

	if (locked)
		pages_lock(check->thread);
	*record = span_record_read(check->heap, head);
	*fault = span_fault(check, head, record);
	stood = span_record_stands(check->heap, head, record);
	if (locked)
		pages_unlock(check->thread);
	return stood;
}

/* A span that goes, or becomes another one, while we look is looked at no more. */
static int check_span(void *argument, uint64_t head)
{
	struct check *check = argument;
	struct span_record record;
	const char *fault = NULL;

	for (int i = 0; i == 0 || (i < LOOKS && fault != NULL); i++)
		if (!look_at_span(check, head, &record, &fault))
			return check->stopped;
	if (fault != NULL)
		report(check, page_offset(head),
			"span at page %llu (pages %u, class %u, purpose %u): %s",
			(unsigned long long)head, record.pages, record.span_class, record.purpose,
			fault);
	if (span_record_plausible(check->heap, head, &record)) {
		check->before = head;
		check->before_record = record;
	}
	return check->stopped;
}

/* --- pages --------------------------------------------------------------------------------- */

static void report_page(struct check *check, uint64_t base, uint64_t mask, const char *text)
{
	uint64_t page = base + page_bits_lowest(mask);

	if (mask != 0)
		report(check, page_offset(page), "page %llu: %s", (unsigned long long)page, text);
}

/* Under the page lock. */
static void check_page_word(struct check *check, uint64_t base)
{
	uint64_t free_mask = check->heap->pages.free_words[base / WORD_PAGES];
	struct page_places places = pages_look(check->heap, base);
	uint64_t taken = page_places_all(&places);
	uint64_t twice = page_places_twice(&places);

	/* A page that moves is seen in two places; it does not move back under the lock. */
	for (int i = 1; i < LOOKS && twice != 0; i++) {
		places = pages_look(check->heap, base);
		twice &= page_places_twice(&places);
	}
	report_page(check, base, free_mask & taken, "free and in use");
	report_page(check, base, ~(free_mask | taken), "lost, neither free nor in use");
	report_page(check, base, twice, "in use in two places");
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

static bool owned_names(const struct heap *heap, uint32_t slot, uint64_t head)
{
	const struct slot_words *words = heap_slot_words(heap, slot);
	uint64_t limit = atomic_load_explicit(&words->owned_limit, memory_order_acquire);

	for (unsigned place = 1; place <= limit && place <= OWNED_COUNT; place++)
		if (atomic_load_explicit(heap_owned(heap, slot, place), memory_order_acquire) ==
			head)
			return true;
	return false;
}

/* Whether some slot is in charge of the span, or of its class's bit of the chunk. */
static bool named_by_somebody(const struct heap *heap, uint64_t head, unsigned span_class)
{
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t slot = 0; slot < high_water; slot++) {
		const struct slot_words *words = heap_slot_words(heap, slot);

		if (atomic_load_explicit(&words->touching, memory_order_acquire) == head ||
			atomic_load_explicit(&words->searching, memory_order_acquire) ==
				span_searching(head >> CHUNK_PAGES_SHIFT, span_class) ||
			owned_names(heap, slot, head))
			return true;
	}
	return false;
}

/* Rules C and E of heap/span.h: unowned and worth a visit means listed, for its class, too, or somebody
 * is in charge. What nobody has looked at since the restart is found by every class. */
static bool unlisted_and_forgotten(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);
	const struct size_class *size_class = span_size_class(heap, hot_class(hot));

	return head_is_set(heap, head) && hot_laid(hot, heap->incarnation) &&
		hot_owner(hot) == HOT_UNOWNED &&
		span_free_count(heap, head, size_class) >= size_class->worth &&
		!span_is_unseen(heap, head >> CHUNK_PAGES_SHIFT) &&
		!span_is_listed(heap, head, hot_class(hot)) &&
		!named_by_somebody(heap, head, hot_class(hot));
}

static bool named_by_intent(const struct heap *heap, uint64_t head)
{
	for (uint32_t slot = 0; slot < heap->thread_slots; slot++)
		for (unsigned which = 0; which < 2; which++)
			if (run_page(atomic_load_explicit(&heap->logs[slot].intent[which],
				    memory_order_acquire)) == head)
				return true;
	return false;
}

static bool named_by_touching(const struct heap *heap, uint64_t head)
{
	for (uint32_t slot = 0; slot < heap->thread_slots; slot++)
		if (atomic_load_explicit(&heap_slot_words(heap, slot)->touching,
			    memory_order_acquire) == head)
			return true;
	return false;
}

static bool named_by_log(const struct heap *heap, uint64_t head)
{
	for (uint32_t slot = 0; slot < heap->thread_slots; slot++)
		for (unsigned k = 0; k < LOG_EXTENSIONS; k++)
			if (atomic_load_explicit(&heap->logs[slot].extension[k],
				    memory_order_acquire) == page_offset(head))
				return true;
	return false;
}

/* A span that a slot is freeing or resizing, or a log's run, which no slot knows: gone only after a restart. */
static bool dying_and_forgotten(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);

	return head_is_set(heap, head) && hot_laid(hot, heap->incarnation) &&
		hot_owner(hot) >= HOT_DYING && hot_owner(hot) < HOT_QUARANTINE &&
		!named_by_intent(heap, head) && !named_by_touching(heap, head) &&
		!named_by_log(heap, head) && atomic_load(&span_of_head(heap, head)->hot) == hot &&
		head_is_set(heap, head);
}

/* Rule B: whom the hot word names knows it. */
static bool owned_and_unnamed(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);
	uint32_t owner = hot_owner(hot);

	return head_is_set(heap, head) && hot_laid(hot, heap->incarnation) && owner != HOT_NONE &&
		owner < HOT_DYING &&
		(owner > heap->thread_slots || !owned_names(heap, owner - 1, head)) &&
		atomic_load(&span_of_head(heap, head)->hot) == hot;
}

/* Rule C of heap/deferred.h: what stands in limbo is noted, or somebody is in charge. */
static bool deferred_and_forgotten(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);

	return head_is_set(heap, head) && hot_laid(hot, heap->incarnation) &&
		hot_owner(hot) != HOT_QUARANTINE && deferred_is_pending(heap, head) &&
		!deferred_is_noted(heap, head) && !named_by_touching(heap, head) &&
		deferred_is_pending(heap, head);
}

static bool stands(const struct heap *heap, uint64_t head,
	bool (*wrong)(const struct heap *heap, uint64_t head))
{
	for (int i = 0; i < LOOKS; i++)
		if (!wrong(heap, head))
			return false;
	return true;
}

static int check_owner(void *argument, uint64_t head)
{
	struct check *check = argument;

	if (stands(check->heap, head, unlisted_and_forgotten))
		report(check, page_offset(head),
			"span at page %llu: unowned and worth a visit, but not listed for its "
			"class",
			(unsigned long long)head);
	if (stands(check->heap, head, dying_and_forgotten))
		report(check, page_offset(head),
			"span at page %llu: being freed, or a log's, and no slot knows it",
			(unsigned long long)head);
	if (stands(check->heap, head, deferred_and_forgotten))
		report(check, page_offset(head),
			"span at page %llu: has deferred frees, and no drain finds them",
			(unsigned long long)head);
	if (stands(check->heap, head, owned_and_unnamed))
		report(check, page_offset(head),
			"span at page %llu: owned by a slot that does not know it",
			(unsigned long long)head);
	return check->stopped;
}

/* --- logs and roots ------------------------------------------------------------------------ */

static bool log_damaged(const struct heap *heap, uint32_t slot)
{
	struct slot_log *log = &heap->logs[slot];
	struct log_word word = log_read(log);

	return word.state > LOG_ROLLBACK || word.index > word.count ||
		(word.count != 0 && log_entry_at(heap, log, word.count - 1) == NULL);
}

static void check_log(struct check *check, uint32_t slot)
{
	const struct slot_log *log = &check->heap->logs[slot];
	uint64_t off = (uint64_t)((const char *)log - check->heap->base);
	int looks = 0;

	while (looks < LOOKS && log_damaged(check->heap, slot))
		looks++;
	if (looks == LOOKS)
		report(check, off, "slot %u: its log is damaged: state, or entries not there",
			slot);
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
	for (uint64_t arena = 0; arena < heap_arena_count(heap) && !check->stopped; arena++)
		check_arena_heads(check, arena);
	for (uint32_t slot = 0; slot < heap->thread_slots && !check->stopped; slot++)
		check_log(check, slot);
	for (uint64_t index = 0; index < ROOT_COUNT && !check->stopped; index++)
		check_root(check, index);
	check_each_span(heap, check->reader, check_span, check);
}

static void check_derived(struct check *check)
{
	check_summaries(check);
	for (uint64_t arena = 0; arena < heap_arena_count(check->heap); arena++)
		check_free_pages(check, arena);
	check_each_span(check->heap, check->thread, check_owner, check);
}

int check_heap(struct heap *heap, struct thread *thread, sh_problem_fn *problem, void *argument,
	uint64_t *problems)
{
	struct check check = {
		.heap = heap,
		.thread = thread,
		.reader = thread,
		.problem = problem,
		.argument = argument,
	};

	check_truth(&check);
	if (thread != NULL && check.problems == 0)
		check_derived(&check);
	*problems = check.problems;
	return check.stopped ? SH_ESTOPPED : 0;
}

int check_reading(struct heap *heap, struct thread *reader, sh_problem_fn *problem, void *argument,
	uint64_t *problems)
{
	struct check check = {
		.heap = heap,
		.reader = reader,
		.problem = problem,
		.argument = argument,
	};

	check_truth(&check);
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

static int walk_word(const struct walk *walk, uint64_t head, const struct span_record *record,
	unsigned word)
{
	const struct size_class *size_class = span_size_class(walk->heap, record->span_class);
	uint64_t live = span_live(walk->heap, head, word) & span_word_mask(size_class, word);

	/* The bits are this span's, not the next one's that begins here. */
	if (!span_record_stands(walk->heap, head, record))
		return 0;
	for (; live != 0; live &= live - 1) {
		struct sh_block block = {
			.off = page_offset(head) +
				(word * 64 + page_bits_lowest(live)) * size_class->bytes,
			.size = size_class->bytes,
			.kind = record->span_class & 1u ? SH_NOSCAN : 0,
		};

		if (walk->block(&block, walk->argument) != 0)
			return SH_ESTOPPED;
	}
	return 0;
}

static int walk_objects(const struct walk *walk, uint64_t head, const struct span_record *record)
{
	unsigned words = span_size_class(walk->heap, record->span_class)->words;
	int stop = 0;

	for (unsigned word = 0; word < words && stop == 0; word++)
		stop = walk_word(walk, head, record, word);
	return stop;
}

/* Whether recovery, or who touched it first, set the span aside: what of it is whose cannot be known. */
static bool is_set_aside(const struct heap *heap, uint64_t head)
{
	uint64_t hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire);

	return hot_set_aside(hot, heap->incarnation);
}

static int walk_span(void *argument, uint64_t head)
{
	const struct walk *walk = argument;
	struct span_record record = span_record_read(walk->heap, head);
	struct sh_block block = {
		.off = page_offset(head),
		.size = record.bytes,
		.kind = record.span_class == SPAN_CLASS_LARGE ? SH_NOSCAN : 0,
	};

	if (!span_record_stands(walk->heap, head, &record) ||
		!span_record_plausible(walk->heap, head, &record) || is_set_aside(walk->heap, head))
		return 0;
	if (record.purpose == SPAN_OBJECTS)
		return walk_objects(walk, head, &record);
	if (record.purpose != SPAN_LARGE || !span_large_is_live(walk->heap, head))
		return 0;
	return walk->block(&block, walk->argument) != 0 ? SH_ESTOPPED : 0;
}

int walk_heap(struct heap *heap, struct thread *reader, sh_block_fn *block, void *argument)
{
	struct walk walk = { .heap = heap, .block = block, .argument = argument };

	return check_each_span(heap, reader, walk_span, &walk);
}

/* Stack. One walk over manual runs. */
struct manual_walk {
	struct heap *heap;
	sh_pages_fn *pages;
	void *argument;
};

static int walk_run(void *argument, uint64_t head)
{
	const struct manual_walk *walk = argument;
	struct span_record record = span_record_read(walk->heap, head);
	struct sh_pages pages = {
		.off = page_offset(head),
		.npages = record.pages,
		.flags = (record.run_flags & RUN_IO ? SH_IO : 0) |
			(record.run_flags & RUN_HUGE ? SH_HUGE : 0),
	};

	if (!span_record_stands(walk->heap, head, &record) || manual_find(walk->heap, head) != head)
		return 0;
	return walk->pages(&pages, walk->argument) != 0 ? SH_ESTOPPED : 0;
}

int walk_manual(struct heap *heap, struct thread *reader, sh_pages_fn *pages, void *argument)
{
	struct manual_walk walk = { .heap = heap, .pages = pages, .argument = argument };

	return check_each_span(heap, reader, walk_run, &walk);
}
