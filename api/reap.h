/* reap.h -- what reaping did, for the user
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_API_REAP_H
#define SPANHEAP_API_REAP_H

#include "heap/heap.h"

#include <spanheap.h>

/* What was done between two counts. `report` may be NULL. */
void reap_report(struct sh_reap_report *report, const struct reap_counts *after,
	const struct reap_counts *before);

#endif
