/* leaf.h -- neighbouring entries of a table, changed by one store
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A leaf has a range of keys for life; when its entries do not fit any more, or become few, others take its
 * place (edit.h). Its entries are in slots, in no order. What slots are in use, and in what order their keys
 * are, says a view; there are two, and `state` says which one counts. A writer has the mutex. It fills free
 * slots and the other view, which nobody looks at, and turns to it by one store of `state`. A value is
 * replaced by one store to words[slot].
 *
 * Records of up to LEAF_INLINE_BYTES are in the leaf's own text, one behind the other, larger ones are blocks. The
 * text only grows: what is replaced or deleted stays readable in it for as long as the leaf is. A change that
 * needs no more than the text is that one store, and no transaction.
 *
 * How a leaf is divided into slots and text follows from the entries that it is made of. One of large records only has
 * no text.
 *
 * A reader loads `state`, looks, and loads `state` again: unchanged, and what it saw was true in between. A retired leaf
 * is not in the tree any more; who came here before may still read it, as what was true when it came.
 *
 *   view.live has view.order's slots, and no other:  popcount(live) = leaf_count(state)
 *   keys(order[0]) < keys(order[1]) < ...             all in the leaf's range
 *   heads[s] = bytes_head(key(s), prefix_bytes)       tags[s] = bytes_tag(key(s))
 *   live records in the text end at or before text_used <= text_bytes
 *
 * Crash: free slots, the view that does not count, and text that no live slot leads to may hold anything. */
#ifndef KV_LEAF_H
#define KV_LEAF_H

#include "geometry.h"
#include "record.h"

#include <assert.h>

/* Heap file. Written by who has the mutex, while it does not count; read with relaxed loads. */
struct leaf_view {
	uint64_t live;                  /* bit s: slot s is in use */
	uint64_t order[LEAF_SLOTS / 8]; /* bytes: the slot of the first key, of the second, ... */
};

/* Heap file. */
struct leaf {
	struct sh_mutex mutex;
	uint64_t state;        /* LEAF_...; stored by who has the mutex, or by its transaction */
	uint64_t prefix_bytes; /* that all keys of the range share; for life, as the next two */
	uint64_t slots;
	uint64_t text_bytes; /* that the text has room for */
	uint64_t text_used;  /* of these; by who has the mutex */
	uint64_t unused;
	struct leaf_view views[2];
	uint64_t tags[LEAF_SLOTS / 8]; /* bytes */
	uint64_t unused_tags;
	/* `slots` records: offsets, of blocks or into the text; as many heads; the text. */
	uint64_t words[];
};

_Static_assert(offsetof(struct leaf, views) == 64, "a line each");
#ifndef KV_GEOMETRY_SMALL
_Static_assert(sizeof(struct leaf) == 256, "4 lines");
#endif

/* What a slot takes beside the leaf's head. */
#define LEAF_SLOT_BYTES (2 * sizeof(uint64_t))

static inline size_t leaf_bytes(const struct leaf *leaf)
{
	return sizeof(*leaf) + leaf->slots * LEAF_SLOT_BYTES + leaf->text_bytes;
}

static inline const uint64_t *leaf_heads(const struct leaf *leaf)
{
	return leaf->words + leaf->slots;
}

static inline const char *leaf_text(const struct leaf *leaf)
{
	return (const char *)(leaf->words + 2 * leaf->slots);
}

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

/* Whether it has so few entries that it should be joined with a neighbour. */
static inline bool leaf_is_few(const struct leaf *leaf, unsigned count)
{
	return count < leaf->slots / 4;
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
		__atomic_load_n(&leaf->words[slot], __ATOMIC_ACQUIRE));
}

/* Looks a key up without the mutex; NULL: it is not there. */
const struct record *leaf_get(const struct leaf *leaf, struct kv_bytes key, const char *base);

/* Asks for all lines of the leaf; for the records of its first entries, or its last ones. */
void leaf_prefetch_all(const struct leaf *leaf);
void leaf_prefetch_records(const struct leaf *leaf, const char *base, unsigned count, bool first);

/* Asks for the record that the key may have: whether it is that, and one at all, nobody knows. And for where the next
 * one goes. */
void leaf_prefetch(const struct leaf *leaf, struct kv_bytes key, const char *base);
void leaf_prefetch_text(const struct leaf *leaf);

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

/* Whether the record is in the leaf's text. */
bool leaf_has_inside(const struct leaf *leaf, const char *base, sh_off record);

/* Bytes of text that a record of such a key and value takes; 0: it is to be a block. */
size_t leaf_inline_bytes(size_t key_bytes, size_t value_bytes);

static inline size_t leaf_text_left(const struct leaf *leaf)
{
	return leaf->text_bytes - leaf->text_used;
}

/* Writes such a record, for which there is room, into the text; its offset. Nobody sees it yet. */
sh_off leaf_write(struct leaf *leaf, const char *base, struct kv_bytes key, struct kv_bytes value);

/* Has the transaction free a slot's record if that is a block: it is going to be replaced or removed. */
int leaf_edit_free(const struct leaf_edit *edit, unsigned slot, struct sh_txn *txn);

/* Puts a record in place of a slot's, or has the transaction do it if that is not NULL. */
int leaf_edit_replace(const struct leaf_edit *edit, unsigned slot, sh_off record,
	struct sh_txn *txn);

/* Whether a slot's record can be replaced or removed without a transaction. */
static inline bool leaf_edit_is_inline(const struct leaf_edit *edit, unsigned slot)
{
	return leaf_has_inside(edit->leaf, edit->base, edit->leaf->words[slot]);
}

/* Adds a record, whose key is not there. There is room. */
void leaf_edit_insert(struct leaf_edit *edit, sh_off record);

/* Removes a slot's. */
void leaf_edit_remove(struct leaf_edit *edit, unsigned slot);

/* Publishes what was inserted and removed, or has the transaction do it if that is not NULL. */
int leaf_edit_publish(const struct leaf_edit *edit, struct sh_txn *txn);

/* Bytes of the leaf's text that count. */
size_t leaf_edit_text_bytes(const struct leaf_edit *edit);

/* Fills a new leaf, which nobody sees yet, with the entries of this one, in the same slots: its text has what counts of
 * the old one's. */
void leaf_renew(struct leaf *leaf, const struct leaf_edit *old);

/* Has the transaction say that others take the leaf's place. */
int leaf_retire(struct leaf *leaf, struct sh_txn *txn);

/* An entry of a leaf that is to be made. Process. */
struct leaf_item {
	struct kv_bytes key;
	struct kv_bytes value;
	sh_off record; /* a block that has both; 0: they go into the text */
};

/* What an entry takes of a leaf. */
size_t leaf_item_bytes(const struct leaf_item *item);

/* Whether so many entries that take so many bytes fit into a leaf; and whether with room for some more. */
bool leaf_fits(size_t count, size_t bytes);
bool leaf_fits_well(size_t count, size_t bytes);

/* How a leaf of so many entries that take so many bytes, which fit, is divided. */
struct leaf_layout {
	size_t slots;
	size_t bytes; /* of the whole */
};
struct leaf_layout leaf_layout(size_t count, size_t bytes);

/* Fills a new leaf, which nobody sees yet. */
void leaf_fill(struct leaf *leaf, struct leaf_layout layout, size_t prefix_bytes,
	const struct leaf_item *items, size_t count, const char *base);

#endif
