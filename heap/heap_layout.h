/* heap_layout.h -- what stands in the heap file
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Heap file. It holds truth: everything else can be derived from it. Offsets count from the start of
 * the file; there are no pointers. A volatile word stands here only beside truth that is read with
 * it, and carries the incarnation, so that it voids itself.
 *
 *	arena 0                                      arena 1, 2, ...
 *	+--------------------------------------+     +---------------+
 *	| superblock, copy A       SUPERBLOCK_STRIDE |               |
 *	| running words, control place         |     |               |
 *	| arena directory                      |     |               |
 *	| roots                                |     |               |
 *	| slot logs, then their entries        |     |               |
 *	| superblock, copy B       SUPERBLOCK_STRIDE |               |
 *	+--------------------------------------+     +---------------+
 *	| zone: arena header, head bitmaps, spans table, then one metadata block per chunk |
 *	+--------------------------------------+     +---------------+
 *	| data chunks                          |     | data chunks   |
 *
 * The zone is sparse: a chunk's metadata block and its part of the spans table are backed together with
 * the chunk. Pages of the header and of the zones are never free and never in a span. */
#ifndef SPANHEAP_HEAP_LAYOUT_H
#define SPANHEAP_HEAP_LAYOUT_H

#include "heap/geometry.h"
#include "shm/control_layout.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SUPERBLOCK_MAGIC UINT64_C(0x3130706165686e73) /* "snheap01" */
#define FORMAT_VERSION 1u
#define SUPERBLOCK_STRIDE UINT64_C(8192)
#define RUNNING_BYTES UINT64_C(4096)

/* Heap file, twice: at offset 0 and behind the slot logs. Written under the opening lock, copy B
 * first unless copy A is torn; a reader takes the copy with the higher sequence among those whose
 * checksum is right. Crash between the copies: the older one is whole, and says what was true
 * before. */
struct superblock {
	uint64_t magic;
	uint32_t format_version;
	uint32_t header_bytes; /* sizeof(struct superblock) */
	/* --- never changes after creation */
	uint64_t abi;        /* sizes and offsets of every shared structure, folded */
	uint64_t class_hash; /* of the size-class table */
	uint64_t heap_id[2];
	uint64_t max_bytes; /* of address space */
	uint32_t page_shift;
	uint32_t chunk_pages_shift;
	uint32_t arena_chunks_shift;
	uint32_t process_slot_count;
	uint32_t thread_slot_count;
	uint32_t root_count;
	/* --- changes at open, recovery and close */
	uint64_t sequence;    /* of this copy */
	uint64_t incarnation; /* counts the layings of the control file; never repeats */
	uint64_t nonce[2];    /* of this run, from a clean open to a clean close */
	uint64_t clean;       /* 1: nobody has stored since `incarnation` ended */
	char boot_id[BOOT_ID_BYTES];
	uint64_t
		end_copy; /* where a clean file has a third copy, behind all that it holds; 0: none */
	uint64_t reserved[3];
	uint64_t checksum; /* of everything above */
};

static_assert(sizeof(struct superblock) == 200, "format");
static_assert(offsetof(struct superblock, sequence) == 80, "format");
static_assert(offsetof(struct superblock, checksum) == 192, "format");

/* Heap file, at SUPERBLOCK_STRIDE. Single words that change while processes run; each is whole by
 * itself, so no checksum covers them. */
struct running {
	/* Arenas whose head was made. Raised under the growth lock, after the head was written. */
	_Atomic uint64_t arena_count;
	/* Bumped at attach, detach and growth, here first and then in the control file: a heap file
	 * that was put back from a copy shows another stamp than the control file beside it. */
	_Atomic uint64_t stamp;
	/* Serial numbers given out to threads and processes. */
	_Atomic uint64_t next_serial;
	uint64_t reserved[5];
};

static_assert(sizeof(struct running) == 64, "format");

/* Heap file, at CONTROL_PLACE_OFFSET, behind the running words. Where the control file of the last run
 * is: an absolute path that ends with NUL, or "", beside the heap file. Written under the opening
 * lock while the file is clean, before the mark goes. */
#define CONTROL_PLACE_BYTES UINT64_C(2048)
#define CONTROL_PLACE_OFFSET (SUPERBLOCK_STRIDE + RUNNING_BYTES - CONTROL_PLACE_BYTES)

struct control_place {
	char directory[CONTROL_PLACE_BYTES];
};

/* Heap file. The arena directory, one entry per arena of the address space.
 *
 * An arena is ordinary (it has a zone), or the continuation of a run that did not fit the arena before
 * it: then all of it is that run's, and it has no zone. A run that ends gives its continuations back;
 * what such an arena holds is zero before its entry says so.
 *
 * frontier: of an ordinary arena: chunks of the file from the arena's first data chunk up to here are backed, with their
 *	metadata. Raised under the growth lock, after the backing; never lowered. 0: no arena.
 *	ARENA_CONTINUES: of a continuation; chunks that are backed, and the arena in which the run
 *	begins. No chunks: given back, to be an arena of either kind again. Written under the growth
 *	lock.
 * touched: pages of the arena below it were handed out once; those from it on hold zeros since they
 *	were backed. Raised under the page lock, before the hand-out: a death leaves it too high at
 *	worst, and then pages count as dirty that are not. Of a torn file nothing is known to be
 *	zero. */
struct arena_entry {
	_Atomic uint64_t frontier;
	_Atomic uint64_t touched;
};

static_assert(sizeof(struct arena_entry) == 16, "format");

#define ARENA_CONTINUES (UINT64_C(1) << 63)
#define ARENA_GIVEN_BACK ARENA_CONTINUES
#define ARENA_ORIGIN_BITS 32

#define ROOT_NAME_BYTES 64u

/* Heap file. One named root: its value is value[sequence & 1], and it is set when that is not 0.
 *
 * Written under the root lock, or by a transaction that rolls forward; read without. A change
 * writes the other value and then the sequence, so one store switches. The name of an entry whose
 * value is 0 may be rewritten; readers look at the sequence again. */
struct root {
	_Atomic uint64_t sequence;
	_Atomic uint64_t value[2];
	uint64_t reserved[5];
	_Atomic uint64_t
		name[ROOT_NAME_BYTES / 8]; /* bytes, zero padded; read and written by words */
};

static_assert(sizeof(struct root) == 128, "format");

/* Heap file. What recovery and reapers need to know of a thread's unfinished work. One writer: the
 * slot's thread, or whoever holds the slot's reaper word.
 *
 * word: state, number of entries, index of the first entry that is not applied yet, in one word,
 *	so that each step of a transaction is one store (heap/log.h).
 * applying: the block that is being freed for this log; no collect gives its bit out.
 * intent: a page operation under way: [0] the thread's own, [1] that of its log's replay.
 * extension: runs that hold the entries behind the slot's first LOG_INLINE_ENTRIES, each twice the one
 *	before.
 *
 * The first entries of all slots stand behind all logs: a restart looks at every log, and seldom at an
 * entry. */
#define LOG_EXTENSIONS 16u
#define LOG_ENTRY_BYTES 32u
#define LOG_INLINE_ENTRIES 58u

struct log_entry {
	uint64_t kind;  /* enum log_kind in the low byte, the length of a byte range above */
	uint64_t where; /* block, word or range, as an offset; a root's index */
	uint64_t before;
	uint64_t after;
};

static_assert(sizeof(struct log_entry) == LOG_ENTRY_BYTES, "format");

struct slot_log {
	_Atomic uint64_t word;
	_Atomic uint64_t applying;
	_Atomic uint64_t intent[2];
	uint64_t reserved[4];
	_Atomic uint64_t extension[LOG_EXTENSIONS];
};

static_assert(offsetof(struct slot_log, extension) == 64, "format");
static_assert(sizeof(struct slot_log) == 192, "format");

/* What a slot has in the header of the file. */
#define LOG_BYTES (sizeof(struct slot_log) + LOG_INLINE_ENTRIES * LOG_ENTRY_BYTES)

static_assert(LOG_BYTES == 2048, "format");

/* Heap file, at the start of each arena's zone, then the two head bitmaps. */
#define ARENA_MAGIC UINT64_C(0x616e657261687300)

struct arena_header {
	uint64_t magic;
	uint64_t arena;
	/* The last incarnation in which the arena could be written. Newer than the superblock's:
	 * this file is a mixture (P3). */
	_Atomic uint64_t incarnation;
	uint64_t reserved[5];
};

static_assert(sizeof(struct arena_header) == 64, "format");

#define ARENA_BITMAP_BYTES (ARENA_PAGES / 8)
/* Backed as a whole when the arena is made. */
#define ARENA_HEADER_BYTES UINT64_C(4096)
#define ARENA_HEAD_BYTES (ARENA_HEADER_BYTES + 2 * ARENA_BITMAP_BYTES)

#define SPAN_INLINE_WORDS 4u
#define SPAN_MAX_WORDS 8u
#define SPAN_MAX_OBJECTS (SPAN_MAX_WORDS * 64u)

/* What a span is for. */
enum span_purpose {
	SPAN_OBJECTS = 1, /* blocks of one size class */
	SPAN_LARGE = 2,   /* one block */
	SPAN_LOG = 3,     /* entries of a slot's log; gone after a restart */
	SPAN_MANUAL = 4,  /* a page run of the caller's; its head bit is in pageManual */
};

/* Flags of a page run. */
#define RUN_IO 1u   /* may be the target of device I/O that outlives its process */
#define RUN_HUGE 2u /* aligned to HUGE_BYTES when it was allocated */

/* Heap file. Two cache lines per page; only the pair of a span's first page means something. The
 * classes of more than 256 objects have a second pair, in the array behind the first.
 *
 * The record is written before the span's bit in pageInUse and stays as long as that is set. The
 * same holds of page runs and pageManual, but that a run's pages may be cut: it ends where its record
 * says or where the next run begins, whichever comes first (heap/manual.h).
 *
 * An object i is live when bit i of allocated is set and bit i of freed and of limbo are not. A large
 * block is live when bit 0 of limbo is not set.
 * allocated: plain stores by the owner only. freed: fetch_or by everybody, fetch_and by the owner.
 * limbo: deferred frees (heap/deferred.h): fetch_or by everybody, fetch_and by who drains.
 *	They lie in different lines, because a remote free in the owner's line costs the owner six
 *	times as much. */
struct span {
	/* --- the owner's line */
	_Atomic uint32_t pages;
	_Atomic uint8_t span_class; /* size class and kind, or SPAN_CLASS_LARGE */
	_Atomic uint8_t purpose;    /* enum span_purpose */
	union {
		_Atomic uint16_t run_flags; /* of a page run */
		_Atomic uint16_t
			place; /* of objects; heap/owned.h: its owner's number. Volatile. */
	};
	_Atomic uint64_t generation; /* counts the lives of this record; changes first */
	_Atomic uint64_t hot;        /* heap/hot.h: incarnation, owner, class. Volatile. */
	_Atomic uint64_t bytes;      /* of a large block: what was asked for, rounded to 16 */
	_Atomic uint64_t allocated[SPAN_INLINE_WORDS];
	/* --- everybody's line */
	_Atomic uint64_t freed[SPAN_INLINE_WORDS];
	_Atomic uint64_t limbo[SPAN_INLINE_WORDS];
};

static_assert(sizeof(struct span) == 2 * CACHE_LINE_BYTES, "format");
static_assert(offsetof(struct span, place) == 6, "format");
static_assert(offsetof(struct span, hot) == 16, "format");
static_assert(offsetof(struct span, allocated) == 32, "format");
static_assert(offsetof(struct span, freed) == CACHE_LINE_BYTES, "format");

/* Heap file. The rest of the bits. */
struct span_more {
	uint64_t reserved[4];
	_Atomic uint64_t allocated[SPAN_MAX_WORDS - SPAN_INLINE_WORDS];
	_Atomic uint64_t freed[SPAN_MAX_WORDS - SPAN_INLINE_WORDS];
	_Atomic uint64_t limbo[SPAN_MAX_WORDS - SPAN_INLINE_WORDS];
};

static_assert(sizeof(struct span_more) == 2 * CACHE_LINE_BYTES, "format");

/* From a word of allocated to the same word of freed, and of limbo, in both. */
#define SPAN_FREED_STEP 4u
#define SPAN_LIMBO_STEP 8u

static_assert(offsetof(struct span, freed) ==
		offsetof(struct span, allocated) + SPAN_FREED_STEP * sizeof(uint64_t),
	"format");
static_assert(offsetof(struct span_more, freed) ==
		offsetof(struct span_more, allocated) + SPAN_FREED_STEP * sizeof(uint64_t),
	"format");
static_assert(offsetof(struct span, limbo) ==
		offsetof(struct span, allocated) + SPAN_LIMBO_STEP * sizeof(uint64_t),
	"format");
static_assert(offsetof(struct span_more, limbo) ==
		offsetof(struct span_more, allocated) + SPAN_LIMBO_STEP * sizeof(uint64_t),
	"format");
static_assert(SPAN_MAX_WORDS == 2 * SPAN_INLINE_WORDS, "format");

/* Equal offsets in every chunk and every arena would fall into equal cache sets. */
#define STAGGER_BYTES UINT64_C(1152)
#define ZONE_STAGGER_STEPS UINT64_C(64)

/* A chunk's metadata block in its arena's zone: pairs, second pairs. */
#define META_PAIRS_OFFSET UINT64_C(0)
#define META_MORE_OFFSET (CHUNK_PAGES * sizeof(struct span))
#define META_BYTES (META_MORE_OFFSET + CHUNK_PAGES * sizeof(struct span_more))
#define META_STRIDE (META_BYTES + STAGGER_BYTES)

static_assert(META_PAIRS_OFFSET == 0 && sizeof(struct span) == sizeof(struct span_more),
	"a second pair is META_MORE_OFFSET behind the first");

/* The spans table maps a page to the first page of its span; an entry counts only if that span exists and
 * covers the page. Pages are 31-bit numbers there. The first page of a span of objects has, in place of
 * its own number, this bit and the span's number of pages: a restart works out the free pages from that,
 * without a look at the record. */
#define TABLE_OBJECTS UINT32_C(0x80000000)
#define SPANS_TABLE_LIMIT_BYTES (PAGE_BYTES << 31)

/* In one piece for the whole arena: a restart reads all of it that is in use. */
#define TABLE_CHUNK_BYTES (CHUNK_PAGES * sizeof(uint32_t))
#define ARENA_TABLE_OFFSET ARENA_HEAD_BYTES
#define ARENA_META_OFFSET (ARENA_TABLE_OFFSET + ARENA_CHUNKS * TABLE_CHUNK_BYTES)

#define ZONE_BYTES \
	(ARENA_META_OFFSET + ARENA_CHUNKS * META_STRIDE + STAGGER_BYTES * ZONE_STAGGER_STEPS)
#define ZONE_CHUNKS ((ZONE_BYTES + CHUNK_BYTES - 1) / CHUNK_BYTES)

static_assert(ZONE_CHUNKS < ARENA_CHUNKS, "an arena must have room for data");

#endif
