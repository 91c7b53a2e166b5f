/* rocksdb.c -- RocksDB: a log-structured tree, for the threads of one process
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Blocks are not compressed: the values are random bytes. The block cache has room for everything, and
 * filters of 10 bits to a key spare looks into tables that do not have it. Sync is off in both variants;
 * what they differ in is the write-ahead log. */
#include "engine.h"

#include <rocksdb/c.h>

enum variant { WAL, NO_WAL };

#define FILTER_BITS 10
#define FORMAT_VERSION 5
#define BACKGROUND_THREADS 2
#define WRITE_BUFFER_BYTES (128 * MIB)
#define LOG_ERRORS_ONLY 3

/* Process. */
struct store {
	rocksdb_t *database;
	rocksdb_options_t *options;
	rocksdb_block_based_table_options_t *tables;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *write_options;
	rocksdb_readoptions_t *read_options;
};

struct session {
	const struct store *store;
	rocksdb_writebatch_t *group;
};

static void expect(char *error, const char *call)
{
	if (error != NULL)
		die("RocksDB, %s: %s", call, error);
}

static const char *version(void)
{
	return KV_ROCKSDB_VERSION;
}

static void make_options(struct store *store, const struct engine *engine,
	const struct extent *extent)
{
	store->cache = rocksdb_cache_create_lru(extent->bytes * 2 + 64 * MIB);
	store->tables = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(store->tables, store->cache);
	rocksdb_block_based_options_set_format_version(store->tables, FORMAT_VERSION);
	rocksdb_block_based_options_set_filter_policy(store->tables,
		rocksdb_filterpolicy_create_bloom_full(FILTER_BITS));
	rocksdb_block_based_options_set_data_block_index_type(store->tables,
		rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
	store->options = rocksdb_options_create();
	rocksdb_options_set_block_based_table_factory(store->options, store->tables);
	rocksdb_options_set_create_if_missing(store->options, 1);
	rocksdb_options_set_compression(store->options, rocksdb_no_compression);
	rocksdb_options_increase_parallelism(store->options, BACKGROUND_THREADS);
	rocksdb_options_set_write_buffer_size(store->options, WRITE_BUFFER_BYTES);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(store->options, 1);
	rocksdb_options_set_max_open_files(store->options, -1);
	rocksdb_options_set_info_log_level(store->options, LOG_ERRORS_ONLY);
	store->write_options = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(store->write_options, engine->variant == NO_WAL);
	store->read_options = rocksdb_readoptions_create();
}

static void *store_open(const struct engine *engine, const char *folder,
	const struct extent *extent)
{
	struct store *store = calloc(1, sizeof(*store));
	char *error = NULL;

	if (store == NULL)
		die("no memory");
	make_options(store, engine, extent);
	store->database = rocksdb_open(store->options, folder, &error);
	expect(error, folder);
	return store;
}

static void store_close(void *handle)
{
	struct store *store = handle;

	rocksdb_close(store->database);
	rocksdb_readoptions_destroy(store->read_options);
	rocksdb_writeoptions_destroy(store->write_options);
	rocksdb_options_destroy(store->options);
	rocksdb_block_based_options_destroy(store->tables);
	rocksdb_cache_destroy(store->cache);
	free(store);
}

static void *session_open(void *store)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		die("no memory");
	session->store = store;
	session->group = rocksdb_writebatch_create();
	return session;
}

static void session_close(void *handle)
{
	struct session *session = handle;

	rocksdb_writebatch_destroy(session->group);
	free(session);
}

static void put(void *handle, const struct bytes *key, const struct bytes *value, bool append)
{
	struct session *session = handle;
	char *error = NULL;

	(void)append;
	rocksdb_put(session->store->database, session->store->write_options, key->data, key->size,
		value->data, value->size, &error);
	expect(error, "put");
}

static void group_begin(void *handle)
{
	struct session *session = handle;

	rocksdb_writebatch_clear(session->group);
}

static void group_put(void *handle, const struct bytes *key, const struct bytes *value)
{
	struct session *session = handle;

	rocksdb_writebatch_put(session->group, key->data, key->size, value->data, value->size);
}

static void group_commit(void *handle)
{
	struct session *session = handle;
	char *error = NULL;

	rocksdb_write(session->store->database, session->store->write_options, session->group,
		&error);
	expect(error, "write");
}

/* Each get is by itself, and an iterator has a snapshot of its own. */
static void read_begin(void *session, unsigned count)
{
	(void)session;
	(void)count;
}

static void read_end(void *session)
{
	(void)session;
}

/* Pinned: it is not copied. */
static bool get(void *handle, const struct bytes *key, struct look *look)
{
	struct session *session = handle;
	char *error = NULL;
	size_t size;
	rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(session->store->database,
		session->store->read_options, key->data, key->size, &error);

	expect(error, "get");
	if (slice == NULL)
		return false;
	const char *value = rocksdb_pinnableslice_value(slice, &size);

	if (value != NULL)
		look_at(look, value, size);
	rocksdb_pinnableslice_destroy(slice);
	return value != NULL;
}

static void scan_first(rocksdb_iterator_t *iterator, const struct bytes *from, bool backward)
{
	if (from == NULL && backward)
		rocksdb_iter_seek_to_last(iterator);
	else if (from == NULL)
		rocksdb_iter_seek_to_first(iterator);
	else if (backward)
		rocksdb_iter_seek_for_prev(iterator, from->data, from->size);
	else
		rocksdb_iter_seek(iterator, from->data, from->size);
}

static uint64_t scan(void *handle, const struct bytes *from, bool backward, uint64_t count,
	struct look *look)
{
	struct session *session = handle;
	rocksdb_iterator_t *iterator =
		rocksdb_create_iterator(session->store->database, session->store->read_options);
	uint64_t seen = 0;
	char *error = NULL;
	size_t size;

	scan_first(iterator, from, backward);
	while (rocksdb_iter_valid(iterator)) {
		const char *value = rocksdb_iter_value(iterator, &size);

		look_at(look, value, size);
		if (++seen == count)
			break;
		if (backward)
			rocksdb_iter_prev(iterator);
		else
			rocksdb_iter_next(iterator);
	}
	rocksdb_iter_get_error(iterator, &error);
	expect(error, "iterator");
	rocksdb_iter_destroy(iterator);
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

const struct engine rocksdb_engines[] = {
	{
		.name = "rocksdb-wal",
		.setup = "write-ahead log, not synced",
		.process_death = "what was committed stands",
		.power_failure = "the latest commits are lost",
		.variant = WAL,
		.one_process = true,
		.outside_mark = true,
		.calls = &calls,
	},
	{
		.name = "rocksdb-nowal",
		.setup = "no log",
		.process_death = "what is not in a table yet is lost",
		.power_failure = "what is not in a table yet is lost",
		.variant = NO_WAL,
		.one_process = true,
		.outside_mark = true,
		.calls = &calls,
	},
	{ .name = NULL },
};
