/* reader.h -- a process that reads until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_READER_H
#define KV_STRESS_READER_H

#include "stress/kv/ledger.h"

/* Works in an open store, which it closes; returns when it is told to stop. */
void reader_run(struct kv *store, unsigned number, uint64_t seed);

#endif
