/* tree.h -- the way from a table's root to its leaves, and what is locked on it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Whoever goes down is in a read section. Nodes that it finds may have been replaced since; they are then what
 * they were when it began.
 *
 * Locks of writers, each until its transaction has ended: leaves from left to right, then the inner nodes of
 * level 1 from left to right, then those of level 2, ..., then the table. Tables in the order of their
 * blocks. Out of this order only sh_mutex_trylock(). */
#ifndef KV_TREE_H
#define KV_TREE_H

#include "inner.h"
#include "leaf.h"

/* Heap file. A table; kept for others when it is dropped. */
struct table_block {
	struct sh_mutex mutex; /* of who replaces the root */
	uint64_t root;         /* an inner node; 0: there is no table. Stored by transactions */
	uint64_t generation;   /* grows when it is dropped, before `root` is of another table */
	sh_off next;           /* in the list of free blocks, or of those that are being emptied */
	uint64_t unused[3];
};

/* Process. Fixed while it is open. */
struct kv_table {
	struct sh_heap *heap;
	char *base;
	struct table_block *block;
	uint64_t generation;
	struct kv *store;
	struct kv_table *next; /* in the store's list */
	struct kv_bytes name;
};

static inline void *tree_node(const struct kv_table *table, sh_off off)
{
	return table->base + off;
}

/* The root; NULL: the table was dropped. */
static inline struct inner *tree_root(const struct kv_table *table)
{
	/* acquire, both: a root of another table comes after the generation that tells. */
	sh_off root = __atomic_load_n(&table->block->root, __ATOMIC_ACQUIRE);
	uint64_t generation = __atomic_load_n(&table->block->generation, __ATOMIC_RELAXED);

	return root == 0 || generation != table->generation ? NULL : tree_node(table, root);
}

/* The leaf whose range has the key; NULL: the table was dropped. */
struct leaf *tree_leaf(const struct kv_table *table, struct kv_bytes key);

/* Asks for the lines of a leaf that are looked at first: which view counts is not known yet. */
void tree_prefetch_leaf(const struct leaf *leaf);

/* A leaf with its range: from `low` on, below `high`; data NULL: without end. They are in inner nodes, or
 * in records, and readable until the section ends. */
struct range {
	struct leaf *leaf;
	struct kv_bytes low;
	struct kv_bytes high;
};

/* The leaf of the key, or of the keys just below it. `leaf` NULL: the table was dropped. */
struct range tree_range(const struct kv_table *table, struct kv_bytes key);
struct range tree_range_below(const struct kv_table *table, struct kv_bytes key);
struct range tree_range_first(const struct kv_table *table);
struct range tree_range_last(const struct kv_table *table);

/* Locks that are held. Stack. */
struct locks {
	struct sh_heap *heap;
	size_t count;
	size_t capacity;
	struct sh_mutex **held;
	struct sh_mutex *first[24];
};
void locks_begin(struct locks *locks, struct sh_heap *heap);

/* Takes one more. A dead holder's transaction is settled by then, and that is all that there is to do. */
int locks_take(struct locks *locks, struct sh_mutex *mutex);

/* The same, but EBUSY instead of waiting. */
int locks_try(struct locks *locks, struct sh_mutex *mutex);

/* Gives the last one back, or all. */
void locks_drop(struct locks *locks);
void locks_end(struct locks *locks);

/* Locks the leaf of the key. KV_EDROPPED. */
int tree_lock_leaf(const struct kv_table *table, struct locks *locks, struct kv_bytes key,
	struct range *range);

/* Where the offset of a node stands. */
struct holder {
	struct inner *inner; /* NULL: it is the root's, and the table's block has it */
	unsigned index;      /* of the child */
};

/* Locks what has the offset of `child`, at level `level` - 1, for the key. The caller has locked the
 * child. */
int tree_lock_holder(const struct kv_table *table, struct locks *locks, unsigned level,
	struct kv_bytes key, sh_off child, struct holder *holder);

#endif
