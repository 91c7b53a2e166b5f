/* manual.h -- manual page runs: pages that the caller manages itself
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A run's commit record is its bit in pageManual; its record, of purpose SPAN_MANUAL, stands at its
 * first page. Its hot word says HOT_NONE (to blocks there is nothing here) or by which slot the run
 * is being freed.
 *
 * A. Runs are cut, joined and freed under the page lock. Outside of it each run ends where its record
 *    says, no two overlap, and the spans table names for each of their pages the run that it is in.
 * B. Under it a run ends where its record says or where the next one begins, whichever comes first.
 *    So one head bit cuts a run in two, and clearing it joins them again.
 * C. At each store the spans table names for each page a head whose record covers it: whoever takes
 *    the page lock over from the dead, or recovers, sees no page of a run as free.
 * D. A part of a run is freed by cutting it out and freeing it whole: the head bit that is cleared
 *    frees all of it, and what a death leaves of a cut is two runs for one. A free over several runs
 *    joins them first. So sh_pages_free() takes any range of adjacent runs.
 * E. Of a run that goes on in continuations, only what lies in its first arena can be cut; at its end
 *    whole continuations can be freed: its record gets shorter by one store.
 * F. RUN_IO is never looked at by a reaper or a recovery, because neither gives back a run whose head
 *    bit is set: only its free does, and that comes from the engine, which knows that the I/O is
 *    over. The flag is there to be listed. */
#ifndef SPANHEAP_MANUAL_H
#define SPANHEAP_MANUAL_H

#include "heap/heap.h"

/* Allocates a run; `flags` RUN_... stand in its record. Returns its first page, or 0 and *error as
 * pages_allocate().
 * Crash: no run, or one that is allocated and listed. */
uint64_t manual_allocate(struct thread *thread, uint64_t npages, unsigned flags, int *error);

/* Frees pages, all of them in runs. 0; SH_EBADPTR: one of them is in a block or can be in nothing;
 * SH_EDOUBLEFREE: one of them is in no run; ENOTSUP: what would be left of a run of several arenas
 * begins in a continuation, which has no place for a record. Then nothing was changed. For any numbers.
 * Crash: freed, all of them, or still allocated, perhaps as other runs than before. */
int manual_free(struct thread *thread, uint64_t page, uint64_t npages);

/* The first page of the run that holds `page`; 0 when none does, or it is being freed, or set aside.
 * Right under the page lock. For any number. */
uint64_t manual_find(const struct heap *heap, uint64_t page);

/* Makes the runs that begin in a range good again (rule A), of which one begins at `first`: what a
 * dead holder of the page lock was changing. Under the page lock. */
void manual_mend(const struct heap *heap, uint64_t first, uint64_t npages);

/* The first page behind `head`, in its arena and below `end`, at which a run begins; or `end`. */
uint64_t manual_next_head(const struct heap *heap, uint64_t head, uint64_t end);

#endif
