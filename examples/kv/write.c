/* write.c -- one key put or deleted
 * SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include <errno.h>

/* --- in a leaf that has room --------------------------------------------------------------- */

/* The leaf cannot take it: others must take its place. */
#define NO_ROOM (-1000)

static int replace_record(struct sh_txn *txn, struct leaf *leaf, unsigned slot, sh_off record)
{
	int error = sh_txn_free(txn, leaf->records[slot], SH_DEFERRED);

	return error != 0 ? error : sh_txn_store(txn, &leaf->records[slot], record);
}

static int put_in_leaf(struct sh_txn *txn, struct leaf *leaf, const struct change *change)
{
	struct leaf_edit edit;
	unsigned slot;

	leaf_edit_begin(&edit, leaf, change->table->base);
	slot = leaf_edit_find(&edit, change->key);
	if (slot != LEAF_SLOTS)
		return change->must_be_new ? KV_EEXIST
					   : replace_record(txn, leaf, slot, change->record);
	if (leaf_edit_room(&edit) == 0)
		return NO_ROOM;
	leaf_edit_insert(&edit, change->record);
	return leaf_edit_publish(&edit, txn);
}

static int delete_in_leaf(struct sh_txn *txn, struct leaf *leaf, const struct change *change,
	bool *few)
{
	struct leaf_edit edit;
	unsigned slot;
	int error;

	leaf_edit_begin(&edit, leaf, change->table->base);
	slot = leaf_edit_find(&edit, change->key);
	if (slot == LEAF_SLOTS)
		return KV_ENOTFOUND;
	error = sh_txn_free(txn, leaf->records[slot], SH_DEFERRED);
	if (error != 0)
		return error;
	leaf_edit_remove(&edit, slot);
	*few = edit.count < LEAF_FEW;
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

static int put_in_new_leaves(struct sh_txn *txn, struct change *change)
{
	struct edit edit;

	edit_begin(&edit, change->table->heap, txn);
	return edit_end(&edit, edit_apply(&edit, change->table, change, 1));
}

static int put_record(struct sh_txn *txn, struct change *change, struct leaf *leaf)
{
	struct kv_table *table = change->table;
	int error = lock_leaf(table, change->key, &leaf);

	if (error != 0)
		return edit_end_txn(txn, error);
	error = put_in_leaf(txn, leaf, change);
	if (error != NO_ROOM)
		error = edit_end_txn(txn, error);
	sh_mutex_unlock(table->heap, &leaf->mutex);
	return error == NO_ROOM ? put_in_new_leaves(txn, change) : error;
}

sh_off write_record(struct sh_txn *txn, const char *base, struct kv_bytes key,
	struct kv_bytes value)
{
	sh_off record = sh_txn_alloc(txn, record_bytes(key.size, value.size), 0);

	if (record != 0)
		record_fill((struct record *)(void *)((char *)(uintptr_t)base + record), key,
			value);
	return record;
}

static int put(struct kv_table *table, struct kv_bytes key, struct kv_bytes value, unsigned flags)
{
	struct change change = {
		.table = table,
		.key = key,
		.must_be_new = (flags & KV_INSERT) != 0,
	};
	/* Looked for before the record is made: it comes into the cache meanwhile. */
	struct leaf *leaf = tree_leaf(table, key);
	struct sh_txn *txn;
	int error = sh_txn_begin(table->heap, 0, &txn);

	if (error != 0)
		return error;
	change.record = write_record(txn, table->base, key, value);
	if (change.record == 0)
		return edit_end_txn(txn, errno);
	if (leaf != NULL)
		leaf_prefetch(leaf, key, table->base);
	return put_record(txn, &change, leaf);
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
	const struct change change = { .table = table, .key = key };
	struct leaf *leaf = tree_leaf(table, key);
	struct sh_txn *txn;
	int error = sh_txn_begin(table->heap, 0, &txn);

	if (error != 0)
		return error;
	error = lock_leaf(table, key, &leaf);
	if (error != 0)
		return edit_end_txn(txn, error);
	error = edit_end_txn(txn, delete_in_leaf(txn, leaf, &change, few));
	sh_mutex_unlock(table->heap, &leaf->mutex);
	return error;
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
