/* write.c -- one key put or deleted
 * SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include <errno.h>

/* --- in a leaf that has room --------------------------------------------------------------- */

/* The leaf of the key, locked. *leaf: where it was a moment ago. */
static int lock_leaf(const struct kv_table *table, struct kv_bytes key, struct leaf **leaf)
{
	for (;; *leaf = tree_leaf(table, key)) {
		if (*leaf == NULL)
			return KV_EDROPPED;
		int error = sh_mutex_lock(table->heap, &(*leaf)->mutex);

		if (error != 0 && error != SH_EOWNERDIED)
			return error;
		if ((leaf_load(*leaf) & LEAF_RETIRED) == 0)
			return 0;
		sh_mutex_unlock(table->heap, &(*leaf)->mutex);
	}
}

/* Makes the change in its leaf, by the transaction, which it ends, if there is one. EDIT_NOT_HERE: nothing is done. *few:
 * the leaf should be joined with another. */
static int change_in_leaf(struct change *change, struct leaf *leaf, struct sh_txn *txn, bool *few)
{
	struct kv_table *table = change->table;
	int error = lock_leaf(table, change->key, &leaf);

	if (error != 0)
		return txn == NULL ? error : edit_end_txn(txn, error);
	if (txn == NULL && !change->removes)
		leaf_prefetch_text(leaf);
	error = edit_in_place(leaf, change, txn);
	if (txn != NULL && error != EDIT_NOT_HERE)
		error = edit_end_txn(txn, error);
	*few = leaf_is_few(leaf, leaf_count(leaf_load(leaf)));
	sh_mutex_unlock(table->heap, &leaf->mutex);
	return error;
}

/* --- put ----------------------------------------------------------------------------------- */

/* In a transaction, which it ends, and with new leaves if need be. */
static int put_by_edit(struct sh_txn *txn, struct change *change)
{
	struct edit edit;

	edit_begin(&edit, change->table->heap, txn);
	return edit_end(&edit, edit_apply(&edit, change->table, change, 1));
}

/* A record that goes into the text of its leaf: most often by one store there. */
static int put_small(struct change *change, struct leaf *leaf)
{
	struct sh_txn *txn;
	bool few;
	int error = change_in_leaf(change, leaf, NULL, &few);

	if (error != EDIT_NOT_HERE)
		return error;
	error = sh_txn_begin(change->table->heap, 0, &txn);
	return error != 0 ? error : put_by_edit(txn, change);
}

/* A record that is a block: it is made before the leaf is locked, and comes into the cache meanwhile. */
static int put_large(struct change *change, struct leaf *leaf)
{
	struct kv_table *table = change->table;
	struct sh_txn *txn;
	bool few;
	int error = sh_txn_begin(table->heap, 0, &txn);

	if (error != 0)
		return error;
	error = edit_make_record(txn, change);
	if (error != 0)
		return edit_end_txn(txn, error);
	if (leaf != NULL)
		leaf_prefetch(leaf, change->key, table->base);
	error = change_in_leaf(change, leaf, txn, &few);
	return error == EDIT_NOT_HERE ? put_by_edit(txn, change) : error;
}

static int put(struct kv_table *table, struct kv_bytes key, struct kv_bytes value, unsigned flags)
{
	struct change change = {
		.table = table,
		.key = key,
		.value = value,
		.must_be_new = (flags & KV_INSERT) != 0,
	};
	struct leaf *leaf = tree_leaf(table, key);

	return leaf_inline_bytes(key.size, value.size) != 0 ? put_small(&change, leaf)
							    : put_large(&change, leaf);
}

int kv_put(struct kv_table *table, struct kv_bytes key, struct kv_bytes value, unsigned flags)
{
	int error;

	if ((flags & ~KV_INSERT) != 0)
		return EINVAL;
	if (key.size > KV_KEY_BYTES_MAX || value.size > KV_VALUE_BYTES_MAX)
		return KV_ETOOLONG;
	error = sh_read_lock(table->heap);
	if (error != 0)
		return error;
	error = put(table, key, value, flags);
	sh_read_unlock(table->heap);
	return error;
}

/* --- delete -------------------------------------------------------------------------------- */

void write_join(struct kv_table *table, struct kv_bytes key)
{
	struct edit edit;
	struct sh_txn *txn;

	if (sh_txn_begin(table->heap, 0, &txn) != 0)
		return;
	edit_begin(&edit, table->heap, txn);
	edit_end(&edit, edit_join(&edit, table, key));
}

static int delete (struct kv_table *table, struct kv_bytes key, bool *few)
{
	struct change change = {
		.table = table,
		.key = key,
		.removes = true,
		.must_be_there = true,
	};
	struct leaf *leaf = tree_leaf(table, key);
	struct sh_txn *txn;
	int error = change_in_leaf(&change, leaf, NULL, few);

	if (error != EDIT_NOT_HERE)
		return error;
	error = sh_txn_begin(table->heap, 0, &txn);
	return error != 0 ? error : change_in_leaf(&change, leaf, txn, few);
}

int kv_delete(struct kv_table *table, struct kv_bytes key)
{
	bool few = false;
	int error = sh_read_lock(table->heap);

	if (error != 0)
		return error;
	error = delete (table, key, &few);
	/* The tree is right without it, so it may fail. */
	if (error == 0 && few)
		write_join(table, key);
	sh_read_unlock(table->heap);
	return error;
}
