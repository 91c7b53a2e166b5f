/* stats.h -- what a heap holds, counted
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Counted from truth: head bitmaps, span records, object bits, logs. No counter is kept anywhere, so
 * none can be wrong after a death. Takes no lock and waits for nobody: each span is counted as it
 * is at one moment, and what moves meanwhile is counted or not.
 *
 * Needs the heap file only, any bytes: bounds before use, no write. */
#ifndef SPANHEAP_STATS_H
#define SPANHEAP_STATS_H

#include "heap/heap.h"

#include <spanheap.h>

/* Fills in everything from `max_bytes` to `open_transactions`, and the classes; leaves the rest.
 * `reader` is the calling thread, or NULL when nobody else works on the heap, or may not be told. */
void stats_count(const struct heap *heap, struct thread *reader, struct sh_stats *stats);

#endif
