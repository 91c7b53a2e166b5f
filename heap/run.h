/* run.h -- a run of pages, and an operation on it, in one word
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Journal, limbo and intents name runs of pages by one 64-bit word each, so that one store writes
 * or clears them: bits 0..33 first page, bits 34..61 pages, bits 62..63 operation. */
#ifndef SPANHEAP_RUN_H
#define SPANHEAP_RUN_H

#include "heap/geometry.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define RUN_PAGE_BITS 34
#define RUN_LENGTH_BITS 28

/* What an intent is about to do with its run. 0 in the whole word: no intent. */
enum run_operation {
	RUN_PLAIN = 0,
	RUN_ALLOC = 1, /* the run is between the free pages and its head bit */
	RUN_FREE = 2,  /* the run is between its head bit and limbo */
	RUN_CUT = 3,   /* journal only: manual runs are cut or joined there (heap/manual.h) */
};

static_assert(ARENA_PAGES < UINT64_C(1) << RUN_LENGTH_BITS, "a run must fit its word");

static inline uint64_t run_make(enum run_operation operation, uint64_t page, uint64_t pages)
{
	return (uint64_t)operation << 62 | pages << RUN_PAGE_BITS | page;
}

static inline uint64_t run_page(uint64_t run)
{
	return run & ((UINT64_C(1) << RUN_PAGE_BITS) - 1);
}

static inline uint64_t run_pages(uint64_t run)
{
	return run >> RUN_PAGE_BITS & ((UINT64_C(1) << RUN_LENGTH_BITS) - 1);
}

static inline enum run_operation run_operation(uint64_t run)
{
	return (enum run_operation)(run >> 62);
}

/* The part of the run that lies in the arena in which it begins: what metadata and free bits there are
 * of it. Plain. */
static inline uint64_t run_clip(uint64_t run)
{
	uint64_t rest = ARENA_PAGES - (run_page(run) & (ARENA_PAGES - 1));

	return run_make(RUN_PLAIN, run_page(run), run_pages(run) < rest ? run_pages(run) : rest);
}

/* The part of the run that lies in the 64 pages from `base`, of the arena in which it begins, as a
 * mask. */
static inline uint64_t run_mask(uint64_t run, uint64_t base)
{
	uint64_t first = run_page(run);
	uint64_t end = first + run_pages(run);
	uint64_t from = first > base ? first - base : 0;
	uint64_t to = end < base + WORD_PAGES ? end - base : WORD_PAGES;

	if (first >= base + WORD_PAGES || end <= base || from >= to ||
		(first ^ base) >> ARENA_PAGES_SHIFT != 0)
		return 0;
	return (to - from == WORD_PAGES ? ~UINT64_C(0) : (UINT64_C(1) << (to - from)) - 1) << from;
}

#endif
