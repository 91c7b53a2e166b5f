/* tables.h -- the catalog: which tables there are
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_TABLES_H
#define KV_TABLES_H

#include "store.h"

/* Gives back what dropped tables held, also those whose dropper died. */
int tables_empty_dropped(struct kv *store);

#endif
