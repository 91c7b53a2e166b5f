/* trace.h -- a schedule, run again from the start and printed
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MODEL_TRACE_H
#define MODEL_TRACE_H

#include "stress/model/explorer.h"

enum trace_action {
	TRACE_RUN,      /* start, or go on from a switch point */
	TRACE_CONTINUE, /* go on within a step, from a kill point */
	TRACE_STOP,     /* never to go on from a kill point, but die sooner or later */
	TRACE_FREEZE,   /* never to go on from a kill point, nor to die before all do */
	TRACE_DIE,
};

/* Process. accesses is what machine_accesses() says where the action ends, or TRACE_TO_FAILURE: it
 * ends in a fault or in explorer_fail(). */
struct trace_choice {
	uint8_t process;
	uint8_t action;
	uint32_t accesses;
};

#define TRACE_TO_FAILURE UINT32_MAX

/* Resets the machine, makes the choices and prints what the processes do: stores and accesses to
 * words in conflict line by line, other loads as a number. Leaves the machine reset. The
 * environment variable EXPLORER_TRACE=full prints every access. */
void trace_print(FILE *file, const struct trace_choice *choices, size_t count);

#endif
