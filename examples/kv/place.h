/* place.h -- in what order the requests of a batch are made
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_PLACE_H
#define KV_PLACE_H

#include "tree.h"

/* One request, and enough to sort it by without looking further, mostly. Process. */
struct place {
	const struct table_block *table;
	struct kv_bytes key;
	size_t number; /* of the request: a later one for the same key is the one that counts */
	uint64_t head; /* of the key, behind what all keys share; by places_sort() */
};

/* Sorts by tables and keys, and leaves out all but the last for each key; returns how many are left. `spare` has room for
 * as many. */
size_t places_sort(struct place *places, size_t count, struct place *spare);

#endif
