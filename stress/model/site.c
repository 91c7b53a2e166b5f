/* site.c -- where a search spends its states: how often a process stopped before which access
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/site.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stress/model/symbol.h"

#define SITE_LIMIT 4096u
#define SITES_PRINTED 40u

/* Process. */
struct site {
	uint64_t states;
	struct machine_access access;
};

static struct site sites[SITE_LIMIT];
static unsigned site_count;

void site_reset(void)
{
	site_count = 0;
}

void site_note(const struct machine_access *access)
{
	unsigned i = 0;

	if (access->region == NULL)
		return;
	while (i < site_count &&
		(sites[i].access.address != access->address ||
			sites[i].access.caller != access->caller))
		i++;
	if (i == SITE_LIMIT)
		return;
	if (i == site_count)
		sites[site_count++] = (struct site){ .access = *access };
	sites[i].states++;
}

static int busier(const void *left, const void *right)
{
	uint64_t a = ((const struct site *)left)->states;
	uint64_t b = ((const struct site *)right)->states;

	return (a < b) - (a > b);
}

void site_print(FILE *file)
{
	qsort(sites, site_count, sizeof sites[0], busier);
	for (unsigned i = 0; i < site_count && i < SITES_PRINTED; i++) {
		const struct machine_access *access = &sites[i].access;
		const unsigned char *address = access->address;
		struct symbol symbol;

		symbol_resolve(&access->caller, 1, &symbol);
		fprintf(file, "%10" PRIu64 " states before %s+0x%zx  %s\n", sites[i].states,
			access->region->name, (size_t)(address - access->region->base),
			symbol.text);
	}
}
