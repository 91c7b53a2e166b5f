/* actor.c -- a thread that works on the heap: what it picks, what it expects of calls
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/actor.h"

#include <errno.h>

#define ENTRY_PROBES (2 * ENTRIES_PER_SEAT)

/* --- what calls return --------------------------------------------------------------------- */

int expect_ok(const struct actor *actor, int error, const char *call)
{
	if (error == ENOMEM || error == ENOSPC)
		atomic_fetch_add(&shared->out_of_memory, 1);
	else if (error != 0)
		fail(CHECK_CALLS, "seat %u: %s: %s", seat_number(actor->seat), call,
			sh_strerror(error));
	return error;
}

void expect_error(const struct actor *actor, int error, int expected, const char *call)
{
	if (error == expected)
		tally(CHECK_CALLS);
	else
		fail(CHECK_CALLS, "seat %u: %s gave %d, not %s", seat_number(actor->seat), call,
			error, sh_strerror(expected));
}

void expect_pattern(const struct actor *actor, const struct held *block)
{
	if (sh_usable_size(actor->heap, block->off) < block->size ||
		!pattern_holds(actor->heap, block))
		fail(CHECK_CALLS,
			"seat %u: block %#llx of %llu bytes, id %#llx, is not what it was",
			seat_number(actor->seat), (unsigned long long)block->off,
			(unsigned long long)block->size, (unsigned long long)block->id);
}

/* --- what to work on ----------------------------------------------------------------------- */

/* Mostly small ones; one in twenty has a span of its own: deaths inside page operations are rare. In
 * some heaps all are of a few classes, of which most have few blocks per span: everybody is in the same
 * spans, and collects again and again what the others freed. */
static uint64_t pick_size(struct chance *random)
{
	static const uint64_t few[] = { 48, 2048, 2048, 4096 };
	uint64_t percent = chance_below(random, 100);
	uint64_t base = UINT64_C(16) << chance_below(random, 6);

	if (shared->few_sizes)
		return few[percent % 4];
	if (percent < 70)
		return base + chance_below(random, base + 1);
	if (percent < 82)
		return 1024 + chance_below(random, 7 * 1024);
	if (percent < 95)
		return 8192 + chance_below(random, 24 * 1024);
	return 32768 + chance_below(random, 68 * 1024);
}

struct held plan_block(struct actor *actor, uint32_t step)
{
	return (struct held){
		.size = pick_size(&actor->random),
		.id = (uint64_t)(seat_number(actor->seat) + 1) << 56 |
			(record_sequence(actor->seat) + 1) << 8 | step,
		.kind = chance_once_in(&actor->random, 8) ? SH_NOSCAN : 0,
	};
}

uint32_t find_held(struct actor *actor, uint32_t steps)
{
	const struct record *record = &actor->seat->record;
	uint32_t at = (uint32_t)chance_below(&actor->random, ENTRIES);

	for (unsigned i = 0; i < ENTRY_PROBES; i++, at = (at + 1) % ENTRIES) {
		uint64_t holder = atomic_load(&shared->entries[at].holder);
		bool used = holder_seat(holder) != seat_number(actor->seat);

		for (uint32_t step = 0; step < steps && !used; step++)
			used = record->steps[step].holder != 0 && record->steps[step].at == at;
		if (!used)
			return at;
	}
	return ENTRIES;
}

uint32_t find_empty(struct actor *actor)
{
	uint32_t first = seat_number(actor->seat) * ENTRIES_PER_SEAT;
	uint32_t offset = (uint32_t)chance_below(&actor->random, ENTRIES_PER_SEAT);

	for (unsigned i = 0; i < ENTRIES_PER_SEAT; i++) {
		uint32_t at = first + (offset + i) % ENTRIES_PER_SEAT;

		if ((atomic_load(&shared->entries[at].holder) & 255) == HOLDER_NOBODY)
			return at;
	}
	return ENTRIES;
}

uint32_t find_word(struct actor *actor, bool names_block)
{
	for (int i = 0; i < 8; i++) {
		uint32_t at = (uint32_t)chance_below(&actor->random, DIRECTORY_WORDS);

		if ((actor->seat->published[at].off != 0) == names_block)
			return at;
	}
	return DIRECTORY_WORDS;
}

struct step plan_root(const struct actor *actor)
{
	uint64_t value = record_sequence(actor->seat) + 1;

	return (struct step){ .kind = STEP_ROOT, .count = value % 65536 * 16 + 16 };
}

struct step plan_entry(enum step_kind kind, uint32_t at)
{
	return (struct step){
		.kind = kind,
		.at = at,
		.holder = atomic_load(&shared->entries[at].holder),
		.block = shared->entries[at].block,
	};
}

void begin_step(struct actor *actor, enum operation operation, struct step step)
{
	struct record *record = &actor->seat->record;

	record->operation = operation;
	record->aborts = false;
	record->detached = false;
	record->defers = false;
	record->step_count = 1;
	record->steps[0] = step;
	record_begin(actor->seat);
}
