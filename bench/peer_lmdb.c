/* peer_lmdb.c -- LMDB: write transactions, one after the other under its robust mutex
 * SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>

/* Process. An open environment with its one database. */
struct store {
	MDB_env *environment;
	MDB_dbi database;
};

/* No transaction waits for the disk: what a process's death leaves is in the page cache, as in a
 * heap. */
#define STORE_FLAGS (MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMETASYNC)

static int open_database(struct store *store)
{
	MDB_txn *transaction;
	int error = mdb_txn_begin(store->environment, NULL, 0, &transaction);

	if (error != 0)
		return error;
	error = mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &store->database);
	if (error != 0) {
		mdb_txn_abort(transaction);
		return error;
	}
	return mdb_txn_commit(transaction);
}

void *peer_open(const char *path, uint64_t bytes)
{
	struct store *store = calloc(1, sizeof(*store));
	int error;

	if (store == NULL)
		return NULL;
	error = mdb_env_create(&store->environment);
	if (error == 0 && bytes != 0)
		error = mdb_env_set_mapsize(store->environment, bytes);
	if (error == 0)
		error = mdb_env_open(store->environment, path, STORE_FLAGS, 0600);
	if (error == 0)
		error = open_database(store);
	if (error == 0)
		return store;
	mdb_env_close(store->environment);
	free(store);
	errno = error;
	return NULL;
}

void peer_close(void *peer)
{
	struct store *store = peer;

	mdb_env_close(store->environment);
	free(store);
}

int peer_put(void *peer, uint64_t key, const void *value, size_t size)
{
	struct store *store = peer;
	MDB_txn *transaction;
	MDB_val key_bytes = { .mv_size = sizeof(key), .mv_data = &key };
	/* It reads them only. */
	MDB_val value_bytes = { .mv_size = size, .mv_data = (void *)(uintptr_t)value };
	int error = mdb_txn_begin(store->environment, NULL, 0, &transaction);

	if (error != 0)
		return error;
	error = mdb_put(transaction, store->database, &key_bytes, &value_bytes, 0);
	if (error != 0) {
		mdb_txn_abort(transaction);
		return error;
	}
	return mdb_txn_commit(transaction);
}

int peer_put_many(void *peer, uint64_t count, const void *value, size_t size)
{
	struct store *store = peer;
	MDB_txn *transaction;
	int error = mdb_txn_begin(store->environment, NULL, 0, &transaction);

	for (uint64_t key = 0; key < count && error == 0; key++) {
		MDB_val key_bytes = { .mv_size = sizeof(key), .mv_data = &key };
		MDB_val value_bytes = { .mv_size = size, .mv_data = (void *)(uintptr_t)value };

		error = mdb_put(transaction, store->database, &key_bytes, &value_bytes, MDB_APPEND);
	}
	return error == 0 ? mdb_txn_commit(transaction) : error;
}
