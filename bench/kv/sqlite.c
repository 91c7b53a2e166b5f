/* sqlite.c -- SQLite: a B-tree behind SQL, with a write-ahead log, one writer at a time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One table without rowids, so that there is one tree only. Statements are prepared once. A session
 * has a connection of its own, as SQLite wants it for each thread. The file is mapped; what SQLite
 * keeps beside that (cache_size) holds the pages that are being changed. */
#include "engine.h"

#include <sqlite3.h>

#define CACHE_KIB 65536u
/* Waiting for another writer: SQLite's own busy timeout sleeps for milliseconds at once. */
#define BUSY_FIRST_US 10u
#define BUSY_MOST_US 1000u

enum statement {
	PUT,
	GET,
	SCAN_FIRST,
	SCAN_FROM,
	SCAN_LAST,
	SCAN_BACK,
	BEGIN_WRITE,
	BEGIN_READ,
	COMMIT,
	STATEMENTS
};

static const char *const texts[STATEMENTS] = {
	[PUT] = "REPLACE INTO entries VALUES (?1, ?2)",
	[GET] = "SELECT value FROM entries WHERE key = ?1",
	[SCAN_FIRST] = "SELECT key, value FROM entries ORDER BY key",
	[SCAN_FROM] = "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key",
	[SCAN_LAST] = "SELECT key, value FROM entries ORDER BY key DESC",
	[SCAN_BACK] = "SELECT key, value FROM entries WHERE key <= ?1 ORDER BY key DESC",
	[BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[BEGIN_READ] = "BEGIN",
	[COMMIT] = "COMMIT",
};

/* Process. Where the sessions connect to; the connection keeps the log from being folded in whenever a
 * session ends. */
struct store {
	sqlite3 *connection;
	char *path;
	uint64_t map_bytes;
};

struct session {
	sqlite3 *connection;
	sqlite3_stmt *statements[STATEMENTS];
	bool reads_several; /* in a transaction that was begun for it */
};

static _Noreturn void fail(sqlite3 *connection, const char *what)
{
	die("SQLite, %s: %s", what, sqlite3_errmsg(connection));
}

static void execute(sqlite3 *connection, const char *text)
{
	if (sqlite3_exec(connection, text, NULL, NULL, NULL) != SQLITE_OK)
		fail(connection, text);
}

static int wait_while_busy(void *unused, int times)
{
	unsigned shift = times < 7 ? (unsigned)times : 7;
	unsigned us = BUSY_FIRST_US << shift;

	(void)unused;
	usleep(us < BUSY_MOST_US ? us : BUSY_MOST_US);
	return 1;
}

static sqlite3 *connect_to(const char *path, uint64_t map_bytes)
{
	sqlite3 *connection;
	char text[96];
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (sqlite3_open_v2(path, &connection, flags, NULL) != SQLITE_OK)
		fail(connection, path);
	sqlite3_busy_handler(connection, wait_while_busy, NULL);
	execute(connection, "PRAGMA journal_mode = WAL");
	execute(connection, "PRAGMA synchronous = OFF");
	snprintf(text, sizeof(text), "PRAGMA mmap_size = %llu", (unsigned long long)map_bytes);
	execute(connection, text);
	snprintf(text, sizeof(text), "PRAGMA cache_size = -%u", CACHE_KIB);
	execute(connection, text);
	return connection;
}

static const char *version(void)
{
	return sqlite3_libversion();
}

static void *store_open(const struct engine *engine, const char *folder,
	const struct extent *extent)
{
	struct store *store = calloc(1, sizeof(*store));

	(void)engine;
	if (store == NULL || asprintf(&store->path, "%s/entries.db", folder) < 0)
		die("no memory");
	store->map_bytes = extent->bytes * 4 + GIB;
	store->connection = connect_to(store->path, store->map_bytes);
	execute(store->connection,
		"CREATE TABLE IF NOT EXISTS entries "
		"(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
	return store;
}

static void store_close(void *handle)
{
	struct store *store = handle;

	if (sqlite3_close(store->connection) != SQLITE_OK)
		fail(store->connection, "close");
	free(store->path);
	free(store);
}

static void *session_open(void *store_handle)
{
	const struct store *store = store_handle;
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		die("no memory");
	session->connection = connect_to(store->path, store->map_bytes);
	for (unsigned s = 0; s < STATEMENTS; s++)
		if (sqlite3_prepare_v3(session->connection, texts[s], -1, SQLITE_PREPARE_PERSISTENT,
			    &session->statements[s], NULL) != SQLITE_OK)
			fail(session->connection, texts[s]);
	return session;
}

static void session_close(void *handle)
{
	struct session *session = handle;

	for (unsigned s = 0; s < STATEMENTS; s++)
		sqlite3_finalize(session->statements[s]);
	if (sqlite3_close(session->connection) != SQLITE_OK)
		fail(session->connection, "close");
	free(session);
}

static void bind(struct session *session, enum statement number, int at, const struct bytes *bytes)
{
	if (sqlite3_bind_blob(session->statements[number], at, bytes->data, (int)bytes->size,
		    SQLITE_STATIC) != SQLITE_OK)
		fail(session->connection, texts[number]);
}

/* Runs a statement that gives no rows. */
static void run(struct session *session, enum statement number)
{
	sqlite3_stmt *statement = session->statements[number];

	if (sqlite3_step(statement) != SQLITE_DONE)
		fail(session->connection, texts[number]);
	sqlite3_reset(statement);
}

static void group_put(void *handle, const struct bytes *key, const struct bytes *value)
{
	struct session *session = handle;

	bind(session, PUT, 1, key);
	bind(session, PUT, 2, value);
	run(session, PUT);
}

/* Outside a transaction each statement is one. */
static void put(void *handle, const struct bytes *key, const struct bytes *value, bool append)
{
	(void)append;
	group_put(handle, key, value);
}

static void group_begin(void *handle)
{
	run(handle, BEGIN_WRITE);
}

static void group_commit(void *handle)
{
	run(handle, COMMIT);
}

static void read_begin(void *handle, unsigned count)
{
	struct session *session = handle;

	session->reads_several = count > 1;
	if (session->reads_several)
		run(session, BEGIN_READ);
}

static void read_end(void *handle)
{
	struct session *session = handle;

	if (session->reads_several)
		run(session, COMMIT);
}

static void look_at_column(sqlite3_stmt *statement, int column, struct look *look)
{
	const void *data = sqlite3_column_blob(statement, column);

	look_at(look, data, (size_t)sqlite3_column_bytes(statement, column));
}

static bool get(void *handle, const struct bytes *key, struct look *look)
{
	struct session *session = handle;
	sqlite3_stmt *statement = session->statements[GET];
	int status;

	bind(session, GET, 1, key);
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		look_at_column(statement, 0, look);
	else if (status != SQLITE_DONE)
		fail(session->connection, texts[GET]);
	sqlite3_reset(statement);
	return status == SQLITE_ROW;
}

static uint64_t scan(void *handle, const struct bytes *from, bool backward, uint64_t count,
	struct look *look)
{
	struct session *session = handle;
	enum statement number = from == NULL ? (backward ? SCAN_LAST : SCAN_FIRST)
					     : (backward ? SCAN_BACK : SCAN_FROM);
	sqlite3_stmt *statement = session->statements[number];
	uint64_t seen = 0;
	int status = SQLITE_ROW;

	if (from != NULL)
		bind(session, number, 1, from);
	while (seen < count && (status = sqlite3_step(statement)) == SQLITE_ROW) {
		look_at_column(statement, 1, look);
		seen++;
	}
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		fail(session->connection, texts[number]);
	sqlite3_reset(statement);
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

const struct engine sqlite_engines[] = {
	{
		.name = "sqlite-off",
		.setup = "WAL, synchronous=off, mapped, without rowids",
		.process_death = "what was committed stands",
		.power_failure = "none: the file may be damaged",
		.outside_mark = true,
		.calls = &calls,
	},
	{ .name = NULL },
};
