/* operation.c -- what a worker does, one call at a time
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/actor.h"

#include "heap/geometry.h"

#include <errno.h>

#define CHURN_RUNS 40
#define CHURN_BYTES (UINT64_C(600) << 10)
#define LEAST_ALIGN UINT64_C(32)
#define SMALL_ALIGNS 6u

/* --- single calls -------------------------------------------------------------------------- */

static void expect_aligned(const struct actor *actor, sh_off off, uint64_t align)
{
	if (off % (align != 0 ? align : 16) != 0)
		fail(CHECK_CALLS, "seat %u: block %#llx is not aligned to %llu",
			seat_number(actor->seat), (unsigned long long)off,
			(unsigned long long)align);
}

static void alloc(struct actor *actor, uint64_t align)
{
	uint32_t at = find_empty(actor);
	struct step step = {
		.kind = STEP_ALLOC,
		.at = at,
		.align = align,
		.block = plan_block(actor, 0),
	};
	sh_off off;

	if (at == ENTRIES)
		return;
	step.holder =
		holder_next(atomic_load(&shared->entries[at].holder), seat_number(actor->seat));
	begin_step(actor, OPERATION_ALLOC, step);
	off = step.align == 0 && step.block.kind == 0
		? sh_alloc(actor->heap, step.block.size)
		: sh_alloc_ex(actor->heap, step.block.size, step.align, step.block.kind);
	atomic_store(&actor->seat->record.result, off);
	if (off == 0)
		expect_ok(actor, errno, "sh_alloc");
	expect_aligned(actor, off, align);
	end(actor, off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

static void call_alloc(struct actor *actor)
{
	alloc(actor, 0);
}

/* Most of them to more than a page, up to the largest alignment: these take whole pages. */
static void call_alloc_aligned(struct actor *actor)
{
	uint64_t align = HUGE_BYTES;

	if (chance_once_in(&actor->random, 3))
		align = LEAST_ALIGN << chance_below(&actor->random, SMALL_ALIGNS);
	while (align > 2 * PAGE_BYTES && !chance_once_in(&actor->random, 4))
		align /= 2;
	alloc(actor, align);
}

static void free_held(struct actor *actor, enum operation operation,
	int (*free_it)(struct sh_heap *heap, sh_off off), const char *call)
{
	uint32_t at = find_held(actor, 0);
	struct step step;

	if (at == ENTRIES)
		return;
	step = plan_entry(STEP_DROP, at);
	expect_pattern(actor, &step.block);
	begin_step(actor, operation, step);
	expect_ok(actor, free_it(actor->heap, step.block.off), call);
	end(actor, OUTCOME_DONE);
}

static void call_free(struct actor *actor)
{
	free_held(actor, OPERATION_FREE, sh_free, "sh_free");
}

/* In a section nobody is given the block meanwhile, so frees of it are refused, whoever drains. */
static int free_in_section(struct sh_heap *heap, sh_off off)
{
	int error = sh_read_lock(heap);
	int again[2];

	if (error != 0)
		return error;
	error = sh_free_deferred(heap, off);
	again[0] = sh_free_deferred(heap, off);
	again[1] = sh_free(heap, off);
	sh_read_unlock(heap);
	if (error == 0 && (again[0] != SH_EDOUBLEFREE || again[1] != SH_EDOUBLEFREE))
		fail(CHECK_CALLS, "block %#llx is in limbo, and frees of it gave %d and %d",
			(unsigned long long)off, again[0], again[1]);
	return error;
}

static void call_free_deferred(struct actor *actor)
{
	bool twice = chance_once_in(&actor->random, 8);

	free_held(actor, OPERATION_FREE_DEFERRED, twice ? free_in_section : sh_free_deferred,
		"sh_free_deferred");
}

static void churn(struct actor *actor, uint64_t size, bool defers)
{
	struct step step = { .kind = STEP_TEMPORARY, .block = { .size = size } };
	int error = 0;

	begin_step(actor, OPERATION_CHURN, step);
	actor->seat->record.defers = defers;
	for (int i = 0; i < CHURN_RUNS && error == 0; i++) {
		sh_off off = sh_alloc(actor->heap, size);

		if (off == 0)
			error = errno;
		else
			error = defers ? sh_free_deferred(actor->heap, off)
				       : sh_free(actor->heap, off);
	}
	expect_ok(actor, error, "allocating and freeing again and again");
	end(actor, OUTCOME_NOTHING);
}

/* Runs come and go, in the thread's own pages and under the page lock. One of them may leak. */
static void call_churn(struct actor *actor)
{
	churn(actor, 32768 + chance_below(&actor->random, CHURN_BYTES), false);
}

/* Blocks of all sizes go into limbo, now and then with a wait: most deaths are inside drains. */
static void call_churn_deferred(struct actor *actor)
{
	uint64_t size = chance_once_in(&actor->random, 2)
		? 32768 + chance_below(&actor->random, CHURN_BYTES)
		: 16 + chance_below(&actor->random, 16384);

	churn(actor, size, true);
	if (!chance_once_in(&actor->random, 4))
		return;
	enter_call(actor);
	expect_ok(actor, sh_synchronize(actor->heap), "sh_synchronize");
	leave_call(actor);
}

/* Passes a block on: its next holder frees what this process allocated. */
static void call_give(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);
	uint64_t to = chance_below(&actor->random, shared->workers);
	_Atomic uint64_t *holder;

	if (at == ENTRIES)
		return;
	holder = &shared->entries[at].holder;
	atomic_store(holder, holder_of_seat(atomic_load(holder), to));
}

static void call_alloc_to(struct actor *actor)
{
	uint32_t at = find_word(actor, false);
	struct step step = { .kind = STEP_ALLOC, .at = at, .block = plan_block(actor, 0) };
	sh_off off;

	if (at == DIRECTORY_WORDS)
		return;
	begin_step(actor, OPERATION_ALLOC_TO, step);
	off = sh_alloc_to(actor->heap, &seat_directory(actor->heap, actor->seat)->block[at],
		step.block.size, step.block.kind);
	if (off == 0)
		expect_ok(actor, errno, "sh_alloc_to");
	end(actor, off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

static void call_free_from(struct actor *actor)
{
	uint32_t at = find_word(actor, true);
	int error;

	if (at == DIRECTORY_WORDS)
		return;
	expect_pattern(actor, &actor->seat->published[at]);
	begin_step(actor, OPERATION_FREE_FROM, (struct step){ .kind = STEP_FREE, .at = at });
	error = sh_free_from(actor->heap, &seat_directory(actor->heap, actor->seat)->block[at]);
	expect_ok(actor, error, "sh_free_from");
	end(actor, error == 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

static void call_root(struct actor *actor)
{
	struct step step = plan_root(actor);
	char name[ROOT_TEXT_BYTES];
	int error;

	begin_step(actor, OPERATION_ROOT, step);
	error = sh_root_set(actor->heap, root_of_seat(name, seat_number(actor->seat)), step.count);
	expect_ok(actor, error, "sh_root_set");
	end(actor, error == 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

/* What must be refused, and change nothing. */
static void call_refused(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);
	struct sh_mutex *mutex = &seat_directory(actor->heap, actor->seat)->mutex;
	sh_off off;

	expect_error(actor, sh_mutex_lock(actor->heap, mutex), EDEADLK, "sh_mutex_lock of its own");
	if (at == ENTRIES)
		return;
	off = shared->entries[at].block.off;
	expect_error(actor, sh_free(actor->heap, off + 8), SH_EBADPTR, "sh_free of block + 8");
	expect_error(actor, sh_free(actor->heap, 16), SH_EBADPTR, "sh_free of the superblock");
}

static void call_verify(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);

	if (at != ENTRIES)
		expect_pattern(actor, &shared->entries[at].block);
	seat_verify(actor->heap, actor->seat);
}

static void call_reap(struct actor *actor)
{
	struct sh_reap_report report;

	enter_call(actor);
	if (expect_ok(actor, sh_reap(actor->heap, &report), "sh_reap") == 0)
		tally_report(&report, report.threads);
	leave_call(actor);
}

/* --- the mix ------------------------------------------------------------------------------- */

/* By weight, roughly the other way round than by cost. */
static const struct {
	uint64_t weight;
	void (*run)(struct actor *actor);
} mix[] = {
	{ 1300, call_alloc },
	{ 500, call_alloc_aligned },
	{ 1500, call_free },
	{ 2000, operation_realloc },
	{ 700, call_give },
	{ 700, call_alloc_to },
	{ 700, call_free_from },
	{ 2000, operation_realloc_to },
	{ 2500, operation_transaction },
	{ 400, call_root },
	{ 300, call_churn },
	{ 700, call_free_deferred },
	{ 300, call_churn_deferred },
	{ 300, operation_pages_alloc },
	{ 2500, operation_pages_free },
	{ 2500, operation_pages_free_several },
	{ 50, operation_pages_walk },
	{ 50, operation_pages_refused },
	{ 150, call_refused },
	{ 200, call_verify },
	{ 99, call_reap },
	{ 1, operation_fill },
};

#define MIX_WEIGHTS 19450u

void operation_any(struct actor *actor)
{
	uint64_t left = chance_below(&actor->random, MIX_WEIGHTS);
	unsigned i = 0;

	while (left >= mix[i].weight)
		left -= mix[i++].weight;
	mix[i].run(actor);
}
