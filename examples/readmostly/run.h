/* run.h -- the whole story: read and write under fire, lose everybody, go on, empty the table
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_RUN_H
#define READMOSTLY_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "process.h"

/* Process. */
struct plan {
	uint64_t seed;
	uint64_t seconds;
	unsigned readers;
	unsigned writers;
};

/* Tells the story on the standard output; false when anything was not as it must be. Neither file
 * may exist yet. The heap file stays behind, closed and clean. */
bool run(const struct job *job, const struct plan *plan);

/* The control: with the one flag left out that makes writers wait for readers, readers must find
 * wrong values. False when they did not. */
bool run_careless(const struct job *job, const struct plan *plan);

#endif
