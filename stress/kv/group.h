/* group.h -- keys that are always put together, by anybody
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_GROUP_H
#define KV_STRESS_GROUP_H

#include "stress/kv/ledger.h"

/* All of it must be of one batch, and that one the last. Nobody writes. */
void group_judge(struct desk *desk);

#endif
