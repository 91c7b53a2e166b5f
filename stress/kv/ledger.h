/* ledger.h -- operations on keys with one owner, and what must be found under these keys
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_LEDGER_H
#define KV_STRESS_LEDGER_H

#include "stress/kv/shared.h"

/* Process. An open store with the tables that everybody has. */
struct desk {
	struct kv *store;
	struct kv_table *tables[2 + WRITERS]; /* NULL: not opened */
	struct kv_table *common;              /* of locks, and of half of the group */
	struct kv_table *scanned;
};

/* Opens the store's tables, and makes those that are not there; a writer's own only for it. */
int desk_open(struct desk *desk, struct kv *store, unsigned writer);

/* --- one operation at a time in each seat --------------------------------------------------- */

/* Begins one without items yet. */
void operation_plan(struct journal *journal);

/* Adds what is to become of a place; not twice the same. Returns the version. */
uint64_t operation_add(struct journal *journal, uint32_t place, bool put);
bool operation_has(const struct journal *journal, uint32_t place);

/* From here on it may have happened, ... */
void operation_begin(struct journal *journal);

/* ... and from here on it has, and stands. */
void operation_acknowledge(struct journal *journal);

/* Finds out what became of the operation of a dead one, fails unless it is one thing or the other as a whole, and
 * sets the ledger right. */
void operation_take_over(struct journal *journal, struct desk *desk, unsigned writer);

/* --- what is found -------------------------------------------------------------------------- */

/* What a lookup found. */
struct finding {
	bool there;
	bool whole;       /* a value of this key; else what is there is wrong */
	uint64_t version; /* 0: an empty value, of any version */
};

/* Looks a place up. Its table is open, or (its owner's own) not there, and then the key is not. */
struct finding look_up(struct desk *desk, uint32_t place);

/* Whether that can be the version. */
bool finding_is(const struct finding *finding, uint32_t place, uint64_t version);

/* Whether that can be a version from `acknowledged`, read before the lookup, to what is begun by now; says what
 * is wrong. */
bool finding_judge(const struct finding *finding, uint32_t place, uint64_t acknowledged,
	enum check check);

#endif
