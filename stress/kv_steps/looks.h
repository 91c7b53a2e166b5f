/* looks.h -- what a reader does, and what it may find; what others do meanwhile
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The table has keys that stay, some of whose values are replaced, and others that come and go. Each value has its key
 * in it. */
#ifndef KV_STEPS_LOOKS_H
#define KV_STEPS_LOOKS_H

#include "examples/kv/kv.h"

#define FOUND_MOST 256u

/* What a reader found. Process. */
struct found {
	int error; /* of a get */
	unsigned count;
	struct kv_bytes keys[FOUND_MOST];
	struct kv_bytes values[FOUND_MOST];
};

/* look: in a read section. judge: ends the process when that cannot be. */
struct look {
	const char *name;
	void (*look)(struct kv_table *table, struct kv_cursor *cursor, struct found *found);
	void (*judge)(const struct found *found);
};
extern const struct look looks[];
extern const unsigned look_count;

/* act: leaves the table with the keys that it had. */
struct work {
	const char *name;
	void (*act)(struct kv_table *table);
};
extern const struct work works[];
extern const unsigned work_count;

/* Fills an empty table. */
void looks_fill(struct kv_table *table);

#endif
