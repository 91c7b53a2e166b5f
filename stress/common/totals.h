/* totals.h -- the line by which ./dev stress takes a harness into its table
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_STRESS_TOTALS_H
#define SPANHEAP_STRESS_TOTALS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#define TOTALS_NONE UINT64_MAX /* the harness does not count this */

/* Stack. cases: what was tried. images: distinct contents of files that were opened. states: of an exploration.
 * deaths: inside operations. bad: blocks lost or given out twice, calls that hung, and all else that was wrong. */
struct totals {
	uint64_t cases;
	uint64_t images;
	uint64_t states;
	uint64_t deaths;
	uint64_t bad;
};

static inline void totals_print_one(const char *name, uint64_t number)
{
	if (number == TOTALS_NONE)
		printf(" %s -", name);
	else
		printf(" %s %" PRIu64, name, number);
}

static inline void totals_print(const struct totals *totals)
{
	fputs("totals:", stdout);
	totals_print_one("cases", totals->cases);
	totals_print_one("images", totals->images);
	totals_print_one("states", totals->states);
	totals_print_one("deaths", totals->deaths);
	totals_print_one("bad", totals->bad);
	putchar('\n');
}

#endif
