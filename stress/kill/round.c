/* round.c -- comparing the whole heap with the model while nobody works
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Every block that sh_walk() shows is the model's, or one of those for which a death leaves two
 * answers: a block whose holder died inside sh_free(), or one that its caller never learned of, at
 * most one for each death inside sh_alloc(). */
#include "stress/kill/round.h"

#include "stress/kill/model.h"
#include "stress/kill/tally.h"

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

static void expect_seat(struct comparison *comparison, const struct seat *seat)
{
	expect(comparison, (struct held){ seat->directory, sizeof(struct directory), 0 });
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
		expect(comparison, (struct held){ shared->pairs[pair], sizeof(struct pair), 0 });
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
		disagree(comparison, &(struct held){ block->off, block->size, 0 },
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
	else if (expected->id != 0 && !pattern_holds(comparison->heap, expected))
		disagree(comparison, expected, "its content changed");
	return 0;
}

/* --- blocks with two answers --------------------------------------------------------------- */

/* The entry of the block, if its holder died while freeing it. It is its home seat's again. */
static bool claim_doubtful(struct sh_heap *heap, const struct sh_block *block)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct entry *entry = &shared->entries[i];
		uint64_t holder = atomic_load(&entry->holder);

		if ((holder & 255) == HOLDER_DOUBT && entry->block.off == block->off &&
			entry->block.size <= block->size && pattern_holds(heap, &entry->block)) {
			atomic_store(&entry->holder, holder_of_seat(holder, i / ENTRIES_PER_SEAT));
			return true;
		}
	}
	return false;
}

/* What a request for `asked` bytes leads to; 0 when there is no room to try it. */
static size_t usable_of(struct sh_heap *heap, uint64_t asked)
{
	sh_off off = sh_alloc(heap, asked);
	size_t usable = off == 0 ? 0 : sh_usable_size(heap, off);

	sh_free(heap, off);
	return usable;
}

static bool claim_leak(struct sh_heap *heap, const struct sh_block *block)
{
	for (unsigned seat = 0; seat < SEATS; seat++) {
		struct seat *dead = &shared->seats[seat];

		for (uint64_t i = 0; i < dead->leak_count; i++)
			if (usable_of(heap, dead->leaks[i].size) == block->size) {
				dead->leaks[i] = dead->leaks[--dead->leak_count];
				return true;
			}
	}
	return false;
}

static void settle_extra(struct comparison *comparison, const struct sh_block *block)
{
	const struct held shown = { block->off, block->size, 0 };
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
	compare_blocks(heap);
	for (unsigned pair = 0; pair < PAIRS; pair++)
		compare_pair(heap, pair);
	round_check(heap, CHECK_HEAP_QUIET);
}
