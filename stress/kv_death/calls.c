/* calls.c -- puts, deletes, splits, joins, batches, tables
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv_death/calls.h"

#include "stress/common/expect.h"

#include <stdio.h>
#include <string.h>

#define LEAF_ENTRIES 56u
#define NODE_CHILDREN 128u

static struct kv_bytes string(const char *text)
{
	return (struct kv_bytes){ text, strlen(text) };
}

/* Keys of a few bytes, in order of their numbers. */
static struct kv_bytes key(unsigned number, char bytes[static 16])
{
	snprintf(bytes, 16, "key %07u", number);
	return string(bytes);
}

struct kv_table *calls_table(struct kv *store)
{
	struct kv_table *table;

	EXPECT_EQUAL(kv_table_open(store, string("first"), KV_CREATE, &table), 0);
	return table;
}

static struct kv_table *other_table(struct kv *store)
{
	struct kv_table *table;

	EXPECT_EQUAL(kv_table_open(store, string("other"), KV_CREATE, &table), 0);
	return table;
}

/* Puts `count` entries in order, so that leaves are full; of each `step` numbers one. */
static void fill(struct kv *store, struct kv_table *table, unsigned count, unsigned step)
{
	struct kv_batch *batch;
	char bytes[16];

	EXPECT_EQUAL(kv_batch_begin(store, &batch), 0);
	for (unsigned i = 0; i < count; i++)
		EXPECT_EQUAL(kv_batch_put(batch, table, key(i * step, bytes), string("value")), 0);
	EXPECT_EQUAL(kv_batch_commit(batch), 0);
}

static void take_out(struct kv *store, unsigned from, unsigned count, unsigned step)
{
	struct kv_batch *batch;
	char bytes[16];

	EXPECT_EQUAL(kv_batch_begin(store, &batch), 0);
	for (unsigned i = from; i < from + count; i++)
		EXPECT_EQUAL(kv_batch_delete(batch, calls_table(store), key(i * step, bytes)), 0);
	EXPECT_EQUAL(kv_batch_commit(batch), 0);
}

static void put(struct kv *store, unsigned number, const char *value)
{
	char bytes[16];

	EXPECT_EQUAL(kv_put(calls_table(store), key(number, bytes), string(value), 0), 0);
}

static void remove_one(struct kv *store, unsigned number)
{
	char bytes[16];

	EXPECT_EQUAL(kv_delete(calls_table(store), key(number, bytes)), 0);
}

/* --- in one leaf --------------------------------------------------------------------------- */

static void begin_some(struct kv *store)
{
	fill(store, calls_table(store), 30, 2);
}

static void act_put(struct kv *store)
{
	put(store, 7, "new");
}

static void act_replace(struct kv *store)
{
	put(store, 8, "another value, of another length");
}

static void act_large(struct kv *store)
{
	static char large[3000];

	memset(large, 'l', sizeof(large));
	EXPECT_EQUAL(kv_put(calls_table(store), string("long"),
			     (struct kv_bytes){ large, sizeof(large) }, 0),
		0);
}

/* Values of these lengths are in their leaf's text, and in blocks of their own. */
#define SMALL_BYTES 200u
#define LARGE_BYTES 600u

static void put_bytes(struct kv_table *table, unsigned number, char byte, size_t bytes)
{
	char value[LARGE_BYTES], name[16];

	memset(value, byte, sizeof(value));
	EXPECT_EQUAL(kv_put(table, key(number, name), (struct kv_bytes){ value, bytes }, 0), 0);
}

static void begin_large(struct kv *store)
{
	begin_some(store);
	put_bytes(calls_table(store), 8, 'b', LARGE_BYTES);
}

static void act_large_by_large(struct kv *store)
{
	put_bytes(calls_table(store), 8, 'n', LARGE_BYTES);
}

static void act_large_by_small(struct kv *store)
{
	put_bytes(calls_table(store), 8, 'n', SMALL_BYTES);
}

static void act_small_by_large(struct kv *store)
{
	put_bytes(calls_table(store), 10, 'n', LARGE_BYTES);
}

static const void *place_of(struct kv_table *table, unsigned number)
{
	struct kv_bytes value;
	char name[16];

	EXPECT_EQUAL(kv_get(table, key(number, name), &value), 0);
	return value.data;
}

/* How often a value is replaced before a new leaf takes the place of one whose text is full. */
static unsigned puts_before_new_leaf(struct kv *store, struct kv_table *table)
{
	const void *before;
	unsigned count = 0;

	EXPECT_EQUAL(kv_read_begin(store), 0);
	before = place_of(table, 10);
	for (; place_of(table, 10) == before; count++)
		put_bytes(table, 8, 'b', SMALL_BYTES);
	kv_read_end(store);
	return count - 1;
}

static void begin_full_text(struct kv *store)
{
	unsigned count;

	fill(store, other_table(store), 30, 2);
	count = puts_before_new_leaf(store, other_table(store));
	begin_some(store);
	for (unsigned i = 0; i < count; i++)
		put_bytes(calls_table(store), 8, 'b', SMALL_BYTES);
}

static void act_replace_small(struct kv *store)
{
	put_bytes(calls_table(store), 8, 'n', SMALL_BYTES);
}

static void act_insert_in_vain(struct kv *store)
{
	EXPECT_EQUAL(kv_put(calls_table(store), string("key 0000008"), string(""), KV_INSERT),
		KV_EEXIST);
}

static void act_delete(struct kv *store)
{
	remove_one(store, 8);
}

/* --- other leaves and nodes ---------------------------------------------------------------- */

static void begin_full_leaf(struct kv *store)
{
	fill(store, calls_table(store), LEAF_ENTRIES, 2);
}

static void begin_full_node(struct kv *store)
{
	fill(store, calls_table(store), LEAF_ENTRIES * NODE_CHILDREN, 2);
}

/* Two nodes below the root. */
static void begin_two_nodes(struct kv *store)
{
	fill(store, calls_table(store), LEAF_ENTRIES * (NODE_CHILDREN + 1), 2);
}

static void act_split(struct kv *store)
{
	put(store, 51, "new");
}

/* Two leaves, which become one when the first loses an entry. */
static void begin_few(struct kv *store)
{
	fill(store, calls_table(store), LEAF_ENTRIES + 40, 2);
	take_out(store, 14, LEAF_ENTRIES - 14, 2);
	take_out(store, LEAF_ENTRIES + 28, 12, 2);
}

static void act_join(struct kv *store)
{
	remove_one(store, 0);
}

/* How many of the first entries go before a node is joined with its neighbour. */
static unsigned deletes_before_join(struct kv_table *table)
{
	struct kv_stats stats;
	char bytes[16];
	unsigned count = 0;

	do {
		EXPECT_EQUAL(kv_delete(table, key(2 * count++, bytes)), 0);
		EXPECT_EQUAL(kv_stats(table, &stats), 0);
	} while (stats.inner_nodes == 3);
	return count - 1;
}

/* Two nodes below the root, which become one when the first entry goes. */
static void begin_few_node(struct kv *store)
{
	unsigned count = LEAF_ENTRIES * (NODE_CHILDREN + 1), gone;

	fill(store, other_table(store), count, 2);
	gone = deletes_before_join(other_table(store));
	EXPECT_EQUAL(kv_table_drop(store, string("other")), 0);
	fill(store, calls_table(store), count, 2);
	for (unsigned i = 0; i < gone; i++)
		remove_one(store, 2 * i);
}

static void act_delete_first(struct kv *store)
{
	struct kv_table *table = calls_table(store);
	struct kv_cursor *cursor;
	struct kv_bytes first;

	EXPECT_EQUAL(kv_cursor_open(table, &cursor), 0);
	EXPECT_EQUAL(kv_cursor_first(cursor, &first, NULL), 0);
	EXPECT_EQUAL(kv_delete(table, first), 0);
	kv_cursor_close(cursor);
}

/* --- batches ------------------------------------------------------------------------------- */

static void begin_two_tables(struct kv *store)
{
	fill(store, calls_table(store), 300, 2);
	fill(store, other_table(store), 200, 2);
}

static void act_batch(struct kv *store)
{
	struct kv_table *tables[] = { calls_table(store), other_table(store) };
	struct kv_batch *batch;
	char bytes[16];

	EXPECT_EQUAL(kv_batch_begin(store, &batch), 0);
	for (unsigned i = 0; i < 24; i++) {
		struct kv_table *table = tables[i % 2];

		if (i % 3 == 0)
			EXPECT_EQUAL(kv_batch_delete(batch, table, key(i * 16, bytes)), 0);
		else
			EXPECT_EQUAL(kv_batch_put(batch, table, key(i * 17, bytes), string("new")),
				0);
	}
	EXPECT_EQUAL(kv_batch_commit(batch), 0);
}

static void act_batch_split(struct kv *store)
{
	struct kv_batch *batch;
	char bytes[16];

	EXPECT_EQUAL(kv_batch_begin(store, &batch), 0);
	for (unsigned i = 0; i < 200; i++)
		EXPECT_EQUAL(kv_batch_put(batch, calls_table(store), key(i * 2 + 1, bytes),
				     string("new")),
			0);
	EXPECT_EQUAL(kv_batch_commit(batch), 0);
}

/* Over all that begin_large() has put. */
static void act_batch_over(struct kv *store)
{
	struct kv_batch *batch;
	char bytes[16];

	EXPECT_EQUAL(kv_batch_begin(store, &batch), 0);
	for (unsigned i = 0; i < 70; i++)
		EXPECT_EQUAL(kv_batch_put(batch, calls_table(store), key(i, bytes), string("new")),
			0);
	EXPECT_EQUAL(kv_batch_commit(batch), 0);
}

static void act_batch_empty(struct kv *store)
{
	take_out(store, 20, 260, 2);
}

/* --- tables -------------------------------------------------------------------------------- */

static void act_make_table(struct kv *store)
{
	struct kv_table *table;

	EXPECT_EQUAL(kv_table_open(store, string("new"), KV_CREATE, &table), 0);
}

static void begin_small_table(struct kv *store)
{
	fill(store, calls_table(store), 30, 2);
	fill(store, other_table(store), 3, 2);
}

static void act_drop_table(struct kv *store)
{
	EXPECT_EQUAL(kv_table_drop(store, string("other")), 0);
}

const struct call calls[] = {
	{ "put", begin_some, act_put },
	{ "put, another value", begin_some, act_replace },
	{ "put, a long value", begin_some, act_large },
	{ "put, a block for a block", begin_large, act_large_by_large },
	{ "put, text for a block", begin_large, act_large_by_small },
	{ "put, a block for text", begin_large, act_small_by_large },
	{ "put into a text that is full", begin_full_text, act_replace_small },
	{ "put, KV_INSERT in vain", begin_some, act_insert_in_vain },
	{ "put that splits a leaf", begin_full_leaf, act_split },
	{ "put that splits a leaf far below", begin_two_nodes, act_split },
	{ "put that splits up to the root", begin_full_node, act_split },
	{ "delete", begin_some, act_delete },
	{ "delete, of a block", begin_large, act_delete },
	{ "delete that joins leaves", begin_few, act_join },
	{ "delete that joins nodes", begin_few_node, act_delete_first },
	{ "batch", begin_two_tables, act_batch },
	{ "batch that makes leaves", begin_two_tables, act_batch_split },
	{ "batch that makes leaves, over a block", begin_large, act_batch_over },
	{ "batch that empties leaves", begin_two_tables, act_batch_empty },
	{ "making a table", begin_two_tables, act_make_table },
	{ "dropping a table", begin_small_table, act_drop_table },
};

const unsigned call_count = sizeof(calls) / sizeof(calls[0]);
