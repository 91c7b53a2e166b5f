/* manual.c -- manual page runs: pages that the caller manages itself
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/manual.h"

#include "heap/growth.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "shm/order.h"

#include <errno.h>
#include <spanheap.h>

/* --- finding ------------------------------------------------------------------------------- */

/* Whether the run is neither being freed nor set aside. */
static bool is_whole(const struct heap *heap, uint64_t head)
{
	struct span_record record = span_record_read(heap, head);
	uint64_t hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire);

	return record.purpose == SPAN_MANUAL && span_record_plausible(heap, head, &record) &&
		(!hot_laid(hot, heap->incarnation) || hot_owner(hot) == HOT_NONE);
}

uint64_t manual_find(const struct heap *heap, uint64_t page)
{
	uint64_t head = span_find(heap, page);

	return head != 0 && manual_is_set(heap, head) && is_whole(heap, head) ? head : 0;
}

uint64_t manual_next_head(const struct heap *heap, uint64_t head, uint64_t end)
{
	uint64_t limit = (page_arena(head) + 1) << ARENA_PAGES_SHIFT;
	uint64_t from = head + 1;

	while (from < end && from < limit) {
		uint64_t bits =
			atomic_load_explicit(manual_word(heap, from), memory_order_acquire) >>
			(from & 63);

		if (bits != 0) {
			from += page_bits_lowest(bits);
			return from < end ? from : end;
		}
		from = (from | 63) + 1;
	}
	return end;
}

/* Why the page is in no run. */
static int gone_or_bad(const struct heap *heap, uint64_t page)
{
	uint64_t head = span_find(heap, page);
	uint64_t hot;

	if (page_origin(heap, page) == UINT64_MAX)
		return SH_EBADPTR;
	if (head == 0)
		return SH_EDOUBLEFREE;
	hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire);
	return manual_is_set(heap, head) && hot_owner(hot) != HOT_QUARANTINE ? SH_EDOUBLEFREE
									     : SH_EBADPTR;
}

/* --- allocation ---------------------------------------------------------------------------- */

static uint64_t pages_of(const struct heap *heap, uint64_t head)
{
	return atomic_load_explicit(&span_of_head(heap, head)->pages, memory_order_relaxed);
}

static void set_pages(const struct heap *heap, uint64_t head, uint64_t npages)
{
	atomic_store_explicit(&span_of_head(heap, head)->pages, (uint32_t)npages,
		memory_order_release);
}

/* Everything but the spans table and the head bit. */
static void prepare(const struct heap *heap, uint64_t head, uint64_t npages, unsigned flags)
{
	struct span_record record = {
		.pages = (uint32_t)npages,
		.span_class = SPAN_CLASS_LARGE,
		.purpose = SPAN_MANUAL,
		.run_flags = (uint16_t)flags,
	};

	span_write_record(heap, head, &record);
	/* What an earlier span's free left there could be taken for this run's. */
	atomic_store_explicit(&span_of_head(heap, head)->hot, heap_hot(heap, HOT_NONE, 0),
		memory_order_release);
}

uint64_t manual_allocate(struct thread *thread, uint64_t npages, unsigned flags, int *error)
{
	const struct heap *heap = thread->heap;
	uint64_t align_pages = flags & RUN_HUGE ? HUGE_PAGES : 1;
	uint64_t head = pages_allocate_aligned(thread, npages, align_pages, error);

	if (head == 0)
		return 0;
	prepare(heap, head, npages, flags);
	span_write_table(heap, head, head, npages);
	/* Crash: no head bit; the intent returns the pages. */
	crash_order();
	manual_set(heap, head);
	/* Crash: a run that nobody knows; whoever lists the runs sees it. */
	pages_close_intent(thread->log, 0);
	return head;
}

/* --- cutting and joining ------------------------------------------------------------------- */

/* Says what is about to be cut or joined. Crash from here on: manual_mend(). */
static void begin_change(struct heap *heap, uint64_t first, uint64_t npages)
{
	uint64_t run = run_make(RUN_CUT, first, npages);

	pages_journal_write(heap, &run, 1);
}

/* Cuts the run at `head` in two, the second of which begins at `at`. */
static void cut(struct heap *heap, uint64_t head, uint64_t at)
{
	uint64_t npages = pages_of(heap, head);
	uint64_t rest = head + npages - at;

	begin_change(heap, head, npages);
	prepare(heap, at, rest, span_of_head(heap, head)->run_flags);
	crash_order();
	manual_set(heap, at);
	/* Crash: the first run's record covers the second one, which begins behind it all the same. */
	crash_order();
	span_write_table(heap, at, at, rest);
	/* Crash: some pages of the second run are named by the first, whose record covers them. */
	crash_order();
	set_pages(heap, head, at - head);
	pages_journal_clear(heap);
}

/* Makes one run of those that fill the range, of which one begins at `first`. */
static void join(struct heap *heap, uint64_t first, uint64_t npages)
{
	struct span *span = span_of_head(heap, first);
	uint64_t end = first + npages;
	uint64_t head;

	begin_change(heap, first, npages);
	for (head = first; (head = manual_next_head(heap, head, end)) < end;)
		atomic_fetch_or_explicit(&span->run_flags, span_of_head(heap, head)->run_flags,
			memory_order_relaxed);
	set_pages(heap, first, npages);
	/* Crash: the first run ends where the second one begins. */
	crash_order();
	span_write_table(heap, first, first, npages);
	crash_order();
	/* Ascending: the first run ends at the next that is left, whose record covers its own. */
	for (head = first; (head = manual_next_head(heap, head, end)) < end;)
		manual_clear(heap, head);
	pages_journal_clear(heap);
}

void manual_mend(const struct heap *heap, uint64_t first, uint64_t npages)
{
	uint64_t end = first + npages;
	uint64_t next;

	for (uint64_t head = first; head < end; head = next) {
		uint64_t length = pages_of(heap, head);

		next = manual_next_head(heap, head, end);
		span_write_table(heap, head, head, length < next - head ? length : next - head);
	}
	crash_order();
	for (uint64_t head = first; head < end; head = next) {
		next = manual_next_head(heap, head, end);
		if (pages_of(heap, head) > next - head)
			set_pages(heap, head, next - head);
	}
}

/* --- freeing ------------------------------------------------------------------------------- */

/* Stack. The runs in which a range of pages lies. */
struct covering {
	uint64_t first_head;
	uint64_t last_head;
	uint64_t end; /* of the last one */
};

/* Finds them; or an error, when one of the pages is in none. */
static int find_covering(const struct heap *heap, uint64_t page, uint64_t npages,
	struct covering *covering)
{
	*covering = (struct covering){ .end = page };
	while (covering->end < page + npages) {
		uint64_t head = manual_find(heap, covering->end);

		if (head == 0)
			return gone_or_bad(heap, covering->end);
		if (covering->first_head == 0)
			covering->first_head = head;
		covering->last_head = head;
		covering->end = head + pages_of(heap, head);
	}
	return 0;
}

/* Makes one run of exactly the range. */
static void isolate(struct heap *heap, uint64_t page, uint64_t npages, struct covering covering)
{
	if (covering.first_head != page) {
		cut(heap, covering.first_head, page);
		if (covering.last_head == covering.first_head)
			covering.last_head = page;
	}
	/* Crash: a run more than before. */
	if (covering.end != page + npages)
		cut(heap, covering.last_head, page + npages);
	if (covering.last_head != page)
		join(heap, page, npages);
}

/* Takes the run from its head bit into the thread's intent. */
static void take_out(struct thread *thread, uint64_t head, uint64_t npages)
{
	struct heap *heap = thread->heap;

	pages_open_intent(thread->log, 0, RUN_FREE, head, npages);
	/* Crash: not begun; the reaper sees a hot word that is not the slot's, and drops it. */
	crash_order();
	atomic_store_explicit(&span_of_head(heap, head)->hot,
		heap_hot(heap, hot_dying_by(thread->slot), 0), memory_order_release);
	/* Crash: the reaper goes on. */
	crash_order();
	manual_clear(heap, head);
}

/* Frees a range in ordinary arenas, or from there to the end of a run. 0 or ENOTSUP. */
static int free_in_arena(struct thread *thread, uint64_t page, uint64_t npages,
	const struct covering *covering)
{
	/* What would be left begins where no record can be. */
	if (covering->end != page + npages && !page_is_data(thread->heap, page + npages))
		return ENOTSUP;
	isolate(thread->heap, page, npages, *covering);
	take_out(thread, page, npages);
	return 0;
}

/* Frees whole continuations at the end of a run. 0 or ENOTSUP. */
static int free_continuations(const struct heap *heap, uint64_t page, uint64_t npages,
	const struct covering *covering)
{
	if (covering->end != page + npages || page % ARENA_PAGES != 0)
		return ENOTSUP;
	/* Crash: nobody's continuations; the next reaper or recovery gives them back. */
	set_pages(heap, covering->first_head, page - covering->first_head);
	return 0;
}

int manual_free(struct thread *thread, uint64_t page, uint64_t npages)
{
	struct heap *heap = thread->heap;
	bool in_arena = page_is_data(heap, page);
	struct covering covering;
	int error;

	/* Their sum must not wrap around. */
	if (npages == 0 || npages > heap->max_bytes || page > heap->max_bytes)
		return SH_EBADPTR;
	pages_make_room(thread, thread->slot);
	pages_lock(thread);
	error = find_covering(heap, page, npages, &covering);
	if (error == 0)
		error = in_arena ? free_in_arena(thread, page, npages, &covering)
				 : free_continuations(heap, page, npages, &covering);
	pages_unlock(thread);
	if (error != 0)
		return error;
	if (in_arena)
		span_free_end(thread, thread->slot, 0);
	else
		growth_give_back(thread);
	pages_settle_limbo(thread);
	return 0;
}
