/* spankv.c -- our own: the store of examples/kv, on a heap in shared memory
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * No options beside the defaults. A session's cursor is kept for all its scans, and pauses as its header
 * recommends: a scan sees each leaf as it is at one moment, not a snapshot. */
#include "engine.h"

#include <kv.h>

#define PAUSE_ENTRIES 1000u

/* Process. An open store with its one table. */
struct store {
	struct kv *store;
	struct kv_table *table;
};

struct session {
	struct store *store;
	struct kv_cursor *cursor;
	struct kv_batch *group;
};

static void expect(int error, const char *call)
{
	if (error != 0)
		die("spankv, %s: %s", call, kv_strerror(error));
}

static const char *version(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "%u.%u.%u", SH_VERSION_MAJOR, SH_VERSION_MINOR,
		SH_VERSION_PATCH);
	return text;
}

/* The default size of a heap's address space is more than any of these stores. */
static void *store_open(const struct engine *engine, const char *folder,
	const struct extent *extent)
{
	struct store *store = calloc(1, sizeof(*store));
	struct kv_bytes name = { "entries", strlen("entries") };
	char path[PATH_BYTES];

	(void)engine;
	(void)extent;
	if (store == NULL)
		die("no memory");
	snprintf(path, sizeof(path), "%s/store", folder);
	expect(kv_open(path, KV_CREATE, NULL, &store->store), path);
	expect(kv_table_open(store->store, name, KV_CREATE, &store->table), "kv_table_open");
	return store;
}

static void store_close(void *handle)
{
	struct store *store = handle;

	expect(kv_close(store->store), "kv_close");
	free(store);
}

static void *session_open(void *store_handle)
{
	struct store *store = store_handle;
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		die("no memory");
	session->store = store;
	expect(kv_cursor_open(store->table, &session->cursor), "kv_cursor_open");
	return session;
}

static void session_close(void *handle)
{
	struct session *session = handle;

	kv_cursor_close(session->cursor);
	free(session);
}

static struct kv_bytes text_of(const struct bytes *bytes)
{
	return (struct kv_bytes){ bytes->data, bytes->size };
}

static void put(void *handle, const struct bytes *key, const struct bytes *value, bool append)
{
	struct session *session = handle;

	(void)append;
	expect(kv_put(session->store->table, text_of(key), text_of(value), 0), "kv_put");
}

static void group_begin(void *handle)
{
	struct session *session = handle;

	expect(kv_batch_begin(session->store->store, &session->group), "kv_batch_begin");
}

static void group_put(void *handle, const struct bytes *key, const struct bytes *value)
{
	struct session *session = handle;

	expect(kv_batch_put(session->group, session->store->table, text_of(key), text_of(value)),
		"kv_batch_put");
}

static void group_commit(void *handle)
{
	struct session *session = handle;

	expect(kv_batch_commit(session->group), "kv_batch_commit");
	session->group = NULL;
}

static void read_begin(void *handle, unsigned count)
{
	struct session *session = handle;

	(void)count;
	expect(kv_read_begin(session->store->store), "kv_read_begin");
}

static void read_end(void *handle)
{
	struct session *session = handle;

	kv_read_end(session->store->store);
}

static bool get(void *handle, const struct bytes *key, struct look *look)
{
	struct session *session = handle;
	struct kv_bytes value;
	int error = kv_get(session->store->table, text_of(key), &value);

	if (error == KV_ENOTFOUND)
		return false;
	expect(error, "kv_get");
	look_at(look, value.data, value.size);
	return true;
}

/* Goes to where a scan begins. */
static int scan_first(struct kv_cursor *cursor, const struct bytes *from, bool backward,
	struct kv_bytes *value)
{
	struct kv_bytes key;
	int error;

	if (from == NULL)
		return backward ? kv_cursor_last(cursor, NULL, value)
				: kv_cursor_first(cursor, NULL, value);
	error = kv_cursor_seek(cursor, text_of(from), &key, value);
	if (!backward)
		return error;
	if (error == KV_ENOTFOUND)
		return kv_cursor_last(cursor, NULL, value);
	if (error == 0 && (key.size != from->size || memcmp(key.data, from->data, from->size) != 0))
		return kv_cursor_previous(cursor, NULL, value);
	return error;
}

static uint64_t scan(void *handle, const struct bytes *from, bool backward, uint64_t count,
	struct look *look)
{
	struct session *session = handle;
	struct kv_cursor *cursor = session->cursor;
	struct kv_bytes value;
	uint64_t seen = 0;
	int error = scan_first(cursor, from, backward, &value);

	while (error == 0) {
		look_at(look, value.data, value.size);
		if (++seen == count)
			break;
		if (seen % PAUSE_ENTRIES == 0)
			expect(kv_cursor_pause(cursor), "kv_cursor_pause");
		error = backward ? kv_cursor_previous(cursor, NULL, &value)
				 : kv_cursor_next(cursor, NULL, &value);
	}
	if (error != KV_ENOTFOUND)
		expect(error, "a step of a cursor");
	expect(kv_cursor_pause(cursor), "kv_cursor_pause");
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

const struct engine spankv_engines[] = {
	{
		.name = OWN_ENGINE,
		.setup = "defaults",
		.process_death = "what was committed stands",
		.power_failure = "noticed: SH_ETORN",
		.calls = &calls,
	},
	{ .name = NULL },
};
