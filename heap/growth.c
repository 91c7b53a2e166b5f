/* growth.c -- backing chunks and making arenas
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/growth.h"

#include "heap/pages.h"
#include "heap/span.h"
#include "shm/lock.h"
#include "shm/order.h"

#include <errno.h>

void growth_bump_stamp(struct heap *heap)
{
	uint64_t stamp = atomic_load_explicit(&heap->running->stamp, memory_order_relaxed) + 1;

	atomic_store_explicit(&heap->running->stamp, stamp, memory_order_relaxed);
	/* Crash: the control file is one behind, which open accepts. */
	crash_order();
	atomic_store_explicit(&heap->header->stamp, stamp, memory_order_relaxed);
}

/* --- arenas -------------------------------------------------------------------------------- */

static int back_arena_head(struct heap *heap, uint64_t arena)
{
	const struct system *system = &heap->system;
	int error = system->back_heap(system->context, arena_zone(heap, arena), ARENA_HEAD_BYTES);

	if (error != 0)
		return error;
	return heap_back_control(heap, arena);
}

/* Whether the arena is neither ordinary nor a run's. Nobody looks at one that is not counted: a death, or a
 * torn file, left it half made. */
static bool is_unused(const struct heap *heap, uint64_t arena)
{
	uint64_t word = arena_word(heap, arena);

	return word == 0 || word == ARENA_GIVEN_BACK || arena >= heap_arena_count(heap);
}

static uint64_t arena_start(uint64_t arena)
{
	return arena << ARENA_BYTES_SHIFT;
}

/* Makes bytes zero and gives their disk blocks back. ENOTSUP where the file system cannot. */
static int punch(const struct heap *heap, uint64_t offset, uint64_t bytes)
{
	const struct system *system = &heap->system;

	return system->zero_heap == NULL ? ENOTSUP
					 : system->zero_heap(system->context, offset, bytes);
}

/* Makes backed bytes zero. */
static int make_zero(const struct heap *heap, uint64_t offset, uint64_t bytes)
{
	int error = punch(heap, offset, bytes);

	if (error == ENOTSUP)
		memset(heap_at(heap, offset), 0, bytes);
	return error == ENOTSUP ? 0 : error;
}

/* An unused arena holds zeros, but when a death left it half made, and of a torn file. */
static int clean_arena(struct heap *heap, uint64_t arena)
{
	const struct system *system = &heap->system;
	_Atomic uint64_t *touched = &heap->directory[arena].touched;
	uint64_t start = arena == 0 ? heap->zone_offset[0] : arena_start(arena);
	uint64_t bytes = arena_end_chunk(heap, arena) * CHUNK_BYTES - start;
	int error;

	if (atomic_load_explicit(touched, memory_order_relaxed) == 0)
		return 0;
	error = punch(heap, start, bytes);
	if (error == ENOTSUP) {
		error = system->back_heap(system->context, start, bytes);
		if (error == 0)
			memset(heap_at(heap, start), 0, bytes);
	}
	/* Crash: zero, and not known to be. */
	crash_order();
	if (error == 0)
		atomic_store_explicit(touched, 0, memory_order_relaxed);
	return error;
}

static void raise_arena_count(struct heap *heap, uint64_t count)
{
	if (heap_arena_count(heap) < count)
		atomic_store_explicit(&heap->running->arena_count, count, memory_order_release);
}

int growth_make_arena(struct heap *heap, uint64_t arena)
{
	struct arena_header *header;
	int error;

	/* The maximum size may end inside the arena's zone. */
	if (arena >= heap->max_arenas ||
		arena_first_chunk(heap, arena) >= arena_end_chunk(heap, arena))
		return ENOMEM;
	error = clean_arena(heap, arena);
	if (error == 0)
		error = back_arena_head(heap, arena);
	if (error != 0)
		return error;
	/* Not all of it is zero any more. Crash: cleaned by the next one that takes it, as whatever. */
	atomic_store_explicit(&heap->directory[arena].touched,
		arena_first_chunk(heap, arena) << CHUNK_PAGES_SHIFT, memory_order_relaxed);
	crash_order();
	header = arena_header(heap, arena);
	header->magic = ARENA_MAGIC;
	header->arena = arena;
	atomic_store_explicit(&header->incarnation, heap->incarnation, memory_order_relaxed);
	atomic_store_explicit(&heap->published[arena], arena_first_chunk(heap, arena),
		memory_order_relaxed);
	/* Crash: an arena that is not counted, or not ordinary; it is made again. */
	atomic_store_explicit(&heap->directory[arena].frontier, arena_first_chunk(heap, arena),
		memory_order_release);
	raise_arena_count(heap, arena + 1);
	return 0;
}

/* The first chunk of the arena that is not backed; its end when it has none for data. */
static uint64_t unbacked_from(const struct heap *heap, uint64_t arena)
{
	if (is_unused(heap, arena))
		return arena_first_chunk(heap, arena);
	return arena_is_ordinary(heap, arena) ? arena_frontier(heap, arena)
					      : arena_end_chunk(heap, arena);
}

/* The lowest arena, made if need be, whose unbacked rest has room for `chunks`. */
static int find_arena(struct heap *heap, uint64_t chunks, uint64_t *found)
{
	if (chunks > ARENA_CHUNKS - heap->zone_chunks[1])
		return ENOMEM;
	for (uint64_t arena = 0; arena < heap->max_arenas; arena++) {
		if (unbacked_from(heap, arena) + chunks > arena_end_chunk(heap, arena))
			continue;
		*found = arena;
		return is_unused(heap, arena) ? growth_make_arena(heap, arena) : 0;
	}
	return ENOMEM;
}

static int back_chunks(struct heap *heap, uint64_t first, uint64_t count)
{
	const struct system *system = &heap->system;
	int error = system->back_heap(system->context, first * CHUNK_BYTES, count * CHUNK_BYTES);

	if (error == 0)
		error = system->back_heap(system->context, chunk_table_offset(heap, first),
			count * TABLE_CHUNK_BYTES);
	if (error == 0)
		error = system->back_heap(system->context, chunk_meta_offset(heap, first),
			count * META_STRIDE);
	return error;
}

/* Moves the frontier of an arena that has room. */
static int extend_arena(struct heap *heap, uint64_t arena, uint64_t chunks)
{
	uint64_t frontier = arena_frontier(heap, arena);
	int error = back_chunks(heap, frontier, chunks);

	if (error != 0)
		return error;
	/* Crash: backed and not below the frontier; backed again, which changes nothing. */
	crash_order();
	atomic_store_explicit(&heap->directory[arena].frontier, frontier + chunks,
		memory_order_release);
	growth_bump_stamp(heap);
	return 0;
}

static int extend_locked(struct heap *heap, uint64_t chunks, uint64_t *arena)
{
	int error = find_arena(heap, chunks, arena);

	return error != 0 ? error : extend_arena(heap, *arena, chunks);
}

static bool fits(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	bool found;

	pages_lock(thread);
	found = page_index_find_aligned(&thread->heap->pages, npages, align_pages) != 0;
	pages_unlock(thread);
	return found;
}

/* Others may have grown the heap, or have died before they published, while we waited. */
static void publish_all(struct thread *thread)
{
	struct heap *heap = thread->heap;

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t published =
			atomic_load_explicit(&heap->published[arena], memory_order_relaxed);

		if (!arena_is_ordinary(heap, arena))
			continue;
		if (published < arena_frontier(heap, arena))
			pages_publish(thread, arena);
	}
}

/* A taken-over growth lock needs no repair: the frontier says what is there. */
static void growth_lock(struct thread *thread)
{
	struct heap *heap = thread->heap;

	if (lock_acquire(&heap->derived->growth_lock, thread->tag, &heap->system) ==
		LOCK_TAKEN_OVER)
		thread->met_dead = true;
}

static void growth_unlock(struct thread *thread)
{
	lock_release(&thread->heap->derived->growth_lock, &thread->heap->system);
}

int growth_extend(struct thread *thread, uint64_t npages, uint64_t align_pages)
{
	struct heap *heap = thread->heap;
	uint64_t chunks = (npages + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
	uint64_t arena = 0;
	int error;

	growth_lock(thread);
	publish_all(thread);
	error = fits(thread, npages, align_pages) ? 0 : extend_locked(heap, chunks, &arena);
	growth_unlock(thread);
	if (error == 0)
		pages_publish(thread, arena);
	return error;
}

/* --- runs of several arenas ---------------------------------------------------------------- */

/* Whether an open intent names the first page of the arena. */
static bool intent_names(const struct heap *heap, uint64_t arena)
{
	uint64_t page = arena << ARENA_PAGES_SHIFT;
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t slot = 0; slot < high_water; slot++)
		for (unsigned which = 0; which < 2; which++) {
			uint64_t run = atomic_load_explicit(&heap->logs[slot].intent[which],
				memory_order_acquire);

			if (page - run_page(run) < run_pages(run))
				return true;
		}
	return false;
}

/* Whether the span or run at the end of the arena where it begins covers the continuation. */
static bool is_covered(const struct heap *heap, uint64_t arena)
{
	return span_find(heap, arena << ARENA_PAGES_SHIFT) != 0;
}

bool growth_is_continued(const struct heap *heap, uint64_t arena)
{
	/* Intents first: an allocation's is closed after its head bit is set. */
	return intent_names(heap, arena) || is_covered(heap, arena);
}

/* Under the growth lock. */
static void give_back_arena(struct heap *heap, uint64_t arena)
{
	uint64_t chunks = arena_word_chunks(arena_word(heap, arena));

	if (make_zero(heap, arena_start(arena), chunks * CHUNK_BYTES) != 0)
		return;
	atomic_store_explicit(&heap->directory[arena].touched, 0, memory_order_relaxed);
	/* Crash: zero, and still a continuation; given back once more. */
	crash_order();
	atomic_store_explicit(&heap->directory[arena].frontier, ARENA_GIVEN_BACK,
		memory_order_release);
}

static bool is_forsaken(const struct heap *heap, uint64_t arena)
{
	return arena_word_chunks(arena_word(heap, arena)) != 0 && !growth_is_continued(heap, arena);
}

/* The lowest from `arena` on; or the number of arenas. */
static uint64_t next_forsaken(const struct heap *heap, uint64_t arena)
{
	while (arena < heap_arena_count(heap) && !is_forsaken(heap, arena))
		arena++;
	return arena;
}

void growth_give_back_alone(struct heap *heap)
{
	for (uint64_t arena = 0; (arena = next_forsaken(heap, arena)) < heap_arena_count(heap);
		arena++) {
		give_back_arena(heap, arena);
		growth_bump_stamp(heap);
	}
}

void growth_give_back(struct thread *thread)
{
	if (next_forsaken(thread->heap, 0) == heap_arena_count(thread->heap))
		return;
	growth_lock(thread);
	growth_give_back_alone(thread->heap);
	growth_unlock(thread);
}

/* Stack. Where a run of several arenas is to lie. */
struct row {
	uint64_t arena;  /* where it begins */
	uint64_t chunk;  /* its first */
	uint64_t end;    /* one past the last arena */
	uint64_t chunks; /* in the last arena */
};

/* Whether the arena's unbacked rest and unused ones behind it hold `chunks`; fills in *row. */
static bool row_fits(const struct heap *heap, uint64_t arena, uint64_t chunks, struct row *row)
{
	uint64_t room = arena_end_chunk(heap, arena) - unbacked_from(heap, arena);

	*row = (struct row){ .arena = arena, .chunk = unbacked_from(heap, arena) };
	if (unbacked_from(heap, arena) >= arena_end_chunk(heap, arena))
		return false;
	for (row->end = arena + 1; chunks > room; row->end++) {
		chunks -= room;
		if (row->end >= heap->max_arenas || !is_unused(heap, row->end))
			return false;
		room = arena_end_chunk(heap, row->end) - row->end * ARENA_CHUNKS;
	}
	row->chunks = chunks;
	return row->end > arena + 1;
}

static bool find_row(const struct heap *heap, uint64_t chunks, struct row *row)
{
	for (uint64_t arena = 0; arena < heap->max_arenas; arena++)
		if (row_fits(heap, arena, chunks, row))
			return true;
	return false;
}

/* Chunks of a continuation of the row. */
static uint64_t row_chunks(const struct row *row, uint64_t arena)
{
	return arena + 1 == row->end ? row->chunks : ARENA_CHUNKS;
}

static int back_continuation(struct heap *heap, const struct row *row, uint64_t arena)
{
	const struct system *system = &heap->system;
	int error = clean_arena(heap, arena);

	if (error == 0)
		error = heap_back_control(heap, arena);
	if (error == 0)
		error = system->back_heap(system->context, arena_start(arena),
			row_chunks(row, arena) * CHUNK_BYTES);
	return error;
}

/* Backs all of it; nothing is visible yet but that the first arena is an ordinary one. */
static int back_row(struct heap *heap, const struct row *row)
{
	int error = is_unused(heap, row->arena) ? growth_make_arena(heap, row->arena) : 0;
	uint64_t arena;

	if (error == 0)
		error = back_chunks(heap, row->chunk,
			arena_end_chunk(heap, row->arena) - row->chunk);
	for (arena = row->arena + 1; error == 0 && arena < row->end; arena++)
		error = back_continuation(heap, row, arena);
	/* A full disk gets back what was of no use. */
	for (uint64_t i = row->arena + 1; error != 0 && i + 1 < arena; i++)
		make_zero(heap, arena_start(i), row_chunks(row, i) * CHUNK_BYTES);
	return error;
}

/* Has the row's arenas counted before they are continuations: those that nobody counts are looked at by
 * nobody. Crash: unused ones. */
static void count_row(struct heap *heap, const struct row *row)
{
	for (uint64_t arena = row->arena + 1; arena < row->end; arena++)
		atomic_store_explicit(&heap->directory[arena].frontier, ARENA_GIVEN_BACK,
			memory_order_relaxed);
	crash_order();
	raise_arena_count(heap, row->end);
	crash_order();
}

/* Makes the row a run that the thread's intent names. */
static void claim_row(struct thread *thread, const struct row *row, uint64_t npages)
{
	struct heap *heap = thread->heap;

	pages_take_frontier(thread, row->arena, arena_end_chunk(heap, row->arena), npages);
	count_row(heap, row);
	for (uint64_t arena = row->arena + 1; arena < row->end; arena++)
		atomic_store_explicit(&heap->directory[arena].frontier,
			arena_word_continuation(row->arena, row_chunks(row, arena)),
			memory_order_release);
	growth_bump_stamp(heap);
}

static int take_row(struct thread *thread, uint64_t npages, struct row *row)
{
	struct heap *heap = thread->heap;
	uint64_t chunks = (npages + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
	int error;

	if (npages >= UINT64_C(1) << RUN_LENGTH_BITS)
		return ENOMEM;
	growth_lock(thread);
	publish_all(thread);
	growth_give_back_alone(heap);
	error = find_row(heap, chunks, row) ? back_row(heap, row) : ENOMEM;
	if (error == 0)
		claim_row(thread, row, npages);
	growth_unlock(thread);
	return error;
}

uint64_t growth_take_arenas(struct thread *thread, uint64_t npages, int *error)
{
	struct row row;

	if (thread->heap->reap != NULL)
		thread->heap->reap(thread);
	*error = take_row(thread, npages, &row);
	if (*error != 0)
		return 0;
	thread->zero_from = row.chunk << CHUNK_PAGES_SHIFT;
	return thread->zero_from;
}

/* --- reserving ----------------------------------------------------------------------------- */

/* Chunks that are backed in one section of the growth lock. */
#define RESERVE_STEP UINT64_C(16)

/* Adds at most `chunks` chunks to the lowest arena that has room. */
static int add_chunks(struct thread *thread, uint64_t chunks)
{
	struct heap *heap = thread->heap;
	uint64_t arena = 0;
	uint64_t first = 0;
	int error;

	growth_lock(thread);
	publish_all(thread);
	error = find_arena(heap, 1, &arena);
	if (error == 0) {
		uint64_t room;

		first = arena_frontier(heap, arena);
		room = arena_end_chunk(heap, arena) - first;
		chunks = chunks < room ? chunks : room;
		error = extend_arena(heap, arena, chunks);
	}
	growth_unlock(thread);
	if (error != 0)
		return error;
	/* Before others can take them: who touches a page that is not present waits for it. */
	if (heap->system.populate_heap != NULL)
		heap->system.populate_heap(heap->system.context, first * CHUNK_BYTES,
			chunks * CHUNK_BYTES);
	pages_publish(thread, arena);
	return 0;
}

/* Pages that could still be backed. A look without the lock: others may be at it. */
static uint64_t unbacked_pages(const struct heap *heap)
{
	uint64_t chunks = 0;

	for (uint64_t arena = 0; arena < heap->max_arenas; arena++)
		if (unbacked_from(heap, arena) < arena_end_chunk(heap, arena))
			chunks += arena_end_chunk(heap, arena) - unbacked_from(heap, arena);
	return chunks << CHUNK_PAGES_SHIFT;
}

int growth_reserve(struct thread *thread, uint64_t npages)
{
	pages_give_back(thread);
	if (npages > pages_count_free(thread) + unbacked_pages(thread->heap))
		return ENOMEM;
	for (;;) {
		uint64_t found = pages_count_free(thread);
		uint64_t chunks = (npages - found + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
		int error;

		if (found >= npages)
			return 0;
		error = add_chunks(thread, chunks < RESERVE_STEP ? chunks : RESERVE_STEP);
		if (error != 0)
			return error;
	}
}
