/* cursor.c -- reading a table in order
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A cursor copies where the entries of a leaf are, at one moment, and shows them one by one. Then it goes down the tree
 * again, with the end of the leaf's range: the next leaf is the one that has it by then. */
#include "store.h"

#include <errno.h>
#include <stdlib.h>

/* So many entries before they are shown, records are asked for; and so many before the end of a leaf the next one
 * is looked for. */
#define AHEAD 16u
#define LEAF_AHEAD 30u

/* Process. */
struct kv_cursor {
	struct kv_table *table;
	struct sh_reader *reader; /* NULL: the store needs none */
	bool placed;              /* stands on records[place] of the copy */
	bool paused;              /* stands on `key`, without a section */
	unsigned place;
	struct kv_bytes low; /* the leaf's range; data NULL: without end */
	struct kv_bytes high;
	struct range ahead; /* the leaf that comes next; leaf NULL: not looked for */
	bool ahead_forward;
	struct leaf_copy copy;
	char *key; /* while it is paused */
	size_t key_bytes;
};

int kv_cursor_open(struct kv_table *table, struct kv_cursor **cursor)
{
	struct kv_cursor *made = malloc(sizeof(*made));
	int error = 0;

	*cursor = NULL;
	if (made == NULL)
		return ENOMEM;
	made->table = table;
	made->reader = NULL;
	made->placed = made->paused = false;
	made->key = NULL;
	if (table->store->head.sections != 0)
		error = sh_reader_open(table->heap, &made->reader);
	if (error != 0)
		free(made);
	else
		*cursor = made;
	return error;
}

/* --- sections ------------------------------------------------------------------------------ */

static void section_end(struct kv_cursor *cursor)
{
	if (cursor->placed && cursor->reader != NULL)
		sh_reader_unlock(cursor->reader);
	cursor->placed = false;
}

/* It stands nowhere from now on. */
static void forget(struct kv_cursor *cursor)
{
	section_end(cursor);
	free(cursor->key);
	cursor->key = NULL;
	cursor->paused = false;
}

/* Begins the section of a cursor that has none. */
static void section_begin(struct kv_cursor *cursor)
{
	if (cursor->reader != NULL)
		sh_reader_lock(cursor->reader);
	cursor->placed = true;
	cursor->ahead.leaf = NULL;
}

void kv_cursor_close(struct kv_cursor *cursor)
{
	if (cursor == NULL)
		return;
	forget(cursor);
	sh_reader_close(cursor->reader);
	free(cursor);
}

static struct kv_bytes key_here(const struct kv_cursor *cursor)
{
	return record_key(cursor->copy.records[cursor->place]);
}

int kv_cursor_pause(struct kv_cursor *cursor)
{
	struct kv_bytes key;
	char *copy;

	if (!cursor->placed)
		return 0;
	key = key_here(cursor);
	copy = malloc(key.size + 1);
	if (copy == NULL)
		return ENOMEM;
	memcpy(copy, key.data, key.size);
	section_end(cursor);
	cursor->key = copy;
	cursor->key_bytes = key.size;
	cursor->paused = true;
	return 0;
}

/* --- leaves -------------------------------------------------------------------------------- */

static int read_leaf(struct kv_cursor *cursor, const struct range *range)
{
	if (range->leaf == NULL)
		return KV_EDROPPED;
	cursor->low = range->low;
	cursor->high = range->high;
	leaf_read(range->leaf, cursor->table->base, &cursor->copy);
	return 0;
}

static void prefetch(const struct kv_cursor *cursor, unsigned place)
{
	const char *record = (const char *)cursor->copy.records[place];

	__builtin_prefetch(record);
	__builtin_prefetch(record + 64);
}

static void prefetch_first(const struct kv_cursor *cursor)
{
	for (unsigned i = 0; i < AHEAD && i < cursor->copy.count; i++)
		prefetch(cursor, i);
}

static void prefetch_last(const struct kv_cursor *cursor)
{
	for (unsigned i = 0; i < AHEAD && i < cursor->copy.count; i++)
		prefetch(cursor, cursor->copy.count - 1 - i);
}

/* --- the next leaf ------------------------------------------------------------------------- */

static struct range next_range(const struct kv_cursor *cursor, bool forward)
{
	return forward ? tree_range(cursor->table, cursor->high)
		       : tree_range_below(cursor->table, cursor->low);
}

/* Looks for the next leaf, so that it is in the cache when it is needed. */
static void look_ahead(struct kv_cursor *cursor, bool forward)
{
	if ((forward ? cursor->high : cursor->low).data == NULL)
		return;
	cursor->ahead = next_range(cursor, forward);
	cursor->ahead_forward = forward;
	if (cursor->ahead.leaf != NULL)
		leaf_prefetch_all(cursor->ahead.leaf);
}

/* With `left` entries before the end of the leaf, asks for what will be needed. */
static void ask_ahead(struct kv_cursor *cursor, unsigned left, bool forward)
{
	unsigned last = cursor->copy.count < LEAF_AHEAD ? cursor->copy.count : LEAF_AHEAD;

	if (left > AHEAD)
		prefetch(cursor, forward ? cursor->place + AHEAD : cursor->place - AHEAD);
	if (left == last)
		look_ahead(cursor, forward);
	else if (left == AHEAD && cursor->ahead.leaf != NULL)
		leaf_prefetch_records(cursor->ahead.leaf, cursor->table->base, AHEAD, forward);
}

/* Reads the next leaf: the one that was looked for, unless others have its place by now. */
static int read_next_leaf(struct kv_cursor *cursor, bool forward, struct range *range)
{
	if (cursor->ahead.leaf != NULL && cursor->ahead_forward == forward &&
		(leaf_load(cursor->ahead.leaf) & LEAF_RETIRED) == 0)
		*range = cursor->ahead;
	else
		*range = next_range(cursor, forward);
	cursor->ahead.leaf = NULL;
	return read_leaf(cursor, range);
}

static bool begins_at(const struct range *range, struct kv_bytes key)
{
	return range->low.data != NULL && bytes_equal(range->low, key);
}

static bool ends_at(const struct range *range, struct kv_bytes key)
{
	return range->high.data != NULL && bytes_equal(range->high, key);
}

/* To the first entry at or behind `place` of the leaf, or of those that follow. */
static int settle_forward(struct kv_cursor *cursor, unsigned place)
{
	while (place >= cursor->copy.count) {
		struct kv_bytes end = cursor->high;

		if (end.data == NULL)
			return KV_ENOTFOUND;
		struct range range;
		int error = read_next_leaf(cursor, true, &range);

		if (error != 0)
			return error;
		prefetch_first(cursor);
		/* A leaf that took the place of both also has what was shown. */
		place = begins_at(&range, end) ? 0 : leaf_copy_rank(&cursor->copy, end);
	}
	cursor->place = place;
	return 0;
}

/* To the last entry of the first `end` of the leaf, or of those before it. */
static int settle_backward(struct kv_cursor *cursor, unsigned end)
{
	while (end == 0) {
		struct kv_bytes begin = cursor->low;

		if (begin.data == NULL)
			return KV_ENOTFOUND;
		struct range range;
		int error = read_next_leaf(cursor, false, &range);

		if (error != 0)
			return error;
		prefetch_last(cursor);
		end = ends_at(&range, begin) ? cursor->copy.count
					     : leaf_copy_rank(&cursor->copy, begin);
	}
	cursor->place = end - 1;
	return 0;
}

/* --- moves --------------------------------------------------------------------------------- */

/* What a move came to. */
static int show(struct kv_cursor *cursor, int error, struct kv_bytes *key, struct kv_bytes *value)
{
	if (error != 0) {
		forget(cursor);
		return error;
	}
	if (key != NULL)
		*key = key_here(cursor);
	if (value != NULL)
		*value = record_value(cursor->copy.records[cursor->place]);
	return 0;
}

int kv_cursor_first(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value)
{
	forget(cursor);
	section_begin(cursor);
	struct range range = tree_range_first(cursor->table);
	int error = read_leaf(cursor, &range);

	return show(cursor, error == 0 ? settle_forward(cursor, 0) : error, key, value);
}

int kv_cursor_last(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value)
{
	forget(cursor);
	section_begin(cursor);
	struct range range = tree_range_last(cursor->table);
	int error = read_leaf(cursor, &range);

	if (error == 0)
		error = settle_backward(cursor, cursor->copy.count);
	return show(cursor, error, key, value);
}

/* To the first key that is not below this one; with `behind`, that is above it. In a section. */
static int seek(struct kv_cursor *cursor, struct kv_bytes from, bool behind)
{
	struct range range = tree_range(cursor->table, from);
	int error = read_leaf(cursor, &range);
	unsigned place;

	if (error != 0)
		return error;
	place = leaf_copy_rank(&cursor->copy, from);
	if (behind && place < cursor->copy.count &&
		bytes_equal(record_key(cursor->copy.records[place]), from))
		place++;
	return settle_forward(cursor, place);
}

static int seek_below(struct kv_cursor *cursor, struct kv_bytes from)
{
	struct range range = tree_range_below(cursor->table, from);
	int error = read_leaf(cursor, &range);

	if (error != 0)
		return error;
	return settle_backward(cursor, leaf_copy_rank(&cursor->copy, from));
}

int kv_cursor_seek(struct kv_cursor *cursor, struct kv_bytes from, struct kv_bytes *key,
	struct kv_bytes *value)
{
	forget(cursor);
	section_begin(cursor);
	return show(cursor, seek(cursor, from, false), key, value);
}

/* Goes on from where it was paused. */
static int resume(struct kv_cursor *cursor, bool forward)
{
	char *key = cursor->key;
	struct kv_bytes from = { key, cursor->key_bytes };
	int error;

	cursor->key = NULL;
	cursor->paused = false;
	section_begin(cursor);
	error = forward ? seek(cursor, from, true) : seek_below(cursor, from);
	free(key);
	return error;
}

int kv_cursor_next(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value)
{
	if (cursor->paused)
		return show(cursor, resume(cursor, true), key, value);
	if (!cursor->placed)
		return KV_ENOTFOUND;
	ask_ahead(cursor, cursor->copy.count - cursor->place, true);
	return show(cursor, settle_forward(cursor, cursor->place + 1), key, value);
}

int kv_cursor_previous(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value)
{
	if (cursor->paused)
		return show(cursor, resume(cursor, false), key, value);
	if (!cursor->placed)
		return KV_ENOTFOUND;
	ask_ahead(cursor, cursor->place + 1, false);
	return show(cursor, settle_backward(cursor, cursor->place), key, value);
}
