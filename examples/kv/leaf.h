/* leaf.h -- up to 56 neighbouring entries of a table, changed by one store
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A leaf has a range of keys for life; when its entries do not fit any more, or become few, others take its
 * place (edit.h). Its entries are in slots, in no order. What slots are in use, and in what order their keys
 * are, says a view; there are two, and `state` says which one counts. A writer has the mutex. It fills free
 * slots and the other view, which nobody looks at, and turns to it by one store of `state` in its
 * transaction. A value is replaced by one store to records[slot].
 *
 * A reader loads `state`, looks, and loads `state` again: unchanged, and what it saw was true in between. A retired leaf
 * is not in the tree any more; who came here before may still read it, as what was true when it came.
 *
 *   view.live has view.order's slots, and no other:  popcount(live) = leaf_count(state)
 *   keys(order[0]) < keys(order[1]) < ...             all in the leaf's range
 *   heads[s] = bytes_head(key(s), prefix_bytes)       tags[s] = bytes_tag(key(s))
 *
 * Crash: free slots and the view that does not count may hold anything. */
#ifndef KV_LEAF_H
#define KV_LEAF_H

#include "record.h"

#include <assert.h>

#define LEAF_SLOTS 56u

/* Fewer, and it is joined with a neighbour, if both fit in LEAF_JOINED. */
#define LEAF_FEW 14u
#define LEAF_JOINED 42u

/* Heap file. Written by who has the mutex, while it does not count; read with relaxed loads. */
struct leaf_view {
	uint64_t live;                  /* bit s: slot s is in use */
	uint64_t order[LEAF_SLOTS / 8]; /* bytes: the slot of the first key, of the second, ... */
};

/* Heap file. */
struct leaf {
	struct sh_mutex mutex;
	uint64_t state;        /* LEAF_...; stored by transactions of who has the mutex */
	uint64_t prefix_bytes; /* that all keys of the range share; for life */
	uint64_t unused[4];
	struct leaf_view views[2];
	uint64_t tags[LEAF_SLOTS / 8]; /* bytes */
	uint64_t unused_tags;
	uint64_t heads[LEAF_SLOTS];
	uint64_t records[LEAF_SLOTS]; /* offsets */
};

_Static_assert(sizeof(struct leaf) == 1152, "a size class");
_Static_assert(offsetof(struct leaf, views) == 64, "a line each");

/* state: which view counts, whether it is retired, how many entries, and a number that grows. */
#define LEAF_VIEW UINT64_C(1)
#define LEAF_RETIRED UINT64_C(2)
#define LEAF_COUNT_SHIFT 8
#define LEAF_VERSION (UINT64_C(1) << 16)

static inline unsigned leaf_count(uint64_t state)
{
	return state >> LEAF_COUNT_SHIFT & 0xff;
}

static inline uint64_t leaf_load(const struct leaf *leaf)
{
	return __atomic_load_n(&leaf->state, __ATOMIC_ACQUIRE);
}

/* Whether what was read since `state` was loaded was true then. Pairs with the fence in leaf_edit_begin(). */
static inline bool leaf_unchanged(const struct leaf *leaf, uint64_t state)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&leaf->state, __ATOMIC_RELAXED) == state;
}

static inline const struct leaf_view *leaf_view(const struct leaf *leaf, uint64_t state)
{
	return &leaf->views[state & LEAF_VIEW];
}

/* acquire: a record was filled before it was published. */
static inline const struct record *leaf_record(const struct leaf *leaf, unsigned slot,
	const char *base)
{
	return (const struct record *)(const void *)(base +
		__atomic_load_n(&leaf->records[slot], __ATOMIC_ACQUIRE));
}

/* Looks a key up without the mutex; NULL: it is not there. */
const struct record *leaf_get(const struct leaf *leaf, struct kv_bytes key, const char *base);

/* Asks for all lines of the leaf; for the records of its first entries, or its last ones. */
void leaf_prefetch_all(const struct leaf *leaf);
void leaf_prefetch_records(const struct leaf *leaf, const char *base, unsigned count, bool first);

/* Asks for the record that the key may have. Whether it is that, and one at all, nobody knows. */
void leaf_prefetch(const struct leaf *leaf, struct kv_bytes key, const char *base);

/* The entries at one moment, in order; values that are replaced meanwhile may be of a later one. */
struct leaf_copy {
	unsigned count;
	uint64_t prefix_bytes;
	uint64_t heads[LEAF_SLOTS];
	const struct record *records[LEAF_SLOTS];
};
void leaf_read(const struct leaf *leaf, const char *base, struct leaf_copy *copy);

/* How many keys of the copy come before this one, which is in the leaf's range. */
unsigned leaf_copy_rank(const struct leaf_copy *copy, struct kv_bytes key);

/* Changes to the entries of one leaf that are published together. Stack of who has the mutex. */
struct leaf_edit {
	struct leaf *leaf;
	const char *base;
	uint64_t state; /* at the beginning */
	unsigned count;
	struct leaf_view view;
};
void leaf_edit_begin(struct leaf_edit *edit, struct leaf *leaf, const char *base);

/* The key's slot, or LEAF_SLOTS. */
unsigned leaf_edit_find(const struct leaf_edit *edit, struct kv_bytes key);

/* Slots that an insertion can have: in use neither before nor afterwards. */
unsigned leaf_edit_room(const struct leaf_edit *edit);

/* Adds a record, whose key is not there. There is room. */
void leaf_edit_insert(struct leaf_edit *edit, sh_off record);
void leaf_edit_remove(struct leaf_edit *edit, unsigned slot);

/* Has the transaction publish the changes. */
int leaf_edit_publish(const struct leaf_edit *edit, struct sh_txn *txn);

/* Has the transaction say that others take the leaf's place. */
int leaf_retire(struct leaf *leaf, struct sh_txn *txn);

/* Fills a new leaf, which nobody sees yet. */
void leaf_fill(struct leaf *leaf, size_t prefix_bytes, const sh_off *records, unsigned count,
	const char *base);

#endif
