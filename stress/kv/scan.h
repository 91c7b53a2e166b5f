/* scan.h -- a table of keys that stay, between keys that come and go
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Of each number, key 0 is never touched, key 1 is put again and again and never deleted, and the others come and go,
 * often whole stretches of them. */
#ifndef KV_STRESS_SCAN_H
#define KV_STRESS_SCAN_H

#include "stress/kv/writer.h"

/* Puts the keys that stay. */
void scan_prepare(struct desk *desk);

/* A writer's part: some keys, or a stretch. */
void scan_disturb(struct writer *writer);

/* A reader's: goes through some or all of the table, in one direction or both, with or without pauses. Every
 * key that stays must be shown where it belongs, once. */
void scan_read(struct desk *desk, struct chance *random);

/* All of it, forward and backward. */
void scan_judge(struct desk *desk);

#endif
