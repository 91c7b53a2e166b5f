/* geometry.h -- sizes of pages, chunks and arenas, fixed when the library is compiled
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *   page    the unit of spans
 *   chunk   the unit of growth and of summaries
 *   arena   the unit of metadata: its head is a zone that describes all its pages
 *
 * A thread keeps spans beside those that it allocates from: at most RETAINED_SPANS, of RETAINED_PAGES
 * together; of these, RETAINED_EMPTY_PAGES without a live block. What it can strand by idling is
 * bounded by that.
 *
 * DEFERRED_BATCH words of deferred frees wait for one grace period.
 *
 * SH_GEOMETRY_SMALL shrinks all of them, so that a whole heap fits a model checker, a fuzzer or a
 * test of many chunks. The superblock carries the geometry: builds that differ refuse each other's
 * files. */
#ifndef SPANHEAP_GEOMETRY_H
#define SPANHEAP_GEOMETRY_H

#include <stdint.h>

#ifdef SH_GEOMETRY_SMALL
#define PAGE_SHIFT 10
#define CHUNK_PAGES_SHIFT 6
#define ARENA_CHUNKS_SHIFT 5
#define DEFAULT_MAX_BYTES (UINT64_C(8) << ARENA_BYTES_SHIFT)
#define DEFAULT_THREAD_SLOTS 64
#define DEFAULT_PROCESS_SLOTS 32
#define ROOT_COUNT 64
#define RETAINED_SPANS 2u
#define RETAINED_PAGES 64u
#define RETAINED_EMPTY_PAGES 3u
#define HUGE_BYTES (UINT64_C(16) << PAGE_SHIFT)
#define DEFERRED_BATCH 8u
#else
#define PAGE_SHIFT 13
#define CHUNK_PAGES_SHIFT 9
#define ARENA_CHUNKS_SHIFT 8
#define DEFAULT_MAX_BYTES (UINT64_C(1) << 40)
#define DEFAULT_THREAD_SLOTS 512
#define DEFAULT_PROCESS_SLOTS 256
#define ROOT_COUNT 1024
#define RETAINED_SPANS 4096u
#define RETAINED_PAGES 8192u
#define RETAINED_EMPTY_PAGES 64u
#define HUGE_BYTES (UINT64_C(2) << 20)
#define DEFERRED_BATCH 8192u
#endif

#define PAGE_BYTES (UINT64_C(1) << PAGE_SHIFT)
/* What the processor maps by one entry: the largest alignment. */
#define HUGE_PAGES (HUGE_BYTES >> PAGE_SHIFT)
#define CHUNK_PAGES (UINT64_C(1) << CHUNK_PAGES_SHIFT)
#define CHUNK_BYTES (PAGE_BYTES * CHUNK_PAGES)
#define ARENA_CHUNKS (UINT64_C(1) << ARENA_CHUNKS_SHIFT)
#define ARENA_PAGES_SHIFT (CHUNK_PAGES_SHIFT + ARENA_CHUNKS_SHIFT)
#define ARENA_PAGES (UINT64_C(1) << ARENA_PAGES_SHIFT)
#define ARENA_BYTES_SHIFT (PAGE_SHIFT + ARENA_PAGES_SHIFT)
#define ARENA_BYTES (UINT64_C(1) << ARENA_BYTES_SHIFT)

/* 64 pages: what one word of a page bitmap covers, and what a page cache holds. */
#define WORD_PAGES UINT64_C(64)
#define CHUNK_WORDS (CHUNK_PAGES / WORD_PAGES)

#define CACHE_LINE_BYTES 64

#endif
