/* looks.c -- gets and scans; puts, deletes, new leaves
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv_steps/looks.h"

#include "stress/common/expect.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Keys that stay: numbers 10, 20, ... Those that come and go lie between them. */
#define STAYING 24u
#define STEP 10u
#define REPLACED (5 * STEP)
#define PASSING (5 * STEP + 1)

/* The longest that is in its leaf, and one that is a block. */
#define KEY_BYTES 11u
#define VALUE_BYTES_MAX 237u
#define LARGE_BYTES 600u

static struct kv_bytes key_of(unsigned number, char text[static 16])
{
	snprintf(text, 16, "key %07u", number);
	return (struct kv_bytes){ text, KEY_BYTES };
}

/* Its key, and as often as they fit the byte. */
static struct kv_bytes value_of(unsigned number, char byte, size_t size,
	char bytes[static LARGE_BYTES])
{
	char key[16];

	memset(bytes, byte, size);
	memcpy(bytes, key_of(number, key).data, KEY_BYTES);
	return (struct kv_bytes){ bytes, size };
}

static void put(struct kv_table *table, unsigned number, char byte, size_t size)
{
	char key[16], value[LARGE_BYTES];

	EXPECT_EQUAL(kv_put(table, key_of(number, key), value_of(number, byte, size, value), 0), 0);
}

static void remove_one(struct kv_table *table, unsigned number)
{
	char key[16];

	EXPECT_EQUAL(kv_delete(table, key_of(number, key)), 0);
}

/* --- looks --------------------------------------------------------------------------------- */

/* The value is one of this key, whole. */
static void expect_value(struct kv_bytes key, struct kv_bytes value)
{
	const char *bytes = value.data;

	EXPECT(value.size > KEY_BYTES && key.size == KEY_BYTES);
	EXPECT(memcmp(bytes, key.data, KEY_BYTES) == 0);
	for (size_t i = KEY_BYTES + 1; i < value.size; i++)
		EXPECT(bytes[i] == bytes[KEY_BYTES]);
}

/* The keys of the gets: made beforehand. */
static char key_staying[16], key_replaced[16], key_passing[16];

static void get(struct kv_table *table, const char *key, struct found *found)
{
	found->keys[0] = (struct kv_bytes){ key, KEY_BYTES };
	found->error = kv_get(table, found->keys[0], &found->values[0]);
}

static void get_staying(struct kv_table *table, struct kv_cursor *cursor, struct found *found)
{
	(void)cursor;
	get(table, key_staying, found);
}

static void get_replaced(struct kv_table *table, struct kv_cursor *cursor, struct found *found)
{
	(void)cursor;
	get(table, key_replaced, found);
}

static void get_passing(struct kv_table *table, struct kv_cursor *cursor, struct found *found)
{
	(void)cursor;
	get(table, key_passing, found);
}

static void judge_there(const struct found *found)
{
	EXPECT_EQUAL(found->error, 0);
	expect_value(found->keys[0], found->values[0]);
}

static void judge_there_or_not(const struct found *found)
{
	EXPECT(found->error == 0 || found->error == KV_ENOTFOUND);
	if (found->error == 0)
		expect_value(found->keys[0], found->values[0]);
}

typedef int move_fn(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value);

static void collect(struct kv_cursor *cursor, move_fn *first, move_fn *next, struct found *found)
{
	struct kv_bytes *keys = found->keys, *values = found->values;
	int error = first(cursor, &keys[0], &values[0]);

	while (error == 0 && ++found->count < FOUND_MOST)
		error = next(cursor, &keys[found->count], &values[found->count]);
	found->error = error;
}

static void scan(struct kv_table *table, struct kv_cursor *cursor, struct found *found)
{
	(void)table;
	collect(cursor, kv_cursor_first, kv_cursor_next, found);
}

static void scan_backward(struct kv_table *table, struct kv_cursor *cursor, struct found *found)
{
	(void)table;
	collect(cursor, kv_cursor_last, kv_cursor_previous, found);
}

/* In order, each once, and all that stay. */
static void judge_scan(const struct found *found, bool forward)
{
	unsigned staying = 0;

	EXPECT_EQUAL(found->error, KV_ENOTFOUND);
	for (unsigned i = 0; i < found->count; i++) {
		const char *key = found->keys[i].data;
		int order = i == 0 ? 0 : memcmp(key, found->keys[i - 1].data, KEY_BYTES);

		expect_value(found->keys[i], found->values[i]);
		EXPECT(i == 0 || (forward ? order > 0 : order < 0));
		staying += key[KEY_BYTES - 1] == '0';
	}
	EXPECT_EQUAL(staying, STAYING);
}

static void judge_forward(const struct found *found)
{
	judge_scan(found, true);
}

static void judge_backward(const struct found *found)
{
	judge_scan(found, false);
}

void looks_fill(struct kv_table *table)
{
	for (unsigned i = 1; i <= STAYING; i++)
		put(table, i * STEP, 'a', 60);
	key_of(3 * STEP, key_staying);
	key_of(REPLACED, key_replaced);
	key_of(PASSING, key_passing);
}

const struct look looks[] = {
	{ "get of a key that stays", get_staying, judge_there },
	{ "get of a key whose value is replaced", get_replaced, judge_there },
	{ "get of a key that comes and goes", get_passing, judge_there_or_not },
	{ "scan", scan, judge_forward },
	{ "scan backward", scan_backward, judge_backward },
};

const unsigned look_count = sizeof(looks) / sizeof(looks[0]);

/* --- works --------------------------------------------------------------------------------- */

/* Both views, and slots that were free and are again, are written meanwhile. */
static void come_and_go(struct kv_table *table)
{
	put(table, PASSING, 'p', 60);
	put(table, STEP + 1, 'p', 60);
	remove_one(table, PASSING);
	put(table, 20 * STEP + 1, 'q', 60);
	remove_one(table, STEP + 1);
	remove_one(table, 20 * STEP + 1);
	put(table, PASSING, 'r', 60);
	remove_one(table, PASSING);
}

/* Those that come take the slots of others. */
static void take_turns(struct kv_table *table)
{
	put(table, PASSING, 'p', 30);
	remove_one(table, PASSING);
	put(table, STEP + 2, 'p', 30);
	put(table, STEP + 3, 'p', 30);
	remove_one(table, STEP + 2);
	remove_one(table, STEP + 3);
}

/* In the leaf, as blocks, and in the leaf again. */
static void replace(struct kv_table *table)
{
	put(table, REPLACED, 'x', VALUE_BYTES_MAX);
	put(table, REPLACED, 'y', LARGE_BYTES);
	put(table, REPLACED, 'z', LARGE_BYTES);
	put(table, REPLACED, 'a', 60);
}

/* Until another leaf has taken the place, and so once more. */
static void make_new_leaves(struct kv_table *table)
{
	for (unsigned i = 0; i < 80; i++)
		put(table, 7 * STEP, (char)('a' + i % 26), 200);
	put(table, 7 * STEP, 'a', 60);
}

/* Leaves, and one again. */
static void split_and_join(struct kv_table *table)
{
	for (unsigned i = 0; i < 90; i++)
		put(table, 3 * STEP + 1 + i % 9 + STEP * (i / 9), 's', 100);
	for (unsigned i = 0; i < 90; i++)
		remove_one(table, 3 * STEP + 1 + i % 9 + STEP * (i / 9));
}

const struct work works[] = {
	{ "keys that come and go", come_and_go },
	{ "slots that are used again", take_turns },
	{ "values that are replaced", replace },
	{ "leaves that are replaced", make_new_leaves },
	{ "leaves that split and join", split_and_join },
};

const unsigned work_count = sizeof(works) / sizeof(works[0]);
