/* calls.h -- what is killed: calls of examples/kv, and the stores that they begin with
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_DEATH_CALLS_H
#define KV_DEATH_CALLS_H

#include "examples/kv/kv.h"

/* begin: fills a new store. act: the call; ends the process when its result is not what it must be. */
struct call {
	const char *name;
	void (*begin)(struct kv *store);
	void (*act)(struct kv *store);
};

extern const struct call calls[];
extern const unsigned call_count;

/* The table that is made first. */
struct kv_table *calls_table(struct kv *store);

#endif
