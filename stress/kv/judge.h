/* judge.h -- the whole store against all that is known of it
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_JUDGE_H
#define KV_STRESS_JUDGE_H

#include "kv.h"

/* Takes over from all writers, who are gone, and compares everything. */
void judge_store(struct kv *store);

#endif
