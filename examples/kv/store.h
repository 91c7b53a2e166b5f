/* store.h -- a store and its tables
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "edit.h"

#include <pthread.h>

/* Heap file: what the root STORE_ROOT names. */
struct store_block {
	uint64_t magic; /* STORE_MAGIC; for life, as the next two */
	uint64_t version;
	uint64_t leaf_bytes;
	uint64_t unused;
	struct table_block
		catalog; /* table of the names of tables; their blocks' offsets are the values */
	struct sh_mutex mutex; /* of who makes or drops tables; before all others */
	sh_off free_blocks;    /* dropped tables' blocks. Both stored by transactions, under it */
	sh_off emptied;        /* blocks of trees that nothing leads to, to be given back */
};

#define STORE_ROOT "kv"
#define STORE_MAGIC UINT64_C(0x65726f7473766b73)
#define STORE_VERSION 2u

/* Process. */
struct kv {
	struct kv_head head; /* ABI */
	char *base;
	struct store_block *block;
	struct kv_table catalog;
	pthread_mutex_t lock;        /* of `tables` */
	struct kv_table *tables;     /* opened; until the store is closed */
	struct kv_batch *idle_batch; /* NULL or one that ended; exchanged by any thread */
};

/* Joins the leaf of the key with a neighbour if it has few entries and all goes well. */
void write_join(struct kv_table *table, struct kv_bytes key);

/* Gives the memory of a batch that ended back. */
void batch_drop_idle(struct kv *store);

/* Makes a tree of one empty leaf; its root, or 0 and errno. */
sh_off store_make_tree(struct sh_txn *txn, struct sh_heap *heap);

#endif
