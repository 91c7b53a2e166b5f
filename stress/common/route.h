/* route.h -- a short way to each instruction of an execution that is the same every time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A single step takes twenty microseconds, so who comes again and again goes by landmarks: runs into a trap at one, as
 * often as it was passed before, and steps from there. */
#ifndef STRESS_ROUTE_H
#define STRESS_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Process. After k instructions, for k = 0 to `instructions`.
 *
 * place: of the next instruction, which was executed so often before (visits).
 * landmark: the k from which on it is best to go by single steps. */
struct waypoint {
	uint64_t place;
	uint64_t visits;
	uint64_t landmark;
};

/* Process. */
struct route {
	struct waypoint *waypoint;
	uint64_t instructions;
};

/* Steps the victim from its mark to its end; `note`, unless NULL, hears of each waypoint. False: the victim ended before,
 * there are more than `limit` instructions, or there is no memory. */
bool route_record(struct route *route, pid_t victim, uint64_t limit,
	void (*note)(void *argument, uint64_t k), void *argument);
void route_free(struct route *route);

/* Takes a victim, which is at its mark, to where it has executed so many instructions. False: it ended before, or
 * there are not so many. */
bool route_go(const struct route *route, pid_t victim, uint64_t instructions);

/* Who does not trust the way steps all of it. */
bool route_step(pid_t victim, uint64_t instructions);

#endif
