/* runs.h -- page runs: what a seat holds, and all of them against sh_pages_walk()
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_RUNS_H
#define KILL_RUNS_H

#include "heap/geometry.h"
#include "stress/kill/shared.h"

/* --- one run ------------------------------------------------------------------------------- */

static inline sh_off run_end(const struct run *run)
{
	return run->off + run->npages * PAGE_BYTES;
}

static inline sh_off range_end(const struct range *range)
{
	return range->off + range->npages * PAGE_BYTES;
}

/* The part of the run between two offsets: its content is the run's. None when it is empty. */
struct run run_part(const struct run *run, sh_off from, sh_off end);

/* Writes a few words into each page. */
void run_fill(struct sh_heap *heap, const struct run *run);

/* Whether they are there still: nobody else was given one of its pages. */
bool run_holds(struct sh_heap *heap, const struct run *run);

/* --- what a seat's record says ------------------------------------------------------------- */

/* The model is made to say that what the record says of runs was done. */
void runs_apply(struct sh_heap *heap, struct seat *seat);

/* The same when it was done or not: the next round finds out. */
void runs_doubt(struct seat *seat);

/* --- all ----------------------------------------------------------------------------------- */

/* Compares the runs that the heap shows with the model's, and finds out about those in doubt, which are
 * freed then. Nobody works. Complains under CHECK_RUNS, or counts it. */
void runs_compare(struct sh_heap *heap);

#endif
