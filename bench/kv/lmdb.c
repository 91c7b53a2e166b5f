/* lmdb.c -- LMDB: a B+ tree of pages that are never changed in place, one writer at a time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Readers have one MDB_RDONLY transaction for life, which is reset and renewed: the cheapest that
 * LMDB offers. MDB_NOTLS ties it to the session. MDB_NORDAHEAD is left out: it is for stores larger
 * than memory. MDB_NOMEMINIT saves clearing pages that are written anyway. */
#include "engine.h"

#include <lmdb.h>

enum variant { SYNC, NOSYNC };

/* Copied pages of transactions, half-empty pages after splits, and whatever readers hold. */
#define MAP_FACTOR 6u
#define COMMON_FLAGS (MDB_NOTLS | MDB_NOMEMINIT)

/* Process. An open environment with its one database. */
struct store {
	MDB_env *environment;
	MDB_dbi database;
};

struct session {
	struct store *store;
	MDB_txn *reader; /* reset while nobody reads */
	MDB_cursor *cursor;
	MDB_txn *writer; /* of a group */
};

static void expect(int error, const char *call)
{
	if (error != 0)
		die("%s: %s", call, mdb_strerror(error));
}

static const char *version(void)
{
	static char text[32];
	int major;
	int minor;
	int patch;

	mdb_version(&major, &minor, &patch);
	snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
	return text;
}

static void open_database(struct store *store)
{
	MDB_txn *transaction;

	expect(mdb_txn_begin(store->environment, NULL, 0, &transaction), "mdb_txn_begin");
	expect(mdb_dbi_open(transaction, NULL, MDB_CREATE, &store->database), "mdb_dbi_open");
	expect(mdb_txn_commit(transaction), "mdb_txn_commit");
}

static void *store_open(const struct engine *engine, const char *folder,
	const struct extent *extent)
{
	struct store *store = calloc(1, sizeof(*store));
	unsigned flags = COMMON_FLAGS;
	int dead;

	if (store == NULL)
		die("no memory");
	if (engine->variant == NOSYNC)
		flags |= MDB_NOSYNC | MDB_WRITEMAP;
	expect(mdb_env_create(&store->environment), "mdb_env_create");
	expect(mdb_env_set_mapsize(store->environment, extent->bytes * MAP_FACTOR + GIB),
		"mdb_env_set_mapsize");
	expect(mdb_env_open(store->environment, folder, flags, 0600), folder);
	/* Readers that were killed would keep pages from being used again. */
	expect(mdb_reader_check(store->environment, &dead), "mdb_reader_check");
	open_database(store);
	return store;
}

static void store_close(void *handle)
{
	struct store *store = handle;

	mdb_env_close(store->environment);
	free(store);
}

static void *session_open(void *store_handle)
{
	struct store *store = store_handle;
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		die("no memory");
	session->store = store;
	expect(mdb_txn_begin(store->environment, NULL, MDB_RDONLY, &session->reader),
		"mdb_txn_begin");
	expect(mdb_cursor_open(session->reader, store->database, &session->cursor),
		"mdb_cursor_open");
	mdb_txn_reset(session->reader);
	return session;
}

static void session_close(void *handle)
{
	struct session *session = handle;

	mdb_cursor_close(session->cursor);
	mdb_txn_abort(session->reader);
	free(session);
}

/* LMDB reads what its structure does not promise to leave alone. */
static MDB_val value_of(const struct bytes *bytes)
{
	return (MDB_val){ .mv_size = bytes->size, .mv_data = (void *)(uintptr_t)bytes->data };
}

static void put_in(struct session *session, MDB_txn *transaction, const struct bytes *key,
	const struct bytes *value, unsigned flags)
{
	MDB_val key_value = value_of(key);
	MDB_val value_value = value_of(value);

	expect(mdb_put(transaction, session->store->database, &key_value, &value_value, flags),
		"mdb_put");
}

static void put(void *handle, const struct bytes *key, const struct bytes *value, bool append)
{
	struct session *session = handle;
	MDB_txn *transaction;

	expect(mdb_txn_begin(session->store->environment, NULL, 0, &transaction), "mdb_txn_begin");
	put_in(session, transaction, key, value, append ? MDB_APPEND : 0);
	expect(mdb_txn_commit(transaction), "mdb_txn_commit");
}

static void group_begin(void *handle)
{
	struct session *session = handle;

	expect(mdb_txn_begin(session->store->environment, NULL, 0, &session->writer),
		"mdb_txn_begin");
}

static void group_put(void *handle, const struct bytes *key, const struct bytes *value)
{
	struct session *session = handle;

	put_in(session, session->writer, key, value, 0);
}

static void group_commit(void *handle)
{
	struct session *session = handle;

	expect(mdb_txn_commit(session->writer), "mdb_txn_commit");
	session->writer = NULL;
}

static void read_begin(void *handle, unsigned count)
{
	struct session *session = handle;

	(void)count;
	expect(mdb_txn_renew(session->reader), "mdb_txn_renew");
}

static void read_end(void *handle)
{
	struct session *session = handle;

	mdb_txn_reset(session->reader);
}

static bool get(void *handle, const struct bytes *key, struct look *look)
{
	struct session *session = handle;
	MDB_val key_value = value_of(key);
	MDB_val found;
	int error = mdb_get(session->reader, session->store->database, &key_value, &found);

	if (error == MDB_NOTFOUND)
		return false;
	expect(error, "mdb_get");
	look_at(look, found.mv_data, found.mv_size);
	return true;
}

/* Goes to where a scan begins. */
static int scan_first(struct session *session, const struct bytes *from, bool backward,
	MDB_val *key, MDB_val *value)
{
	int error;

	if (from == NULL)
		return mdb_cursor_get(session->cursor, key, value, backward ? MDB_LAST : MDB_FIRST);
	*key = value_of(from);
	error = mdb_cursor_get(session->cursor, key, value, MDB_SET_RANGE);
	if (!backward)
		return error;
	if (error == MDB_NOTFOUND)
		return mdb_cursor_get(session->cursor, key, value, MDB_LAST);
	if (error == 0 &&
		(key->mv_size != from->size || memcmp(key->mv_data, from->data, from->size) != 0))
		return mdb_cursor_get(session->cursor, key, value, MDB_PREV);
	return error;
}

static uint64_t scan(void *handle, const struct bytes *from, bool backward, uint64_t count,
	struct look *look)
{
	struct session *session = handle;
	MDB_cursor_op onward = backward ? MDB_PREV : MDB_NEXT;
	MDB_val key;
	MDB_val value;
	uint64_t seen = 0;
	int error;

	expect(mdb_txn_renew(session->reader), "mdb_txn_renew");
	expect(mdb_cursor_renew(session->reader, session->cursor), "mdb_cursor_renew");
	error = scan_first(session, from, backward, &key, &value);
	while (error == 0) {
		look_at(look, value.mv_data, value.mv_size);
		if (++seen == count)
			break;
		error = mdb_cursor_get(session->cursor, &key, &value, onward);
	}
	if (error != MDB_NOTFOUND)
		expect(error, "mdb_cursor_get");
	mdb_txn_reset(session->reader);
	return seen;
}

static const struct engine_calls calls = {
	.version = version,
	.open = store_open,
	.close = store_close,
	.session_open = session_open,
	.session_close = session_close,
	.put = put,
	.group_begin = group_begin,
	.group_put = group_put,
	.group_commit = group_commit,
	.read_begin = read_begin,
	.read_end = read_end,
	.get = get,
	.scan = scan,
};

const struct engine lmdb_engines[] = {
	{
		.name = REFERENCE_ENGINE,
		.setup = "MDB_NOSYNC, MDB_WRITEMAP",
		.process_death = "what was committed stands",
		.power_failure = "none: the file may be damaged, unnoticed",
		.variant = NOSYNC,
		.calls = &calls,
	},
	{
		.name = "lmdb-sync",
		.setup = "the default: a commit waits for the disk",
		.process_death = "what was committed stands",
		.power_failure = "what was committed stands",
		.variant = SYNC,
		.syncs = true,
		.calls = &calls,
	},
	{ .name = NULL },
};
