/* check.h -- does everything agree?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What is checked, each against the others: arena directory and headers; head bitmaps, span records,
 * spans table; object bits; logs and intents; roots; and, of an attached heap, every page in exactly
 * one place (free, cache, intent, span, limbo), summaries of the page index, hot words and owners,
 * listed spans. Counters are not persisted, so none can be wrong.
 *
 * Attached, it runs beside the others: what may move is looked at under the page lock, or a second
 * time. Offline it needs the heap file only, any bytes: bounds before use, no write. */
#ifndef SPANHEAP_CHECK_H
#define SPANHEAP_CHECK_H

#include "heap/heap.h"

#include <spanheap.h>

/* Checks the heap. `thread` NULL: offline, truth only. *problems counts. 0 or SH_ESTOPPED. */
int check_heap(struct heap *heap, struct thread *thread, sh_problem_fn *problem, void *argument,
	uint64_t *problems);

/* Checks truth, beside the others, by a thread that may write neither it nor take a lock: in its read
 * sections; NULL: nobody else is there, or may be told. The same results. */
int check_reading(struct heap *heap, struct thread *reader, sh_problem_fn *problem, void *argument,
	uint64_t *problems);

/* Shows every live block in address order, in a read section of `reader` for each chunk; `reader` is the
 * calling thread, or NULL when nobody else works on the heap, or may not be told. 0 or SH_ESTOPPED. */
int walk_heap(struct heap *heap, struct thread *reader, sh_block_fn *block, void *argument);

/* Shows every manual run in the same way. 0 or SH_ESTOPPED. */
int walk_manual(struct heap *heap, struct thread *reader, sh_pages_fn *pages, void *argument);

/* Visits the heads of all spans and manual runs below the frontiers, in the same way; stops when `visit` returns
 * non-zero, and returns that. */
int check_each_span(const struct heap *heap, struct thread *reader,
	int (*visit)(void *argument, uint64_t head), void *argument);

#endif
