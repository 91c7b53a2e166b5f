/* derived_layout.h -- the heap's part of the control file
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Control file, behind what shm/control_layout.h describes. Derived or volatile: laid anew in every
 * incarnation from the heap file alone.
 *
 *   derived header            locks and the page lock's journal
 *   slot words                thread_slot_count * sizeof(struct slot_words)
 *   published                 one word per arena: chunks below it were added to the free pages.
 *                             Written under the page lock, follows the arena's frontier.
 *   page index                heap/page_index.h
 *   listed rows               one byte per page: a span without owner that has room, and its class
 *   class chunks              per arena and span class one bit per chunk: it may hold such a span;
 *                             behind the last class: it holds spans of an earlier incarnation that
 *                             nobody has looked at
 *   parked                    heap/parked.h, per arena
 *   noted                     one bit per page: a span with deferred frees
 *   batch                     DEFERRED_BATCH deferred_entry
 *   owned                     per slot OWNED_COUNT words, backed as they come into use */
#ifndef SPANHEAP_DERIVED_LAYOUT_H
#define SPANHEAP_DERIVED_LAYOUT_H

#include "heap/geometry.h"
#include "heap/size_class.h"
#include "shm/control_layout.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LIMBO_RUNS 32u
/* What one section of the page lock may change: a slot's limbo, cache and two intents. */
#define JOURNAL_RUNS (LIMBO_RUNS + 4u)
#define ACTIVE_WORDS 512u

/* Control file. What the recovery did that laid the file; all zero when the heap was clean. Written
 * under the opening lock, before anybody else attaches.
 *
 * counts: as struct reap_counts (heap/heap.h). */
#define RECOVERY_COUNTS 8u

struct recovery_record {
	uint64_t recovered; /* 1: the heap was not clean */
	uint64_t nanoseconds;
	uint64_t counts[RECOVERY_COUNTS];
	uint64_t reserved[6];
};

static_assert(sizeof(struct recovery_record) == 128, "format");

/* Control file. Pages that wait for a grace period (heap/parked.h), under the page lock.
 *
 * filling: the set that pages are put into; the other one waits.
 * tag: of each set. pages: in each set, for who may ask too often or too rarely. */
struct parked_sets {
	_Atomic uint64_t filling;
	_Atomic uint64_t tag[2];
	_Atomic uint64_t pages[2];
	uint64_t reserved[3];
};

static_assert(sizeof(struct parked_sets) == 64, "format");

/* Control file. Deferred frees under way (heap/deferred.h). Written under the drain lock.
 *
 * tag: of the grace period that the batch waits for. count: of its entries. capacity: entries that are
 *	backed; 0: DEFERRED_BATCH_LEAST. next_page: where the last batch was full.
 * held_bytes: of the blocks in the last batch that was filled; 0 when there was nothing to fill it. */
enum drain_state {
	DRAIN_EMPTY = 0,
	DRAIN_WAITING = 1,
};

struct drain {
	_Atomic uint64_t lock;
	_Atomic uint64_t state; /* enum drain_state */
	_Atomic uint64_t tag;
	_Atomic uint64_t count;
	_Atomic uint64_t capacity;
	_Atomic uint64_t next_page;
	_Atomic uint64_t held_bytes;
	uint64_t reserved;
};

static_assert(sizeof(struct drain) == 64, "format");

/* Control file. An entry of the batch: bits of one word of a span's limbo.
 *
 * where: first page of the span and, in the low bits, the word. */
struct deferred_entry {
	uint64_t where;
	uint64_t generation; /* of the span */
	uint64_t bits;
};

static_assert(sizeof(struct deferred_entry) == 24, "format");

/* These are backed with the first arena, the others when a batch was full. */
#define DEFERRED_BATCH_LEAST (DEFERRED_BATCH < 128u ? DEFERRED_BATCH : 128u)

/* Control file. The page lock and what it protects.
 *
 * journal: runs (heap/run.h) whose free bits are about to change. Written by the lock's holder:
 *	runs, then the count, then the bits, then count 0. Whoever takes the lock over from the dead
 *	rewrites the bits of these runs from what names pages as taken. */
struct derived_header {
	/* --- page lock */
	_Atomic uint64_t page_lock;
	_Atomic uint64_t journal_count;
	uint64_t reserved0[6];
	_Atomic uint64_t journal[JOURNAL_RUNS];
	uint64_t reserved1[(8 - JOURNAL_RUNS % 8) % 8];
	struct parked_sets parked;
	struct drain drain;
	/* --- growth lock: its holder backs chunks and raises the frontier */
	_Atomic uint64_t growth_lock;
	uint64_t reserved2[7];
	/* --- root lock */
	_Atomic uint64_t root_lock;
	uint64_t reserved3[7];
	/* --- one bit per slot: its log frees blocks, look at its `applying`. Set by the slot's
	 * thread before its first hazard, cleared after its last by whoever writes its log. */
	_Atomic uint64_t active[ACTIVE_WORDS];
	struct recovery_record recovery;
};

static_assert(offsetof(struct derived_header, journal) == 64, "format");
static_assert(offsetof(struct derived_header, growth_lock) % CACHE_LINE_BYTES == 0, "format");

#define ROOT_PIN_WORDS ((ROOT_COUNT + 63) / 64)
/* The spans that a thread keeps, one of each class that it allocates from, and one that it looks at to
 * retire it. */
#define OWNED_COUNT (RETAINED_SPANS + SPAN_CLASS_COUNT + 1u)
/* The first of them stand in the slot's words, which are always backed: a thread that comes to a full
 * disk can allocate. */
#define OWNED_INLINE 32u
#define OWNED_STRIDE (((uint64_t)OWNED_COUNT * sizeof(uint64_t) + 4095u) & ~UINT64_C(4095))

/* What stands in a listed row: 0, or 1 + span class. */
static_assert(SPAN_CLASS_COUNT < 255, "a class and one fit a byte");

/* Control file. What a thread holds that is not truth. One writer: the slot's thread, or whoever
 * holds the slot's reaper word.
 *
 * cache_base, cache_mask: free pages set aside for the thread: page cache_base + i for bit i.
 *	Both are filled under the page lock only; bits leave it without.
 * limbo: runs that were freed and are on their way to the free pages; appended by the thread,
 *	emptied under the page lock only. limbo[0 .. limbo_count) are meant.
 * touching: first page of a span whose listing is being changed, or 0.
 * searching: 1 + span class in the high half, chunk in the low half, of a class-chunk bit that is
 *	being cleared, or 0.
 * owned: first pages of the spans that are the thread's, or may be: stored before the claim, cleared
 *	after the give-up.
 * owned_limit: no word of the slot's `owned` from here on was used in this life of the slot.
 * root_pins: entries of the root table that its open transaction has reserved. */
struct slot_words {
	_Atomic uint64_t cache_base;
	_Atomic uint64_t cache_mask;
	_Atomic uint64_t touching;
	_Atomic uint64_t searching;
	_Atomic uint64_t limbo_count;
	_Atomic uint64_t owned_limit;
	uint64_t reserved[2];
	_Atomic uint64_t limbo[LIMBO_RUNS];
	_Atomic uint64_t owned[OWNED_INLINE];
	_Atomic uint64_t root_pins[ROOT_PIN_WORDS];
};

static_assert(offsetof(struct slot_words, limbo) == CACHE_LINE_BYTES, "format");

#define SLOT_WORDS_STRIDE ((sizeof(struct slot_words) + 127u) & ~(size_t)127u)

/* Control file, behind the class chunks: the rest of `owned` of each slot. */

/* Chunks of an arena that may hold listed spans of a class, one bit each. */
#define CLASS_CHUNK_WORDS ((ARENA_CHUNKS + 63) / 64)
/* In place of a span class: the chunk has not been looked at since the restart. */
#define CLASS_CHUNK_UNSEEN SPAN_CLASS_COUNT
#define CLASS_CHUNK_ROWS (SPAN_CLASS_COUNT + 1u)

#endif
