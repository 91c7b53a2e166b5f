/* pages.c -- calls for page runs
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/actor.h"
#include "stress/kill/runs.h"

#include <errno.h>
#include <string.h>

#define FEW_PAGES 12u
#define MANY_PAGES 40u
#define GROUP_LIMIT 4u
#define PLACES_KEPT 4u
#define NEIGHBOURS 2u
/* A heap has room for some of several arenas where these are small. */
#define GIANT_LIMIT_BYTES (UINT64_C(4) << 20)

/* --- looking ------------------------------------------------------------------------------- */

static unsigned find_no_run(struct actor *actor)
{
	unsigned at = 0;

	while (at < RUNS_PER_SEAT && actor->seat->runs[at].off != 0)
		at++;
	return at;
}

static unsigned places_left(const struct seat *seat)
{
	unsigned count = 0;

	for (unsigned at = 0; at < RUNS_PER_SEAT; at++)
		count += seat->runs[at].off == 0;
	return count;
}

static bool is_certain(const struct run *run)
{
	return run->off != 0 && run->freed_by == 0;
}

/* RUNS_PER_SEAT when a few looks find none. */
static unsigned find_run(struct actor *actor)
{
	for (unsigned i = 0; i < RUNS_PER_SEAT; i++) {
		unsigned at = (unsigned)chance_below(&actor->random, RUNS_PER_SEAT);

		if (is_certain(&actor->seat->runs[at]))
			return at;
	}
	return RUNS_PER_SEAT;
}

/* The run of the seat that begins where `run` ends; RUNS_PER_SEAT when none does. */
static unsigned find_next(const struct seat *seat, const struct run *run)
{
	unsigned at = 0;

	while (at < RUNS_PER_SEAT &&
		!(is_certain(&seat->runs[at]) && seat->runs[at].off == run_end(run)))
		at++;
	return at;
}

static uint64_t arena_of(sh_off off)
{
	return off / ARENA_BYTES;
}

/* Whether the run goes on in address space of its own, where no rest can begin. */
static bool is_giant(const struct run *run)
{
	return arena_of(run->off) != arena_of(run_end(run) - 1);
}

/* --- sh_pages_alloc() ---------------------------------------------------------------------- */

static struct run plan_run(struct actor *actor, unsigned *flags)
{
	struct chance *random = &actor->random;
	struct run run = {
		.npages = 1 +
			chance_below(random, chance_once_in(random, 4) ? MANY_PAGES : FEW_PAGES),
		.id = plan_block(actor, 0).id,
	};

	*flags = 0;
	if (chance_once_in(random, 64)) {
		*flags = SH_HUGE;
		run.npages = HUGE_PAGES;
	} else if (ARENA_BYTES <= GIANT_LIMIT_BYTES && chance_once_in(random, 64)) {
		run.npages = ARENA_PAGES + chance_below(random, ARENA_PAGES);
	}
	if (chance_once_in(random, 4))
		*flags |= SH_IO;
	run.flags = *flags;
	if (chance_once_in(random, 8))
		*flags |= SH_ZERO;
	return run;
}

static void expect_zeros(struct actor *actor, const struct run *run)
{
	static const char zeros[PAGE_BYTES];
	const char *content = sh_ptr(actor->heap, run->off);

	for (uint64_t page = 0; page < run->npages; page++)
		if (memcmp(content + page * PAGE_BYTES, zeros, PAGE_BYTES) != 0) {
			fail(CHECK_CALLS, "seat %u: page %llu of run %#llx is not zero",
				seat_number(actor->seat), (unsigned long long)page,
				(unsigned long long)run->off);
			return;
		}
}

static void expect_allocated(struct actor *actor, const struct run *run, unsigned flags)
{
	if (run->off % (flags & SH_HUGE ? HUGE_BYTES : PAGE_BYTES) != 0)
		fail(CHECK_CALLS, "seat %u: sh_pages_alloc gave %#llx, which is not aligned",
			seat_number(actor->seat), (unsigned long long)run->off);
	if (flags & SH_ZERO)
		expect_zeros(actor, run);
}

void operation_pages_alloc(struct actor *actor)
{
	unsigned at = find_no_run(actor);
	unsigned flags;
	struct step step = { .kind = STEP_RUN, .at = at, .run = plan_run(actor, &flags) };

	if (at == RUNS_PER_SEAT)
		return;
	begin_step(actor, OPERATION_PAGES_ALLOC, step);
	step.run.off = sh_pages_alloc(actor->heap, step.run.npages, flags);
	atomic_store(&actor->seat->record.result, step.run.off);
	if (step.run.off != 0)
		expect_allocated(actor, &step.run, flags);
	else
		expect_ok(actor, errno, "sh_pages_alloc");
	end(actor, step.run.off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

/* --- sh_pages_free() ----------------------------------------------------------------------- */

/* Some page of the run, or its first one. */
static sh_off pick_begin(struct chance *random, const struct run *run)
{
	return run->off +
		(chance_once_in(random, 2) ? 0 : chance_below(random, run->npages)) * PAGE_BYTES;
}

/* The end of some page of the run from `from` on, or of its last one. */
static sh_off pick_end(struct chance *random, const struct run *run, sh_off from)
{
	uint64_t npages = (run_end(run) - from) / PAGE_BYTES;

	return chance_once_in(random, 2) ? run_end(run)
					 : from + (1 + chance_below(random, npages)) * PAGE_BYTES;
}

/* Of a run of several arenas: a part of what lies in the first, all from somewhere there on, or all from
 * the beginning of another one on. */
static void pick_of_giant(struct chance *random, const struct run *run, sh_off *from, sh_off *end)
{
	struct run front = run_part(run, run->off, (arena_of(run->off) + 1) * ARENA_BYTES);

	*from = pick_begin(random, &front);
	*end = pick_end(random, &front, *from);
	if (*end == run_end(&front))
		*end = run_end(run);
	if (chance_once_in(random, 3)) {
		*from = run_end(&front);
		*end = run_end(run);
	}
}

static struct step plan_change(const struct seat *seat, unsigned at, struct run after)
{
	return (struct step){
		.kind = STEP_RUN,
		.at = at,
		.before = { .off = seat->runs[at].off, .size = seat->runs[at].npages * PAGE_BYTES },
		.run = after,
	};
}

/* The run that the group goes on with behind this one. A giant one is freed by itself. */
static unsigned find_more(const struct seat *seat, const struct run *run)
{
	unsigned at = is_giant(run) ? RUNS_PER_SEAT : find_next(seat, run);

	return at != RUNS_PER_SEAT && is_giant(&seat->runs[at]) ? RUNS_PER_SEAT : at;
}

/* A run that a group can go on behind; RUNS_PER_SEAT when there is none. */
static unsigned find_adjacent(struct actor *actor)
{
	const struct seat *seat = actor->seat;
	unsigned first = (unsigned)chance_below(&actor->random, RUNS_PER_SEAT);

	for (unsigned i = 0; i < RUNS_PER_SEAT; i++) {
		unsigned at = (first + i) % RUNS_PER_SEAT;

		if (is_certain(&seat->runs[at]) &&
			find_more(seat, &seat->runs[at]) != RUNS_PER_SEAT)
			return at;
	}
	return RUNS_PER_SEAT;
}

/* Finds adjacent runs of the seat, or one. Their places, and how many. */
static unsigned find_group(struct actor *actor, unsigned group[GROUP_LIMIT], bool wants_several)
{
	const struct seat *seat = actor->seat;
	unsigned at = wants_several ? find_adjacent(actor) : find_run(actor);
	unsigned count = 0;

	while (at != RUNS_PER_SEAT && count < GROUP_LIMIT) {
		group[count++] = at;
		at = wants_several ? find_more(seat, &seat->runs[at]) : RUNS_PER_SEAT;
	}
	return count;
}

static void pick_range(struct actor *actor, const struct run *first, const struct run *last,
	sh_off *from, sh_off *end)
{
	struct chance *random = &actor->random;

	if (is_giant(first)) {
		pick_of_giant(random, first, from, end);
	} else {
		*from = pick_begin(random, first);
		*end = pick_end(random, last, first == last ? *from : last->off);
	}
	/* Two rests need a place more than the run had, new runs some. */
	if (places_left(actor->seat) < PLACES_KEPT)
		*from = first->off;
	if (places_left(actor->seat) < PLACES_KEPT && chance_once_in(random, 2))
		*end = run_end(last);
}

/* What the runs of the group are when the range is gone. */
static void plan_free(struct actor *actor, const unsigned group[GROUP_LIMIT], unsigned count)
{
	struct record *record = &actor->seat->record;
	struct run *runs = actor->seat->runs;
	const struct run *first = &runs[group[0]];
	const struct run *last = &runs[group[count - 1]];
	struct run left, right;
	sh_off from, end;

	pick_range(actor, first, last, &from, &end);
	record->freed = (struct range){ from, (end - from) / PAGE_BYTES };
	left = run_part(first, first->off, from);
	right = run_part(last, end, run_end(last));
	record->step_count = 0;
	for (unsigned i = 0; i < count; i++)
		record->steps[record->step_count++] =
			plan_change(actor->seat, group[i], (struct run){ 0 });
	record->steps[0].run = left;
	if (right.off != 0 && left.off != 0 && count == 1)
		record->steps[record->step_count++] =
			plan_change(actor->seat, find_no_run(actor), right);
	else if (right.off != 0)
		record->steps[count - 1].run = right;
}

static void expect_runs(struct actor *actor)
{
	const struct record *record = &actor->seat->record;

	for (uint32_t i = 0; i < record->step_count; i++) {
		const struct run *run = &actor->seat->runs[record->steps[i].at];

		if (run->off != 0 && !run_holds(actor->heap, run))
			fail(CHECK_CALLS, "seat %u: run %#llx of %llu pages is not what it was",
				seat_number(actor->seat), (unsigned long long)run->off,
				(unsigned long long)run->npages);
	}
}

static void free_some(struct actor *actor, bool wants_several)
{
	struct record *record = &actor->seat->record;
	unsigned group[GROUP_LIMIT];
	unsigned count = find_group(actor, group, wants_several);
	int error;

	if (count == 0)
		return;
	record->operation = OPERATION_PAGES_FREE;
	plan_free(actor, group, count);
	expect_runs(actor);
	record_begin(actor->seat);
	error = expect_ok(actor,
		sh_pages_free(actor->heap, record->freed.off, record->freed.npages),
		"sh_pages_free");
	end(actor, error == 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

void operation_pages_free(struct actor *actor)
{
	free_some(actor, false);
}

/* Runs that are allocated one after the other are often adjacent. */
void operation_pages_free_several(struct actor *actor)
{
	for (unsigned i = 0; i < NEIGHBOURS; i++)
		operation_pages_alloc(actor);
	free_some(actor, true);
}

/* --- sh_pages_walk() and what is refused --------------------------------------------------- */

/* Stack. The runs of a seat, of which a walk shows some others, too. */
struct sighting {
	const struct seat *seat;
	unsigned seen;
};

static int sight(const struct sh_pages *pages, void *argument)
{
	struct sighting *sighting = argument;

	for (unsigned at = 0; at < RUNS_PER_SEAT; at++) {
		const struct run *run = &sighting->seat->runs[at];

		if (is_certain(run) && run->off == pages->off && run->npages == pages->npages &&
			run->flags == pages->flags)
			sighting->seen++;
	}
	return 0;
}

/* Whatever others do, a walk shows those that nobody touches. */
void operation_pages_walk(struct actor *actor)
{
	struct sighting sighting = { .seat = actor->seat };
	unsigned certain = 0;

	for (unsigned at = 0; at < RUNS_PER_SEAT; at++)
		certain += is_certain(&actor->seat->runs[at]);
	enter_call(actor);
	expect_ok(actor, sh_pages_walk(actor->heap, sight, &sighting), "sh_pages_walk");
	leave_call(actor);
	if (sighting.seen == certain)
		tally(CHECK_CALLS);
	else
		fail(CHECK_CALLS, "seat %u: sh_pages_walk shows %u of its %u runs",
			seat_number(actor->seat), sighting.seen, certain);
}

void operation_pages_refused(struct actor *actor)
{
	struct sh_heap *heap = actor->heap;
	unsigned at = find_run(actor);
	const struct run *run = &actor->seat->runs[at % RUNS_PER_SEAT];
	sh_off directory = actor->seat->directory / PAGE_BYTES * PAGE_BYTES;

	expect_error(actor, sh_pages_free(heap, directory, 1), SH_EBADPTR,
		"sh_pages_free of blocks");
	if (at == RUNS_PER_SEAT)
		return;
	expect_error(actor, sh_free(heap, run->off), SH_EBADPTR, "sh_free of a run");
	expect_error(actor, sh_pages_free(heap, run->off + 16, 1), SH_EBADPTR,
		"sh_pages_free of no page");
	expect_error(actor, sh_usable_size(heap, run->off) != 0, 0, "sh_usable_size of a run");
	if (is_giant(run))
		expect_error(actor,
			sh_pages_free(heap, run->off,
				((arena_of(run->off) + 1) * ARENA_BYTES - run->off) / PAGE_BYTES),
			ENOTSUP, "sh_pages_free of the front of a run of several arenas");
}
