/* hash_set.h -- which images were seen
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_HASH_SET_H
#define CRASHLOG_HASH_SET_H

#include "stress/crashlog/replay.h"

/* Process. All zero: empty. */
struct hash_set {
	struct image_hash *slots;
	uint64_t slot_count; /* a power of two */
	uint64_t count;
};

/* Whether it was not in there. */
bool hash_set_add(struct hash_set *set, struct image_hash hash);
bool hash_set_has(const struct hash_set *set, struct image_hash hash);
void hash_set_clear(struct hash_set *set);

#endif
