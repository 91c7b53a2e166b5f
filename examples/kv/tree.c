/* tree.c -- going down, and locking
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tree.h"

#include <errno.h>
#include <stdlib.h>

/* --- going down ---------------------------------------------------------------------------- */

void tree_prefetch_leaf(const struct leaf *leaf)
{
	__builtin_prefetch(leaf);
	__builtin_prefetch(&leaf->views[0]);
	__builtin_prefetch(&leaf->views[1]);
	__builtin_prefetch(leaf->tags);
	for (unsigned i = 0; i < LEAF_SLOTS; i += 8)
		__builtin_prefetch(&leaf->words[i]);
}

struct leaf *tree_leaf(const struct kv_table *table, struct kv_bytes key)
{
	const struct inner *inner = tree_root(table);

	while (inner != NULL) {
		sh_off child = inner_child(inner, inner_search(inner, key));

		if (child == 0)
			return NULL;
		if (inner->level == 1) {
			struct leaf *leaf = tree_node(table, child);

			tree_prefetch_leaf(leaf);
			return leaf;
		}
		inner = tree_node(table, child);
	}
	return NULL;
}

typedef unsigned search_fn(const struct inner *inner, struct kv_bytes key);

/* Where an end of a range stands: a separator of the lowest node that has one there. Stack. */
struct end {
	const struct inner *inner; /* NULL: without end */
	unsigned index;
};

static struct kv_bytes bytes_at(struct end end)
{
	return end.inner == NULL ? (struct kv_bytes){ NULL, 0 }
				 : inner_separator(end.inner, end.index);
}

/* Made for each way to search. */
__attribute__((always_inline)) static inline struct range go_down(const struct kv_table *table,
	struct kv_bytes key, search_fn *search)
{
	struct end low = { NULL, 0 }, high = { NULL, 0 };
	const struct inner *inner = tree_root(table);
	struct leaf *leaf = NULL;

	while (inner != NULL) {
		unsigned i = search(inner, key);
		sh_off child = inner_child(inner, i);

		if (child == 0)
			break;
		if (i > 0)
			low = (struct end){ inner, i - 1 };
		if (i < inner->count)
			high = (struct end){ inner, i };
		if (inner->level == 1) {
			leaf = tree_node(table, child);
			break;
		}
		inner = tree_node(table, child);
	}
	return (struct range){ leaf, bytes_at(low), bytes_at(high) };
}

struct range tree_range(const struct kv_table *table, struct kv_bytes key)
{
	return go_down(table, key, inner_search);
}

struct range tree_range_below(const struct kv_table *table, struct kv_bytes key)
{
	return go_down(table, key, inner_search_below);
}

static unsigned search_first(const struct inner *inner, struct kv_bytes key)
{
	(void)inner;
	(void)key;
	return 0;
}

static unsigned search_last(const struct inner *inner, struct kv_bytes key)
{
	(void)key;
	return inner->count;
}

struct range tree_range_first(const struct kv_table *table)
{
	return go_down(table, (struct kv_bytes){ NULL, 0 }, search_first);
}

struct range tree_range_last(const struct kv_table *table)
{
	return go_down(table, (struct kv_bytes){ NULL, 0 }, search_last);
}

/* --- locks --------------------------------------------------------------------------------- */

void locks_begin(struct locks *locks, struct sh_heap *heap)
{
	locks->heap = heap;
	locks->count = 0;
	locks->capacity = sizeof(locks->first) / sizeof(locks->first[0]);
	locks->held = locks->first;
}

static int make_room(struct locks *locks)
{
	size_t capacity = locks->capacity * 2;
	struct sh_mutex **held = realloc(locks->held == locks->first ? NULL : locks->held,
		capacity * sizeof(struct sh_mutex *));

	if (held == NULL)
		return ENOMEM;
	if (locks->held == locks->first)
		memcpy(held, locks->first, sizeof(locks->first));
	locks->held = held;
	locks->capacity = capacity;
	return 0;
}

typedef int lock_fn(struct sh_heap *heap, struct sh_mutex *mutex);

static int take(struct locks *locks, struct sh_mutex *mutex, lock_fn *lock)
{
	int error = locks->count == locks->capacity ? make_room(locks) : 0;

	if (error == 0)
		error = lock(locks->heap, mutex);
	if (error != 0 && error != SH_EOWNERDIED)
		return error;
	locks->held[locks->count++] = mutex;
	return 0;
}

int locks_take(struct locks *locks, struct sh_mutex *mutex)
{
	return take(locks, mutex, sh_mutex_lock);
}

int locks_try(struct locks *locks, struct sh_mutex *mutex)
{
	return take(locks, mutex, sh_mutex_trylock);
}

void locks_drop(struct locks *locks)
{
	assert(locks->count > 0);
	sh_mutex_unlock(locks->heap, locks->held[--locks->count]);
}

void locks_end(struct locks *locks)
{
	while (locks->count > 0)
		locks_drop(locks);
	if (locks->held != locks->first)
		free(locks->held);
}

/* --- locking nodes ------------------------------------------------------------------------- */

int tree_lock_leaf(const struct kv_table *table, struct locks *locks, struct kv_bytes key,
	struct range *range)
{
	for (;;) {
		*range = tree_range(table, key);
		if (range->leaf == NULL)
			return KV_EDROPPED;
		int error = locks_take(locks, &range->leaf->mutex);

		if (error != 0)
			return error;
		if ((leaf_load(range->leaf) & LEAF_RETIRED) == 0)
			return 0;
		locks_drop(locks);
	}
}

static bool holds(const struct inner *inner, unsigned index, sh_off child)
{
	return __atomic_load_n(&inner->retired, __ATOMIC_RELAXED) == 0 &&
		inner_child(inner, index) == child;
}

/* Whether the child is the root, and the table is locked now. */
static int lock_table(const struct kv_table *table, struct locks *locks, sh_off child,
	bool *is_root)
{
	int error = locks_take(locks, &table->block->mutex);

	if (error != 0)
		return error;
	*is_root = table->block->root == child;
	if (!*is_root)
		locks_drop(locks);
	return 0;
}

/* The node of this level on the way to the key, NULL if there is none. */
static struct inner *node_at(const struct kv_table *table, unsigned level, struct kv_bytes key)
{
	struct inner *inner = tree_root(table);

	while (inner != NULL && inner->level > level) {
		sh_off child = inner_child(inner, inner_search(inner, key));

		inner = child == 0 ? NULL : tree_node(table, child);
	}
	return inner;
}

int tree_lock_holder(const struct kv_table *table, struct locks *locks, unsigned level,
	struct kv_bytes key, sh_off child, struct holder *holder)
{
	for (;;) {
		struct inner *inner = node_at(table, level, key);
		bool found = false;
		int error = 0;

		if (inner == NULL)
			return KV_EDROPPED;
		if (inner->level < level) {
			*holder = (struct holder){ NULL, 0 };
			error = lock_table(table, locks, child, &found);
			if (error != 0 || found)
				return error;
			continue;
		}
		error = locks_take(locks, &inner->mutex);
		if (error != 0)
			return error;
		*holder = (struct holder){ inner, inner_search(inner, key) };
		if (holds(inner, holder->index, child))
			return 0;
		locks_drop(locks);
	}
}
