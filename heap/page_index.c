/* page_index.c -- which pages are free: bitmap, summary tree and search hint
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A search walks the root level and then, level by level, the eight entries below the one entry in
 * which the run must lie. It ends early where a run that crosses entries is long enough. */
#include "heap/page_index.h"

#include <assert.h>
#include <stdatomic.h>

#include "heap/page_bits.h"

/* What the bits of runs are known to be after a change: a chunk wholly inside a run of known bits
 * is summarized without a look at them. */
enum run_bits {
	RUN_BITS_CLEAR,
	RUN_BITS_SET,
	RUN_BITS_MIXED,
};

/* Stack. Runs, ascending, whose summaries are to be computed. */
struct touched_runs {
	const struct page_index_run *runs;
	size_t count;
	enum run_bits bits;
};

/* Stack. How a walk over the entries of one level ended. */
struct walk {
	enum {
		WALK_NOTHING,
		WALK_RUN,   /* `page` begins the run */
		WALK_INSIDE /* the run lies inside `entry` */
	} outcome;
	uint64_t page;
	uint64_t entry;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

/* level_shift -- log2 of the pages that an entry of this level covers */
static unsigned level_shift(unsigned level)
{
	return CHUNK_PAGES_SHIFT + PAGE_INDEX_FANOUT_SHIFT * level;
}

/* level_entries -- how many entries of this level cover `chunks` chunks */
static uint64_t level_entries(uint64_t chunks, unsigned level)
{
	return align_up(chunks, UINT64_C(1) << PAGE_INDEX_FANOUT_SHIFT * level) >>
		PAGE_INDEX_FANOUT_SHIFT * level;
}

static uint64_t page_limit(const struct page_index *index)
{
	return index->chunk_limit << CHUNK_PAGES_SHIFT;
}

/* place -- give the next `length_bytes` of the layout, from an aligned offset on, to a region */
static struct page_index_slice place(struct page_index_layout *layout, uint64_t length_bytes)
{
	struct page_index_slice slice = {
		.offset_bytes = align_up(layout->total_bytes, PAGE_INDEX_REGION_ALIGN_BYTES),
		.length_bytes = align_up(length_bytes, CACHE_LINE_BYTES),
	};

	layout->total_bytes = slice.offset_bytes + slice.length_bytes;
	return slice;
}

void page_index_layout(uint64_t max_chunks, struct page_index_layout *layout)
{
	assert(max_chunks > 0);
	*layout = (struct page_index_layout){ 0 };
	layout->search_hint_offset_bytes = place(layout, sizeof(uint64_t)).offset_bytes;
	for (unsigned level = PAGE_INDEX_LEVELS; level-- > 0;) {
		uint64_t entries = level_entries(max_chunks, level);

		layout->summaries[level] = place(layout, entries * sizeof(uint64_t));
		if (level == PAGE_INDEX_ROOT)
			layout->base.length_bytes = layout->total_bytes;
	}
	layout->free_words = place(layout, max_chunks * CHUNK_WORDS * sizeof(uint64_t));
	layout->total_bytes = align_up(layout->total_bytes, PAGE_INDEX_REGION_ALIGN_BYTES);
}

/* slice_of -- the cache lines of a region that hold 64-bit words [first, end) of it */
static struct page_index_slice slice_of(const struct page_index_slice *region, uint64_t first,
	uint64_t end)
{
	uint64_t begin_bytes = first * sizeof(uint64_t) & ~(uint64_t)(CACHE_LINE_BYTES - 1);
	uint64_t end_bytes = align_up(end * sizeof(uint64_t), CACHE_LINE_BYTES);

	assert(begin_bytes < region->length_bytes);
	return (struct page_index_slice){
		.offset_bytes = region->offset_bytes + begin_bytes,
		.length_bytes = min_u64(end_bytes, region->length_bytes) - begin_bytes,
	};
}

void page_index_arena_slices(const struct page_index_layout *layout, uint64_t arena,
	struct page_index_slice slices[PAGE_INDEX_ARENA_SLICES])
{
	uint64_t first_page = arena << ARENA_PAGES_SHIFT;
	uint64_t end_page = first_page + ARENA_PAGES;

	for (unsigned level = 0; level < PAGE_INDEX_ROOT; level++) {
		uint64_t last_entry = (end_page - 1) >> level_shift(level);

		slices[level] = slice_of(&layout->summaries[level],
			first_page >> level_shift(level), last_entry + 1);
	}
	slices[PAGE_INDEX_ROOT] =
		slice_of(&layout->free_words, first_page / WORD_PAGES, end_page / WORD_PAGES);
}

void page_index_attach(struct page_index *index, void *memory, uint64_t max_chunks)
{
	char *base = memory;
	struct page_index_layout layout;

	assert((uintptr_t)memory % CACHE_LINE_BYTES == 0);
	page_index_layout(max_chunks, &layout);
	for (unsigned level = 0; level < PAGE_INDEX_LEVELS; level++) {
		void *entries = base + layout.summaries[level].offset_bytes;

		index->summaries[level] = entries;
	}
	index->free_words = (void *)(base + layout.free_words.offset_bytes);
	index->search_hint = (void *)(base + layout.search_hint_offset_bytes);
	index->chunk_limit = max_chunks;
}

/* lower_hint -- before `page` becomes free */
static void lower_hint(const struct page_index *index, uint64_t page)
{
	/* Crash: a hint that is too low costs the next search time and nothing else. */
	if (page < *index->search_hint)
		*index->search_hint = page;
	/* Program order is crash order only if the compiler keeps it. */
	atomic_signal_fence(memory_order_seq_cst);
}

/* raise_hint -- after all pages below `page` were found or made in use */
static void raise_hint(const struct page_index *index, uint64_t page)
{
	atomic_signal_fence(memory_order_seq_cst);
	/* Crash: the old hint was right as well. */
	if (page > *index->search_hint)
		*index->search_hint = page;
}

/* summarize_chunk -- the leaf entry that the words of a chunk call for */
static uint64_t summarize_chunk(const uint64_t *words)
{
	uint64_t start = 0;
	uint64_t max = 0;
	uint64_t run = 0; /* free pages right below words[i] */

	if (page_bits_range_is_clear(words, 0, CHUNK_PAGES))
		return 0;
	for (uint64_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t head = page_bits_run_at_start(words[i]);

		if (start == i * WORD_PAGES)
			start += head;
		run += head;
		max = max_u64(max, run);
		if (head < WORD_PAGES)
			run = page_bits_run_at_end(words[i]);
	}
	max = max_u64(max, run);
	/* A run that touches neither end of its word has two bits less than a word. */
	if (max < WORD_PAGES - 2)
		max = max_u64(max, page_bits_longest_run(words));
	return page_summary_pack(start, max, run);
}

/* merge_children -- the entry that the eight entries below it call for */
static uint64_t merge_children(const uint64_t *children, uint64_t child_pages)
{
	uint64_t start = 0;
	uint64_t max = 0;
	uint64_t run = 0; /* free pages right below children[i] */

	for (uint64_t i = 0; i < PAGE_INDEX_FANOUT; i++) {
		uint64_t head = page_summary_start(children[i]);

		if (start == i * child_pages)
			start += head;
		run += head;
		max = max_u64(max, max_u64(run, page_summary_max(children[i])));
		if (head != child_pages)
			run = page_summary_end(children[i]);
	}
	return page_summary_pack(start, max, run);
}

/* chunk_is_inside -- whether all pages of `chunk` belong to the run */
static bool chunk_is_inside(uint64_t chunk, const struct page_index_run *run)
{
	uint64_t first_page = chunk << CHUNK_PAGES_SHIFT;

	return run->page <= first_page && first_page + CHUNK_PAGES <= run->page + run->npages;
}

/* summary_wanted -- what an entry should be, given the bits and the level below */
static uint64_t summary_wanted(const struct page_index *index, unsigned level, uint64_t entry,
	const struct page_index_run *run, enum run_bits bits)
{
	if (level > 0)
		return merge_children(&index->summaries[level - 1][entry * PAGE_INDEX_FANOUT],
			UINT64_C(1) << level_shift(level - 1));
	if (bits == RUN_BITS_MIXED || !chunk_is_inside(entry, run))
		return summarize_chunk(&index->free_words[entry * CHUNK_WORDS]);
	if (bits == RUN_BITS_CLEAR)
		return 0;
	return page_summary_pack(CHUNK_PAGES, CHUNK_PAGES, CHUNK_PAGES);
}

/* update_level -- compute the entries of one level over the runs; whether any of them changed */
static bool update_level(const struct page_index *index, unsigned level,
	const struct touched_runs *touched)
{
	bool changed = false;
	uint64_t end = 0;

	for (size_t i = 0; i < touched->count; i++) {
		const struct page_index_run *run = &touched->runs[i];
		uint64_t entry = max_u64(end, run->page >> level_shift(level));

		end = ((run->page + run->npages - 1) >> level_shift(level)) + 1;
		for (; entry < end; entry++) {
			uint64_t wanted = summary_wanted(index, level, entry, run, touched->bits);

			if (index->summaries[level][entry] == wanted)
				continue;
			/* Crash: entries above are old; page_index_summarize() goes to the root. */
			index->summaries[level][entry] = wanted;
			changed = true;
		}
	}
	return changed;
}

/* update_summaries -- level by level, up to where nothing changes */
static void update_summaries(const struct page_index *index, const struct touched_runs *touched)
{
	unsigned level = 0;

	while (level < PAGE_INDEX_LEVELS && update_level(index, level, touched))
		level++;
}

/* first_open_root -- number of the first root entry with a free page, or of the end */
static uint64_t first_open_root(const struct page_index *index)
{
	uint64_t end = level_entries(index->chunk_limit, PAGE_INDEX_ROOT);
	uint64_t entry = *index->search_hint >> level_shift(PAGE_INDEX_ROOT);

	while (entry < end && index->summaries[PAGE_INDEX_ROOT][entry] == 0)
		entry++;
	return entry;
}

/* walk_level -- look for the lowest run over entries [begin, end) of one level */
static struct walk walk_level(const struct page_index *index, unsigned level, uint64_t begin,
	uint64_t end, uint64_t npages)
{
	uint64_t entry_pages = UINT64_C(1) << level_shift(level);
	uint64_t run = 0; /* free pages right below the entry */

	for (uint64_t entry = begin; entry < end; entry++) {
		uint64_t summary = index->summaries[level][entry];
		uint64_t start = page_summary_start(summary);

		if (run + start >= npages)
			return (struct walk){ .outcome = WALK_RUN,
				.page = entry * entry_pages - run };
		if (page_summary_max(summary) >= npages)
			return (struct walk){ .outcome = WALK_INSIDE, .entry = entry };
		run = start == entry_pages ? run + start : page_summary_end(summary);
	}
	return (struct walk){ .outcome = WALK_NOTHING };
}

/* find_in_chunk -- the lowest run in a chunk that has one */
static uint64_t find_in_chunk(const struct page_index *index, uint64_t chunk, uint64_t npages)
{
	const uint64_t *words = &index->free_words[chunk * CHUNK_WORDS];
	uint64_t bit = page_bits_find_run(words, CHUNK_WORDS, npages);

	assert(bit < CHUNK_PAGES);
	return (chunk << CHUNK_PAGES_SHIFT) + bit;
}

/* find_below -- the lowest run over root entries [begin, end), 0 when none */
static uint64_t find_below(const struct page_index *index, uint64_t begin, uint64_t end,
	uint64_t npages)
{
	for (unsigned level = PAGE_INDEX_ROOT;; level--) {
		struct walk walk = walk_level(index, level, begin, end, npages);

		assert(walk.outcome != WALK_NOTHING || level == PAGE_INDEX_ROOT);
		if (walk.outcome != WALK_INSIDE)
			return walk.page;
		if (level == 0)
			return find_in_chunk(index, walk.entry, npages);
		begin = walk.entry * PAGE_INDEX_FANOUT;
		end = begin + PAGE_INDEX_FANOUT;
		begin = max_u64(begin, *index->search_hint >> level_shift(level - 1));
	}
}

uint64_t page_index_find(const struct page_index *index, uint64_t npages)
{
	uint64_t root = first_open_root(index);
	uint64_t root_end = level_entries(index->chunk_limit, PAGE_INDEX_ROOT);
	uint64_t page;

	assert(npages > 0);
	raise_hint(index, root << level_shift(PAGE_INDEX_ROOT));
	page = find_below(index, root, root_end, npages);
	if (npages == 1)
		raise_hint(index, page);
	return page;
}

/* skip_used -- first page from `page` on whose chunk has a free page, or the limit
 *
 * From the root down, so that nothing is read below an entry that says that nothing is free. */
static uint64_t skip_used(const struct page_index *index, uint64_t page)
{
	while (page < page_limit(index)) {
		unsigned level = PAGE_INDEX_LEVELS;

		while (level > 0 &&
			index->summaries[level - 1][page >> level_shift(level - 1)] != 0)
			level--;
		if (level == 0)
			return page;
		page = ((page >> level_shift(level - 1)) + 1) << level_shift(level - 1);
	}
	return page_limit(index);
}

/* run_is_free -- whether all of pages [page, page + npages) are free; looks at words of chunks that
 * have a free page only */
static bool run_is_free(const struct page_index *index, uint64_t page, uint64_t npages)
{
	uint64_t end = page + npages;

	while (page < end) {
		uint64_t chunk_end = align_up(page + 1, CHUNK_PAGES);
		uint64_t part = min_u64(chunk_end, end) - page;

		if (skip_used(index, page) != page ||
			!page_bits_range_is_set(index->free_words, page, part))
			return false;
		page += part;
	}
	return true;
}

uint64_t page_index_find_aligned(const struct page_index *index, uint64_t npages,
	uint64_t align_pages)
{
	uint64_t page = page_index_find(index, npages);

	assert(align_pages > 0 && (align_pages & (align_pages - 1)) == 0);
	if (page == 0 || align_pages == 1)
		return page;
	for (page = align_up(page, align_pages); page + npages <= page_limit(index);) {
		uint64_t open = skip_used(index, page);

		if (open == page && run_is_free(index, page, npages))
			return page;
		page = open > page ? align_up(open, align_pages) : page + align_pages;
	}
	return 0;
}

uint64_t page_index_find_word(const struct page_index *index, uint64_t *free_mask)
{
	uint64_t page = page_index_find(index, 1);

	*free_mask = page == 0 ? 0 : index->free_words[page / WORD_PAGES];
	return page - page % WORD_PAGES;
}

void page_index_take(struct page_index *index, uint64_t page, uint64_t npages)
{
	struct page_index_run run = { .page = page, .npages = npages };
	struct touched_runs touched = { .runs = &run, .count = 1, .bits = RUN_BITS_CLEAR };

	assert(npages > 0 && page + npages <= page_limit(index));
	assert(page_bits_range_is_set(index->free_words, page, npages));
	/* Crash: any part of the run is clear; the journal names the run. */
	page_bits_clear_range(index->free_words, page, npages);
	update_summaries(index, &touched);
	if (*index->search_hint == page)
		raise_hint(index, page + npages);
}

void page_index_take_mask(struct page_index *index, uint64_t first_page, uint64_t mask)
{
	uint64_t *word = &index->free_words[first_page / WORD_PAGES];
	struct page_index_run run = { .page = first_page, .npages = WORD_PAGES };
	struct touched_runs touched = { .runs = &run, .count = 1, .bits = RUN_BITS_MIXED };

	assert(first_page % WORD_PAGES == 0 && first_page < page_limit(index));
	assert(mask != 0 && (*word & mask) == mask);
	/* Crash: the summaries are old; the journal names the word. */
	*word &= ~mask;
	update_summaries(index, &touched);
	if (*index->search_hint == first_page + page_bits_lowest(mask))
		raise_hint(index, first_page + page_bits_lowest(*word));
}

void page_index_give(struct page_index *index, uint64_t page, uint64_t npages)
{
	struct page_index_run run = { .page = page, .npages = npages };

	page_index_give_runs(index, &run, 1);
}

void page_index_give_mask(struct page_index *index, uint64_t first_page, uint64_t mask)
{
	uint64_t *word = &index->free_words[first_page / WORD_PAGES];
	struct page_index_run run = { .page = first_page, .npages = WORD_PAGES };
	struct touched_runs touched = { .runs = &run, .count = 1, .bits = RUN_BITS_MIXED };

	assert(first_page % WORD_PAGES == 0 && first_page < page_limit(index));
	assert(mask != 0 && (*word & mask) == 0 && first_page + page_bits_lowest(mask) > 0);
	lower_hint(index, first_page + page_bits_lowest(mask));
	/* Crash: the summaries are old; the journal names the word. */
	*word |= mask;
	update_summaries(index, &touched);
}

void page_index_give_runs(struct page_index *index, const struct page_index_run *runs, size_t count)
{
	struct touched_runs touched = { .runs = runs, .count = count, .bits = RUN_BITS_SET };

	if (count == 0)
		return;
	assert(runs[0].page > 0);
	lower_hint(index, runs[0].page);
	for (size_t i = 0; i < count; i++) {
		uint64_t page = runs[i].page;
		uint64_t npages = runs[i].npages;

		assert(npages > 0 && page + npages <= page_limit(index));
		assert(i == 0 || runs[i - 1].page + runs[i - 1].npages <= page);
		assert(page_bits_range_is_clear(index->free_words, page, npages));
		/* Crash: any part of the runs is set; the journal names the runs. */
		page_bits_set_range(index->free_words, page, npages);
	}
	update_summaries(index, &touched);
}

void page_index_assign_word(struct page_index *index, uint64_t first_page, uint64_t free_mask)
{
	assert(first_page % WORD_PAGES == 0 && first_page < page_limit(index));
	assert(first_page + page_bits_lowest(free_mask) > 0);
	if (free_mask != 0)
		lower_hint(index, first_page + page_bits_lowest(free_mask));
	/* Crash: the next repair, or recovery, assigns it again. */
	index->free_words[first_page / WORD_PAGES] = free_mask;
}

void page_index_summarize(struct page_index *index, uint64_t page, uint64_t npages)
{
	struct page_index_run run = { .page = page, .npages = npages };
	struct touched_runs touched = { .runs = &run, .count = 1, .bits = RUN_BITS_MIXED };

	assert(npages > 0 && page + npages <= page_limit(index));
	/* To the root even where nothing changes: a death may have parted a level from the next. */
	for (unsigned level = 0; level < PAGE_INDEX_LEVELS; level++)
		update_level(index, level, &touched);
}

void page_index_rebuild(struct page_index *index, uint64_t chunk_count)
{
	assert(chunk_count <= index->chunk_limit);
	lower_hint(index, 0);
	if (chunk_count > 0)
		page_index_summarize(index, 0, chunk_count << CHUNK_PAGES_SHIFT);
	/* A search for one page leaves the hint at the lowest free page. */
	page_index_find(index, 1);
}

uint64_t page_index_count(const struct page_index *index, uint64_t page, uint64_t npages)
{
	assert(npages > 0 && page + npages <= page_limit(index));
	return page_bits_count_range(index->free_words, page, npages);
}

/* summary_by_bits -- the summary of pages [begin, end), page by page but for words that are all
 * free or all in use; shares nothing with the code that it checks */
static uint64_t summary_by_bits(const struct page_index *index, uint64_t begin, uint64_t end)
{
	uint64_t limit = page_limit(index);
	uint64_t start = 0;
	uint64_t max = 0;
	uint64_t run = 0;
	uint64_t step;

	for (uint64_t page = begin; page < min_u64(end, limit); page += step) {
		uint64_t word = index->free_words[page / WORD_PAGES];
		bool is_uniform = page % WORD_PAGES == 0 && (word == 0 || word == UINT64_MAX);

		step = is_uniform ? WORD_PAGES : 1;
		run = (word >> page % WORD_PAGES & 1) != 0 ? run + step : 0;
		max = max_u64(max, run);
		if (run == page + step - begin)
			start = run;
	}
	return page_summary_pack(start, max, end <= limit ? run : 0);
}

/* level_is_valid -- whether each entry of a level says what the bits say */
static bool level_is_valid(const struct page_index *index, unsigned level)
{
	uint64_t entry_pages = UINT64_C(1) << level_shift(level);

	for (uint64_t entry = 0; entry < level_entries(index->chunk_limit, level); entry++) {
		uint64_t begin = entry * entry_pages;

		if (index->summaries[level][entry] !=
			summary_by_bits(index, begin, begin + entry_pages))
			return false;
	}
	return true;
}

bool page_index_valid(const struct page_index *index)
{
	uint64_t below_hint = min_u64(*index->search_hint, page_limit(index));

	if ((index->free_words[0] & 1) != 0)
		return false;
	if (below_hint > 0 && !page_bits_range_is_clear(index->free_words, 0, below_hint))
		return false;
	for (unsigned level = 0; level < PAGE_INDEX_LEVELS; level++) {
		if (!level_is_valid(index, level))
			return false;
	}
	return true;
}
