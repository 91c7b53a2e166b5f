/* supervisor.h -- keeps workers running, kills them at random moments, counts what it is told
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORDINDEX_SUPERVISOR_H
#define WORDINDEX_SUPERVISOR_H

#include <stdint.h>

#include "process.h"

/* Pipe. What the supervisor knows after a death. */
struct tally {
	uint64_t kills;
	uint64_t deaths_inside;      /* proved inside a transaction or allocation */
	struct sh_reap_report found; /* sums over all reap reports; they prove it */
	uint64_t steps;              /* transactions that stand, of all workers */
	uint64_t passes;             /* begun by the foremost worker */
	uint64_t locks_inherited;    /* mutexes that workers got from dead holders */
};

/* Runs workers and kills them, until it is killed itself. Writes a struct tally to the standard
 * output after each killing. */
_Noreturn void supervisor_run(const struct job *job, uint64_t seed);

#endif
