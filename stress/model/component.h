/* component.h -- states that lead to each other in circles, found during the search
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A component is a largest set of states of which each leads to each. They are found as Gabow does:
 * in one stack the states whose component may still grow, in the order of their numbers; in another
 * the first state of each component, as far as is known. A component that is complete and leads
 * nowhere is an end of the search: a terminal state or a hang. */
#ifndef MODEL_COMPONENT_H
#define MODEL_COMPONENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Process. */
struct component {
	uint32_t first;     /* number of the state that was visited first */
	bool escapes;       /* something leads out of it, or it is a terminal state */
	bool limits_passed; /* a time limit passed for somebody blocked in one of the states */
	size_t states;      /* set by component_close() */
};

void component_reset(void);
void component_release(void);

/* A state is visited for the first time, below that of the top component. Numbers grow. */
void component_open(uint32_t number, bool is_terminal);

/* A state of the top component leads to a state that was visited before. */
void component_join(uint32_t number);

/* About the top component. */
bool component_begins_with(uint32_t number);
bool component_escapes(void);
void component_let_limits_pass(void);

/* The top component is complete: the search goes back beyond its first state. */
struct component component_close(void);

#endif
