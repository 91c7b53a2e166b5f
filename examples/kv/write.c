/* write.c -- one key put or deleted
 * SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include <errno.h>

/* --- in a leaf that has room --------------------------------------------------------------- */

/* The leaf cannot take it, or not without a transaction: edit.h does what it takes. */
#define NOT_HERE (-1000)

/* The record of a change: the block that it has, or one that is written into the leaf's text; 0: there is no room. */
static sh_off record_in(struct leaf *leaf, const struct change *change)
{
	size_t bytes = leaf_inline_bytes(change->key.size, change->value.size);

	if (change->record != 0 || bytes > leaf_text_left(leaf))
		return change->record;
	return leaf_write(leaf, change->table->base, change->key, change->value);
}

static int insert_in_leaf(struct leaf_edit *edit, const struct change *change, struct sh_txn *txn)
{
	sh_off record = leaf_edit_room(edit) == 0 ? 0 : record_in(edit->leaf, change);

	if (record == 0)
		return NOT_HERE;
	leaf_edit_insert(edit, record);
	return leaf_edit_publish(edit, txn);
}

/* `txn` NULL: with none. */
static int put_in_leaf(struct leaf *leaf, const struct change *change, struct sh_txn *txn)
{
	struct leaf_edit edit;
	unsigned slot;
	sh_off record;

	leaf_edit_begin(&edit, leaf, change->table->base);
	slot = leaf_edit_find(&edit, change->key);
	if (slot == LEAF_SLOTS)
		return insert_in_leaf(&edit, change, txn);
	if (change->must_be_new)
		return KV_EEXIST;
	if (txn == NULL && !leaf_edit_is_inline(&edit, slot))
		return NOT_HERE;
	record = record_in(leaf, change);
	return record == 0 ? NOT_HERE : leaf_edit_replace(&edit, slot, record, txn);
}

static int delete_in_leaf(struct leaf *leaf, const struct change *change, struct sh_txn *txn,
	bool *few)
{
	struct leaf_edit edit;
	unsigned slot;
	int error;

	leaf_edit_begin(&edit, leaf, change->table->base);
	slot = leaf_edit_find(&edit, change->key);
	if (slot == LEAF_SLOTS)
		return KV_ENOTFOUND;
	if (txn == NULL && !leaf_edit_is_inline(&edit, slot))
		return NOT_HERE;
	error = leaf_edit_remove(&edit, slot, txn);
	if (error != 0)
		return error;
	*few = leaf_is_few(leaf, edit.count);
	return leaf_edit_publish(&edit, txn);
}

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
	struct kv_table *table = change->table;
	struct sh_txn *txn;
	int error = lock_leaf(table, change->key, &leaf);

	if (error != 0)
		return error;
	leaf_prefetch_text(leaf);
	error = put_in_leaf(leaf, change, NULL);
	sh_mutex_unlock(table->heap, &leaf->mutex);
	if (error != NOT_HERE)
		return error;
	error = sh_txn_begin(table->heap, 0, &txn);
	return error != 0 ? error : put_by_edit(txn, change);
}

static int put_record(struct sh_txn *txn, struct change *change, struct leaf *leaf)
{
	struct kv_table *table = change->table;
	int error = lock_leaf(table, change->key, &leaf);

	if (error != 0)
		return edit_end_txn(txn, error);
	error = put_in_leaf(leaf, change, txn);
	if (error != NOT_HERE)
		error = edit_end_txn(txn, error);
	sh_mutex_unlock(table->heap, &leaf->mutex);
	return error == NOT_HERE ? put_by_edit(txn, change) : error;
}

/* A record that is a block: it is made before the leaf is locked, and comes into the cache meanwhile. */
static int put_large(struct change *change, struct leaf *leaf)
{
	struct kv_table *table = change->table;
	struct sh_txn *txn;
	int error = sh_txn_begin(table->heap, 0, &txn);

	if (error != 0)
		return error;
	error = edit_make_record(txn, change);
	if (error != 0)
		return edit_end_txn(txn, error);
	if (leaf != NULL)
		leaf_prefetch(leaf, change->key, table->base);
	return put_record(txn, change, leaf);
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

static int delete_block(const struct change *change, struct leaf *leaf, bool *few)
{
	struct kv_table *table = change->table;
	struct sh_txn *txn;
	int error = sh_txn_begin(table->heap, 0, &txn);

	if (error != 0)
		return error;
	error = lock_leaf(table, change->key, &leaf);
	if (error != 0)
		return edit_end_txn(txn, error);
	error = edit_end_txn(txn, delete_in_leaf(leaf, change, txn, few));
	sh_mutex_unlock(table->heap, &leaf->mutex);
	return error;
}

static int delete (struct kv_table *table, struct kv_bytes key, bool *few)
{
	const struct change change = { .table = table, .key = key, .removes = true };
	struct leaf *leaf = tree_leaf(table, key);
	int error = lock_leaf(table, key, &leaf);

	if (error != 0)
		return error;
	error = delete_in_leaf(leaf, &change, NULL, few);
	sh_mutex_unlock(table->heap, &leaf->mutex);
	return error == NOT_HERE ? delete_block(&change, leaf, few) : error;
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
