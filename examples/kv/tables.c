/* tables.c -- making, opening and dropping tables
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <errno.h>
#include <stdlib.h>

/* --- the catalog --------------------------------------------------------------------------- */

/* Heap file: a value of the catalog. */
struct entry {
	sh_off block; /* 0: there is no such table */
	uint64_t generation;
};

static int look_up(struct kv *store, struct kv_bytes name, struct entry *entry)
{
	struct kv_bytes value;
	int error = kv_get(&store->catalog, name, &value);

	*entry = (struct entry){ 0, 0 };
	if (error == 0 && value.size == sizeof(*entry))
		memcpy(entry, value.data, sizeof(*entry));
	return error == KV_ENOTFOUND ? 0 : error;
}

static struct table_block *block_at(const struct kv *store, sh_off off)
{
	return (struct table_block *)(void *)(store->base + off);
}

/* A change of the catalog, with what else belongs to it, under the store's mutex. Stack. */
struct catalog_change {
	struct kv *store;
	struct kv_bytes name;
	struct sh_txn *txn;
	struct edit edit;
};

static int change_begin(struct catalog_change *change, struct kv *store, struct kv_bytes name)
{
	int error;

	*change = (struct catalog_change){ .store = store, .name = name };
	error = sh_txn_begin(store->head.heap, 0, &change->txn);
	if (error != 0)
		return error;
	edit_begin(&change->edit, store->head.heap, change->txn);
	return locks_take(&change->edit.locks, &store->block->mutex);
}

/* Ends the transaction by what `error` says, which it returns. */
static int change_end(struct catalog_change *change, int error)
{
	return change->txn == NULL ? error : edit_end(&change->edit, error);
}

/* The name stands for this from now on. */
static int change_name(struct catalog_change *change, struct entry entry)
{
	struct change name = {
		.table = &change->store->catalog,
		.key = change->name,
		.value = { &entry, sizeof(entry) },
		.removes = entry.block == 0,
	};
	int error = edit_make_record(change->txn, &name);

	return error != 0 ? error : edit_apply(&change->edit, &change->store->catalog, &name, 1);
}

/* --- making -------------------------------------------------------------------------------- */

/* A block that was a table's, or a new one. */
static int take_block(struct catalog_change *change, sh_off *off)
{
	struct store_block *store = change->store->block;

	*off = store->free_blocks;
	if (*off == 0) {
		*off = sh_txn_alloc(change->txn, sizeof(struct table_block), SH_ZERO);
		return *off == 0 ? errno : 0;
	}
	return sh_txn_store(change->txn, &store->free_blocks, block_at(change->store, *off)->next);
}

static int make_table(struct catalog_change *change, struct entry *entry)
{
	struct table_block *block;
	sh_off root;
	int error = take_block(change, &entry->block);

	if (error != 0)
		return error;
	root = store_make_tree(change->txn, change->store->head.heap);
	if (root == 0)
		return errno;
	block = block_at(change->store, entry->block);
	entry->generation = block->generation;
	error = sh_txn_store(change->txn, &block->root, root);
	return error != 0 ? error : change_name(change, *entry);
}

/* Makes the table unless somebody else has meanwhile. */
static int make_table_once(struct kv *store, struct kv_bytes name, struct entry *entry)
{
	struct catalog_change change;
	int error = change_begin(&change, store, name);

	if (error == 0)
		error = look_up(store, name, entry);
	if (error == 0 && entry->block == 0)
		error = make_table(&change, entry);
	return change_end(&change, error);
}

/* --- handles ------------------------------------------------------------------------------- */

static bool is_of(const struct kv_table *table, struct entry entry)
{
	return sh_offset(table->heap, table->block) == entry.block &&
		table->generation == entry.generation;
}

static struct kv_table *make_handle(struct kv *store, struct entry entry, struct kv_bytes name)
{
	struct kv_table *table = malloc(sizeof(*table) + name.size);

	if (table == NULL)
		return NULL;
	*table = (struct kv_table){
		.heap = store->head.heap,
		.base = store->base,
		.block = block_at(store, entry.block),
		.generation = entry.generation,
		.store = store,
		.name = { table + 1, name.size },
		.next = store->tables,
	};
	if (name.size > 0)
		memcpy(table + 1, name.data, name.size);
	store->tables = table;
	return table;
}

static int get_handle(struct kv *store, struct entry entry, struct kv_bytes name,
	struct kv_table **table)
{
	pthread_mutex_lock(&store->lock);
	*table = store->tables;
	while (*table != NULL && !is_of(*table, entry))
		*table = (*table)->next;
	if (*table == NULL)
		*table = make_handle(store, entry, name);
	pthread_mutex_unlock(&store->lock);
	return *table == NULL ? ENOMEM : 0;
}

static int open_table(struct kv *store, struct kv_bytes name, unsigned flags,
	struct kv_table **table)
{
	struct entry entry;
	int error = look_up(store, name, &entry);

	if (error == 0 && entry.block == 0 && (flags & KV_CREATE) != 0)
		error = make_table_once(store, name, &entry);
	if (error != 0)
		return error;
	return entry.block == 0 ? KV_ENOTFOUND : get_handle(store, entry, name, table);
}

int kv_table_open(struct kv *store, struct kv_bytes name, unsigned flags, struct kv_table **table)
{
	int error;

	*table = NULL;
	if ((flags & ~KV_CREATE) != 0)
		return EINVAL;
	if (name.size > KV_KEY_BYTES_MAX)
		return KV_ETOOLONG;
	error = kv_read_begin(store);
	if (error != 0)
		return error;
	error = open_table(store, name, flags, table);
	kv_read_end(store);
	return error;
}

int kv_tables(struct kv *store, kv_name_fn *each, void *argument)
{
	struct kv_cursor *cursor;
	struct kv_bytes name;
	int error = kv_cursor_open(&store->catalog, &cursor);

	if (error != 0)
		return error;
	error = kv_cursor_first(cursor, &name, NULL);
	while (error == 0) {
		if (each(name, argument) != 0)
			error = SH_ESTOPPED;
		else
			error = kv_cursor_next(cursor, &name, NULL);
	}
	kv_cursor_close(cursor);
	return error == KV_ENOTFOUND ? 0 : error;
}

/* --- dropping ------------------------------------------------------------------------------ */

/* Moves the tree to a block of those to be emptied, and the table's block to the free ones. */
static int move_tree(struct catalog_change *change, sh_off off)
{
	struct store_block *store = change->store->block;
	struct table_block *block = block_at(change->store, off);
	sh_off emptied = sh_txn_alloc(change->txn, sizeof(struct table_block), SH_ZERO);
	int error;

	if (emptied == 0)
		return errno;
	block_at(change->store, emptied)->root = block->root;
	block_at(change->store, emptied)->next = store->emptied;
	error = sh_txn_store(change->txn, &store->emptied, emptied);
	/* In this order: see tree_root(). */
	if (error == 0)
		error = sh_txn_store(change->txn, &block->root, 0);
	if (error == 0)
		error = sh_txn_store(change->txn, &block->generation, block->generation + 1);
	if (error == 0)
		error = sh_txn_store(change->txn, &block->next, store->free_blocks);
	return error != 0 ? error : sh_txn_store(change->txn, &store->free_blocks, off);
}

static int drop(struct catalog_change *change)
{
	struct entry entry;
	int error = look_up(change->store, change->name, &entry);

	if (error != 0)
		return error;
	if (entry.block == 0)
		return KV_ENOTFOUND;
	error = change_name(change, (struct entry){ 0, 0 });
	/* The root stays what it is while the block's mutex is held. */
	if (error == 0)
		error = locks_take(&change->edit.locks,
			&block_at(change->store, entry.block)->mutex);
	return error != 0 ? error : move_tree(change, entry.block);
}

int kv_table_drop(struct kv *store, struct kv_bytes name)
{
	struct catalog_change change;
	int error = kv_read_begin(store);

	if (error != 0)
		return error;
	error = change_begin(&change, store, name);
	error = change_end(&change, error == 0 ? drop(&change) : error);
	kv_read_end(store);
	return error != 0 ? error : tables_empty_dropped(store);
}

/* --- emptying ------------------------------------------------------------------------------ */

/* The tree that nothing leads to any more, as a table. */
static struct kv_table emptied_table(struct kv *store, sh_off off)
{
	return (struct kv_table){
		.heap = store->head.heap,
		.base = store->base,
		.block = block_at(store, off),
		.store = store,
	};
}

/* Removes what is in the first leaf, which then joins its neighbour. *more: there was something, or there are
 * other leaves. */
static int empty_first_leaf(struct kv_table *table, bool *more)
{
	struct range range = tree_range_first(table);
	struct leaf_copy copy;
	struct kv_batch *batch;
	int error;

	if (range.leaf == NULL)
		return KV_EDROPPED;
	leaf_read(range.leaf, table->base, &copy);
	*more = copy.count > 0 || range.high.data != NULL;
	if (copy.count == 0) {
		if (*more)
			write_join(table, range.low);
		return 0;
	}
	error = kv_batch_begin(table->store, &batch);
	if (error != 0)
		return error;
	for (unsigned i = 0; i < copy.count && error == 0; i++)
		error = kv_batch_delete(batch, table, record_key(copy.records[i]));
	if (error == 0)
		return kv_batch_commit(batch);
	kv_batch_abort(batch);
	return error;
}

/* Whether the locked leaf is all that the tree has, and has nothing: somebody who came before the table was dropped
 * may still have put something. */
static bool is_empty(const struct range *range)
{
	return range->high.data == NULL && leaf_count(leaf_load(range->leaf)) == 0;
}

/* Frees an empty tree and its block, the first of the list. */
static int free_tree(struct catalog_change *change, sh_off off)
{
	struct store_block *store = change->store->block;
	struct kv_table table = emptied_table(change->store, off);
	struct range range;
	sh_off root;
	int error;

	if (store->emptied != off)
		return 0;
	error = tree_lock_leaf(&table, &change->edit.locks, (struct kv_bytes){ NULL, 0 }, &range);
	if (error != 0 || !is_empty(&range))
		return error;
	/* Nobody replaces the root without the lock of a leaf below it. */
	root = table.block->root;
	error = leaf_retire(range.leaf, change->txn);
	if (error == 0)
		error = sh_txn_store(change->txn, &table.block->root, 0);
	if (error == 0)
		error = sh_txn_store(change->txn, &store->emptied, table.block->next);
	if (error == 0)
		error = sh_txn_free(change->txn, sh_offset(table.heap, range.leaf), SH_DEFERRED);
	if (error == 0)
		error = sh_txn_free(change->txn, root, SH_DEFERRED);
	return error != 0 ? error : sh_txn_free(change->txn, off, SH_DEFERRED);
}

/* Gives back a part of the first tree of the list, which is still that. Others may be at it, too. */
static int empty_some(struct kv *store, sh_off off)
{
	struct kv_table table = emptied_table(store, off);
	struct catalog_change change;
	bool more;
	int error = empty_first_leaf(&table, &more);

	if (error != 0 || more)
		return error == KV_EDROPPED ? 0 : error;
	error = change_begin(&change, store, (struct kv_bytes){ NULL, 0 });
	return change_end(&change, error == 0 ? free_tree(&change, off) : error);
}

int tables_empty_dropped(struct kv *store)
{
	const sh_off *list = &store->block->emptied;
	sh_off off;

	do {
		int error = kv_read_begin(store);

		if (error != 0)
			return error;
		off = __atomic_load_n(list, __ATOMIC_ACQUIRE);
		if (off != 0)
			error = empty_some(store, off);
		kv_read_end(store);
		if (error != 0)
			return error;
	} while (off != 0);
	return 0;
}
