/* runs.c -- page runs: what a seat holds, and all of them against sh_pages_walk()
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * sh_pages_walk() must show each run of the model as it is: where it begins, where it ends, with its
 * flags, and no page of it may have been written to. What else it shows must be one of two:
 *
 *   a run of the length and the flags that somebody asked for who died inside sh_pages_alloc(), one for
 *   each such death;
 *
 *   what a death inside sh_pages_free() left. Either all pages of the range are gone, and of the runs at
 *   its ends stands what was outside of it, no page more or less; or none is gone, and all of them are
 *   in runs which begin and end where runs did, or where the range does. Inside of the range runs may have
 *   been joined. */
#include "stress/kill/runs.h"

#include "stress/kill/model.h"
#include "stress/kill/tally.h"

#include <stdlib.h>

#define SHOWN_LIMIT (SEATS * (RUNS_PER_SEAT + 3 * LEAKS))

/* Process. The runs of one round. */
struct comparison {
	struct sh_heap *heap;
	struct sh_pages shown[SHOWN_LIMIT]; /* by offset */
	bool claimed[SHOWN_LIMIT];
	size_t count;
	size_t passed; /* by the walk over blocks */
	bool agrees;
};

/* Stack. The runs that one free was about, by offset. */
struct group {
	const struct run_doubt *doubt;
	struct run runs[RUNS_PER_SEAT];
	size_t count;
};

/* --- one run ------------------------------------------------------------------------------- */

struct run run_part(const struct run *run, sh_off from, sh_off end)
{
	struct run part = *run;

	if (from >= end)
		return (struct run){ 0 };
	part.off = from;
	part.npages = (end - from) / PAGE_BYTES;
	part.first += (from - run->off) / PAGE_BYTES;
	return part;
}

/* Its first word, one in the middle and its last one. */
static uint64_t *word_of_page(struct sh_heap *heap, const struct run *run, uint64_t page,
	uint64_t which)
{
	uint64_t words = PAGE_BYTES / sizeof(uint64_t);
	uint64_t *content = sh_ptr(heap, run->off + page * PAGE_BYTES);

	return &content[which == 0 ? 0 : words * which / 2 - 1];
}

#define WORDS_OF_PAGE 3u

static uint64_t run_word(const struct run *run, uint64_t page, uint64_t which)
{
	return pattern_word(run->id, (run->first + page) * WORDS_OF_PAGE + which);
}

void run_fill(struct sh_heap *heap, const struct run *run)
{
	for (uint64_t page = 0; page < run->npages; page++)
		for (uint64_t which = 0; which < WORDS_OF_PAGE; which++)
			*word_of_page(heap, run, page, which) = run_word(run, page, which);
}

bool run_holds(struct sh_heap *heap, const struct run *run)
{
	for (uint64_t page = 0; page < run->npages; page++)
		for (uint64_t which = 0; which < WORDS_OF_PAGE; which++)
			if (*word_of_page(heap, run, page, which) != run_word(run, page, which))
				return false;
	return true;
}

/* --- what a seat's record says ------------------------------------------------------------- */

static void apply_allocation(struct sh_heap *heap, struct seat *seat)
{
	const struct step *step = &seat->record.steps[0];
	struct run run = step->run;

	run.off = atomic_load(&seat->record.result);
	run_fill(heap, &run);
	seat->runs[step->at] = run;
}

void runs_apply(struct sh_heap *heap, struct seat *seat)
{
	const struct record *record = &seat->record;

	if (record->operation == OPERATION_PAGES_ALLOC)
		return apply_allocation(heap, seat);
	for (uint32_t i = 0; i < record->step_count; i++)
		seat->runs[record->steps[i].at] = record->steps[i].run;
}

static void note_doubt(struct seat *seat, struct run_doubt doubt)
{
	uint64_t count = seat->run_doubt_count;

	if (count > 0 && seat->run_doubts[count - 1].sequence == doubt.sequence)
		return;
	if (count == LEAKS) {
		fail(CHECK_RUNS, "seat %u: too many deaths in calls for pages between two rounds",
			seat_number(seat));
		return;
	}
	seat->run_doubts[count] = doubt;
	seat->run_doubt_count = count + 1;
}

void runs_doubt(struct seat *seat)
{
	const struct record *record = &seat->record;
	const struct run *planned = &record->steps[0].run;
	struct run_doubt doubt = { .sequence = record_sequence(seat), .range = record->freed };

	if (record->operation == OPERATION_PAGES_ALLOC) {
		doubt.range = (struct range){ .npages = planned->npages };
		doubt.flags = planned->flags;
	} else {
		for (uint32_t i = 0; i < record->step_count; i++)
			seat->runs[record->steps[i].at].freed_by = doubt.sequence;
	}
	note_doubt(seat, doubt);
}

/* --- what the heap shows ------------------------------------------------------------------- */

static sh_off shown_end(const struct sh_pages *pages)
{
	return pages->off + pages->npages * PAGE_BYTES;
}

static void disagree(struct comparison *comparison, sh_off off, uint64_t npages, unsigned flags,
	const char *text)
{
	comparison->agrees = false;
	fail(CHECK_RUNS, "run %#llx of %llu pages, flags %#x: %s", (unsigned long long)off,
		(unsigned long long)npages, flags, text);
}

static void disagree_run(struct comparison *comparison, const struct run *run, const char *text)
{
	disagree(comparison, run->off, run->npages, run->flags, text);
}

static void disagree_shown(struct comparison *comparison, const struct sh_pages *pages,
	const char *text)
{
	disagree(comparison, pages->off, pages->npages, pages->flags, text);
}

static int show(const struct sh_pages *pages, void *argument)
{
	struct comparison *comparison = argument;
	size_t count = comparison->count;

	if (count == SHOWN_LIMIT) {
		disagree_shown(comparison, pages, "more runs than all deaths explain");
		return 1;
	}
	if (count > 0 && pages->off < shown_end(&comparison->shown[count - 1]))
		disagree_shown(comparison, pages, "overlaps the run before it");
	comparison->shown[count] = *pages;
	comparison->claimed[count] = false;
	comparison->count = count + 1;
	return 0;
}

/* Blocks and runs have no page in common. Both come by offset. */
static int show_block(const struct sh_block *block, void *argument)
{
	struct comparison *comparison = argument;

	while (comparison->passed < comparison->count &&
		shown_end(&comparison->shown[comparison->passed]) <= block->off)
		comparison->passed++;
	if (comparison->passed == comparison->count ||
		comparison->shown[comparison->passed].off >= block->off + block->size)
		return 0;
	disagree_shown(comparison, &comparison->shown[comparison->passed], "overlaps a block");
	return 1;
}

/* The run that is shown at `off` and that nobody claimed; NULL when there is none. */
static struct sh_pages *find_shown(struct comparison *comparison, sh_off off)
{
	for (size_t i = 0; i < comparison->count; i++)
		if (comparison->shown[i].off == off && !comparison->claimed[i])
			return &comparison->shown[i];
	return NULL;
}

static void claim(struct comparison *comparison, const struct sh_pages *pages)
{
	comparison->claimed[pages - comparison->shown] = true;
}

/* The run is shown, as it is by the model. */
static void claim_run(struct comparison *comparison, const struct run *run)
{
	struct sh_pages *pages = find_shown(comparison, run->off);

	if (pages == NULL) {
		disagree_run(comparison, run, "lost");
		return;
	}
	claim(comparison, pages);
	if (pages->npages != run->npages || pages->flags != run->flags)
		disagree_shown(comparison, pages, "by the model it has other pages or flags");
	else if (!run_holds(comparison->heap, run))
		disagree_run(comparison, run, "its content changed");
}

static void free_pages(struct comparison *comparison, sh_off off, uint64_t npages)
{
	int error = npages == 0 ? 0 : sh_pages_free(comparison->heap, off, npages);

	if (error != 0)
		disagree(comparison, off, npages, 0, sh_strerror(error));
}

/* --- deaths inside sh_pages_free() --------------------------------------------------------- */

static int by_offset(const void *left, const void *right)
{
	sh_off a = ((const struct run *)left)->off;
	sh_off b = ((const struct run *)right)->off;

	return (a > b) - (a < b);
}

/* Takes them out of the model: whatever is left of them will be freed. */
static struct group take_group(struct seat *seat, const struct run_doubt *doubt)
{
	struct group group = { .doubt = doubt };

	for (unsigned i = 0; i < RUNS_PER_SEAT; i++)
		if (seat->runs[i].off != 0 && seat->runs[i].freed_by == doubt->sequence) {
			group.runs[group.count++] = seat->runs[i];
			seat->runs[i] = (struct run){ 0 };
		}
	qsort(group.runs, group.count, sizeof(group.runs[0]), by_offset);
	return group;
}

static sh_off group_end(const struct group *group)
{
	return run_end(&group->runs[group->count - 1]);
}

/* What of the group is in the pages shown: these are within it, begin and end where they may, are in one
 * piece where they must be in two, and have the flags of those that they were, perhaps those of others
 * that they were being joined with. */
static bool tile_fits(const struct group *group, const struct sh_pages *tile)
{
	sh_off freed = group->doubt->range.off;
	sh_off freed_end = range_end(&group->doubt->range);
	sh_off end = shown_end(tile);
	bool ends_well = end == freed || end == freed_end;
	unsigned had = 0;
	unsigned all = 0;

	for (size_t i = 0; i < group->count; i++) {
		const struct run *run = &group->runs[i];
		bool in_tile = run->off < end && run_end(run) > tile->off;

		ends_well |= end == run_end(run);
		if (run->off > tile->off && run->off < end &&
			(run->off <= freed || run->off >= freed_end))
			return false;
		had |= in_tile ? run->flags : 0;
		all |= run->flags;
	}
	return ends_well && (tile->flags & had) == had && (tile->flags & ~all) == 0;
}

/* Whether all pages of the group are there still. Claims the runs that they are in now. */
static bool claim_whole(struct comparison *comparison, const struct group *group)
{
	struct sh_pages *tiles[2 * RUNS_PER_SEAT + 2];
	size_t count = 0;

	for (sh_off at = group->runs[0].off; at < group_end(group);
		at = shown_end(tiles[count++])) {
		struct sh_pages *tile = find_shown(comparison, at);

		if (tile == NULL || !tile_fits(group, tile))
			return false;
		tiles[count] = tile;
	}
	for (size_t i = 0; i < group->count; i++)
		if (!run_holds(comparison->heap, &group->runs[i]))
			return false;
	while (count > 0)
		claim(comparison, tiles[--count]);
	return true;
}

/* What must stand beside a range that was freed. It is freed, too. */
static void claim_rest(struct comparison *comparison, struct run rest)
{
	if (rest.off == 0)
		return;
	claim_run(comparison, &rest);
	if (comparison->agrees)
		free_pages(comparison, rest.off, rest.npages);
}

static void settle_free(struct comparison *comparison, struct seat *seat,
	const struct run_doubt *doubt)
{
	struct group group = take_group(seat, doubt);
	const struct run *first = &group.runs[0];
	const struct run *last = &group.runs[group.count - 1];

	if (claim_whole(comparison, &group)) {
		atomic_fetch_add(&shared->whole_runs, 1);
		free_pages(comparison, first->off, (group_end(&group) - first->off) / PAGE_BYTES);
	} else {
		atomic_fetch_add(&shared->freed_runs, 1);
		claim_rest(comparison, run_part(first, first->off, doubt->range.off));
		claim_rest(comparison, run_part(last, range_end(&doubt->range), run_end(last)));
	}
}

/* --- deaths inside sh_pages_alloc() -------------------------------------------------------- */

/* Every run that is left needs a death of its own. */
static void settle_allocation(struct comparison *comparison, const struct run_doubt *doubt)
{
	for (size_t i = 0; i < comparison->count; i++) {
		const struct sh_pages *pages = &comparison->shown[i];

		if (!comparison->claimed[i] && pages->npages == doubt->range.npages &&
			pages->flags == doubt->flags) {
			claim(comparison, pages);
			atomic_fetch_add(&shared->leaked_runs, 1);
			free_pages(comparison, pages->off, pages->npages);
			return;
		}
	}
}

/* --- all ----------------------------------------------------------------------------------- */

static void claim_certain(struct comparison *comparison, const struct seat *seat)
{
	for (unsigned i = 0; i < RUNS_PER_SEAT; i++)
		if (seat->runs[i].off != 0 && seat->runs[i].freed_by == 0)
			claim_run(comparison, &seat->runs[i]);
}

static void settle_doubts(struct comparison *comparison, struct seat *seat, bool frees)
{
	for (uint64_t i = 0; i < seat->run_doubt_count && comparison->agrees; i++) {
		const struct run_doubt *doubt = &seat->run_doubts[i];

		if (frees && doubt->range.off != 0)
			settle_free(comparison, seat, doubt);
		else if (!frees && doubt->range.off == 0)
			settle_allocation(comparison, doubt);
	}
}

static void settle_all(struct comparison *comparison)
{
	for (unsigned seat = 0; seat < SEATS; seat++)
		settle_doubts(comparison, &shared->seats[seat], true);
	for (unsigned seat = 0; seat < SEATS; seat++) {
		settle_doubts(comparison, &shared->seats[seat], false);
		shared->seats[seat].run_doubt_count = 0;
	}
}

void runs_compare(struct sh_heap *heap)
{
	static struct comparison comparison;

	comparison.heap = heap;
	comparison.count = comparison.passed = 0;
	comparison.agrees = true;
	sh_pages_walk(heap, show, &comparison);
	sh_walk(heap, show_block, &comparison);
	for (unsigned seat = 0; seat < SEATS; seat++)
		claim_certain(&comparison, &shared->seats[seat]);
	settle_all(&comparison);
	for (size_t i = 0; i < comparison.count && comparison.agrees; i++)
		if (!comparison.claimed[i])
			disagree_shown(&comparison, &comparison.shown[i],
				"nobody owns it, and no death explains it");
	if (comparison.agrees)
		tally(CHECK_RUNS);
}
