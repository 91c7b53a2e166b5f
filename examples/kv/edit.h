/* edit.h -- changes to a table, made in one transaction
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Works from the leaves up. Where the changes fit into a leaf they are published there. Where not, new leaves are
 * made, and take its place in the node above: by a store, if it is one for one, or in a new node, which takes the
 * place of the old one in the node above that, and so on. What is new nobody sees before the
 * transaction commits; what is replaced is retired, and freed when its last reader has gone. */
#ifndef KV_EDIT_H
#define KV_EDIT_H

#include "tree.h"

/* What is to become of a key. Process. */
struct change {
	struct kv_table *table;
	struct kv_bytes key; /* the caller's, as the value */
	struct kv_bytes value;
	sh_off record; /* a block that has both; 0: they are to be in the leaf's text */
	bool removes;
	bool must_be_new;   /* KV_EEXIST when it is there */
	bool must_be_there; /* KV_ENOTFOUND when it is not */
	unsigned slot;      /* edit's own: where the key is in its leaf */
};

/* Neighbours in a node above that give way to pieces. */
struct swap {
	struct kv_bytes key; /* leads to the first of them */
	sh_off old;          /* the first of them */
	unsigned removed;    /* how many */
	unsigned index;      /* of the first of them, once the node above is locked */
	bool few;            /* the one piece is an inner node with few children */
	size_t first_piece;
	size_t pieces;
};

/* An edit under way. Stack. */
struct edit {
	struct kv_table *table;
	struct sh_txn *txn;
	struct locks locks;
	struct piece *pieces;
	size_t piece_count;
	size_t piece_capacity;
	struct swap *swaps; /* of the level that is being worked at, then those of the next */
	size_t swap_count;
	size_t swap_capacity;
};

/* Ends a transaction by what `error` says: 0 commits it. Returns `error`. */
int edit_end_txn(struct sh_txn *txn, int error);

/* Begins an edit of the heap in this transaction, which is the edit's to end from here on. */
void edit_begin(struct edit *edit, struct sh_heap *heap, struct sh_txn *txn);

/* Ends the transaction as edit_end_txn() does, then gives the locks back. */
int edit_end(struct edit *edit, int error);

/* Makes the block of a change whose record is not to be in a leaf's text. */
int edit_make_record(struct sh_txn *txn, struct change *change);

/* Entries that leaves are made of, in order. Process. */
struct items {
	size_t count;
	size_t bytes; /* that they take of leaves */
	bool at_end;  /* the first that is new comes after all that were there */
	struct leaf_item *list;
};

/* Makes a leaf of these entries, whose keys all begin with the same so many bytes; 0 and errno. */
sh_off edit_make_leaf(struct sh_txn *txn, struct sh_heap *heap, size_t prefix_bytes,
	const struct items *items);

/* The leaf has no room for the change, or it takes a transaction: edit_apply() does what it takes. */
#define EDIT_NOT_HERE (-1000)

/* Makes a change in its leaf, which the caller has locked, or has the transaction make it, if that is not NULL. */
int edit_in_place(struct leaf *leaf, struct change *change, struct sh_txn *txn);

/* Makes changes to one table, in order of their keys, no two to one key. After an error the transaction
 * must be aborted. */
int edit_apply(struct edit *edit, struct kv_table *table, struct change *changes, size_t count);

/* Joins the leaf of the key, which has few entries, with a neighbour, if that is free and both fit; and so with inner
 * nodes above. Without any of this the table is right, too. */
int edit_join(struct edit *edit, struct kv_table *table, struct kv_bytes key);

#endif
