/* pool.h -- the few objects in the heap that readers find and updaters replace
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each updater has a word of its own that names the object to be found there, and one object more. A
 * dead updater's successor finds everything by the word: whatever it does not name may have been
 * unlinked a moment before the death, and is spoiled after a grace period. */
#ifndef RCU_POOL_H
#define RCU_POOL_H

#include "stress/rcu/shared.h"

#define POOL_WORDS 8u
#define POOL_OBJECTS 2u /* of each updater */
#define POOL_POISON UINT64_C(0xdeadbeefdeadbeef)

/* Heap file. All its words are the same serial, from before it can be found until every section that
 * found it has ended. */
struct object {
	_Alignas(64) _Atomic uint64_t words[POOL_WORDS];
};

/* Heap file, behind the root "pool". */
struct pool {
	_Alignas(64) _Atomic uint64_t current[UPDATERS]; /* offset of an object; 0: not yet */
	struct object objects[UPDATERS][POOL_OBJECTS];
};

enum reading {
	READING_GOOD,
	READING_POISONED,
	READING_TORN,
};

/* Makes the pool of a new heap; false when that fails. */
bool pool_make(struct sh_heap *heap);

/* NULL when there is none. */
struct pool *pool_find(struct sh_heap *heap);

void pool_poison(struct object *object);
void pool_fill(struct object *object, uint64_t serial);

/* Has readers find the object from here on, and no other. */
void pool_publish(struct sh_heap *heap, struct pool *pool, unsigned updater, struct object *object);

/* What is to be found at an updater's word; NULL: nothing yet. */
struct object *pool_follow(struct sh_heap *heap, struct pool *pool, unsigned updater);

/* Looks at all words; *serial is that of the first. */
enum reading pool_read(const struct object *object, uint64_t *serial);

#endif
