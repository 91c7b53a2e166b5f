/* tally.c -- checks and counts: said as they come, summed up at the end
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/tally.h"

#include "stress/common/totals.h"
#include "stress/common/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KINDS 48u
#define KIND_BYTES 24u

/* Process. */
static struct {
	char name[KIND_BYTES];
	struct tally tally;
} kinds[KINDS];
static unsigned kind_count;
static struct tally everything; /* that was printed */

void tally_add(struct tally *to, const struct tally *more)
{
	to->operations += more->operations;
	to->stores += more->stores;
	to->images += more->images;
	to->reapings += more->reapings;
	to->openings += more->openings;
	to->passed_by += more->passed_by;
	to->recoveries += more->recoveries;
	to->recovery_images += more->recovery_images;
	to->bad += more->bad;
}

void tally_of_kind(const char *operation, const struct tally *more)
{
	size_t length = strcspn(operation, ":");
	unsigned i = 0;

	if (length >= KIND_BYTES)
		length = KIND_BYTES - 1;
	while (i < kind_count &&
		(strlen(kinds[i].name) != length || memcmp(kinds[i].name, operation, length) != 0))
		i++;
	if (i == KINDS)
		i--;
	if (i == kind_count) {
		kind_count++;
		memcpy(kinds[i].name, operation, length);
	}
	tally_add(&kinds[i].tally, more);
}

static void print_row(const char *name, const struct tally *tally)
{
	printf("%-14s %10" PRIu64 " %7" PRIu64 " %7" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9" PRIu64
	       " %10" PRIu64 " %7" PRIu64 " %5" PRIu64 "\n",
		name, tally->operations, tally->stores, tally->images, tally->reapings,
		tally->openings, tally->passed_by, tally->recoveries, tally->recovery_images,
		tally->bad);
}

void tally_print_kinds(const char *state)
{
	struct tally all = { 0 };

	printf("%-14s %10s %7s %7s %8s %8s %9s %10s %7s %5s\n", state, "operations", "stores",
		"images", "reapings", "openings", "passed by", "recoveries", "images", "bad");
	for (unsigned i = 0; i < kind_count; i++) {
		print_row(kinds[i].name, &kinds[i].tally);
		tally_add(&all, &kinds[i].tally);
		verdict_count(kinds[i].tally.bad == 0);
	}
	print_row("all", &all);
	fflush(stdout);
	tally_add(&everything, &all);
	memset(kinds, 0, sizeof(kinds));
	kind_count = 0;
}

static void print_totals(void)
{
	const struct totals totals = {
		.cases = everything.operations,
		.images = everything.images + everything.reapings + everything.openings +
			everything.recovery_images,
		.states = TOTALS_NONE,
		.deaths = everything.images + everything.reapings + everything.openings,
		.bad = everything.bad,
	};

	totals_print(&totals);
}

unsigned tally_print(void)
{
	print_totals();
	return verdict_print();
}
