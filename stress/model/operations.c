/* operations.c -- every operation of the library, and what it promises
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/world.h"

#include "heap/deferred.h"
#include "heap/manual.h"
#include "heap/object.h"
#include "heap/owned.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/parked.h"
#include "heap/root.h"
#include "heap/span.h"
#include "recovery/reap.h"
#include "shm/lock.h"
#include "shm/slot.h"

#include <spanheap.h>

#define LARGE_BYTES (20 * PAGE_BYTES)

static struct thread *thread_of(struct world *world, unsigned process)
{
	return &world->threads[process];
}

static unsigned block_class(void)
{
	return span_class_make(size_class_of(BLOCK_BYTES), false);
}

/* A class of which no thread owns a span. */
static unsigned other_class(void)
{
	return span_class_make(size_class_of(BLOCK_BYTES), true);
}

static uint64_t kept(const struct world *world, unsigned process, unsigned which)
{
	return world->ghosts[process].kept[which];
}

/* --- promises that several operations share ------------------------------------------------- */

/* The block of kept[0] is live before, free afterwards. */
static const char *promise_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	enum progress progress = world_progress(world, process);

	/* Freed, it may be another's by now: the number of blocks tells. */
	blocks->least = progress == NOT_STARTED ? 1 : 0;
	blocks->most = progress == DONE ? 0 : 1;
	if (progress == NOT_STARTED && !world_live(heap, kept(world, process, 0)))
		return "a block that nobody freed is free";
	return progress == DONE && world->ghosts[process].result != 0 ? "a free was refused" : NULL;
}

/* The result is a live block, once the operation returned. */
static const char *promise_allocated(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	if (world_progress(world, process) == NOT_STARTED)
		return NULL;
	blocks->most = 1;
	if (world_progress(world, process) != DONE)
		return NULL;
	blocks->least = 1;
	if (world->ghosts[process].result == 0)
		return "an allocation failed";
	return world_live(heap, world->ghosts[process].result) ? NULL
							       : "an allocated block is free";
}

/* --- taking pages --------------------------------------------------------------------------- */

static uint64_t run_take_pages(struct world *world, unsigned process)
{
	int error;
	uint64_t head = span_create(thread_of(world, process), other_class(), &error);

	return page_offset(head);
}

static const char *promise_span(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)blocks;
	/* When its owner is dead, anybody may retire it. Who is dead is no truth, so a truth that was
	 * first seen after a death is not asked; the end is. */
	if (world_progress(world, process) == DONE && !world->dead[process] &&
		!head_is_set(heap, world->ghosts[process].result >> PAGE_SHIFT))
		return "a span that was made is gone";
	return NULL;
}

/* The page cache holds pages already. */
static void prepare_cached(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	int error;
	uint64_t head = span_create(thread, other_class(), &error);

	span_retire(thread, head);
}

/* Others' free pages stand in the word of bits that the page cache was filled from. */
static void prepare_cached_beside(struct world *world, unsigned process)
{
	struct thread *other = thread_of(world, world->workers);
	uint64_t large = world_allocate_large(world, world->workers, LARGE_BYTES);

	prepare_cached(world, process);
	object_free(other, large);
	pages_give_back(other);
}

static uint64_t run_large(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	int error;
	uint64_t head = span_prepare_large(thread, LARGE_BYTES, SPAN_LARGE, false, &error);

	if (head != 0)
		span_commit_large(thread, head);
	return page_offset(head);
}

static void prepare_free_large(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = world_allocate_large(world, process, LARGE_BYTES);
}

static uint64_t run_free(struct world *world, unsigned process)
{
	return (uint64_t)object_free(thread_of(world, process), kept(world, process, 0));
}

static uint64_t run_give_back(struct world *world, unsigned process)
{
	object_give_back(thread_of(world, process));
	pages_give_back(thread_of(world, process));
	return 0;
}

static const char *promise_nothing(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)world;
	(void)process;
	(void)heap;
	(void)blocks;
	return NULL;
}

/* --- objects -------------------------------------------------------------------------------- */

static uint64_t run_allocate(struct world *world, unsigned process)
{
	int error;

	return object_allocate(thread_of(world, process), block_class(), &error);
}

/* Returns the second of two blocks: not at the start of its span. */
static uint64_t run_allocate_two(struct world *world, unsigned process)
{
	run_allocate(world, process);
	return run_allocate(world, process);
}

static const char *promise_two_allocated(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	const char *broken = promise_allocated(world, process, heap, blocks);

	blocks->least *= 2;
	blocks->most *= 2;
	return broken;
}

/* The worker, too, reaps. */
static uint64_t run_reap(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;

	heap->reap(thread_of(world, process));
	return run_allocate(world, process);
}

/* In a pair the other one; the third of a triple has the first. */
static unsigned other(unsigned process)
{
	return process == 0 ? 1 : 0;
}

/* One block of the thread's own span is kept by the process; the span has room. */
static void prepare_own_block(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = world_allocate(world, process, BLOCK_BYTES);
}

/* The thread owns a span with room. */
static void prepare_own_span(struct world *world, unsigned process)
{
	world_allocate(world, process, BLOCK_BYTES);
	world->bystanders++;
}

/* The block belongs to a span that the other worker owns. */
static void prepare_others_block(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = world_allocate(world, other(process), BLOCK_BYTES);
}

/* The block lies in a full span that nobody owns; the others of the span are bystanders. */
static void prepare_unowned_block(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	uint64_t off = world_allocate(world, process, BLOCK_BYTES);

	while (thread->cursors[block_class()].free_bits != 0) {
		world_allocate(world, process, BLOCK_BYTES);
		world->bystanders++;
	}
	span_give_up(thread, thread->cursors[block_class()].page);
	thread->cursors[block_class()] = (struct cursor){ .page = 0 };
	world->ghosts[process].kept[0] = off;
}

/* The block is the only one of a span that nobody owns: freeing it gives the pages back. */
static void prepare_last_block(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = world_allocate(world, process, BLOCK_BYTES);
	object_give_back(thread_of(world, process));
}

static void fill_span(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	do {
		world_allocate(world, process, BLOCK_BYTES);
		world->bystanders++;
	} while (thread->cursors[block_class()].free_bits != 0);
}

/* The thread's span is full, and its blocks are bystanders: allocation keeps the span and makes one. */
static void prepare_full_span(struct world *world, unsigned process)
{
	fill_span(world, process);
}

/* The same, and the thread keeps no more: allocation hands the span over. */
static void prepare_no_room(struct world *world, unsigned process)
{
	fill_span(world, process);
	world_allocate(world, process, 64);
	world->bystanders++;
	world_must(!owned_has_room(thread_of(world, process)), process);
}

/* The thread's span is full; in the one that it filled before, a block is free. */
static void prepare_kept_span(struct world *world, unsigned process)
{
	uint64_t off = world_allocate(world, process, BLOCK_BYTES);

	while (thread_of(world, process)->cursors[block_class()].free_bits != 0) {
		world_allocate(world, process, BLOCK_BYTES);
		world->bystanders++;
	}
	fill_span(world, process);
	object_free(thread_of(world, process), off);
}

/* Of the span that the thread filled before, one block is left. */
static void prepare_last_kept(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	uint64_t offs[4];
	unsigned count = 0;

	do
		offs[count++] = world_allocate(world, process, BLOCK_BYTES);
	while (thread->cursors[block_class()].free_bits != 0);
	prepare_own_span(world, process);
	while (--count > 0)
		object_free(thread, offs[count]);
	world->ghosts[process].kept[0] = offs[0];
}

/* A class of which a free block alone is not worth a visit. */
#define CROWDED_BYTES 256u
#define CROWDED 0x63726f77u /* kept[2]: the span was prepared, kept[3] is another block of it */

/* One block of a full span that nobody owns; of two workers, each has one. The last of two frees makes it
 * worth a visit. */
static void prepare_crowded(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	unsigned span_class = span_class_make(size_class_of(CROWDED_BYTES), false);

	if (kept(world, other(process), 2) == CROWDED) {
		world->ghosts[process].kept[0] = kept(world, other(process), 3);
		world->bystanders--;
		return;
	}
	world->ghosts[process].kept[0] = world_allocate(world, process, CROWDED_BYTES);
	world->ghosts[process].kept[2] = CROWDED;
	do {
		world->ghosts[process].kept[3] = world_allocate(world, process, CROWDED_BYTES);
		world->bystanders++;
	} while (thread->cursors[span_class].free_bits != 0);
	span_give_up(thread, thread->cursors[span_class].page);
	thread->cursors[span_class] = (struct cursor){ .page = 0 };
}

/* A listed span with room is there: allocation claims it. */
static void prepare_listed(struct world *world, unsigned process)
{
	world_allocate(world, process, BLOCK_BYTES);
	world->bystanders++;
	object_give_back(thread_of(world, process));
}

/* Spans of an earlier incarnation: a block of one, kept; the other worker's lies beside it. */
static void prepare_restart(struct world *world, unsigned process)
{
	(void)process;
	world->ghosts[process].kept[0] = world_allocate(world, 0, BLOCK_BYTES);
}

/* Gives everything back, and the slot. */
static uint64_t run_leave(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	object_give_back(thread);
	pages_give_back(thread);
	/* With a slot: a reaper without one is dead to the others. */
	if (thread->met_dead)
		thread->heap->reap(thread);
	thread->met_dead = false;
	slot_release(&world->image.heap.thread_slot[thread->slot], thread->tag);
	return 0;
}

static uint64_t run_trim(struct world *world, unsigned process)
{
	span_trim(thread_of(world, process), CHUNK_PAGES);
	return 0;
}

/* The pages of what was trimmed are used again. */
static uint64_t run_trim_allocate(struct world *world, unsigned process)
{
	run_trim(world, process);
	pages_give_back(thread_of(world, process));
	return run_allocate(world, process);
}

/* The span that a block was the last of is made one of another class, and given up with room. */
static uint64_t run_other_life(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	uint64_t result = run_free(world, process);
	int error;
	uint64_t head;

	pages_give_back(thread);
	head = span_create(thread, span_class_make(size_class_of(CROWDED_BYTES), false), &error);
	if (head != 0)
		span_give_up(thread, head);
	return result;
}

static uint64_t run_claim_give_back(struct world *world, unsigned process)
{
	uint64_t off = run_allocate(world, process);

	object_give_back(thread_of(world, process));
	return off;
}

/* --- users' errors -------------------------------------------------------------------------- */

#define SHARED UINT64_MAX /* kept[2]: both workers free the block that process 0 keeps */

static bool block_shared(const struct world *world)
{
	return kept(world, 0, 2) == SHARED && kept(world, 1, 2) == SHARED;
}

static void prepare_same(struct world *world, unsigned process,
	void (*prepare)(struct world *world, unsigned process))
{
	if (kept(world, 0, 2) == SHARED)
		world->ghosts[process].kept[0] = kept(world, 0, 0);
	else
		prepare(world, process);
	world->ghosts[process].kept[2] = SHARED;
}

static void prepare_same_block(struct world *world, unsigned process)
{
	prepare_same(world, process, prepare_unowned_block);
}

static void prepare_same_large(struct world *world, unsigned process)
{
	prepare_same(world, process, prepare_free_large);
}

/* Of two frees of one block one is refused. */
static const char *promise_freed_once(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	bool begun = false;
	bool freed = false;
	unsigned done = 0;
	unsigned first = block_shared(world) ? 0 : process;
	unsigned last = block_shared(world) ? 1 : process;

	(void)heap;
	for (unsigned i = first; i <= last; i++) {
		begun |= world_progress(world, i) != NOT_STARTED;
		done += world_progress(world, i) == DONE;
		freed |= world_progress(world, i) == DONE && world->ghosts[i].result == 0;
	}
	if (process == first) {
		blocks->least = begun ? 0 : 1;
		blocks->most = freed ? 0 : 1;
	}
	return done == 2 && (world->ghosts[0].result == 0) == (world->ghosts[1].result == 0)
		? "of two frees of one block not one was refused"
		: NULL;
}

/* Two blocks of the other worker's span, which is full: kept[0] below kept[1]. */
static void prepare_free_twice(struct world *world, unsigned process)
{
	prepare_others_block(world, process);
	world->ghosts[process].kept[1] = world_allocate(world, other(process), BLOCK_BYTES);
}

/* The owner gives out the lower block first. So the higher one stays free, and freeing it again is
 * refused. */
static uint64_t run_free_twice(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	object_free(thread, kept(world, process, 0));
	object_free(thread, kept(world, process, 1));
	return (uint64_t)object_free(thread, kept(world, process, 1));
}

static const char *promise_refused(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t result = world->ghosts[process].result;

	(void)heap;
	blocks->least = world_progress(world, process) == NOT_STARTED ? 2 : 0;
	blocks->most = world_progress(world, process) == DONE ? 0 : 2;
	/* SH_EBADPTR: the span is gone meanwhile. */
	return world_progress(world, process) == DONE && result != (uint64_t)SH_EDOUBLEFREE &&
			result != (uint64_t)SH_EBADPTR
		? "a second free of a block was not refused"
		: NULL;
}

/* --- transactions --------------------------------------------------------------------------- */

/* An earlier transaction, whose entry is still in the log. */
static void prepare_used_log(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	int error;

	transaction_begin(transaction, thread_of(world, process));
	transaction_allocate(transaction, 64, false, &error);
	transaction_commit(transaction);
	world->bystanders++;
}

/* kept[0]: a block to free, kept[1]: a bystander with a word at its start, kept[2]: an edited word's
 * place. */
static void prepare_transaction(struct world *world, unsigned process)
{
	prepare_unowned_block(world, process);
	world->ghosts[process].kept[1] = world_allocate(world, process, 64);
	world->bystanders++;
	prepare_used_log(world, process);
}

/* The same with a block of the thread's own span. */
static void prepare_transaction_own(struct world *world, unsigned process)
{
	prepare_own_block(world, process);
	world->ghosts[process].kept[1] = world_allocate(world, process, 64);
	world->bystanders++;
}

/* The same with a block of the other worker's span. */
static void prepare_transaction_others(struct world *world, unsigned process)
{
	prepare_others_block(world, process);
	world->ghosts[process].kept[1] = world_allocate(world, process, 64);
	world->bystanders++;
}

static uint64_t *word_of(const struct heap *heap, uint64_t off)
{
	return heap_at(heap, off);
}

/* Records, in the process's open transaction, a new block in place of that of kept[0], which is freed that
 * way, and edits a word. Returns the new block. */
static uint64_t record_replacement(struct world *world, unsigned process,
	int (*free)(struct transaction *transaction, uint64_t off))
{
	struct transaction *transaction = &world->transactions[process];
	uint64_t word = kept(world, process, 1);
	uint64_t off;
	int error;

	off = transaction_allocate(transaction, BLOCK_BYTES, false, &error);
	free(transaction, kept(world, process, 0));
	transaction_store(transaction, word, off);
	transaction_add(transaction, word + 8, 8);
	*word_of(&world->image.heap, word + 8) = 1;
	return off;
}

static uint64_t run_commit(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	uint64_t off;

	transaction_begin(transaction, thread_of(world, process));
	off = record_replacement(world, process, transaction_free);
	transaction_commit(transaction);
	return off;
}

/* Stored word, allocated and freed block: all or nothing. */
static const char *promise_publish(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t stored = *word_of(heap, kept(world, process, 1));

	*blocks = (struct contribution){ .least = 1, .most = 1 };
	if (stored != 0 && !world_live(heap, stored))
		return "a published block is free";
	if (stored == 0 && !world_live(heap, kept(world, process, 0)))
		return "half a transaction: rolled back, but the freed block is gone";
	if (world_progress(world, process) == DONE &&
		(stored == 0 || stored != world->ghosts[process].result))
		return "a committed transaction was not carried out";
	return world_progress(world, process) == NOT_STARTED && stored != 0
		? "a transaction that was not begun was carried out"
		: NULL;
}

/* A block of the thread's own span allocated and published, and a word edited, nothing freed. */
static uint64_t run_publish(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	struct heap *heap = &world->image.heap;
	uint64_t word = kept(world, process, 1);
	uint64_t off;
	int error;

	transaction_begin(transaction, thread_of(world, process));
	off = transaction_allocate(transaction, BLOCK_BYTES, false, &error);
	transaction_store(transaction, word + 16, off);
	transaction_add(transaction, word + 8, 8);
	*word_of(heap, word + 8) = 1;
	transaction_store(transaction, word, off);
	transaction_commit(transaction);
	return off;
}

static void prepare_publish(struct world *world, unsigned process)
{
	prepare_own_span(world, process);
	world->ghosts[process].kept[1] = world_allocate(world, process, 64);
	world->bystanders++;
	prepare_used_log(world, process);
}

/* Two stored words, an edited one and the block: all or nothing. */
static const char *promise_published(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	const uint64_t *words = word_of(heap, kept(world, process, 1));
	bool published = words[0] != 0;

	blocks->least = blocks->most = published ? 1 : 0;
	if (words[2] != words[0] || (words[1] == 1) != published)
		return "half a transaction: of three words not all are changed";
	if (published && !world_live(heap, words[0]))
		return "a published block is free";
	return world_progress(world, process) == DONE && !published
		? "a committed transaction was not carried out"
		: NULL;
}

/* The same, and an edited word. */
static const char *promise_commit(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t stored = *word_of(heap, kept(world, process, 1));
	uint64_t edited = *word_of(heap, kept(world, process, 1) + 8);

	return (stored != 0) == (edited == 1) ? promise_publish(world, process, heap, blocks)
					      : "half a transaction: of two words one is changed";
}

static uint64_t run_abort(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	struct heap *heap = &world->image.heap;
	uint64_t word = kept(world, process, 1);
	int error;

	transaction_begin(transaction, thread_of(world, process));
	transaction_allocate(transaction, BLOCK_BYTES, false, &error);
	transaction_free(transaction, kept(world, process, 0));
	transaction_add(transaction, word + 8, 8);
	*word_of(heap, word + 8) = 1;
	transaction_add(transaction, word + 8, 8);
	*word_of(heap, word + 8) = 2;
	transaction_abort(transaction);
	return 0;
}

static const char *promise_abort(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	*blocks = (struct contribution){ .least = 1, .most = 1 };
	if (*word_of(heap, kept(world, process, 1) + 8) != 0)
		return "an edit of an aborted transaction stands";
	return world_live(heap, kept(world, process, 0)) ? NULL : "an aborted free was carried out";
}

/* The block belongs to a span that a reaper owns. */
static void prepare_reapers_block(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = world_allocate(world, world->workers, BLOCK_BYTES);
	/* Two caches hold all pages that there are. */
	pages_give_back(thread_of(world, world->workers));
}

static uint64_t run_commit_free(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];

	transaction_begin(transaction, thread_of(world, process));
	transaction_free(transaction, kept(world, process, 0));
	transaction_commit(transaction);
	return 0;
}

/* Two blocks of the other worker's span are freed: kept[0] and kept[2]. */
static void prepare_two_frees(struct world *world, unsigned process)
{
	prepare_transaction_others(world, process);
	world->ghosts[process].kept[2] = world_allocate(world, other(process), BLOCK_BYTES);
}

/* The last two of a span that nobody owns. */
static void prepare_last_two(struct world *world, unsigned process)
{
	/* The lower one is freed last: whoever gets the pages gets it first. */
	world->ghosts[process].kept[2] = world_allocate(world, process, BLOCK_BYTES);
	world->ghosts[process].kept[0] = world_allocate(world, process, BLOCK_BYTES);
	world->ghosts[process].kept[1] = world_allocate(world, process, 64);
	world->bystanders++;
	object_give_back(thread_of(world, process));
}

static uint64_t run_two_frees(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];

	transaction_begin(transaction, thread_of(world, process));
	transaction_free(transaction, kept(world, process, 0));
	transaction_free(transaction, kept(world, process, 2));
	transaction_store(transaction, kept(world, process, 1), 1);
	transaction_commit(transaction);
	return 0;
}

static const char *promise_two_frees(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	bool stored = *word_of(heap, kept(world, process, 1)) != 0;

	blocks->least = stored ? 0 : 2;
	blocks->most = stored ? 0 : 2;
	if (!stored &&
		(!world_live(heap, kept(world, process, 0)) ||
			!world_live(heap, kept(world, process, 2))))
		return "half a transaction: rolled back, but a freed block is gone";
	return world_progress(world, process) == DONE && !stored
		? "a committed transaction was not carried out"
		: NULL;
}

/* The span of the allocated block is given up before the transaction ends. */
static uint64_t run_abort_given_up(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	struct thread *thread = thread_of(world, process);
	int error;

	transaction_begin(transaction, thread);
	transaction_allocate(transaction, BLOCK_BYTES, false, &error);
	object_give_back(thread);
	transaction_abort(transaction);
	return 0;
}

/* Two large blocks are allocated, and neither stays. */
static uint64_t run_abort_large(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	int error;

	transaction_begin(transaction, thread_of(world, process));
	transaction_allocate(transaction, LARGE_BYTES, false, &error);
	transaction_allocate(transaction, LARGE_BYTES, false, &error);
	transaction_abort(transaction);
	return 0;
}

/* Large blocks: kept[0] is freed, another is allocated and published in kept[1]'s word. */
static void prepare_transaction_large(struct world *world, unsigned process)
{
	prepare_free_large(world, process);
	world->ghosts[process].kept[1] = world_allocate(world, process, 64);
	world->bystanders++;
}

static uint64_t run_commit_large(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	uint64_t off;
	int error;

	transaction_begin(transaction, thread_of(world, process));
	off = transaction_allocate(transaction, LARGE_BYTES, false, &error);
	transaction_free(transaction, kept(world, process, 0));
	transaction_store(transaction, kept(world, process, 1), off);
	transaction_commit(transaction);
	return off;
}

/* A log that does not fit its slot: one long range. */
static uint64_t run_long_log(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	struct heap *heap = &world->image.heap;
	uint64_t word = kept(world, process, 1);
	int error;
	uint64_t off;

	transaction_begin(transaction, thread_of(world, process));
	off = transaction_allocate(transaction, BLOCK_BYTES, false, &error);
	transaction_free(transaction, kept(world, process, 0));
	transaction_add(transaction, kept(world, process, 2), LOG_INLINE_ENTRIES * LOG_ENTRY_BYTES);
	transaction_store(transaction, word, off);
	transaction_add(transaction, word + 8, 8);
	*word_of(heap, word + 8) = 1;
	transaction_commit(transaction);
	return off;
}

static void prepare_long_log(struct world *world, unsigned process)
{
	prepare_transaction(world, process);
	world->ghosts[process].kept[2] = world_allocate(world, process, 2 * BLOCK_BYTES);
	world->bystanders++;
}

/* --- resizing ------------------------------------------------------------------------------- */

#define SMALLER_BYTES (17 * PAGE_BYTES)

/* Large blocks of 20 pages, or of 17. */
static void prepare_smaller(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = world_allocate_large(world, process, SMALLER_BYTES);
}

static uint64_t run_shrink(struct world *world, unsigned process)
{
	return span_resize_large(thread_of(world, process), kept(world, process, 0) >> PAGE_SHIFT,
		SMALLER_BYTES);
}

static uint64_t run_grow(struct world *world, unsigned process)
{
	return span_resize_large(thread_of(world, process), kept(world, process, 0) >> PAGE_SHIFT,
		LARGE_BYTES);
}

static uint64_t run_shrink_free(struct world *world, unsigned process)
{
	run_shrink(world, process);
	return run_free(world, process);
}

static const char *promise_resized(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks, uint64_t before, uint64_t after)
{
	uint64_t off = kept(world, process, 0);
	enum progress progress = world_progress(world, process);
	uint64_t bytes = span_of_head(heap, off >> PAGE_SHIFT)->bytes;

	*blocks = (struct contribution){ .least = 1, .most = 1 };
	if (!world_live(heap, off))
		return "a block that was resized is gone";
	if (bytes != before && bytes != after)
		return "a block was resized to another size";
	if (progress == NOT_STARTED && bytes != before)
		return "a block that nobody resized is another size";
	return progress == DONE && (bytes == after) != (world->ghosts[process].result != 0)
		? "a resize says what it did not do"
		: NULL;
}

static const char *promise_shrunk(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	const char *broken =
		promise_resized(world, process, heap, blocks, LARGE_BYTES, SMALLER_BYTES);

	if (broken != NULL || world_progress(world, process) != DONE)
		return broken;
	return world->ghosts[process].result == 0 ? "a block did not shrink" : NULL;
}

static const char *promise_grown(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	return promise_resized(world, process, heap, blocks, SMALLER_BYTES, LARGE_BYTES);
}

/* --- manual runs ---------------------------------------------------------------------------- */

#define MANUAL_PAGES 5u
#define PART_AT 1u /* of the part that is freed */
#define PART_PAGES 2u

static uint64_t manual(struct world *world, unsigned process, uint64_t npages)
{
	int error;

	return manual_allocate(thread_of(world, process), npages, RUN_IO, &error);
}

static uint64_t run_manual(struct world *world, unsigned process)
{
	return manual(world, process, MANUAL_PAGES);
}

/* kept[0]: the run's first page. */
static void prepare_manual(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = manual(world, process, MANUAL_PAGES);
}

/* Whether pages are in runs, and listed as targets of I/O. */
static bool in_runs(const struct heap *heap, uint64_t page, uint64_t npages)
{
	for (uint64_t i = 0; i < npages; i++) {
		uint64_t head = manual_find(heap, page + i);

		if (head == 0 || span_of_head(heap, head)->run_flags != RUN_IO)
			return false;
	}
	return true;
}

static const char *promise_manual(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	enum progress progress = world_progress(world, process);

	blocks->least_pages = progress == DONE ? MANUAL_PAGES : 0;
	blocks->most_pages = progress == NOT_STARTED ? 0 : MANUAL_PAGES;
	return progress == DONE && !in_runs(heap, world->ghosts[process].result, MANUAL_PAGES)
		? "a run that was allocated is gone"
		: NULL;
}

#define ZEROED_PAGES 2u

/* Asks for zeros, as far as a page's first word goes, and leaves something else. Aligned, so that it does
 * not come from the page cache. */
static uint64_t run_zeroed(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	struct heap *heap = &world->image.heap;
	int error;
	uint64_t head = manual_allocate(thread, ZEROED_PAGES, RUN_HUGE, &error);
	uint64_t found = 0;

	for (uint64_t page = head; head != 0 && page < head + ZEROED_PAGES; page++) {
		if (page < thread->zero_from)
			*word_of(heap, page_offset(page)) = 0;
		found |= *word_of(heap, page_offset(page));
		*word_of(heap, page_offset(page)) = 1;
	}
	return found == 0 ? head : UINT64_MAX;
}

/* Pages that were free before hold something. */
static void prepare_dirty(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;

	run_zeroed(world, process);
	for (uint64_t at = 0; (at = manual_next_head(heap, at, ARENA_PAGES)) < ARENA_PAGES;)
		manual_free(thread_of(world, process), at, ZEROED_PAGES);
	pages_give_back(thread_of(world, process));
}

static const char *promise_zeroed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	enum progress progress = world_progress(world, process);
	uint64_t first = arena_first_chunk(heap, 0) << CHUNK_PAGES_SHIFT;
	uint64_t touched = heap->directory[0].touched;

	blocks->least_pages = progress == DONE ? ZEROED_PAGES : 0;
	blocks->most_pages = progress == NOT_STARTED ? 0 : ZEROED_PAGES;
	for (uint64_t page = touched > first ? touched : first; page < ARENA_PAGES; page++)
		if (*word_of(heap, page_offset(page)) != 0)
			return "a page that counts as never touched is dirty";
	if (progress != DONE)
		return NULL;
	if (world->ghosts[process].result == UINT64_MAX)
		return "pages that were asked for as zeros are dirty";
	return manual_find(heap, world->ghosts[process].result) != 0
		? NULL
		: "a run that was allocated is gone";
}

/* Of `had` pages `freed` go, or none. */
static const char *promise_pages_freed(const struct world *world, unsigned process,
	struct contribution *blocks, uint64_t had, uint64_t freed)
{
	enum progress progress = world_progress(world, process);

	blocks->least_pages = progress == NOT_STARTED ? had : had - freed;
	blocks->most_pages = progress == DONE ? had - freed : had;
	return progress == DONE && world->ghosts[process].result != 0 ? "a free was refused" : NULL;
}

/* --- runs of two arenas --------------------------------------------------------------------- */

/* One page more than an arena has room for. */
#define ROW_PAGES ((ARENA_CHUNKS - ZONE_CHUNKS) * CHUNK_PAGES + 1)

static uint64_t run_row(struct world *world, unsigned process)
{
	return manual(world, process, ROW_PAGES);
}

/* Its user leaves something in both arenas. */
static void prepare_row(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	uint64_t head = manual(world, process, ROW_PAGES);

	*word_of(heap, page_offset(head)) = 1;
	*word_of(heap, ARENA_BYTES) = 1;
	*word_of(heap, page_offset(head + ROW_PAGES) - 8) = 1;
	world->ghosts[process].kept[0] = head;
}

/* Two at once do not fit. */
static const char *promise_row(const struct world *world, unsigned process, const struct heap *heap,
	struct contribution *blocks)
{
	enum progress progress = world_progress(world, process);
	bool failed = progress == DONE && world->ghosts[process].result == 0;

	blocks->least_pages = progress == DONE && !failed ? ROW_PAGES : 0;
	blocks->most_pages = progress == NOT_STARTED || failed ? 0 : ROW_PAGES;
	if (progress != DONE || failed)
		return NULL;
	return in_runs(heap, world->ghosts[process].result, 1) && in_runs(heap, ARENA_PAGES, 1)
		? NULL
		: "a run that was allocated is gone";
}

static uint64_t run_free_row(struct world *world, unsigned process)
{
	return (uint64_t)manual_free(thread_of(world, process), kept(world, process, 0), ROW_PAGES);
}

static const char *promise_row_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)heap;
	return promise_pages_freed(world, process, blocks, ROW_PAGES, ROW_PAGES);
}

/* What lies in the second arena, or all but the first three pages. */
static uint64_t run_free_continuation(struct world *world, unsigned process)
{
	return (uint64_t)manual_free(thread_of(world, process), ARENA_PAGES,
		kept(world, process, 0) + ROW_PAGES - ARENA_PAGES);
}

static const char *promise_continuation_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t page = kept(world, process, 0);

	if (!in_runs(heap, page, ARENA_PAGES - page))
		return "a free took more than its part of a run";
	return promise_pages_freed(world, process, blocks, ROW_PAGES,
		page + ROW_PAGES - ARENA_PAGES);
}

static uint64_t run_free_row_rest(struct world *world, unsigned process)
{
	return (uint64_t)manual_free(thread_of(world, process), kept(world, process, 0) + 3,
		ROW_PAGES - 3);
}

static const char *promise_row_rest_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	if (!in_runs(heap, kept(world, process, 0), 3))
		return "a free took more than its part of a run";
	return promise_pages_freed(world, process, blocks, ROW_PAGES, ROW_PAGES - 3);
}

/* A large block of two arenas that shrinks. */
static void prepare_large_row(struct world *world, unsigned process)
{
	uint64_t off = world_allocate_large(world, process, ROW_PAGES * PAGE_BYTES);

	*word_of(&world->image.heap, ARENA_BYTES) = 1;
	world->ghosts[process].kept[0] = off;
}

static uint64_t run_shrink_row(struct world *world, unsigned process)
{
	return span_resize_large(thread_of(world, process), kept(world, process, 0) >> PAGE_SHIFT,
		SMALLER_BYTES);
}

static const char *promise_row_shrunk(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	return promise_resized(world, process, heap, blocks, ROW_PAGES * PAGE_BYTES, SMALLER_BYTES);
}

/* Grows by a chunk: the first arena's last one, or the second arena's first. */
static const char *promise_grown_beside(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	if (world_progress(world, process) == DONE && world->ghosts[process].result == 0)
		return NULL;
	return promise_allocated(world, process, heap, blocks);
}

/* --- frees of runs -------------------------------------------------------------------------- */

static uint64_t run_free_manual(struct world *world, unsigned process)
{
	return (uint64_t)manual_free(thread_of(world, process), kept(world, process, 0),
		MANUAL_PAGES);
}

static const char *promise_manual_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	if (world_progress(world, process) == NOT_STARTED &&
		!in_runs(heap, kept(world, process, 0), MANUAL_PAGES))
		return "a run that nobody freed is gone";
	return promise_pages_freed(world, process, blocks, MANUAL_PAGES, MANUAL_PAGES);
}

static uint64_t run_free_part(struct world *world, unsigned process)
{
	return (uint64_t)manual_free(thread_of(world, process), kept(world, process, 0) + PART_AT,
		PART_PAGES);
}

/* What is before and behind the part stays. */
static const char *promise_part_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t page = kept(world, process, 0);
	uint64_t behind = PART_AT + PART_PAGES;

	if (!in_runs(heap, page, PART_AT) || !in_runs(heap, page + behind, MANUAL_PAGES - behind))
		return "a free took more than its part of a run";
	if (world_progress(world, process) == NOT_STARTED &&
		!in_runs(heap, page + PART_AT, PART_PAGES))
		return "a part of a run that nobody freed is gone";
	return promise_pages_freed(world, process, blocks, MANUAL_PAGES, PART_PAGES);
}

/* Three runs beside each other. */
static void prepare_adjacent(struct world *world, unsigned process)
{
	world->ghosts[process].kept[0] = manual(world, process, 2);
	manual(world, process, 1);
	manual(world, process, 2);
}

static uint64_t run_free_adjacent(struct world *world, unsigned process)
{
	return (uint64_t)manual_free(thread_of(world, process), kept(world, process, 0) + 1, 3);
}

static const char *promise_adjacent_freed(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t page = kept(world, process, 0);

	if (!in_runs(heap, page, 1) || !in_runs(heap, page + 4, 1))
		return "a free took more than its part of the runs";
	return promise_pages_freed(world, process, blocks, 5, 3);
}

/* Frees a part, then allocates as many pages in another way: what was freed is used again. */
static uint64_t run_free_part_reuse(struct world *world, unsigned process)
{
	run_free_part(world, process);
	pages_give_back(thread_of(world, process));
	return run_allocate(world, process);
}

static const char *promise_part_reused(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	struct contribution freed = { .least = 0 };
	uint64_t page = kept(world, process, 0);
	enum progress progress = world_progress(world, process);

	if (!in_runs(heap, page, PART_AT))
		return "a free took more than its part of a run";
	freed.least_pages = progress == NOT_STARTED ? MANUAL_PAGES : MANUAL_PAGES - PART_PAGES;
	freed.most_pages = progress == DONE ? MANUAL_PAGES - PART_PAGES : MANUAL_PAGES;
	*blocks = freed;
	return promise_allocated(world, process, heap, blocks);
}

static void prepare_same_manual(struct world *world, unsigned process)
{
	prepare_same(world, process, prepare_manual);
}

/* Both free the run; each the other's part of it, too. */
static const char *promise_manual_freed_once(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	const char *broken = promise_freed_once(world, process, heap, blocks);

	blocks->least_pages = blocks->least * MANUAL_PAGES;
	blocks->most_pages = blocks->most * MANUAL_PAGES;
	blocks->least = 0;
	blocks->most = 0;
	return broken;
}

/* --- roots ---------------------------------------------------------------------------------- */

static void root_words(unsigned process, uint64_t name[ROOT_NAME_BYTES / 8])
{
	(void)process;
	root_name("shared", name);
}

#define ROOT_BEFORE 64u

static uint64_t root_value(unsigned process)
{
	return 16 * (process + 1);
}

static void prepare_root(struct world *world, unsigned process)
{
	uint64_t name[ROOT_NAME_BYTES / 8];

	root_words(process, name);
	root_set(thread_of(world, process), name, ROOT_BEFORE);
}

/* Returns the value that it found. */
static uint64_t run_root(struct world *world, unsigned process)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	uint64_t before;

	root_words(process, name);
	root_get(&world->image.heap, name, &before);
	root_set(thread_of(world, process), name, root_value(process));
	return before;
}

static const char *promise_root(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	uint64_t value;

	(void)blocks;
	root_words(process, name);
	root_get(heap, name, &value);
	if (value != root_value(0) && value != root_value(1) && value != ROOT_BEFORE)
		return "a root has a value that nobody set";
	if (world_progress(world, process) != DONE)
		return NULL;
	if (value == ROOT_BEFORE)
		return "a root that was set has its old value";
	/* Set after the other worker's value was seen. */
	return world->ghosts[process].result == root_value(other(process)) &&
			value != root_value(process)
		? "a root's older value came back"
		: NULL;
}

static uint64_t run_root_transaction(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];

	transaction_begin(transaction, thread_of(world, process));
	transaction_root(transaction, "shared", 16 * (process + 1));
	transaction_commit(transaction);
	return 0;
}

/* --- locks and slots ------------------------------------------------------------------------ */

/* A mutex of the heap: the last process's reserved words in the bystander block. */
static void settle_holder(void *argument, uint64_t dead)
{
	struct thread *thread = argument;

	if (thread->heap->reap != NULL)
		while (atomic_load(&thread->heap->thread_slot[tag_slot(dead)].owner) == dead)
			thread->heap->reap(thread);
}

/* Both workers use the word in the block that process 0 keeps. */
static void prepare_mutex(struct world *world, unsigned process)
{
	if (world->ghosts[other(process)].kept[3] == 0) {
		world->ghosts[process].kept[3] = world_allocate(world, process, 64);
		world->bystanders++;
	} else {
		world->ghosts[process].kept[3] = world->ghosts[other(process)].kept[3];
	}
}

/* Two words edited under the mutex, in a transaction: always equal for who holds it. */
static uint64_t run_mutex(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	struct thread *thread = thread_of(world, process);
	struct transaction *transaction = &world->transactions[process];
	uint64_t off = kept(world, process, 3);
	_Atomic uint64_t *word = heap_at(heap, off);
	uint64_t broken;

	lock_acquire_settled(word, thread->tag, &heap->system, settle_holder, thread);
	broken = *word_of(heap, off + 16) != *word_of(heap, off + 24);
	transaction_begin(transaction, thread);
	transaction_add(transaction, off + 16, 16);
	*word_of(heap, off + 16) += 1;
	*word_of(heap, off + 24) += 1;
	transaction_commit(transaction);
	lock_release(word, &heap->system);
	return broken;
}

static const char *promise_mutex(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)heap;
	(void)blocks;
	return world_progress(world, process) == DONE && world->ghosts[process].result != 0
		? "under the mutex, a half-made edit of the dead was seen"
		: NULL;
}

/* A second thread of the process comes and goes. */
static uint64_t run_slot(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	uint32_t slot = slot_claim(heap->header, heap->thread_slot, process);
	uint64_t serial;
	uint64_t tag;

	if (slot == SLOT_NONE)
		return 1;
	serial = atomic_fetch_add(&heap->running->next_serial, 1) + 1;
	tag = tag_make(slot, serial);
	slot_confirm(&heap->thread_slot[slot], tag, process, false);
	slot_release(&heap->thread_slot[slot], tag);
	return 0;
}

/* Reaps, gives its slot back, and works on in the lowest free one: that of the dead. */
static uint64_t run_move(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	struct thread *thread = thread_of(world, process);
	uint32_t slot;
	uint64_t tag;

	heap->reap(thread);
	run_leave(world, process);
	slot = slot_claim(heap->header, heap->thread_slot, process);
	if (slot == SLOT_NONE)
		return 0;
	tag = tag_make(slot, atomic_fetch_add(&heap->running->next_serial, 1) + 1);
	world->lives[process] = tag;
	slot_confirm(&heap->thread_slot[slot], tag, process, false);
	thread_init(thread, heap, slot, tag);
	return run_allocate(world, process);
}

/* --- detached transactions ------------------------------------------------------------------ */

/* The thread's page cache goes: with those of the transactions it would hold all pages. */
static void prepare_detached(struct world *world, unsigned process)
{
	prepare_transaction(world, process);
	pages_give_back(thread_of(world, process));
}

/* Begins the process's detached transaction in a slot of its own. */
static struct transaction *begin_detached(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	uint32_t slot = slot_claim(heap->header, heap->thread_slot, process);
	uint64_t tag;

	if (slot == SLOT_NONE)
		return NULL;
	tag = tag_make(slot, atomic_fetch_add(&heap->running->next_serial, 1) + 1);
	world->detached_lives[process] = tag;
	slot_confirm(&heap->thread_slot[slot], tag, process, false);
	thread_init(&world->detached[process], heap, slot, tag);
	transaction_begin(&world->transactions[process], &world->detached[process]);
	return &world->transactions[process];
}

/* Commits it, and gives the slot back. */
static void end_detached(struct world *world, unsigned process)
{
	struct thread *thread = &world->detached[process];

	transaction_commit(&world->transactions[process]);
	object_give_back(thread);
	pages_give_back(thread);
	if (thread->met_dead)
		thread->heap->reap(thread);
	thread->met_dead = false;
	slot_release(&world->image.heap.thread_slot[thread->slot], thread->tag);
}

static uint64_t run_detached(struct world *world, unsigned process)
{
	uint64_t off;

	begin_detached(world, process);
	off = record_replacement(world, process, transaction_free);
	end_detached(world, process);
	return off;
}

static void settle_detached_holder(void *argument, uint64_t dead)
{
	reap_thread(argument, dead);
}

/* As run_mutex(): the mutex is the thread's, the transaction nobody's. */
static uint64_t run_detached_mutex(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	struct thread *thread = thread_of(world, process);
	struct transaction *transaction;
	uint64_t off = kept(world, process, 3);
	_Atomic uint64_t *word = heap_at(heap, off);
	uint64_t broken;

	lock_acquire_settled(word, thread->tag, &heap->system, settle_detached_holder, thread);
	broken = *word_of(heap, off + 16) != *word_of(heap, off + 24);
	transaction = begin_detached(world, process);
	transaction_add(transaction, off + 16, 16);
	*word_of(heap, off + 16) += 1;
	*word_of(heap, off + 24) += 1;
	end_detached(world, process);
	broken |= *word_of(heap, off + 16) != *word_of(heap, off + 24);
	lock_release(word, &heap->system);
	return broken;
}

/* --- readers and deferred frees --------------------------------------------------------------- */

static uint64_t run_defer(struct world *world, unsigned process)
{
	return (uint64_t)deferred_free(thread_of(world, process), kept(world, process, 0));
}

/* One drain copies the batch, the next one applies it. */
static uint64_t run_defer_drain(struct world *world, unsigned process)
{
	uint64_t error = run_defer(world, process);

	deferred_drain(thread_of(world, process));
	deferred_drain(thread_of(world, process));
	return error;
}

/* A block of the process's own span is in limbo already; the span is full, so an allocation collects. */
static void prepare_deferred(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	prepare_own_block(world, process);
	while (thread->cursors[block_class()].free_bits != 0)
		prepare_own_span(world, process);
	world_must(deferred_free(thread, kept(world, process, 0)) == 0, process);
}

/* What was drained is collected and given out. */
static uint64_t run_drain_allocate(struct world *world, unsigned process)
{
	deferred_drain(thread_of(world, process));
	deferred_drain(thread_of(world, process));
	return run_allocate(world, process);
}

/* The batch waits: a first drain has copied it. */
static void prepare_batch(struct world *world, unsigned process)
{
	prepare_deferred(world, process);
	deferred_drain(thread_of(world, process));
}

/* The batch has what the other worker, who was prepared first, has in limbo. */
static void prepare_others_batch(struct world *world, unsigned process)
{
	deferred_drain(thread_of(world, process));
}

static uint64_t run_commit_deferred(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];
	uint64_t off;

	transaction_begin(transaction, thread_of(world, process));
	off = record_replacement(world, process, transaction_free_deferred);
	transaction_commit(transaction);
	deferred_drain(thread_of(world, process));
	return off;
}

/* Drains what may be half done, of which the log must not free more than once. */
static uint64_t run_commit_deferred_free(struct world *world, unsigned process)
{
	struct transaction *transaction = &world->transactions[process];

	transaction_begin(transaction, thread_of(world, process));
	transaction_free_deferred(transaction, kept(world, process, 0));
	transaction_commit(transaction);
	return 0;
}

static bool is_live_small(const struct heap *heap, uint64_t off)
{
	struct block block;

	return block_find(heap, off, &block) == 0 && block.bit != 0 && block_is_live(&block);
}

/* Whether the small block's bits say that it may not be given out. */
static bool is_held(const struct heap *heap, uint64_t off)
{
	struct block block;

	return block_find(heap, off, &block) == 0 && block.bit != 0 &&
		(atomic_load(span_freed(heap, block.head, block.word)) & block.bit) == 0 &&
		(atomic_load(span_allocated(heap, block.head, block.word)) & block.bit) != 0;
}

/* The other worker's span is noted, and nothing of it is in limbo. */
static void prepare_noted(struct world *world, unsigned process)
{
	struct block block;

	prepare_others_block(world, process);
	world->bystanders++;
	world_must(block_find(&world->image.heap, kept(world, process, 0), &block) == 0, process);
	deferred_note(&world->image.heap, block.head);
}

static uint64_t run_drain(struct world *world, unsigned process)
{
	deferred_drain(thread_of(world, process));
	return 0;
}

/* The pages of a large block that was drained are another one's. */
static uint64_t run_drain_large(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	deferred_drain(thread);
	deferred_drain(thread);
	pages_give_back(thread);
	parked_release(thread);
	return run_large(world, process);
}

/* Finds the other's block in a section, and looks whether it stays what it was until the end. Then frees
 * its own, drains, and allocates. 1: it did not. */
static uint64_t run_read_defer(struct world *world, unsigned process)
{
	struct heap *heap = &world->image.heap;
	struct thread *thread = thread_of(world, process);
	uint64_t theirs = kept(world, other(process), 0);
	bool broken;

	thread_begin_reading(thread);
	broken = is_live_small(heap, theirs) && !is_held(heap, theirs);
	thread_end_reading(thread);
	run_defer_drain(world, process);
	return broken;
}

/* Defers a block that it was just given, which may have been drained before, in a section, and drains `drains`
 * times: it stays held until the end, whoever drains. 1: it did not. */
static bool breaks_when_deferred(struct world *world, unsigned process, uint64_t off,
	unsigned drains)
{
	struct thread *thread = thread_of(world, process);
	bool broken;

	thread_begin_reading(thread);
	deferred_free(thread, off);
	for (unsigned i = 0; i < drains; i++)
		deferred_drain(thread);
	broken = !is_held(&world->image.heap, off);
	thread_end_reading(thread);
	return broken;
}

static uint64_t run_reuse_defer(struct world *world, unsigned process)
{
	deferred_drain(thread_of(world, process));
	return breaks_when_deferred(world, process, run_allocate(world, process), 2);
}

static const char *promise_held(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)heap;
	blocks->most = world_progress(world, process) == RUNNING ? 1 : 0;
	return world_progress(world, process) == DONE && world->ghosts[process].result != 0
		? "a block was freed in the section in which it was deferred"
		: NULL;
}

/* Whether the record of the large block changes in a section that found it. */
static bool changes_while_read(struct thread *thread, uint64_t head)
{
	const struct heap *heap = thread->heap;
	struct span_record record;
	bool broken;

	thread_begin_reading(thread);
	record = span_record_read(heap, head);
	broken = span_record_stands(heap, head, &record) &&
		span_record_read(heap, head).generation != record.generation;
	thread_end_reading(thread);
	return broken;
}

/* Both look at the other's large block and free their own; process 0 makes its pages a span of objects. */
static uint64_t run_read_reuse(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	uint64_t theirs = kept(world, other(process), 0) >> PAGE_SHIFT;
	uint64_t broken = changes_while_read(thread, theirs);
	int error;

	object_free(thread, kept(world, process, 0));
	if (process != 0)
		return broken;
	pages_give_back(thread);
	parked_release(thread);
	span_create(thread, other_class(), &error);
	return broken;
}

/* --- pages that wait --------------------------------------------------------------------------- */

/* Process 1 frees two large blocks, the second one in a section: it waits for the end of that. Process 0 helps. */
static void prepare_parked(struct world *world, unsigned process)
{
	thread_begin_reading(thread_of(world, process));
	thread_end_reading(thread_of(world, process));
	if (process == 0)
		return;
	prepare_free_large(world, process);
	world->ghosts[process].kept[3] = world_allocate_large(world, process, LARGE_BYTES);
}

static void free_and_park(struct thread *thread, uint64_t off)
{
	object_free(thread, off);
	pages_give_back(thread);
}

/* 1: the pages of the block were free before the end of the section in which it was freed. */
static bool breaks_when_parked(struct thread *thread, uint64_t off)
{
	const struct page_index *pages = &thread->heap->pages;
	bool broken;

	thread_begin_reading(thread);
	free_and_park(thread, off);
	parked_release(thread);
	broken = page_bits_range_is_set(pages->free_words, off >> PAGE_SHIFT, 1);
	thread_end_reading(thread);
	return broken;
}

/* Any grace period, as if somebody else had asked for one. */
static uint64_t poll_and_release(struct thread *thread)
{
	const struct heap *heap = thread->heap;

	rcu_poll(&heap->rcu, &heap->system, rcu_tag(&heap->rcu), NULL);
	parked_release(thread);
	return 0;
}

/* Both blocks are parked at a time. */
static uint64_t run_park_two(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	if (process == 0)
		return poll_and_release(thread);
	free_and_park(thread, kept(world, process, 0));
	return breaks_when_parked(thread, kept(world, process, 3));
}

/* The first one is gone. */
static uint64_t run_park_twice(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	if (process == 0)
		return poll_and_release(thread);
	free_and_park(thread, kept(world, process, 0));
	parked_release(thread);
	return breaks_when_parked(thread, kept(world, process, 3));
}

static const char *promise_parked(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)heap;
	if (process == 0)
		return NULL;
	blocks->least = world_progress(world, process) == NOT_STARTED ? 2 : 0;
	blocks->most = world_progress(world, process) == DONE ? 0 : 2;
	return world_progress(world, process) == DONE && world->ghosts[process].result != 0
		? "pages were free in the section in which their block was freed"
		: NULL;
}

static const char *promise_unbroken(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)heap;
	blocks->least = world_progress(world, process) == NOT_STARTED ? 1 : 0;
	blocks->most = world_progress(world, process) == DONE ? 0 : 1;
	return world_progress(world, process) == DONE && world->ghosts[process].result != 0
		? "what a reader found changed before the end of its section"
		: NULL;
}

/* --- one block freed and deferred: both can be accepted ----------------------------------------- */

/* Process 0 frees kept[0], process 1 defers it. What it was is given out again only when both are done: a
 * free that comes later is lawful. */
static void set_done(struct world *world, unsigned process)
{
	world->ghosts[process].kept[1] = 1;
}

static bool is_done(const struct world *world, unsigned process)
{
	return kept(world, process, 1) != 0;
}

static uint64_t defer_beside_free(struct world *world, unsigned process)
{
	uint64_t error = run_defer(world, process);

	set_done(world, process);
	deferred_drain(thread_of(world, process));
	deferred_drain(thread_of(world, process));
	return error;
}

/* A block of a full span of process 0's, and a lower one, kept[3]. */
static void prepare_free_and_defer(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	if (process != 0) {
		world->ghosts[process].kept[0] = kept(world, 0, 0);
		return;
	}
	world->ghosts[process].kept[3] = world_allocate(world, process, BLOCK_BYTES);
	world->ghosts[process].kept[0] = world_allocate(world, process, BLOCK_BYTES);
	while (thread->cursors[block_class()].free_bits != 0)
		prepare_own_span(world, process);
}

/* The first allocation collects both, and gives the lower one out. */
static uint64_t run_free_and_defer(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);

	if (process != 0)
		return defer_beside_free(world, process);
	object_free(thread, kept(world, process, 3));
	object_free(thread, kept(world, process, 0));
	run_allocate(world, process);
	return is_done(world, 1) ? run_allocate(world, process) : 0;
}

static const char *promise_free_and_defer(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	uint64_t result = world->ghosts[process].result;

	if (process != 0)
		return NULL;
	blocks->most = 2;
	if (world_progress(world, process) != DONE)
		return NULL;
	blocks->least = blocks->most = result != 0 ? 2 : 1;
	return result == 0 || world_live(heap, result) ? NULL : "an allocated block is free";
}

/* The only block of a span that nobody owns. */
static void prepare_free_and_defer_last(struct world *world, unsigned process)
{
	if (process == 0)
		prepare_last_block(world, process);
	else
		world->ghosts[process].kept[0] = kept(world, 0, 0);
}

/* The span's pages become one of another class, whose first block is allocated, and deferred in a section. 1: it
 * was freed before the end. */
static uint64_t run_free_and_defer_last(struct world *world, unsigned process)
{
	struct thread *thread = thread_of(world, process);
	uint64_t off;
	int error;

	if (process != 0)
		return defer_beside_free(world, process);
	object_free(thread, kept(world, process, 0));
	if (!is_done(world, 1))
		return 0;
	pages_give_back(thread);
	parked_release(thread);
	off = object_allocate(thread, other_class(), &error);
	return !is_live_small(&world->image.heap, off) ||
		breaks_when_deferred(world, process, off, 0);
}

static const char *promise_last_held(const struct world *world, unsigned process,
	const struct heap *heap, struct contribution *blocks)
{
	(void)heap;
	if (process != 0)
		return NULL;
	blocks->most = world_progress(world, 0) == DONE ? 0 : 1;
	return world_progress(world, process) == DONE && world->ghosts[process].result != 0
		? "a free of another life of the span hit a block"
		: NULL;
}

/* Of a pair the later one in the table is prepared first, as process 0. So what leaves listed spans,
 * which other preparations would claim, comes early. */
const struct operation operations[] = {
	{ "move to another slot, allocate", 0, VARIANT, prepare_own_span, run_move,
		promise_allocated },
	{ "claim listed span", 0, CORE, prepare_listed, run_allocate, promise_allocated },
	{ "allocate two", 0, VARIANT, NULL, run_allocate_two, promise_two_allocated },
	{ "claim listed span, give it back", 0, VARIANT, prepare_listed, run_claim_give_back,
		promise_allocated },
	{ "free last block, retire", 0, CORE, prepare_last_block, run_free, promise_freed },
	{ "free last block, other class there", 0, VARIANT, prepare_last_block, run_other_life,
		promise_freed },
	{ "trim", 0, ORDINARY, prepare_listed, run_trim, promise_nothing },
	{ "trim, allocate", 0, VARIANT, NULL, run_trim_allocate, promise_allocated },
	{ "commit last two frees", 0, VARIANT, prepare_last_two, run_two_frees, promise_two_frees },
	{ "take pages from the cache", 0, ORDINARY, prepare_cached, run_take_pages, promise_span },
	{ "take cached pages, others free beside", 0, VARIANT, prepare_cached_beside,
		run_take_pages, promise_span },
	{ "fill the cache, take pages", 0, ORDINARY | LONG, NULL, run_take_pages, promise_span },
	{ "grow, take pages", SETTING_GROWTH, ORDINARY | LONG, NULL, run_large, promise_allocated },
	{ "allocate large", 0, CORE | LONG, NULL, run_large, promise_allocated },
	{ "free large", 0, CORE, prepare_free_large, run_free, promise_freed },
	{ "give spans and pages back", 0, ORDINARY | LONG, prepare_own_span, run_give_back,
		promise_nothing },
	{ "allocate from own span", 0, ORDINARY, prepare_own_span, run_allocate,
		promise_allocated },
	{ "keep full span", 0, ORDINARY, prepare_full_span, run_allocate, promise_allocated },
	{ "hand over full span", 0, CORE, prepare_no_room, run_allocate, promise_allocated },
	{ "allocate from kept span", 0, ORDINARY, prepare_kept_span, run_allocate,
		promise_allocated },
	{ "free last block of a kept span", 0, VARIANT, prepare_last_kept, run_free,
		promise_freed },
	{ "free block of a crowded span", 0, TWIN | SHORT, prepare_crowded, run_free,
		promise_freed },
	{ "free own block", 0, CORE, prepare_own_block, run_free, promise_freed },
	{ "free another owner's block", 0, CORE, prepare_others_block, run_free, promise_freed },
	{ "free unowned block", 0, CORE, prepare_unowned_block, run_free, promise_freed },
	{ "thread leaves", 0, ORDINARY | LONG, prepare_own_span, run_leave, promise_nothing },
	{ "free after restart", SETTING_RESTART, ORDINARY | LONG, prepare_restart, run_free,
		promise_freed },
	{ "allocate after restart", SETTING_RESTART, ORDINARY | LONG, prepare_own_span,
		run_allocate, promise_allocated },
	{ "commit", 0, ORDINARY | LONG, prepare_transaction, run_commit, promise_commit },
	{ "commit without frees", 0, VARIANT, prepare_publish, run_publish, promise_published },
	{ "abort", 0, ORDINARY | LONG, prepare_transaction, run_abort, promise_abort },
	{ "commit large", 0, ORDINARY | LONG, prepare_transaction_large, run_commit_large,
		promise_publish },
	{ "commit long log", 0, ORDINARY | LONG, prepare_long_log, run_long_log, promise_commit },
	{ "commit, own block", 0, VARIANT, prepare_transaction_own, run_commit, promise_commit },
	{ "commit, another owner's block", 0, VARIANT, prepare_transaction_others, run_commit,
		promise_commit },
	{ "commit, a reaper's block", 0, VARIANT, prepare_reapers_block, run_commit_free,
		promise_freed },
	{ "commit two frees", 0, VARIANT, prepare_two_frees, run_two_frees, promise_two_frees },
	{ "reap, allocate", 0, ORDINARY | LONG, prepare_full_span, run_reap, promise_allocated },
	{ "abort, span given up", 0, VARIANT, prepare_own_span, run_abort_given_up,
		promise_nothing },
	{ "abort two large", 0, VARIANT, NULL, run_abort_large, promise_nothing },
	{ "free the same block", 0, TWIN | SHORT, prepare_same_block, run_free,
		promise_freed_once },
	{ "free the same large block", 0, TWIN | SHORT, prepare_same_large, run_free,
		promise_freed_once },
	{ "free twice", 0, VARIANT, prepare_free_twice, run_free_twice, promise_refused },
	{ "set root", 0, ORDINARY, prepare_root, run_root, promise_root },
	{ "set root in transaction", 0, ORDINARY, prepare_root, run_root_transaction,
		promise_root },
	{ "mutex", 0, ORDINARY, prepare_mutex, run_mutex, promise_mutex },
	{ "claim and release slot", 0, ORDINARY, NULL, run_slot, promise_nothing },
	{ "detached commit", SETTING_DETACHED, VARIANT, prepare_detached, run_detached,
		promise_commit },
	{ "detached under a mutex", SETTING_DETACHED, TWIN | LONG, prepare_mutex,
		run_detached_mutex, promise_mutex },
	{ "shrink large", 0, ORDINARY, prepare_free_large, run_shrink, promise_shrunk },
	{ "grow large", 0, ORDINARY, prepare_smaller, run_grow, promise_grown },
	{ "shrink large, free", 0, VARIANT, prepare_free_large, run_shrink_free, promise_freed },
	{ "allocate run", 0, ORDINARY | LONG, NULL, run_manual, promise_manual },
	{ "grow, allocate zeroed run", SETTING_GROWTH, VARIANT, NULL, run_zeroed, promise_zeroed },
	{ "allocate zeroed run", 0, VARIANT, prepare_dirty, run_zeroed, promise_zeroed },
	{ "allocate run of two arenas", SETTING_ARENAS, VARIANT, NULL, run_row, promise_row },
	{ "free run of two arenas", SETTING_ARENAS, VARIANT, prepare_row, run_free_row,
		promise_row_freed },
	{ "free second arena of run", SETTING_ARENAS, VARIANT, prepare_row, run_free_continuation,
		promise_continuation_freed },
	{ "free rest of run of two arenas", SETTING_ARENAS, VARIANT, prepare_row, run_free_row_rest,
		promise_row_rest_freed },
	{ "free block of two arenas", SETTING_ARENAS, VARIANT, prepare_large_row, run_free,
		promise_freed },
	{ "shrink block of two arenas", SETTING_ARENAS, VARIANT, prepare_large_row, run_shrink_row,
		promise_row_shrunk },
	{ "grow beside two arenas", SETTING_ARENAS | SETTING_GROWTH, VARIANT, NULL, run_large,
		promise_grown_beside },
	{ "free run", 0, ORDINARY, prepare_manual, run_free_manual, promise_manual_freed },
	{ "free part of run", 0, ORDINARY | LONG, prepare_manual, run_free_part,
		promise_part_freed },
	{ "free adjacent runs", 0, VARIANT, prepare_adjacent, run_free_adjacent,
		promise_adjacent_freed },
	{ "free part of run, allocate", 0, VARIANT, prepare_manual, run_free_part_reuse,
		promise_part_reused },
	{ "free the same run", 0, TWIN, prepare_same_manual, run_free_manual,
		promise_manual_freed_once },
	{ "defer own block", 0, VARIANT, prepare_own_block, run_defer, promise_freed },
	{ "defer another owner's block, drain", 0, ORDINARY | LONG, prepare_others_block,
		run_defer_drain, promise_freed },
	{ "defer unowned block, drain", 0, VARIANT, prepare_unowned_block, run_defer_drain,
		promise_freed },
	{ "defer large block, drain", 0, VARIANT, prepare_free_large, run_defer_drain,
		promise_freed },
	{ "drain, allocate", 0, VARIANT, prepare_deferred, run_drain_allocate, promise_allocated },
	{ "apply a batch, allocate", 0, VARIANT, prepare_batch, run_drain_allocate,
		promise_allocated },
	{ "apply a batch", 0, VARIANT, prepare_batch, run_drain, promise_nothing },
	{ "apply another's batch", 0, VARIANT, prepare_others_batch, run_drain, promise_nothing },
	{ "defer the same block", 0, TWIN, prepare_same_block, run_defer_drain,
		promise_freed_once },
	{ "defer the same large block", 0, TWIN, prepare_same_large, run_defer_drain,
		promise_freed_once },
	{ "commit deferred", 0, VARIANT, prepare_transaction_others, run_commit_deferred,
		promise_commit },
	{ "commit deferred, unowned", 0, VARIANT, prepare_unowned_block, run_commit_deferred_free,
		promise_freed },
	{ "commit deferred large", 0, VARIANT, prepare_free_large, run_commit_deferred_free,
		promise_freed },
	{ "drain, allocate large", 0, VARIANT, NULL, run_drain_large, promise_allocated },
	{ "drain a note of nothing", 0, VARIANT, prepare_noted, run_drain, promise_nothing },
	{ "reuse, defer in a section", 0, VARIANT, prepare_deferred, run_reuse_defer,
		promise_held },
	{ "free and defer a block", 0, COUPLE, prepare_free_and_defer, run_free_and_defer,
		promise_free_and_defer },
	{ "free and defer the last block", 0, COUPLE | LONG, prepare_free_and_defer_last,
		run_free_and_defer_last, promise_last_held },
	{ "park two in a section", 0, COUPLE, prepare_parked, run_park_two, promise_parked },
	{ "park twice in a section", 0, COUPLE | LONG, prepare_parked, run_park_twice,
		promise_parked },
	{ "read, defer, drain", 0, COUPLE, prepare_own_block, run_read_defer, promise_unbroken },
	{ "read, free large, reuse", 0, COUPLE, prepare_free_large, run_read_reuse,
		promise_unbroken },
};

const unsigned operation_count = sizeof(operations) / sizeof(operations[0]);
