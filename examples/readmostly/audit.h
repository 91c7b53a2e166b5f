/* audit.h -- the whole heap against the ledger, while nobody writes
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_AUDIT_H
#define READMOSTLY_AUDIT_H

#include <stdint.h>

#include "ledger.h"
#include "table.h"

/* Process. Sums over all audits. */
struct audit {
	uint64_t audits;
	uint64_t keys;         /* looked up */
	uint64_t keys_wrong;   /* lost, made up, or not whole */
	uint64_t blocks_wrong; /* live and not of the table, or the other way round */
	uint64_t problems;     /* that sh_check() found */
};

void audit_all(struct audit *audit, const struct table *table, const struct ledger *ledger);

/* sh_check() alone. */
void audit_check(struct audit *audit, struct sh_heap *heap);

#endif
