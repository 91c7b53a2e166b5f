/* deaths.c -- what threads died in
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/deaths.h"

#include "heap/size_class.h"
#include "stress/kill/model.h"
#include "stress/kill/numbers.h"
#include "stress/kill/tally.h"

/* How many must have died in each, however short the run; of 20,000 that died inside operations MANY in each. */
#define MANY 50u

static const struct {
	uint64_t least;
	const char *name;
} kinds[DEATHS] = {
	[DEATH_ALLOC] = { 0, "sh_alloc()" },
	[DEATH_ALLOC_ALIGNED] = { 1, "sh_alloc_ex(), aligned" },
	[DEATH_FREE] = { 0, "sh_free()" },
	[DEATH_FREE_DEFERRED] = { 0, "sh_free_deferred()" },
	[DEATH_REALLOC_SMALL] = { 2, "sh_realloc(), small" },
	[DEATH_REALLOC_LARGE] = { 2, "sh_realloc(), large" },
	[DEATH_ALLOC_TO] = { 0, "sh_alloc_to()" },
	[DEATH_FREE_FROM] = { 0, "sh_free_from()" },
	[DEATH_REALLOC_TO_SMALL] = { 2, "sh_realloc_to(), small" },
	[DEATH_REALLOC_TO_LARGE] = { 2, "sh_realloc_to(), large" },
	[DEATH_CHURN] = { 10, "runs for blocks that come and go" },
	[DEATH_CHURN_DEFERRED] = { 10, "the same, freed after grace periods" },
	[DEATH_ROOT] = { 0, "sh_root_set()" },
	[DEATH_TRANSACTION] = { 50, "a transaction of its thread" },
	[DEATH_TRANSACTION_DEFERRED] = { 10, "one that frees after a grace period" },
	[DEATH_DETACHED] = { 50, "a detached transaction" },
	[DEATH_DETACHED_DEFERRED] = { 5, "one that frees after a grace period" },
	[DEATH_PAGES_ALLOC] = { 10, "sh_pages_alloc()" },
	[DEATH_PAGES_FREE_ALL] = { 5, "sh_pages_free() of a run" },
	[DEATH_PAGES_FREE_PART] = { 2, "sh_pages_free() of a part of a run" },
	[DEATH_PAGES_FREE_SEVERAL] = { 1, "sh_pages_free() of parts of several runs" },
};

/* --- which --------------------------------------------------------------------------------- */

static bool resizes_large(const struct step *step)
{
	return step->before.size > SMALL_MAX_BYTES || step->block.size > SMALL_MAX_BYTES;
}

/* Parts of more than one run; of one whose rest is one run or two; or all of one. */
static enum death of_pages_free(const struct record *record)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < record->step_count; i++)
		if (record->steps[i].before.off != 0)
			before++;
	if (before > 1)
		return DEATH_PAGES_FREE_SEVERAL;
	return record->steps[0].run.off == 0 ? DEATH_PAGES_FREE_ALL : DEATH_PAGES_FREE_PART;
}

static enum death of_transaction(const struct record *record)
{
	if (record->defers)
		return record->detached ? DEATH_DETACHED_DEFERRED : DEATH_TRANSACTION_DEFERRED;
	return record->detached ? DEATH_DETACHED : DEATH_TRANSACTION;
}

static enum death of_record(const struct record *record)
{
	const struct step *step = &record->steps[0];

	switch (record->operation) {
	case OPERATION_ALLOC:
		return step->align != 0 ? DEATH_ALLOC_ALIGNED : DEATH_ALLOC;
	case OPERATION_FREE:
		return DEATH_FREE;
	case OPERATION_FREE_DEFERRED:
		return DEATH_FREE_DEFERRED;
	case OPERATION_REALLOC:
		return resizes_large(step) ? DEATH_REALLOC_LARGE : DEATH_REALLOC_SMALL;
	case OPERATION_ALLOC_TO:
		return DEATH_ALLOC_TO;
	case OPERATION_FREE_FROM:
		return DEATH_FREE_FROM;
	case OPERATION_REALLOC_TO:
		return resizes_large(step) ? DEATH_REALLOC_TO_LARGE : DEATH_REALLOC_TO_SMALL;
	case OPERATION_CHURN:
		return record->defers ? DEATH_CHURN_DEFERRED : DEATH_CHURN;
	case OPERATION_ROOT:
		return DEATH_ROOT;
	case OPERATION_TRANSACTION:
		return of_transaction(record);
	case OPERATION_PAGES_ALLOC:
		return DEATH_PAGES_ALLOC;
	case OPERATION_PAGES_FREE:
		return of_pages_free(record);
	case OPERATION_NONE:
		break;
	}
	return DEATH_NONE;
}

/* The call that the seat's occupant is in; none when its result is known: it has returned. */
static enum death of_seat(const struct seat *seat)
{
	if (record_in_flight(seat) && atomic_load(&seat->record.result) == 0)
		return of_record(&seat->record);
	return DEATH_NONE;
}

/* --- counting ------------------------------------------------------------------------------ */

void deaths_count(const struct seat *seat)
{
	atomic_fetch_add(&shared->deaths[of_seat(seat)], 1);
}

static uint64_t least_of(enum death death)
{
	uint64_t least = in_proportion(MANY);

	return least > kinds[death].least ? least : kinds[death].least;
}

static bool lacks(enum death death)
{
	return death != DEATH_NONE && atomic_load(&shared->deaths[death]) < least_of(death);
}

static bool is_behind(enum death death)
{
	return death != DEATH_NONE && atomic_load(&shared->deaths[death]) < so_far(MANY);
}

bool deaths_behind(void)
{
	for (unsigned death = DEATH_NONE + 1; death < DEATHS; death++)
		if (is_behind(death))
			return true;
	return false;
}

bool deaths_wanted(const struct seat *seat)
{
	return atomic_load(&seat->activity) != ACTIVITY_NONE && is_behind(of_seat(seat));
}

bool deaths_enough(void)
{
	for (unsigned death = DEATH_NONE + 1; death < DEATHS; death++)
		if (lacks(death))
			return false;
	return true;
}

void deaths_expect(void)
{
	for (unsigned death = DEATH_NONE + 1; death < DEATHS; death++) {
		uint64_t count = atomic_load(&shared->deaths[death]);

		if (lacks(death))
			fail(CHECK_DEATHS, "%llu died in %s, not %llu", (unsigned long long)count,
				kinds[death].name, (unsigned long long)least_of(death));
		else
			tally(CHECK_DEATHS);
	}
}

void deaths_print(void)
{
	say("threads died in");
	for (unsigned death = DEATH_NONE + 1; death < DEATHS; death++)
		say("%15llu  %s", (unsigned long long)atomic_load(&shared->deaths[death]),
			kinds[death].name);
}
