/* linear.c -- is there an order in which all calls could have happened at one moment each?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Goes through begins and ends in the order of time, with the set of all worlds that are possible so far: what the
 * key holds, and which of the calls under way have happened. At a call's end it has happened: from each world in
 * which it has not, calls under way happen, in every order, until it has. No world left: there is no
 * order. Worlds that are the same are kept once. */
#include "stress/kv/linear.h"

#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 64u
#define WORLDS_MAX (1u << 18)

struct world {
	uint64_t happened; /* bits of calls under way */
	uint32_t value;
};

/* A set: a list of its members, and a table of their numbers in it, plus one, by hash. */
struct worlds {
	struct world *list;
	uint32_t *table;
	uint32_t count;
	uint32_t capacity; /* of the table: a power of two, twice the list's */
	bool full;
};

/* What happens at one moment: a call begins, or ends. */
struct moment {
	uint64_t time;
	uint32_t event;
	bool is_end;
};

/* A decision under way. Stack. */
struct decision {
	const struct event *const *events;
	size_t count;
	uint32_t calls[CALLS_MAX]; /* the events that are under way, ... */
	uint64_t under_way;        /* ... in these places */
	struct worlds worlds;
	struct worlds next;
};

/* --- sets of worlds ------------------------------------------------------------------------ */

static void worlds_free(struct worlds *worlds)
{
	free(worlds->list);
	free(worlds->table);
}

static bool worlds_make(struct worlds *worlds, uint32_t capacity)
{
	*worlds = (struct worlds){
		.list = malloc(capacity / 2 * sizeof(*worlds->list)),
		.table = calloc(capacity, sizeof(*worlds->table)),
		.capacity = capacity,
	};
	if (worlds->list != NULL && worlds->table != NULL)
		return true;
	worlds_free(worlds);
	*worlds = (struct worlds){ 0 };
	return false;
}

static uint32_t *place_of(struct worlds *worlds, struct world world)
{
	uint64_t hash = (world.happened ^ (uint64_t)world.value << 32 ^ world.value) *
		UINT64_C(0x9e3779b97f4a7c15);
	uint32_t at = (uint32_t)(hash >> 32) & (worlds->capacity - 1);

	while (worlds->table[at] != 0) {
		const struct world *other = &worlds->list[worlds->table[at] - 1];

		if (other->happened == world.happened && other->value == world.value)
			break;
		at = (at + 1) & (worlds->capacity - 1);
	}
	return &worlds->table[at];
}

static bool worlds_grow(struct worlds *worlds)
{
	struct worlds bigger;

	if (worlds->capacity >= WORLDS_MAX || !worlds_make(&bigger, worlds->capacity * 2))
		return false;
	for (uint32_t i = 0; i < worlds->count; i++) {
		bigger.list[bigger.count++] = worlds->list[i];
		*place_of(&bigger, worlds->list[i]) = bigger.count;
	}
	worlds_free(worlds);
	*worlds = bigger;
	return true;
}

static void worlds_add(struct worlds *worlds, struct world world)
{
	if (worlds->full)
		return;
	if (worlds->count == worlds->capacity / 2 && !worlds_grow(worlds)) {
		worlds->full = true;
		return;
	}
	uint32_t *place = place_of(worlds, world);

	if (*place == 0) {
		worlds->list[worlds->count++] = world;
		*place = worlds->count;
	}
}

static void worlds_clear(struct worlds *worlds)
{
	/* By member when these are few: most sets are small, and their tables may have been large once. */
	if (worlds->count < worlds->capacity / 16)
		for (uint32_t i = worlds->count; i > 0; i--)
			*place_of(worlds, worlds->list[i - 1]) = 0;
	else
		memset(worlds->table, 0, worlds->capacity * sizeof(*worlds->table));
	worlds->count = 0;
}

/* --- what can happen ----------------------------------------------------------------------- */

static bool is_pending(const struct event *event)
{
	return event->ended == EVENT_PENDING;
}

/* Has the call happen, if it can have given what it gave; false: it cannot now. */
static bool happen(const struct event *event, uint32_t *value)
{
	bool there = *value != 0, any = is_pending(event);

	switch ((enum event_kind)event->kind) {
	case EVENT_GET:
		return any || *value == event->value;
	case EVENT_PUT:
		*value = event->value;
		return true;
	case EVENT_INSERT:
		if (!any && event->refused != there)
			return false;
		if (!there)
			*value = event->value;
		return true;
	case EVENT_DELETE:
		if (!any && event->refused == there)
			return false;
		*value = 0;
		return true;
	}
	return false;
}

/* From this world to those in which one more has happened. */
static void go_on_from(struct decision *decision, struct world world, struct worlds *to)
{
	for (uint64_t left = decision->under_way & ~world.happened; left != 0; left &= left - 1) {
		unsigned place = (unsigned)__builtin_ctzll(left);
		uint32_t value = world.value;

		if (happen(decision->events[decision->calls[place]], &value))
			worlds_add(to,
				(struct world){ world.happened | UINT64_C(1) << place, value });
	}
}

/* --- moments ------------------------------------------------------------------------------- */

static bool call_begins(struct decision *decision, uint32_t event)
{
	unsigned place;

	if (~decision->under_way == 0)
		return false;
	place = (unsigned)__builtin_ctzll(~decision->under_way);
	decision->under_way |= UINT64_C(1) << place;
	decision->calls[place] = event;
	return true;
}

/* The call has happened by now: all worlds in which it has, and in these it is not under way any more. */
static void call_ends(struct decision *decision, uint32_t event)
{
	struct worlds swapped;
	uint64_t bit = 1;

	while ((decision->under_way & bit) == 0 || decision->calls[__builtin_ctzll(bit)] != event)
		bit <<= 1;
	worlds_clear(&decision->next);
	/* The list grows while it is gone through. */
	for (uint32_t i = 0; i < decision->worlds.count; i++) {
		struct world world = decision->worlds.list[i];

		if ((world.happened & bit) != 0)
			worlds_add(&decision->next,
				(struct world){ world.happened & ~bit, world.value });
		else
			go_on_from(decision, world, &decision->worlds);
	}
	swapped = decision->worlds;
	decision->worlds = decision->next;
	decision->next = swapped;
	decision->worlds.full |= swapped.full;
	decision->under_way &= ~bit;
}

static int compare(const void *left, const void *right)
{
	const struct moment *a = left, *b = right;

	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	/* At one time: the calls overlap. */
	if (a->is_end != b->is_end)
		return a->is_end ? 1 : -1;
	return a->event < b->event ? -1 : a->event > b->event;
}

static size_t list_moments(const struct decision *decision, struct moment *moments)
{
	size_t count = 0;

	for (size_t i = 0; i < decision->count; i++) {
		const struct event *event = decision->events[i];

		moments[count++] = (struct moment){ event->begun, (uint32_t)i, false };
		if (!is_pending(event))
			moments[count++] = (struct moment){ event->ended, (uint32_t)i, true };
	}
	qsort(moments, count, sizeof(*moments), compare);
	return count;
}

static enum linear decide(struct decision *decision, const struct moment *moments, size_t count,
	size_t *at)
{
	worlds_add(&decision->worlds, (struct world){ 0, 0 });
	for (size_t i = 0; i < count; i++) {
		*at = moments[i].event;
		if (!moments[i].is_end) {
			if (!call_begins(decision, moments[i].event))
				return LINEAR_UNDECIDED;
			continue;
		}
		call_ends(decision, moments[i].event);
		if (decision->worlds.full)
			return LINEAR_UNDECIDED;
		if (decision->worlds.count == 0)
			return NOT_LINEAR;
	}
	return LINEAR;
}

enum linear linear_decide(const struct event *const *events, size_t count, size_t *at)
{
	struct decision decision = { .events = events, .count = count };
	struct moment *moments = malloc((2 * count + 1) * sizeof(*moments));
	bool ready = worlds_make(&decision.worlds, 64);
	enum linear result = LINEAR_UNDECIDED;

	ready &= worlds_make(&decision.next, 64);
	if (ready && moments != NULL)
		result = decide(&decision, moments, list_moments(&decision, moments), at);
	worlds_free(&decision.worlds);
	worlds_free(&decision.next);
	free(moments);
	return result;
}
