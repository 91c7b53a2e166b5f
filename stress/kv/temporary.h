/* temporary.h -- tables that everybody makes, fills and drops
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_TEMPORARY_H
#define KV_STRESS_TEMPORARY_H

#include "kv.h"

/* Each holds keys that were put into it, and no other's. Nobody writes. */
void temporary_judge(struct kv *store);

#endif
