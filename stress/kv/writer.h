/* writer.h -- a process that writes until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_WRITER_H
#define KV_STRESS_WRITER_H

#include "stress/kv/ledger.h"

#define HANDLES 6u

/* Process. A writer in its seat. */
struct writer {
	unsigned number;
	struct seat *seat;
	struct desk desk;
	struct chance random;
	unsigned puts_percent; /* for the time being: tables grow and shrink */
	unsigned until_mood;   /* operations */
	struct {
		struct kv_table *table;
		unsigned name;
	} handles[HANDLES]; /* of tables that all drop: some of tables that are gone */
};

/* Around calls that write. */
void call_begin(struct writer *writer);
void call_end(struct writer *writer);

/* Whatever the dead one in the seat left. Its transactions are settled. */
void writer_take_over(struct desk *desk, unsigned number);

/* Works in an open store, which it closes; returns when it is told to stop. */
void writer_run(struct kv *store, unsigned number, uint64_t seed);

/* --- operations, by what they are about ----------------------------------------------------- */

/* Keys of its own: a put, a deletion, a batch, something that must be refused, a drop of its table. */
void own_any(struct writer *writer);

/* A key that is had by who inserts it. */
void common_lock(struct writer *writer);
void common_take_over_lock(struct desk *desk, unsigned number);

/* The group, put by one batch. */
void common_group(struct writer *writer);

/* Tables that everybody makes, fills and drops. */
void temporary_any(struct writer *writer);

#endif
