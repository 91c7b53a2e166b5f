/* route.c -- a short way to each instruction of an execution that is the same every time
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/common/route.h"

#include "stress/common/single_step.h"

#include <stdlib.h>

#define STEP_COST 2u
#define VISIT_COST 5u

/* --- counting ------------------------------------------------------------------------------ */

/* Process. How often an instruction was executed. */
struct visits {
	uint64_t place;
	uint64_t times;
};

static struct visits *find_place(struct visits *table, uint64_t slots, uint64_t place)
{
	uint64_t i = place * UINT64_C(0x9e3779b97f4a7c15) % slots;

	while (table[i].times != 0 && table[i].place != place)
		i = (i + 1) % slots;
	table[i].place = place;
	return &table[i];
}

static bool count_visits(struct route *route)
{
	uint64_t slots = 2 * route->instructions + 16;
	struct visits *table = calloc(slots, sizeof(*table));

	if (table == NULL)
		return false;
	for (uint64_t k = 0; k <= route->instructions; k++) {
		struct waypoint *waypoint = &route->waypoint[k];

		waypoint->visits = find_place(table, slots, waypoint->place)->times++;
	}
	free(table);
	return true;
}

/* To come to a landmark costs VISIT_COST for each visit of its instruction, from there a step STEP_COST. */
static void find_landmarks(struct route *route)
{
	for (uint64_t k = 0; k <= route->instructions; k++) {
		uint64_t best = UINT64_MAX;

		for (uint64_t back = 0; back <= k && back * STEP_COST < best; back++) {
			uint64_t cost =
				back * STEP_COST + route->waypoint[k - back].visits * VISIT_COST;

			if (cost < best) {
				best = cost;
				route->waypoint[k].landmark = k - back;
			}
		}
	}
}

/* --- recording ----------------------------------------------------------------------------- */

bool route_record(struct route *route, pid_t victim, uint64_t limit,
	void (*note)(void *argument, uint64_t k), void *argument)
{
	uint64_t k = 0;

	*route = (struct route){ .waypoint = calloc(limit + 1, sizeof(*route->waypoint)) };
	if (route->waypoint == NULL)
		return false;
	for (;; k++) {
		route->waypoint[k].place = step_place(victim);
		if (note != NULL)
			note(argument, k);
		if (step_at_end(victim))
			break;
		if (k == limit || !step(victim))
			return false;
	}
	route->instructions = k;
	if (!count_visits(route))
		return false;
	find_landmarks(route);
	return true;
}

void route_free(struct route *route)
{
	free(route->waypoint);
	*route = (struct route){ .waypoint = NULL };
}

/* --- going --------------------------------------------------------------------------------- */

static bool step_from(pid_t victim, uint64_t at, uint64_t instructions)
{
	for (; at < instructions && !step_at_end(victim); at++)
		if (!step(victim))
			return false;
	return true;
}

bool route_step(pid_t victim, uint64_t instructions)
{
	return step_from(victim, 0, instructions);
}

bool route_go(const struct route *route, pid_t victim, uint64_t instructions)
{
	const struct waypoint *landmark;
	uint64_t at;

	if (instructions > route->instructions)
		return false;
	at = route->waypoint[instructions].landmark;
	landmark = &route->waypoint[at];
	return step_run_to(victim, landmark->place, landmark->visits) &&
		step_from(victim, at, instructions);
}
