/* store.c -- opening a store, and its tables
 * SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include "tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* --- opening ------------------------------------------------------------------------------- */

sh_off store_make_tree(struct sh_txn *txn, struct sh_heap *heap)
{
	const struct items none = { .count = 0 };
	struct piece piece = { edit_make_leaf(txn, heap, 0, &none), { NULL, 0 } };
	sh_off root;

	if (piece.node == 0)
		return 0;
	root = sh_txn_alloc(txn, inner_bytes(&piece, 1), 0);
	if (root != 0)
		inner_fill(sh_ptr(heap, root), 1, &piece, 1);
	return root;
}

static int fill_store(struct sh_txn *txn, struct sh_heap *heap, sh_off off)
{
	struct store_block *block = sh_ptr(heap, off);

	block->magic = STORE_MAGIC;
	block->version = STORE_VERSION;
	block->leaf_bytes = LEAF_BYTES;
	block->catalog.root = store_make_tree(txn, heap);
	return block->catalog.root == 0 ? errno : sh_txn_root(txn, STORE_ROOT, off);
}

static int make_store(struct sh_heap *heap)
{
	struct sh_txn *txn;
	sh_off off;
	int error = sh_txn_begin(heap, 0, &txn);

	if (error != 0)
		return error;
	off = sh_txn_alloc(txn, sizeof(struct store_block), SH_ZERO);
	return edit_end_txn(txn, off == 0 ? errno : fill_store(txn, heap, off));
}

/* Makes the store unless somebody else has: under a lock of the file, which ends with its holder. */
static int make_store_once(struct sh_heap *heap, const char *path)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC), error;
	sh_off off;

	if (descriptor < 0)
		return errno;
	do
		error = flock(descriptor, LOCK_EX) == 0 ? 0 : errno;
	while (error == EINTR);
	if (error == 0)
		error = sh_root_get(heap, STORE_ROOT, &off);
	if (error == SH_ENOTFOUND)
		error = make_store(heap);
	close(descriptor);
	return error;
}

static bool sound(const struct store_block *block)
{
	return block->magic == STORE_MAGIC && block->version == STORE_VERSION &&
		block->leaf_bytes == LEAF_BYTES;
}

static int find_store(struct kv *store, const char *path, unsigned flags)
{
	sh_off off;
	int error = sh_root_get(store->head.heap, STORE_ROOT, &off);

	if (error == SH_ENOTFOUND && (flags & KV_CREATE) != 0) {
		error = make_store_once(store->head.heap, path);
		if (error == 0)
			error = sh_root_get(store->head.heap, STORE_ROOT, &off);
	}
	if (error != 0)
		return error == SH_ENOTFOUND ? KV_EBADSTORE : error;
	if (sh_usable_size(store->head.heap, off) < sizeof(struct store_block))
		return KV_EBADSTORE;
	store->base = sh_base(store->head.heap);
	store->block = sh_ptr(store->head.heap, off);
	store->catalog = (struct kv_table){
		.heap = store->head.heap,
		.base = store->base,
		.block = &store->block->catalog,
		.store = store,
	};
	return sound(store->block) ? 0 : KV_EBADSTORE;
}

/* Whether read sections are to be had: others may have the heap open. */
static bool has_sections(struct sh_heap *heap)
{
	if (sh_read_lock(heap) == EROFS)
		return false;
	sh_read_unlock(heap);
	return true;
}

int kv_open(const char *path, unsigned flags, const struct sh_options *options, struct kv **store)
{
	unsigned heap_flags =
		(flags & KV_CREATE ? SH_CREATE : 0) | (flags & KV_RDONLY ? SH_RDONLY : 0);
	struct kv *opened;
	int error;

	*store = NULL;
	if ((flags & ~(KV_CREATE | KV_RDONLY)) != 0)
		return EINVAL;
	opened = calloc(1, sizeof(*opened));
	if (opened == NULL)
		return ENOMEM;
	error = sh_open(path, heap_flags, options, &opened->head.heap);
	if (error != 0) {
		free(opened);
		return error;
	}
	opened->head.sections = has_sections(opened->head.heap);
	pthread_mutex_init(&opened->lock, NULL);
	error = find_store(opened, path, flags);
	if (error == 0 && (flags & KV_RDONLY) == 0)
		error = tables_empty_dropped(opened);
	if (error == 0)
		*store = opened;
	else
		kv_close(opened);
	return error;
}

static void free_tables(struct kv *store)
{
	struct kv_table *next;

	for (struct kv_table *table = store->tables; table != NULL; table = next) {
		next = table->next;
		free(table);
	}
}

int kv_close(struct kv *store)
{
	int error;

	if (store == NULL)
		return 0;
	error = sh_close(store->head.heap);
	if (error == EBUSY)
		return error;
	free_tables(store);
	batch_drop_idle(store);
	pthread_mutex_destroy(&store->lock);
	free(store);
	return error;
}

struct sh_heap *kv_heap(const struct kv *store)
{
	return store->head.heap;
}
