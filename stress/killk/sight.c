/* sight.c -- what a heap shows, beside what it must show
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/killk/sight.h"

#include "stress/killk/target.h"

#include <string.h>

/* --- looking ------------------------------------------------------------------------------- */

static int add_block(const struct sh_block *block, void *argument)
{
	struct sight *sight = argument;

	if (sight->blocks == SIGHT_BLOCKS)
		fail(__FILE__, __LINE__, "more than %u blocks are live", SIGHT_BLOCKS);
	sight->block[sight->blocks++] = *block;
	return 0;
}

static int add_run(const struct sh_pages *run, void *argument)
{
	struct sight *sight = argument;

	if (sight->runs == SIGHT_RUNS)
		fail(__FILE__, __LINE__, "there are more than %u page runs", SIGHT_RUNS);
	sight->run[sight->runs++] = *run;
	return 0;
}

void sight_take(struct sh_heap *heap, struct sight *sight)
{
	memset(sight, 0, sizeof(*sight));
	EXPECT_EQUAL(sh_walk(heap, add_block, sight), 0);
	EXPECT_EQUAL(sh_pages_walk(heap, add_run, sight), 0);
	sight_expect_more(sight, root_of(heap, ROOT_FIELD));
}

bool sight_shows(const struct sight *sight, sh_off off)
{
	for (unsigned i = 0; i < sight->blocks; i++)
		if (sight->block[i].off == off)
			return true;
	return false;
}

/* --- expecting ----------------------------------------------------------------------------- */

static int index_of_known(sh_off off)
{
	for (unsigned i = 0; i < board->known.count; i++)
		if (board->known.at[i].off == off)
			return (int)i;
	return -1;
}

static bool is_more(const struct sight *sight, sh_off off)
{
	for (unsigned i = 0; i < sight->mores; i++)
		if (sight->more[i] == off)
			return true;
	return false;
}

unsigned sight_unknown(const struct sight *sight, struct sh_block *block)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sight->blocks; i++)
		if (index_of_known(sight->block[i].off) < 0 &&
			!is_more(sight, sight->block[i].off)) {
			*block = sight->block[i];
			count++;
		}
	return count;
}

void sight_expect_gone(struct sight *sight, sh_off off)
{
	int index = index_of_known(off);

	EXPECT(index >= 0);
	sight->gone[index] = true;
}

void sight_expect_more(struct sight *sight, sh_off off)
{
	EXPECT(sight->mores < SIGHT_MORE);
	sight->more[sight->mores++] = off;
}

/* --- comparing ----------------------------------------------------------------------------- */

/* One bit for each page of the run of ROOT_RUN that is in a run. */
static unsigned pages_shown(const struct sight *sight, sh_off run)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < sight->runs; i++)
		for (size_t page = 0; page < sight->run[i].npages; page++) {
			uint64_t delta = sight->run[i].off + page * PAGE_BYTES - run;

			if (delta < RUN_PAGES * PAGE_BYTES)
				mask |= 1u << delta / PAGE_BYTES;
		}
	return mask;
}

#define ALL_PAGES ((1u << RUN_PAGES) - 1)
#define PAGES_OF_CUT (((1u << CUT_PAGES) - 1) << CUT_PAGE)

static bool may_begin_at(const struct sight *sight, uint64_t delta)
{
	return delta == 0 ||
		(sight->may_be_cut &&
			(delta == CUT_PAGE * PAGE_BYTES ||
				delta == (CUT_PAGE + CUT_PAGES) * PAGE_BYTES));
}

static void compare_runs(const struct sight *sight, sh_off run)
{
	size_t pages = 0;
	bool found = sight->more_run == 0;

	for (unsigned i = 0; i < sight->runs; i++) {
		uint64_t delta = sight->run[i].off - run;

		if (delta < RUN_PAGES * PAGE_BYTES && may_begin_at(sight, delta)) {
			pages += sight->run[i].npages;
		} else if (sight->run[i].off == sight->more_run && sight->more_run != 0) {
			EXPECT_EQUAL(sight->run[i].npages, sight->more_pages);
			found = true;
		} else {
			fail(__FILE__, __LINE__, "there is a run at %llx of %zu pages",
				(unsigned long long)sight->run[i].off, sight->run[i].npages);
		}
	}
	if (!found)
		fail(__FILE__, __LINE__, "run %llx was allocated, and is gone",
			(unsigned long long)sight->more_run);
	EXPECT_EQUAL(pages_shown(sight, run),
		sight->cut_gone ? ALL_PAGES & ~PAGES_OF_CUT : ALL_PAGES);
	EXPECT_EQUAL(pages, sight->cut_gone ? RUN_PAGES - CUT_PAGES : RUN_PAGES);
}

static void compare_blocks(const struct sight *sight)
{
	struct sh_block block;

	for (unsigned i = 0; i < board->known.count; i++) {
		unsigned long long off = board->known.at[i].off;
		bool shown = sight_shows(sight, off);

		if (shown && sight->gone[i])
			fail(__FILE__, __LINE__, "block %llx is live, and was freed", off);
		if (!shown && !sight->gone[i])
			fail(__FILE__, __LINE__, "block %llx is lost", off);
	}
	for (unsigned i = 0; i < sight->mores; i++)
		if (!sight_shows(sight, sight->more[i]))
			fail(__FILE__, __LINE__, "block %llx was allocated, and is not live",
				(unsigned long long)sight->more[i]);
	if (sight_unknown(sight, &block) != 0)
		fail(__FILE__, __LINE__, "block %llx of %zu bytes is live, and nobody has it",
			(unsigned long long)block.off, block.size);
}

void sight_compare(struct sh_heap *heap, const struct sight *sight)
{
	compare_blocks(sight);
	compare_runs(sight, root_of(heap, ROOT_RUN));
}

void sight_expect_same(const struct sight *sight, const struct sight *other)
{
	EXPECT_EQUAL(sight->blocks, other->blocks);
	EXPECT_EQUAL(sight->runs, other->runs);
	for (unsigned i = 0; i < sight->blocks; i++) {
		EXPECT_EQUAL(sight->block[i].off, other->block[i].off);
		EXPECT_EQUAL(sight->block[i].size, other->block[i].size);
	}
	for (unsigned i = 0; i < sight->runs; i++) {
		EXPECT_EQUAL(sight->run[i].off, other->run[i].off);
		EXPECT_EQUAL(sight->run[i].npages, other->run[i].npages);
	}
}

static void verify_run(struct sh_heap *heap, const struct sight *sight)
{
	sh_off run = root_of(heap, ROOT_RUN);
	unsigned shown = pages_shown(sight, run);

	for (unsigned page = 0; page < RUN_PAGES; page++)
		if ((shown & 1u << page) != 0 &&
			!words_agree(sh_ptr(heap, run + page * PAGE_BYTES), PAGE_BYTES,
				words_later(mix(run), page * PAGE_BYTES)))
			fail(__FILE__, __LINE__, "page %u of the run has other content", page);
}

void sight_verify_content(struct sh_heap *heap, const struct sight *sight)
{
	verify_run(heap, sight);
	for (unsigned i = 0; i < board->known.count; i++) {
		const struct known *known = &board->known.at[i];

		if (!sight->gone[i] &&
			!words_agree(sh_ptr(heap, known->off), known->bytes, known->fill))
			fail(__FILE__, __LINE__, "block %llx of %llu bytes has other content",
				(unsigned long long)known->off, (unsigned long long)known->bytes);
	}
}
