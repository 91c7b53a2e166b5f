/* page_index.h -- which pages are free: bitmap, summary tree and search hint
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The derived half of the page allocator. It lies in the control file and is never truth: recovery
 * rebuilds all of it, the repairer of a dead lock holder the part that the holder was changing.
 * Allocation is address-ordered first fit: which run a search returns depends on the bitmap alone.
 *
 * Invariants (page_index_valid() checks them). Let free(p) be bit p % 64 of free_words[p / 64],
 * and pages(l) = CHUNK_PAGES * 8^l what one entry of level l covers, level 0 being the leaves:
 *
 *   free(0) = 0
 *   summaries[l][e] = (start, max, end) of the free runs in [e * pages(l), (e + 1) * pages(l))
 *   summaries[l][e] = merge(summaries[l - 1][8 * e], ..., summaries[l - 1][8 * e + 7]), l > 0
 *   free(p) = 1  =>  p >= *search_hint
 *   pages(PAGE_INDEX_ROOT) = PAGE_SUMMARY_MAX_PAGES
 *
 * Zeroed memory satisfies them and says that nothing is free: a sparse file hands out nothing.
 *
 * Locking: every function but page_index_layout(), page_index_arena_slices() and
 * page_index_attach() is called with the page lock held, also those that take a const index: a
 * search may raise the hint.
 *
 * Backing: a search reads entries and words only below entries that are not zero, and a change only
 * those of the chunks it changes. So memory of an arena is touched only after pages of that arena
 * were made free, and a file without backing there cannot raise SIGBUS.
 *
 * Crash: a death inside page_index_take*() or page_index_give*() leaves any mixture of old and new
 * in the words of the pages it was called for, in the summaries of their chunks and in the entries
 * above these; nothing else. The caller's journal names the pages from before the call until after
 * it, and whoever repairs gives each of their words its value with page_index_assign_word() and
 * then calls page_index_summarize(). The hint needs no repair: it is lowered before a page below
 * it becomes free and raised after the last page below its new value was taken, so at every store
 * it is right or too low, and too low costs only time. */
#ifndef SPANHEAP_PAGE_INDEX_H
#define SPANHEAP_PAGE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/geometry.h"

/* A summary packs three page counts of 21 bits: the free run that begins at the first page, the
 * longest free run, the free run that ends at the last page. Zero says that nothing is free. 2^21
 * does not fit its field and occurs only in all three at once: that is bit 63. */
#define PAGE_SUMMARY_FIELD_BITS 21
#define PAGE_SUMMARY_MAX_PAGES (UINT64_C(1) << PAGE_SUMMARY_FIELD_BITS)
#define PAGE_SUMMARY_FIELD_MASK (PAGE_SUMMARY_MAX_PAGES - 1)
#define PAGE_SUMMARY_ALL_FREE (UINT64_C(1) << 63)

/* Eight entries, one cache line, below each entry. The root level is a flat array. */
#define PAGE_INDEX_FANOUT_SHIFT 3
#define PAGE_INDEX_FANOUT (UINT64_C(1) << PAGE_INDEX_FANOUT_SHIFT)
#define PAGE_INDEX_ROOT ((PAGE_SUMMARY_FIELD_BITS - CHUNK_PAGES_SHIFT) / PAGE_INDEX_FANOUT_SHIFT)
#define PAGE_INDEX_LEVELS (PAGE_INDEX_ROOT + 1)

/* Regions begin at multiples of this, so that no two of them share a page of the control file. */
#define PAGE_INDEX_REGION_ALIGN_BYTES UINT64_C(4096)

/* What one arena needs: its free words and its part of each level below the root. */
#define PAGE_INDEX_ARENA_SLICES PAGE_INDEX_LEVELS

_Static_assert(CHUNK_PAGES_SHIFT + PAGE_INDEX_ROOT * PAGE_INDEX_FANOUT_SHIFT ==
		PAGE_SUMMARY_FIELD_BITS,
	"a root entry covers exactly what a summary can count");
_Static_assert(CHUNK_PAGES % WORD_PAGES == 0, "a chunk is whole words");
_Static_assert(PAGE_INDEX_FANOUT * sizeof(uint64_t) == CACHE_LINE_BYTES,
	"siblings share a cache line");

/* Process. A view of the index in the control file; a copy is as good as the original. A copy with
 * a smaller chunk_limit is a view of the chunks below that limit, right as long as no page above
 * it is free; page_index_valid() through it reads no word of the chunks above. */
struct page_index {
	uint64_t *free_words;                   /* 1 = free, indexed by page / 64 */
	uint64_t *summaries[PAGE_INDEX_LEVELS]; /* level 0 by chunk, others by chunk / 8^level */
	uint64_t chunk_limit;                   /* chunks that this view covers */
	uint64_t *search_hint;                  /* no page below is free */
};

/* Process. Bytes of the index's memory, counted from its begin. */
struct page_index_slice {
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/* Process. Where the parts of the index lie. */
struct page_index_layout {
	struct page_index_slice base; /* hint and root level: backed before the first call */
	uint64_t search_hint_offset_bytes;
	struct page_index_slice summaries[PAGE_INDEX_LEVELS];
	struct page_index_slice free_words;
	uint64_t total_bytes;
};

/* Process. Pages [page, page + npages). */
struct page_index_run {
	uint64_t page;
	uint64_t npages; /* at least 1 */
};

/* page_summary_pack -- start and end are at most max, max at most PAGE_SUMMARY_MAX_PAGES */
static inline uint64_t page_summary_pack(uint64_t start, uint64_t max, uint64_t end)
{
	if (max == PAGE_SUMMARY_MAX_PAGES)
		return PAGE_SUMMARY_ALL_FREE;
	return start | max << PAGE_SUMMARY_FIELD_BITS | end << 2 * PAGE_SUMMARY_FIELD_BITS;
}

/* page_summary_start -- free pages from the first page on */
static inline uint64_t page_summary_start(uint64_t summary)
{
	if (summary == PAGE_SUMMARY_ALL_FREE)
		return PAGE_SUMMARY_MAX_PAGES;
	return summary & PAGE_SUMMARY_FIELD_MASK;
}

/* page_summary_max -- pages of the longest free run */
static inline uint64_t page_summary_max(uint64_t summary)
{
	if (summary == PAGE_SUMMARY_ALL_FREE)
		return PAGE_SUMMARY_MAX_PAGES;
	return summary >> PAGE_SUMMARY_FIELD_BITS & PAGE_SUMMARY_FIELD_MASK;
}

/* page_summary_end -- free pages up to the last page */
static inline uint64_t page_summary_end(uint64_t summary)
{
	if (summary == PAGE_SUMMARY_ALL_FREE)
		return PAGE_SUMMARY_MAX_PAGES;
	return summary >> 2 * PAGE_SUMMARY_FIELD_BITS & PAGE_SUMMARY_FIELD_MASK;
}

/* page_index_layout -- where the parts of an index of `max_chunks` chunks (at least 1) lie */
void page_index_layout(uint64_t max_chunks, struct page_index_layout *layout);

/* page_index_arena_slices -- what must be backed before a page of `arena` is made free
 *
 * Slices of neighbouring arenas may share pages of the file. */
void page_index_arena_slices(const struct page_index_layout *layout, uint64_t arena,
	struct page_index_slice slices[PAGE_INDEX_ARENA_SLICES]);

/* page_index_attach -- make a view of the index at `memory`
 *
 * `memory` is aligned to a cache line and laid out by page_index_layout(max_chunks). Reads and
 * writes nothing there. */
void page_index_attach(struct page_index *index, void *memory, uint64_t max_chunks);

/* page_index_find -- first page of the lowest run of `npages` (at least 1) free pages, 0 when none
 *
 * Takes nothing. Runs may cross chunks and arenas. */
uint64_t page_index_find(const struct page_index *index, uint64_t npages);

/* page_index_find_aligned -- the same, of the runs that begin at a multiple of `align_pages` (a power
 * of two)
 *
 * Steps over chunks in use a summary at a time, and looks at each place where a run might begin. */
uint64_t page_index_find_aligned(const struct page_index *index, uint64_t npages,
	uint64_t align_pages);

/* page_index_find_word -- the lowest word with a free page
 *
 * Returns the word's first page, a multiple of 64, and in *free_mask its free pages. When nothing
 * is free, *free_mask is 0; the result alone does not tell, as 0 is also the first word. */
uint64_t page_index_find_word(const struct page_index *index, uint64_t *free_mask);

/* page_index_take -- pages [page, page + npages), all free, are in use */
void page_index_take(struct page_index *index, uint64_t page, uint64_t npages);

/* page_index_give -- pages [page, page + npages), all in use, are free; page 0 never is */
void page_index_give(struct page_index *index, uint64_t page, uint64_t npages);

/* page_index_take_mask -- of the 64 pages from `first_page` on, those in `mask`, all free, are in
 * use; mask is not 0 */
void page_index_take_mask(struct page_index *index, uint64_t first_page, uint64_t mask);

/* page_index_give_mask -- of the 64 pages from `first_page` on, those in `mask`, all in use, are
 * free; mask is not 0 and leaves page 0 out */
void page_index_give_mask(struct page_index *index, uint64_t first_page, uint64_t mask);

/* page_index_give_runs -- page_index_give() for each of `count` runs
 *
 * The runs ascend and do not overlap. Each touched entry is computed once, however many runs lie
 * under it. */
void page_index_give_runs(struct page_index *index, const struct page_index_run *runs,
	size_t count);

/* page_index_assign_word -- of the 64 pages from `first_page` on, those in `free_mask` are free
 *
 * For recovery and repair: the summaries are left as they are, until page_index_summarize() or
 * page_index_rebuild(). Crash: as the caller's repair is started again, nothing to mend. */
void page_index_assign_word(struct page_index *index, uint64_t first_page, uint64_t free_mask);

/* page_index_summarize -- compute the summaries of [page, page + npages) from the bits, to the root
 *
 * Right whatever the entries of these chunks and those above them contain, if all others are right.
 * Several ranges may be wrong at once: call it for each of them, in any order. */
void page_index_summarize(struct page_index *index, uint64_t page, uint64_t npages);

/* page_index_rebuild -- compute the hint and all summaries of chunks [0, chunk_count) from the bits
 *
 * The bits may have been written by any means. Above these chunks nothing is free, and the
 * summaries say so already. */
void page_index_rebuild(struct page_index *index, uint64_t chunk_count);

/* page_index_count -- how many of pages [page, page + npages) are free */
uint64_t page_index_count(const struct page_index *index, uint64_t page, uint64_t npages);

/* page_index_valid -- whether the invariants at the top hold
 *
 * Looks at every bit once per level. Reads all that the view covers, backed or not: what is not
 * backed is left out by a view with a smaller chunk_limit. */
bool page_index_valid(const struct page_index *index);

#endif
