/* temporary.c -- tables that everybody makes, fills and drops
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Handles are kept beyond a drop: a table that was made since, in the dropped one's block, must not be taken for
 * it. Each key begins with the name of the table that it was put into. */
#include "stress/kv/temporary.h"
#include "stress/kv/content.h"
#include "stress/kv/tally.h"
#include "stress/kv/writer.h"

#define TABLES 2u
#define KEYS 400u
#define BATCH_KEYS 80u

static struct kv_bytes name_of(char *text, unsigned name)
{
	return key_text(text, "temporary %u", name);
}

static struct kv_bytes key_in(char *text, unsigned name, uint64_t number)
{
	return key_text(text, "temporary %u/%03u", name, (unsigned)number);
}

static uint64_t id_in(unsigned name, uint64_t number)
{
	return ID_TEMPORARY + name * KEYS + number;
}

/* What calls of handles may give. */
static void expect(int error, int other, const char *call)
{
	tally(CHECK_CALLS);
	if (error != 0 && error != other && error != KV_EDROPPED)
		expect_ok(error, call);
}

/* --- filling ------------------------------------------------------------------------------- */

static void put_one(struct writer *writer, struct kv_table *table, unsigned name)
{
	uint64_t number = chance_below(&writer->random, KEYS);
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];

	if (chance_once_in(&writer->random, 4))
		expect(kv_delete(table, key_in(text, name, number)), KV_ENOTFOUND,
			"kv_delete in a temporary table");
	else
		expect(kv_put(table, key_in(text, name, number),
			       value_of(bytes, id_in(name, number), 1), 0),
			0, "kv_put in a temporary table");
}

static int add_stretch(struct writer *writer, struct kv_batch *batch, unsigned place)
{
	uint64_t first = chance_below(&writer->random, KEYS);
	uint64_t limit = chance_once_in(&writer->random, 2) ? 3 : BATCH_KEYS;
	uint64_t count = 1 + chance_below(&writer->random, limit);
	struct kv_table *table = writer->handles[place].table;
	unsigned name = writer->handles[place].name;
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	int error = 0;

	for (uint64_t i = first; i < first + count && i < KEYS && error == 0; i++)
		error = kv_batch_put(batch, table, key_in(text, name, i),
			value_of(bytes, id_in(name, i), 1));
	return error;
}

/* Into one table, or two: while it works on the second the first may be dropped. */
static int put_stretches(struct writer *writer, unsigned place)
{
	unsigned other = (unsigned)chance_below(&writer->random, HANDLES);
	struct kv_batch *batch;
	int error = kv_batch_begin(writer->desk.store, &batch);

	if (error != 0)
		return error;
	error = add_stretch(writer, batch, place);
	if (error == 0 && writer->handles[other].table != NULL)
		error = add_stretch(writer, batch, other);
	if (error == 0)
		return kv_batch_commit(batch);
	kv_batch_abort(batch);
	return error;
}

/* --- handles ------------------------------------------------------------------------------- */

static void open_one(struct writer *writer, unsigned place)
{
	unsigned name = (unsigned)chance_below(&writer->random, TABLES);
	char text[KEY_BYTES];
	struct kv_table *table;

	if (expect_ok(kv_table_open(writer->desk.store, name_of(text, name), KV_CREATE, &table),
		    "kv_table_open of a temporary table") != 0)
		return;
	writer->handles[place].table = table;
	writer->handles[place].name = name;
}

static void drop_one(struct writer *writer)
{
	char text[KEY_BYTES];
	int error = kv_table_drop(writer->desk.store,
		name_of(text, (unsigned)chance_below(&writer->random, TABLES)));

	expect(error, KV_ENOTFOUND, "kv_table_drop of a temporary table");
	if (error == 0)
		atomic_fetch_add(&shared->counts.tables_dropped, 1);
}

/* A batch into a table that is new, or is not there any more by the time. */
static void fill_new(struct writer *writer, unsigned place)
{
	drop_one(writer);
	open_one(writer, place);
	if (writer->handles[place].table != NULL)
		expect(put_stretches(writer, place), 0, "kv_batch_commit in new tables");
}

void temporary_any(struct writer *writer)
{
	unsigned place = (unsigned)chance_below(&writer->random, HANDLES);
	uint64_t percent = chance_below(&writer->random, 100);

	call_begin(writer);
	if (writer->handles[place].table == NULL || percent < 15)
		open_one(writer, place);
	else if (percent < 40)
		put_one(writer, writer->handles[place].table, writer->handles[place].name);
	else if (percent < 60)
		fill_new(writer, place);
	else if (percent < 85)
		expect(put_stretches(writer, place), 0, "kv_batch_commit in temporary tables");
	else
		drop_one(writer);
	call_end(writer);
}

/* --- judging ------------------------------------------------------------------------------- */

static void judge_key(unsigned name, struct kv_bytes key, struct kv_bytes value)
{
	uint64_t id, version;
	char text[KEY_BYTES];

	if (!value_holds(value, &id, &version) || id < ID_TEMPORARY ||
		id >= id_in(TABLES - 1, KEYS) || (id - ID_TEMPORARY) / KEYS != name) {
		fail(CHECK_TEMPORARY, "temporary table %u holds \"%.*s\"", name, (int)key.size,
			(const char *)key.data);
		return;
	}
	if (key_in(text, name, (id - ID_TEMPORARY) % KEYS).size != key.size)
		fail(CHECK_TEMPORARY, "temporary table %u holds another's value", name);
}

static void judge_table(struct kv_table *table, unsigned name)
{
	struct kv_bytes key, value;
	struct kv_cursor *cursor;
	int error;

	tally(CHECK_TEMPORARY);
	if (expect_ok(kv_cursor_open(table, &cursor), "kv_cursor_open") != 0)
		return;
	for (error = kv_cursor_first(cursor, &key, &value); error == 0;
		error = kv_cursor_next(cursor, &key, &value))
		judge_key(name, key, value);
	if (error != KV_ENOTFOUND)
		expect_ok(error, "kv_cursor_next in a temporary table");
	kv_cursor_close(cursor);
}

void temporary_judge(struct kv *store)
{
	for (unsigned name = 0; name < TABLES; name++) {
		char text[KEY_BYTES];
		struct kv_table *table;
		int error = kv_table_open(store, name_of(text, name), 0, &table);

		if (error == 0)
			judge_table(table, name);
		else if (error != KV_ENOTFOUND)
			expect_ok(error, "kv_table_open of a temporary table");
	}
}
