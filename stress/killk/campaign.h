/* campaign.h -- all cases: which instructions, beside which survivors, and what came of them
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_CAMPAIGN_H
#define KILLK_CAMPAIGN_H

#include "stress/killk/operations.h"

#define ANY_STEP UINT64_MAX
#define ALL UINT32_MAX

/* nth: which of the instructions that change nothing are killed, too: 0: none, 1: all.
 * loop_first, loop_nth: of the changes that one instruction makes again and again so many are killed, and then
 *	every nth; 0: none.
 * stops: of each operation. step: only this one, gone to by single steps. */
struct campaign_options {
	uint64_t seed;
	const char *folder;
	const char *images; /* file that gets the heap file's images; NULL: none */
	unsigned workers;
	unsigned nth;
	unsigned nth_busy;
	unsigned loop_first;
	unsigned loop_nth;
	unsigned stops;
	uint32_t operation; /* index, or ALL */
	uint32_t survivor;  /* enum survivor, or ALL */
	uint64_t step;
	bool only_agreement; /* nobody is killed */
};

/* Runs it and prints its table. How many rows failed goes to *failed; returns how many passed. */
unsigned campaign_run(const struct campaign_options *options, unsigned *failed);

/* Binds the worker of that number to a processor, and its victims with it. */
void campaign_settle_down(unsigned worker);

const char *survivor_name(enum survivor survivor);

#endif
