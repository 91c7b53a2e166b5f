/* round.c -- comparing the whole heap with the model while nobody works
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Every block that sh_walk() shows is the model's, or one of those for which a death leaves two
 * answers: a block whose holder died inside sh_free(), or one that its caller never learned of, at
 * most one for each death inside sh_alloc(). After a death inside sh_realloc() the old block is there,
 * the new one with the same content, or both; never none. */
#include "stress/kill/round.h"

#include "stress/kill/model.h"
#include "stress/kill/runs.h"
#include "stress/kill/tally.h"

#include "api/handle.h"
#include "heap/deferred.h"
#include "heap/span.h"
#include "recovery/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECTED_LIMIT (ENTRIES + SEATS * (DIRECTORY_WORDS + 1) + PAIRS)
#define EXTRA_LIMIT (ENTRIES + SEATS * LEAKS)

/* Process. The blocks of one round. */
struct comparison {
	struct sh_heap *heap;
	struct held expected[EXPECTED_LIMIT]; /* by offset */
	size_t expected_count;
	size_t next; /* the first expected one that was not shown */
	struct sh_block extra[EXTRA_LIMIT];
	size_t extra_count;
	sh_off end; /* of the block shown last */
	bool agrees;
};

/* --- what the model expects ---------------------------------------------------------------- */

static void expect(struct comparison *comparison, struct held block)
{
	if (block.off != 0)
		comparison->expected[comparison->expected_count++] = block;
}

/* A block that was laid out at the beginning. */
static void expect_laid(struct comparison *comparison, sh_off off, uint64_t size)
{
	expect(comparison, (struct held){ .off = off, .size = size });
}

static void expect_seat(struct comparison *comparison, const struct seat *seat)
{
	expect_laid(comparison, seat->directory, sizeof(struct directory));
	for (unsigned at = 0; at < DIRECTORY_WORDS; at++)
		expect(comparison, seat->published[at]);
}

static int by_offset(const void *left, const void *right)
{
	sh_off a = ((const struct held *)left)->off;
	sh_off b = ((const struct held *)right)->off;

	return (a > b) - (a < b);
}

static void expect_all(struct comparison *comparison)
{
	for (unsigned seat = 0; seat < SEATS; seat++)
		expect_seat(comparison, &shared->seats[seat]);
	for (unsigned pair = 0; pair < PAIRS; pair++)
		expect_laid(comparison, shared->pairs[pair], sizeof(struct pair));
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t who = atomic_load(&shared->entries[i].holder) & 255;

		if (who != HOLDER_NOBODY && who != HOLDER_DOUBT)
			expect(comparison, shared->entries[i].block);
	}
	qsort(comparison->expected, comparison->expected_count, sizeof(comparison->expected[0]),
		by_offset);
}

/* --- what the heap holds ------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void disagree(struct comparison *comparison,
	const struct held *block, const char *format, ...);

static void disagree(struct comparison *comparison, const struct held *block, const char *format,
	...)
{
	char text[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	comparison->agrees = false;
	fail(CHECK_MODEL, "block %#llx of %llu bytes, id %#llx: %s", (unsigned long long)block->off,
		(unsigned long long)block->size, (unsigned long long)block->id, text);
}

static int show(const struct sh_block *block, void *argument)
{
	struct comparison *comparison = argument;
	const struct held *expected = &comparison->expected[comparison->next];
	bool more = comparison->next < comparison->expected_count;

	if (block->off < comparison->end)
		disagree(comparison, &(struct held){ .off = block->off, .size = block->size },
			"overlaps the block before it, which ends at %#llx",
			(unsigned long long)comparison->end);
	comparison->end = block->off + block->size;
	if (more && expected->off < block->off) {
		disagree(comparison, expected, "lost");
		return 1;
	}
	if (!more || expected->off > block->off) {
		if (comparison->extra_count < EXTRA_LIMIT)
			comparison->extra[comparison->extra_count++] = *block;
		return 0;
	}
	comparison->next++;
	if (block->size < expected->size)
		disagree(comparison, expected, "has %zu usable bytes only", block->size);
	else if (block->kind != expected->kind)
		disagree(comparison, expected, "is of kind %#x, not %#x", block->kind,
			expected->kind);
	else if (expected->id != 0 && !pattern_holds(comparison->heap, expected))
		disagree(comparison, expected, "its content changed");
	return 0;
}

/* --- blocks with two answers --------------------------------------------------------------- */

/* A block that is there after all is its home seat's again. */
static void return_home(uint32_t at)
{
	_Atomic uint64_t *holder = &shared->entries[at].holder;

	atomic_store(holder, holder_of_seat(atomic_load(holder), at / ENTRIES_PER_SEAT));
}

/* The entry of the block, if its holder died while freeing it. It is its home seat's again. */
static bool claim_doubtful(struct sh_heap *heap, const struct sh_block *block)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct entry *entry = &shared->entries[i];
		uint64_t holder = atomic_load(&entry->holder);

		if ((holder & 255) == HOLDER_DOUBT && entry->block.off == block->off &&
			entry->block.kind == block->kind && entry->block.size <= block->size &&
			pattern_holds(heap, &entry->block)) {
			return_home(i);
			return true;
		}
	}
	return false;
}

/* Whether the request led to the block: the same request now leads to one of that size. When there is no
 * room to try it, no more than half of the block may be lost. */
static bool fits(struct sh_heap *heap, const struct leak *leak, const struct sh_block *block)
{
	sh_off off = sh_alloc_ex(heap, leak->size, leak->align, leak->kind);
	size_t usable = off == 0 ? 0 : sh_usable_size(heap, off);
	uint64_t most = 2 * (leak->size > leak->align ? leak->size : leak->align);

	sh_free(heap, off);
	if (block->kind != leak->kind || (leak->align != 0 && block->off % leak->align != 0))
		return false;
	return off == 0 ? block->size >= leak->size && block->size <= most : block->size == usable;
}

static bool claim_leak(struct sh_heap *heap, const struct sh_block *block)
{
	for (unsigned seat = 0; seat < SEATS; seat++) {
		struct seat *dead = &shared->seats[seat];

		for (uint64_t i = 0; i < dead->leak_count; i++)
			if (fits(heap, &dead->leaks[i], block)) {
				dead->leaks[i] = dead->leaks[--dead->leak_count];
				return true;
			}
	}
	return false;
}

static void settle_extra(struct comparison *comparison, const struct sh_block *block)
{
	const struct held shown = { .off = block->off, .size = block->size };
	int error;

	if (claim_doubtful(comparison->heap, block))
		return;
	if (!claim_leak(comparison->heap, block)) {
		disagree(comparison, &shown, "nobody owns it, and no death explains it");
		return;
	}
	atomic_fetch_add(&shared->leaks, 1);
	error = sh_free(comparison->heap, block->off);
	if (error != 0)
		disagree(comparison, &shown, "leaked, and sh_free() says %s", sh_strerror(error));
}

/* --- deaths inside sh_realloc() ------------------------------------------------------------- */

static void take_extra(struct comparison *comparison, size_t index)
{
	comparison->extra[index] = comparison->extra[--comparison->extra_count];
}

/* The old block, perhaps with its new length: it is what it was, up to the smaller one. */
static bool claim_old(struct comparison *comparison, const struct leak *leak)
{
	struct held *old = &shared->entries[leak->entry].block;
	struct held kept = *old;

	if (leak->size < kept.size)
		kept.size = leak->size;
	for (size_t i = 0; i < comparison->extra_count; i++) {
		const struct sh_block *block = &comparison->extra[i];

		if (block->off != old->off || block->size < kept.size || block->kind != old->kind ||
			!pattern_kept(comparison->heap, old, &kept))
			continue;
		take_extra(comparison, i);
		*old = kept;
		pattern_fill(comparison->heap, old);
		return true;
	}
	return false;
}

/* The new block, which has all of the content if the old one is gone. */
static bool claim_new(struct comparison *comparison, const struct leak *leak)
{
	struct held *old = &shared->entries[leak->entry].block;

	for (size_t i = 0; i < comparison->extra_count; i++) {
		const struct sh_block *block = &comparison->extra[i];
		const struct held made = { block->off, leak->size, leak->id, leak->kind };

		if (block->size < leak->size || !pattern_kept(comparison->heap, old, &made) ||
			!fits(comparison->heap, leak, block))
			continue;
		take_extra(comparison, i);
		*old = made;
		pattern_fill(comparison->heap, old);
		return true;
	}
	return false;
}

/* Returns whether the new block may be there as well, and nobody knows of it. */
static bool settle_resize(struct comparison *comparison, const struct leak *leak)
{
	bool has_old = claim_old(comparison, leak);

	if (has_old)
		atomic_fetch_add(&shared->resizes_old, 1);
	else if (claim_new(comparison, leak))
		atomic_fetch_add(&shared->resizes_new, 1);
	else
		disagree(comparison, &shared->entries[leak->entry].block,
			"lost in sh_realloc() to %llu bytes", (unsigned long long)leak->size);
	return_home(leak->entry);
	return has_old;
}

static void settle_resizes(struct comparison *comparison, struct seat *seat)
{
	uint64_t left = 0;

	for (uint64_t i = 0; i < seat->leak_count && comparison->agrees; i++)
		if (seat->leaks[i].entry == NO_ENTRY || settle_resize(comparison, &seat->leaks[i]))
			seat->leaks[left++] = seat->leaks[i];
	seat->leak_count = left;
}

/* --- all blocks ---------------------------------------------------------------------------- */

/* What was not shown does not exist. */
static void close_doubts(void)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t holder = atomic_load(&shared->entries[i].holder);

		if ((holder & 255) == HOLDER_DOUBT)
			atomic_store(&shared->entries[i].holder,
				holder_make(holder, HOLDER_NOBODY));
	}
	for (unsigned seat = 0; seat < SEATS; seat++)
		shared->seats[seat].leak_count = 0;
}

static void compare_blocks(struct sh_heap *heap)
{
	static struct comparison comparison;

	comparison = (struct comparison){ .heap = heap, .agrees = true };
	expect_all(&comparison);
	sh_walk(heap, show, &comparison);
	if (comparison.agrees && comparison.next < comparison.expected_count)
		disagree(&comparison, &comparison.expected[comparison.next], "lost");
	for (unsigned seat = 0; comparison.agrees && seat < SEATS; seat++)
		settle_resizes(&comparison, &shared->seats[seat]);
	for (size_t i = 0; comparison.agrees && i < comparison.extra_count; i++)
		settle_extra(&comparison, &comparison.extra[i]);
	close_doubts();
	if (comparison.agrees)
		tally(CHECK_MODEL);
}

/* --- pairs --------------------------------------------------------------------------------- */

static void compare_pair(struct sh_heap *heap, unsigned number)
{
	const struct pair *pair = sh_ptr(heap, shared->pairs[number]);
	char name[ROOT_TEXT_BYTES];
	sh_off count = 0;
	uint64_t sum = 0;

	for (unsigned seat = 0; seat < SEATS; seat++)
		sum += shared->seats[seat].added[number];
	sh_root_get(heap, root_of_count(name, number), &count);
	if (pair->left != sum || pair->right != sum || count != sum)
		fail(CHECK_MODEL, "pair %u is %llu and %llu, its root %llu, and %llu by the model",
			number, (unsigned long long)pair->left, (unsigned long long)pair->right,
			(unsigned long long)count, (unsigned long long)sum);
}

/* --- seats of the dead --------------------------------------------------------------------- */

/* As a successor would. */
static void settle_seat(struct sh_heap *heap, struct seat *seat)
{
	int error;

	seat_take(heap, seat);
	error = sh_mutex_unlock(heap, &seat_directory(heap, seat)->mutex);
	if (error != 0)
		fail(CHECK_CALLS, "sh_mutex_unlock: %s", sh_strerror(error));
}

/* --- limbo --------------------------------------------------------------------------------- */

/* What was deferred before a restart is noted when somebody first touches its span. */
static int touch(void *argument, uint64_t head)
{
	span_hot(argument, head);
	return 0;
}

static int expect_no_limbo(void *argument, uint64_t head)
{
	const struct heap *heap = argument;

	if (!deferred_is_pending(heap, head))
		return 0;
	fail(CHECK_DEFERRED, "the span at page %llu has deferred frees after a grace period",
		(unsigned long long)head);
	return 1;
}

/* Nobody is in a section. */
static void wait_for_limbo(struct sh_heap *heap)
{
	int error;

	check_each_span(&heap->heap, NULL, touch, &heap->heap);
	error = sh_synchronize(heap);
	if (error != 0)
		fail(CHECK_DEFERRED, "sh_synchronize: %s", sh_strerror(error));
	else if (check_each_span(&heap->heap, NULL, expect_no_limbo, &heap->heap) == 0)
		tally(CHECK_DEFERRED);
}

/* --- rounds -------------------------------------------------------------------------------- */

/* Process. What a problem is to be complained about under. */
static int complain(const struct sh_problem *problem, void *argument)
{
	fail(*(const enum check *)argument, "sh_check() at %#llx: %s",
		(unsigned long long)problem->off, problem->text);
	return 0;
}

void round_check(struct sh_heap *heap, enum check check)
{
	uint64_t problems = 0;
	int error = sh_check(heap, 0, complain, &check, &problems);

	if (error != 0)
		fail(check, "sh_check: %s", sh_strerror(error));
	else if (problems == 0)
		tally(check);
}

void round_run(struct sh_heap *heap)
{
	for (unsigned seat = 0; seat < SEATS; seat++)
		if (atomic_load(&shared->seats[seat].activity) == ACTIVITY_NONE)
			settle_seat(heap, &shared->seats[seat]);
	if (failed())
		return;
	wait_for_limbo(heap);
	runs_compare(heap);
	compare_blocks(heap);
	for (unsigned pair = 0; pair < PAIRS; pair++)
		compare_pair(heap, pair);
	round_check(heap, CHECK_HEAP_QUIET);
}
