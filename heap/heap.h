/* heap.h -- a heap as one process sees it, and a thread of it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Glossary.
 *   page    8 KiB, the unit of spans; numbered from the start of the file
 *   span    consecutive pages that hold blocks of one size class, or one large block
 *   run     consecutive pages, whatever they hold; a manual run is the caller's own
 *   slot    a thread's place in the shared files
 *   owner   the slot that allocates from a span
 *   freed   bits of blocks that others than the owner freed
 *   collect the owner takes the freed bits back into its free bits
 *   limbo   runs that were freed and are not free pages yet
 *   parked  pages that were freed and wait until no reader can look at them
 *   hint    a bit that may be wrong in one direction: the span has to be looked at
 *
 * Lock order: slot (reaper word) -> growth lock -> root lock -> page lock. sh_mutex is outside all. */
#ifndef SPANHEAP_HEAP_H
#define SPANHEAP_HEAP_H

#include "heap/derived_layout.h"
#include "heap/heap_layout.h"
#include "heap/hot.h"
#include "heap/page_index.h"
#include "heap/run.h"
#include "heap/size_class.h"
#include "shm/order.h"
#include "shm/rcu.h"
#include "shm/system.h"
#include "shm/tag.h"

#include <assert.h>
#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct thread;

/* Process. The spans that a thread owns (heap/owned.h). A place is 1 + the index of the word of the
 * slot's `owned` that names the span; 0 is none.
 *
 *   pages == sum of the pages of the spans with a place
 *   empty_pages == sum of the pages of those whose bit in `empty` is set */
struct owned_set {
	uint16_t unused; /* the first of the unused places up to `limit`, linked by `next` */
	uint16_t limit;  /* places up to here were used */
	uint16_t backed; /* places up to here can be written */
	uint16_t count;
	uint32_t pages;
	uint32_t empty_pages;
	uint16_t position[SPAN_CLASS_COUNT]; /* in the class's ring: the span looked at last */
	uint8_t vain[SPAN_CLASS_COUNT];      /* searches of the ring in a row that found nothing */
	uint16_t next[OWNED_COUNT + 1u];     /* in the ring */
	uint16_t before[OWNED_COUNT + 1u];
	uint64_t empty[OWNED_COUNT / 64 + 1]; /* no block is live, and the cursor is elsewhere */
};

/* What reaping and recovery did. Process. */
struct reap_counts {
	uint64_t processes;
	uint64_t threads;
	uint64_t rolled_back;
	uint64_t rolled_forward;
	uint64_t blocks_freed;
	uint64_t pages_returned;
	uint64_t operations_finished;
	uint64_t operations_undone;
};

/* Process. Set up by heap_view_init, constant afterwards; everything it points to is shared. */
struct heap {
	char *base; /* first: what sh_base() reads */
	char *control;
	uint64_t max_bytes;
	uint64_t max_arenas;
	uint64_t incarnation;
	uint32_t thread_slots;
	uint32_t process_slots;
	uint64_t zone_offset[2]; /* of arena 0, of any other: where its zone begins */
	uint64_t zone_chunks[2]; /* of arena 0, of any other: chunks before its first data chunk */
	struct system system;
	/* --- heap file */
	struct running *running;
	struct arena_entry *directory;
	struct root *roots;
	struct slot_log *logs;
	struct log_entry *log_entries; /* LOG_INLINE_ENTRIES of each slot */
	/* --- control file */
	struct control_header *header;
	struct thread_slot *thread_slot;
	struct process_slot *process_slot;
	struct rcu rcu;
	struct derived_header *derived;
	char *slot_words;
	_Atomic uint64_t *published; /* per arena */
	struct page_index pages;
	_Atomic uint8_t *listed;        /* one byte per page */
	_Atomic uint64_t *class_chunks; /* [arena][CLASS_CHUNK_ROWS][CLASS_CHUNK_WORDS] */
	uint64_t *parked;               /* heap/parked.h */
	_Atomic uint64_t *noted;        /* heap/deferred.h: one bit per page */
	struct deferred_entry *batch;
	char *owned; /* [slot], each OWNED_STRIDE */
	/* --- */
	/* Cleans up after the dead, called without any lock held: before the heap grows, and after a
	 * lock was taken over. Set by recovery; the way upward. */
	void (*reap)(struct thread *thread);
	/* Told, without any lock held, of a slot whose section keeps freed memory from being used, when that
	 * makes the heap grow. NULL: nobody wants to know. Set by the public functions. */
	void (*slow_reader)(struct thread *thread, uint32_t slot);
	/* By chunk below chunk_limit: its metadata block, or NULL for one that nobody asked for yet or
	 * that holds no data. A chunk that holds data does so for ever. */
	_Atomic(char *) *chunk_meta;
	uint64_t chunk_limit; /* 0: nothing is remembered */
	/* Set by who looks at a heap in use by a copy of its directory (tools/view.h): the others go on. */
	bool directory_is_old;
	struct size_class_table classes;
};

/* Where a thread allocates within its span of one class. Process.
 *
 *   free_bits == ~(allocated[0] | allocated[SPAN_FREED_STEP]) as the last collect of the word left them, less
 *   what the thread gave out since then. What is freed meanwhile is left to the next collect. */
struct cursor {
	uint64_t free_bits;
	_Atomic uint64_t *allocated; /* the word; its freed bits stand SPAN_FREED_STEP behind it */
	uint64_t block_base;         /* offset of the block of bit 0 of the word */
	uint64_t page;               /* of the span, 0: none */
	uint32_t bytes;              /* of a block */
	uint32_t word;
	uint32_t words;
	uint32_t reserved[5];
};

static_assert(sizeof(struct cursor) == CACHE_LINE_BYTES, "the fast path indexes by shifting");

/* A page of a span that the thread owns, and what it takes to free a block there. Process. */
struct page_hint {
	uint64_t page; /* 0: none */
	uint64_t base; /* offset of the span */
	struct span *span;
	uint64_t reciprocal; /* of its blocks, see struct size_class */
};

#define PAGE_HINTS 256u

/* Blocks of up to this many bytes find their class in a table. */
#define UNIT_BYTES 16u
#define UNIT_LIMIT_BYTES 1024u

/* Process. One thread that works on the heap, or a reaper's view of itself. */
struct thread {
	struct heap *heap;
	uint32_t slot;
	uint64_t tag;
	uint64_t mine; /* the hot word of a span of class 0 that the thread owns */
	struct slot_log *log;
	struct log_entry *log_entries; /* the first LOG_INLINE_ENTRIES */
	uint64_t log_room;             /* entries of the log that are known to have room */
	struct slot_words *words;
	struct reap_counts counts; /* of what this thread did for the dead; blocks_freed counts
				    * its own commits too */
	uint64_t limbo_pages;      /* in words->limbo */
	uint64_t deferred_bytes;   /* since the thread drained last */
	uint64_t trim_page;        /* where span_trim goes on */
	uint64_t zero_from;        /* pages_allocate: from this page on the run holds zeros */
	bool met_dead;             /* took a lock over: reap when no lock is held */
	bool reads;                /* is enrolled as a reader */
	struct sh_section section;
	/* Span class, of the kind that holds offsets, by size in units, rounded up. */
	uint8_t class_of_units[UNIT_LIMIT_BYTES / UNIT_BYTES + 1];
	struct cursor cursors[SPAN_CLASS_COUNT];
	struct page_hint hints[PAGE_HINTS]; /* by the page's low bits */
	struct owned_set owned;
};

/* Sizes that follow from the slot counts. */
uint64_t heap_header_bytes(uint64_t max_bytes, uint32_t thread_slots);
uint64_t heap_superblock_b_offset(uint64_t max_bytes, uint32_t thread_slots);
uint64_t heap_control_bytes(uint64_t max_bytes, uint32_t process_slots, uint32_t thread_slots);

/* Fills in everything of *heap that follows from base, control, max_bytes, the slot counts, the
 * incarnation and system, which the caller has set. */
void heap_view_init(struct heap *heap);

/* Bytes from the start of the control file that must be backed before anything else is done. */
uint64_t heap_control_fixed_bytes(const struct heap *heap);

/* Backs what the control file holds for an arena. 0 or an errno. */
int heap_back_control(const struct heap *heap, uint64_t arena);

/* The same for every arena that there is. */
int heap_back_arenas(const struct heap *heap);

/* What a reader in the slot enters and leaves. */
struct sh_section heap_section(const struct heap *heap, uint32_t slot);

/* Prepares *thread for a slot that the caller holds. */
void thread_init(struct thread *thread, struct heap *heap, uint32_t slot, uint64_t tag);

/* Makes the thread a reader from here on; whether it was none. */
static inline bool thread_enroll(struct thread *thread)
{
	if (thread->reads)
		return false;
	rcu_enroll(&thread->heap->rcu, thread->slot);
	thread->reads = true;
	return true;
}

/* Begins and ends a read section of the thread (shm/rcu.h); they nest. */
static inline void thread_begin_reading(struct thread *thread)
{
	thread_enroll(thread);
	sh_section_enter(&thread->section);
}

static inline void thread_end_reading(struct thread *thread)
{
	sh_section_leave(&thread->section);
}

/* Before the slot is given up, or when the thread is not going to read soon: as long as nobody does,
 * freed pages need not wait. It is in no section. */
static inline void thread_stop_reading(struct thread *thread)
{
	rcu_withdraw(&thread->heap->rcu, thread->slot);
	thread->reads = false;
}

static inline struct slot_words *heap_slot_words(const struct heap *heap, uint32_t slot)
{
	return (struct slot_words *)(void *)(heap->slot_words + slot * SLOT_WORDS_STRIDE);
}

/* Word of `owned` of a slot at a place. */
static inline _Atomic uint64_t *heap_owned(const struct heap *heap, uint32_t slot, unsigned place)
{
	return place <= OWNED_INLINE
		? &heap_slot_words(heap, slot)->owned[place - 1]
		: (_Atomic uint64_t *)(void *)(heap->owned + slot * OWNED_STRIDE) + (place - 1);
}

/* Backs the whole batch of deferred frees. 0 or an errno. */
int heap_back_batch(const struct heap *heap);

/* Backs words of `owned` of a slot: at least `place` of them; the number that can be written is stored in
 * *backed. 0 or an errno. */
int heap_back_owned(const struct heap *heap, uint32_t slot, unsigned place, uint16_t *backed);

/* Slots that may be in use are below it. acquire: pairs with the raise before a claim. */
static inline uint32_t heap_slot_high_water(const struct heap *heap)
{
	return atomic_load_explicit(&heap->header->thread_high_water, memory_order_acquire);
}

/* Arenas that may be looked at. acquire: their headers were written before. */
static inline uint64_t heap_arena_count(const struct heap *heap)
{
	uint64_t count = atomic_load_explicit(&heap->running->arena_count, memory_order_acquire);

	return count < heap->max_arenas ? count : heap->max_arenas;
}

/* The address of an offset that the caller has checked. */
static inline void *heap_at(const struct heap *heap, uint64_t off)
{
	return heap->base + off;
}

/* Names a span in `touching` of a slot whose one writer the caller is, before something is done to it
 * that a death must not leave half done; 0: none any more. */
static inline void slot_touch(const struct heap *heap, uint32_t slot, uint64_t head)
{
	atomic_store_explicit(&heap_slot_words(heap, slot)->touching, head, memory_order_release);
	crash_order();
}

static inline uint64_t page_arena(uint64_t page)
{
	return page >> ARENA_PAGES_SHIFT;
}

static inline uint64_t page_offset(uint64_t page)
{
	return page << PAGE_SHIFT;
}

/* One past the last chunk of an arena. */
static inline uint64_t arena_end_chunk(const struct heap *heap, uint64_t arena)
{
	uint64_t end = (arena + 1) * ARENA_CHUNKS;
	uint64_t limit = heap->max_bytes / CHUNK_BYTES;

	return end < limit ? end : limit;
}

/* First chunk of an arena that holds data. */
static inline uint64_t arena_first_chunk(const struct heap *heap, uint64_t arena)
{
	return arena * ARENA_CHUNKS + heap->zone_chunks[arena != 0];
}

/* The arena's word in the directory. acquire: what it says is there was written before. */
static inline uint64_t arena_word(const struct heap *heap, uint64_t arena)
{
	return atomic_load_explicit(&heap->directory[arena].frontier, memory_order_acquire);
}

/* Whether a directory's word is that of an arena with a zone. */
static inline bool arena_word_ordinary(uint64_t word)
{
	return word != 0 && (word & ARENA_CONTINUES) == 0;
}

static inline bool arena_is_ordinary(const struct heap *heap, uint64_t arena)
{
	return arena_word_ordinary(arena_word(heap, arena));
}

static inline uint64_t arena_word_continuation(uint64_t origin, uint64_t chunks)
{
	return ARENA_CONTINUES | chunks << ARENA_ORIGIN_BITS | origin;
}

/* Backed chunks of a continuation; 0 when the word is of none. */
static inline uint64_t arena_word_chunks(uint64_t word)
{
	return word & ARENA_CONTINUES ? (word & ~ARENA_CONTINUES) >> ARENA_ORIGIN_BITS : 0;
}

/* The arena in which the run of a continuation begins. */
static inline uint64_t arena_word_origin(uint64_t word)
{
	return word & ((UINT64_C(1) << ARENA_ORIGIN_BITS) - 1);
}

/* One past the last chunk of the arena that is backed and has metadata; at most the arena's end. */
static inline uint64_t arena_frontier(const struct heap *heap, uint64_t arena)
{
	uint64_t end = arena_end_chunk(heap, arena);
	uint64_t word = arena_word(heap, arena);

	if (word & ARENA_CONTINUES)
		return arena_first_chunk(heap, arena);
	return word < end ? word : end;
}

/* Whether the page can hold data and has metadata: backed, and not part of the header, of a zone or of
 * a continuation. For any number. */
static inline bool page_is_data(const struct heap *heap, uint64_t page)
{
	uint64_t arena = page_arena(page);
	uint64_t chunk = page >> CHUNK_PAGES_SHIFT;

	return arena < heap_arena_count(heap) && chunk >= arena_first_chunk(heap, arena) &&
		chunk < arena_frontier(heap, arena);
}

/* The arena in which a run begins that has the page: the page's own, or, of a page in a continuation,
 * the one before. UINT64_MAX when the page cannot hold data. For any number. */
static inline uint64_t page_origin(const struct heap *heap, uint64_t page)
{
	uint64_t arena = page_arena(page);
	uint64_t word;

	if (page_is_data(heap, page))
		return arena;
	if (arena >= heap_arena_count(heap) ||
		page >> CHUNK_PAGES_SHIFT >= arena_end_chunk(heap, arena))
		return UINT64_MAX;
	word = arena_word(heap, arena);
	if ((page >> CHUNK_PAGES_SHIFT & (ARENA_CHUNKS - 1)) >= arena_word_chunks(word))
		return UINT64_MAX;
	return arena_word_origin(word) < arena ? arena_word_origin(word) : UINT64_MAX;
}

/* Whether bytes of the heap can be data, all of them of one arena or of the continuations of the arena
 * in which they begin. For any numbers. */
static inline bool bytes_are_data(const struct heap *heap, uint64_t off, uint64_t bytes)
{
	uint64_t first = off >> PAGE_SHIFT;
	uint64_t last;
	uint64_t origin;

	if (bytes == 0 || bytes > heap->max_bytes || off > heap->max_bytes - bytes)
		return false;
	last = (off + bytes - 1) >> PAGE_SHIFT;
	origin = page_origin(heap, first);
	if (origin == UINT64_MAX || page_origin(heap, last) != origin)
		return false;
	/* The last page of each arena between: nothing is left out. */
	for (uint64_t arena = page_arena(first); arena < page_arena(last); arena++)
		if (page_origin(heap, ((arena + 1) << ARENA_PAGES_SHIFT) - 1) != origin)
			return false;
	return true;
}

/* Whether all pages of a run (heap/run.h) that have metadata can hold data, and the others, behind the
 * end of their arena, lie inside the heap: whether these are there an operation under way decides. For
 * any word. */
static inline bool run_is_data(const struct heap *heap, uint64_t run)
{
	uint64_t clip = run_clip(run);

	return run_pages(run) != 0 && page_is_data(heap, run_page(run)) &&
		page_is_data(heap, run_page(clip) + run_pages(clip) - 1) &&
		run_page(run) + run_pages(run) <= heap->max_bytes >> PAGE_SHIFT;
}

/* The first LOG_INLINE_ENTRIES entries of a slot's log. */
static inline struct log_entry *log_entries(const struct heap *heap, const struct slot_log *log)
{
	return heap->log_entries + (log - heap->logs) * (ptrdiff_t)LOG_INLINE_ENTRIES;
}

/* Where the zone of an arena begins in the file. */
static inline uint64_t arena_zone(const struct heap *heap, uint64_t arena)
{
	return (arena << ARENA_BYTES_SHIFT) + heap->zone_offset[arena != 0] +
		arena % ZONE_STAGGER_STEPS * STAGGER_BYTES;
}

static inline struct arena_header *arena_header(const struct heap *heap, uint64_t arena)
{
	return (struct arena_header *)(void *)(heap->base + arena_zone(heap, arena));
}

/* pageInUse: bit p is set while a span begins at page p. The commit record. */
static inline _Atomic uint64_t *arena_in_use(const struct heap *heap, uint64_t arena)
{
	return (_Atomic uint64_t *)(void *)(heap->base + arena_zone(heap, arena) +
		ARENA_HEADER_BYTES);
}

/* pageManual: the same for page runs handed to the caller. */
static inline _Atomic uint64_t *arena_manual(const struct heap *heap, uint64_t arena)
{
	return arena_in_use(heap, arena) + ARENA_PAGES / 64;
}

static inline uint64_t chunk_meta_offset(const struct heap *heap, uint64_t chunk)
{
	return arena_zone(heap, chunk >> ARENA_CHUNKS_SHIFT) + ARENA_META_OFFSET +
		(chunk & (ARENA_CHUNKS - 1)) * META_STRIDE;
}

/* Where the chunk's part of the spans table is. */
static inline uint64_t chunk_table_offset(const struct heap *heap, uint64_t chunk)
{
	return arena_zone(heap, chunk >> ARENA_CHUNKS_SHIFT) + ARENA_TABLE_OFFSET +
		(chunk & (ARENA_CHUNKS - 1)) * TABLE_CHUNK_BYTES;
}

/* Finds it, and remembers it. */
char *chunk_meta_look(const struct heap *heap, uint64_t page);

/* The metadata block of the chunk of `page`; NULL when it holds no data. For any number. */
static inline char *chunk_meta(const struct heap *heap, uint64_t page)
{
	uint64_t chunk = page >> CHUNK_PAGES_SHIFT;
	char *meta;

	if (__builtin_expect(chunk < heap->chunk_limit, 1)) {
		meta = atomic_load_explicit(&heap->chunk_meta[chunk], memory_order_relaxed);
		if (__builtin_expect(meta != NULL, 1))
			return meta;
	}
	return chunk_meta_look(heap, page);
}

/* As bytes_are_data(), and sooner for those of one chunk that is remembered. */
static inline bool bytes_are_inside(const struct heap *heap, uint64_t off, uint64_t bytes)
{
	uint64_t first = off >> PAGE_SHIFT;

	if (bytes != 0 && bytes <= CHUNK_BYTES &&
		(first ^ (off + bytes - 1) >> PAGE_SHIFT) >> CHUNK_PAGES_SHIFT == 0 &&
		chunk_meta(heap, first) != NULL)
		return true;
	return bytes_are_data(heap, off, bytes);
}

/* Whether `bytes` from `address` on are aligned words inside the heap, and where. For any address. */
static inline bool words_are_inside(const struct heap *heap, const void *address, uint64_t bytes,
	uint64_t *off)
{
	/* Addresses below the base wrap around to offsets beyond the end. */
	*off = (uint64_t)((uintptr_t)address - (uintptr_t)heap->base);
	return *off % sizeof(uint64_t) == 0 && bytes_are_inside(heap, *off, bytes);
}

/* Spans of 8 pages use every 8th pair, which would use every 8th set of a cache: the low bits of
 * the index are mixed with the next ones. A permutation within 64 pages. */
static inline uint64_t pair_index(uint64_t page)
{
	uint64_t index = page & (CHUNK_PAGES - 1);

	return index ^ (index >> 3 & 7);
}

static inline struct span *span_of_head(const struct heap *heap, uint64_t page)
{
	return (struct span *)(void *)(heap->base +
		       chunk_meta_offset(heap, page >> CHUNK_PAGES_SHIFT) + META_PAIRS_OFFSET) +
		pair_index(page);
}

static inline struct span_more *span_more_of_head(const struct heap *heap, uint64_t page)
{
	return (struct span_more *)(void *)(heap->base +
		       chunk_meta_offset(heap, page >> CHUNK_PAGES_SHIFT) + META_MORE_OFFSET) +
		pair_index(page);
}

static inline struct span *meta_span(char *meta, uint64_t page)
{
	return (struct span *)(void *)(meta + META_PAIRS_OFFSET) + pair_index(page);
}

static inline _Atomic uint32_t *meta_table_entry(char *meta, uint64_t page)
{
	uint64_t within = page & (ARENA_PAGES - 1);
	char *metas = meta - (within >> CHUNK_PAGES_SHIFT) * META_STRIDE;

	return (_Atomic uint32_t *)(void *)(metas - ARENA_META_OFFSET + ARENA_TABLE_OFFSET) +
		within;
}

static inline _Atomic uint32_t *span_table_entry(const struct heap *heap, uint64_t page)
{
	return (_Atomic uint32_t *)(void *)(heap->base + arena_zone(heap, page_arena(page)) +
		       ARENA_TABLE_OFFSET) +
		(page & (ARENA_PAGES - 1));
}

/* The first page of the span that an entry of the spans table names for `page`; 0: none. */
static inline uint64_t table_head(uint32_t entry, uint64_t page)
{
	return entry & TABLE_OBJECTS ? page : entry;
}

static inline _Atomic uint64_t *span_allocated(const struct heap *heap, uint64_t page,
	unsigned word)
{
	return word < SPAN_INLINE_WORDS
		? &span_of_head(heap, page)->allocated[word]
		: &span_more_of_head(heap, page)->allocated[word - SPAN_INLINE_WORDS];
}

static inline _Atomic uint64_t *span_freed(const struct heap *heap, uint64_t page, unsigned word)
{
	return word < SPAN_INLINE_WORDS
		? &span_of_head(heap, page)->freed[word]
		: &span_more_of_head(heap, page)->freed[word - SPAN_INLINE_WORDS];
}

static inline _Atomic uint64_t *span_limbo(const struct heap *heap, uint64_t page, unsigned word)
{
	return word < SPAN_INLINE_WORDS
		? &span_of_head(heap, page)->limbo[word]
		: &span_more_of_head(heap, page)->limbo[word - SPAN_INLINE_WORDS];
}

/* The blocks of a word of bits that are freed, if they are allocated: to be looked at before `allocated`.
 * limbo first, then freed: a block that goes from one to the next meanwhile is not taken for a live
 * one. acquire: pairs with who moves it. */
static inline uint64_t ended_bits(_Atomic uint64_t *allocated)
{
	uint64_t limbo = atomic_load_explicit(allocated + SPAN_LIMBO_STEP, memory_order_acquire);

	return limbo | atomic_load_explicit(allocated + SPAN_FREED_STEP, memory_order_acquire);
}

/* The live ones. */
static inline uint64_t live_bits(_Atomic uint64_t *allocated)
{
	uint64_t ended = ended_bits(allocated);

	return atomic_load_explicit(allocated, memory_order_acquire) & ~ended;
}

static inline uint64_t span_live(const struct heap *heap, uint64_t page, unsigned word)
{
	return live_bits(span_allocated(heap, page, word));
}

/* The blocks of a word of bits that wait for readers before they are freed. */
static inline uint64_t span_waiting(const struct heap *heap, uint64_t page, unsigned word)
{
	_Atomic uint64_t *allocated = span_allocated(heap, page, word);

	return atomic_load_explicit(allocated + SPAN_LIMBO_STEP, memory_order_acquire) &
		atomic_load_explicit(allocated, memory_order_acquire);
}

/* Whether the large block of a span is not waiting to be freed. */
static inline bool span_large_is_live(const struct heap *heap, uint64_t page)
{
	return (atomic_load_explicit(span_limbo(heap, page, 0), memory_order_acquire) & 1) == 0;
}

/* The same of a span whose record is at hand: its second pair has the place of its first in another array. */
static inline _Atomic uint64_t *span_allocated_word(struct span *span, uint64_t word)
{
	struct span_more *more = (struct span_more *)(void *)((char *)span + META_MORE_OFFSET);

	return word < SPAN_INLINE_WORDS ? &span->allocated[word]
					: &more->allocated[word - SPAN_INLINE_WORDS];
}

static inline _Atomic uint64_t *head_word(const struct heap *heap, uint64_t page)
{
	return arena_in_use(heap, page_arena(page)) + (page & (ARENA_PAGES - 1)) / 64;
}

/* acquire: pairs with the release of head_set; the record behind a set bit is whole. */
static inline bool head_is_set(const struct heap *heap, uint64_t page)
{
	return atomic_load_explicit(head_word(heap, page), memory_order_acquire) >> (page & 63) & 1;
}

/* The commit of an allocation of pages: everything about the span was written before. */
static inline void head_set(const struct heap *heap, uint64_t page)
{
	atomic_fetch_or_explicit(head_word(heap, page), UINT64_C(1) << (page & 63),
		memory_order_release);
}

/* The first store to truth of a free of pages. */
static inline void head_clear(const struct heap *heap, uint64_t page)
{
	atomic_fetch_and_explicit(head_word(heap, page), ~(UINT64_C(1) << (page & 63)),
		memory_order_release);
}

/* The same three for page runs. */
static inline _Atomic uint64_t *manual_word(const struct heap *heap, uint64_t page)
{
	return arena_manual(heap, page_arena(page)) + (page & (ARENA_PAGES - 1)) / 64;
}

static inline bool manual_is_set(const struct heap *heap, uint64_t page)
{
	return atomic_load_explicit(manual_word(heap, page), memory_order_acquire) >> (page & 63) &
		1;
}

static inline void manual_set(const struct heap *heap, uint64_t page)
{
	atomic_fetch_or_explicit(manual_word(heap, page), UINT64_C(1) << (page & 63),
		memory_order_release);
}

static inline void manual_clear(const struct heap *heap, uint64_t page)
{
	atomic_fetch_and_explicit(manual_word(heap, page), ~(UINT64_C(1) << (page & 63)),
		memory_order_release);
}

/* Which of the 64 pages from `base` begin a span or a page run. */
static inline uint64_t heads_of_word(const struct heap *heap, uint64_t base)
{
	return atomic_load_explicit(head_word(heap, base), memory_order_acquire) |
		atomic_load_explicit(manual_word(heap, base), memory_order_acquire);
}

/* The first page from `page` on, below `end`, at which a span or a page run begins; or `end`. */
uint64_t heap_next_head(const struct heap *heap, uint64_t page, uint64_t end);

/* Whether a span or a page run begins at the page. */
static inline bool page_is_head(const struct heap *heap, uint64_t page)
{
	return head_is_set(heap, page) || manual_is_set(heap, page);
}

/* What the hot word of a span of this incarnation looks like. */
static inline uint64_t heap_hot(const struct heap *heap, uint32_t owner, uint32_t span_class)
{
	return hot_make(heap->incarnation, owner, span_class);
}

#endif
