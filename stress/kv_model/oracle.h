/* oracle.h -- what a store must show, whoever died where
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_MODEL_ORACLE_H
#define KV_MODEL_ORACLE_H

#include "stress/kv_model/operations.h"

/* NULL, or what is broken in the store of a heap that nobody else works on: it is no tree, a block is in no place of it
 * or in two, or its table has what no order of the operations leads to. `chosen` has one for each worker, or NULL. */
const char *oracle_check_store(struct heap *heap, const struct ghost *ghosts,
	const struct kv_operation *const chosen[2]);

/* NULL, or what a reader that has ended found and cannot have found. */
const char *oracle_check_readers(const struct ghost *ghosts,
	const struct kv_operation *const chosen[2]);

#endif
