/* check.c -- is every table a tree, and every block of the heap somewhere in it?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Goes through all nodes, and notes each block that it meets. The heap's own list of its blocks must then be the
 * same. Nobody else writes meanwhile. */
#include "list.h"
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A check under way. Stack. */
struct check {
	struct kv *store;
	kv_problem_fn *each;
	void *argument;
	uint64_t problems;
	int error;      /* not 0: stop */
	sh_off *blocks; /* that were met */
	size_t count;
	size_t capacity;
	size_t next; /* that the heap's list must show next */
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *check, const char *format,
	...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	check->problems++;
	if (check->each != NULL && check->each(text, check->argument) != 0 && check->error == 0)
		check->error = SH_ESTOPPED;
}

/* --- blocks -------------------------------------------------------------------------------- */

static void note(struct check *check, sh_off off)
{
	sh_off *blocks =
		list_with_room(check->blocks, check->count, 1, &check->capacity, sizeof(*blocks));

	if (blocks == NULL) {
		check->error = ENOMEM;
		return;
	}
	check->blocks = blocks;
	check->blocks[check->count++] = off;
}

/* Whether a live block of so many bytes is there, which is then noted. */
static bool met(struct check *check, sh_off off, size_t bytes, const char *what)
{
	if (sh_usable_size(check->store->head.heap, off) >= bytes) {
		note(check, off);
		return check->error == 0;
	}
	problem(check, "%s at %#llx is no block of %zu bytes", what, (unsigned long long)off,
		bytes);
	return false;
}

/* --- leaves -------------------------------------------------------------------------------- */

static bool in_range(struct kv_bytes key, struct kv_bytes low, struct kv_bytes high)
{
	return (low.data == NULL || bytes_compare(key, low) >= 0) &&
		(high.data == NULL || bytes_compare(key, high) < 0);
}

/* Whether a record is at `off`, whole, in the leaf's text or as a block, which is then noted. */
static bool check_record(struct check *check, const struct leaf *leaf, sh_off off)
{
	const char *at = check->store->base + off;
	const struct record *record = (const struct record *)(const void *)at;
	size_t bytes = (size_t)(leaf_text(leaf) + leaf->text_used - at);

	if (!leaf_has_inside(leaf, check->store->base, off)) {
		if (!met(check, off, sizeof(*record), "record"))
			return false;
		bytes = sh_usable_size(check->store->head.heap, off);
	} else if (off % sizeof(uint64_t) != 0 ||
		at + sizeof(*record) > leaf_text(leaf) + leaf->text_used) {
		problem(check, "record at %#llx is not in what is used of its leaf's text",
			(unsigned long long)off);
		return false;
	}
	if (bytes < record_bytes(record_key(record).size, record_value(record).size)) {
		problem(check, "record at %#llx is longer than its block, or its leaf's text",
			(unsigned long long)off);
		return false;
	}
	return true;
}

static void check_entry(struct check *check, sh_off leaf_off, const struct leaf *leaf,
	unsigned slot, const struct range *range)
{
	sh_off off = leaf->words[slot];
	struct kv_bytes key;

	if (!check_record(check, leaf, off))
		return;
	key = record_key((const struct record *)(const void *)(check->store->base + off));
	if (!in_range(key, range->low, range->high))
		problem(check, "record at %#llx is outside of its leaf's range",
			(unsigned long long)off);
	else if (leaf_heads(leaf)[slot] != bytes_head(key, leaf->prefix_bytes) ||
		((const unsigned char *)leaf->tags)[slot] != bytes_tag(key))
		problem(check, "leaf at %#llx has a wrong head or tag in slot %u",
			(unsigned long long)leaf_off, slot);
}

static void check_order(struct check *check, sh_off off, const struct leaf *leaf)
{
	struct leaf_copy copy;

	leaf_read(leaf, check->store->base, &copy);
	for (unsigned i = 1; i < copy.count; i++)
		if (bytes_compare(record_key(copy.records[i - 1]), record_key(copy.records[i])) >=
			0)
			problem(check, "leaf at %#llx is out of order at entry %u",
				(unsigned long long)off, i);
}

static void check_leaf(struct check *check, sh_off off, const struct range *range)
{
	const struct leaf *leaf = (const struct leaf *)(const void *)(check->store->base + off);
	const struct leaf_view *view;
	unsigned count = leaf_count(leaf->state);
	uint64_t live = 0, before = check->problems;

	if (!met(check, off, sizeof(*leaf), "leaf"))
		return;
	view = leaf_view(leaf, leaf->state);
	if (count > leaf->slots || (leaf->state & LEAF_RETIRED) != 0) {
		problem(check, "leaf at %#llx has state %#llx", (unsigned long long)off,
			(unsigned long long)leaf->state);
		return;
	}
	if (leaf->slots > LEAF_SLOTS || leaf->text_used > leaf->text_bytes ||
		leaf_bytes(leaf) > sh_usable_size(check->store->head.heap, off)) {
		problem(check, "leaf at %#llx uses %llu bytes of a text of %llu",
			(unsigned long long)off, (unsigned long long)leaf->text_used,
			(unsigned long long)leaf->text_bytes);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned slot = ((const unsigned char *)view->order)[i];

		if (slot < leaf->slots) {
			live |= UINT64_C(1) << slot;
			check_entry(check, off, leaf, slot, range);
		}
	}
	if (live != view->live || (unsigned)__builtin_popcountll(live) != count)
		problem(check, "leaf at %#llx does not have the %u entries in order that it counts",
			(unsigned long long)off, count);
	if (check->problems == before)
		check_order(check, off, leaf);
}

/* --- inner nodes --------------------------------------------------------------------------- */

static void check_node(struct check *check, sh_off off, unsigned level, const struct range *range);

static void check_children(struct check *check, const struct inner *inner,
	const struct range *range)
{
	for (unsigned i = 0; i <= inner->count && check->error == 0; i++) {
		struct range below = *range;

		if (i > 0)
			below.low = inner_separator(inner, i - 1);
		if (i < inner->count)
			below.high = inner_separator(inner, i);
		check_node(check, inner_child(inner, i), inner->level - 1u, &below);
	}
}

static void check_separators(struct check *check, sh_off off, const struct inner *inner,
	const struct range *range)
{
	for (unsigned i = 0; i < inner->count; i++) {
		struct kv_bytes separator = inner_separator(inner, i);

		if (inner_heads(inner)[i] != bytes_head(separator, inner->prefix_bytes) ||
			!in_range(separator, range->low, range->high) ||
			(i > 0 && bytes_compare(inner_separator(inner, i - 1), separator) >= 0))
			problem(check, "inner node at %#llx has a wrong separator %u",
				(unsigned long long)off, i);
	}
}

static void check_guides(struct check *check, sh_off off, const struct inner *inner)
{
	for (unsigned j = 0; j < INNER_GUIDES; j++) {
		unsigned last = INNER_GROUP * j + INNER_GROUP - 1;

		if (inner->guides[j] !=
			(last < inner->count ? inner_heads(inner)[last] : UINT64_MAX))
			problem(check, "inner node at %#llx has a wrong guide %u",
				(unsigned long long)off, j);
	}
}

static void check_inner(struct check *check, sh_off off, unsigned level, const struct range *range)
{
	const struct inner *inner = (const struct inner *)(const void *)(check->store->base + off);

	if (!met(check, off, sizeof(*inner), "inner node"))
		return;
	if (inner->level != level || inner->count > INNER_SEPARATORS || inner->retired != 0) {
		problem(check, "inner node at %#llx of level %u has level %u, %u separators%s",
			(unsigned long long)off, level, inner->level, inner->count,
			inner->retired != 0 ? ", and is retired" : "");
		return;
	}
	check_separators(check, off, inner, range);
	check_guides(check, off, inner);
	check_children(check, inner, range);
}

static void check_node(struct check *check, sh_off off, unsigned level, const struct range *range)
{
	if (level == 0)
		check_leaf(check, off, range);
	else
		check_inner(check, off, level, range);
}

static void check_tree(struct check *check, const struct table_block *table)
{
	const struct range all = { NULL, { NULL, 0 }, { NULL, 0 } };
	const struct inner *root =
		(const struct inner *)(const void *)(check->store->base + table->root);

	if (sh_usable_size(check->store->head.heap, table->root) < sizeof(*root) ||
		root->level == 0)
		problem(check, "a table's root at %#llx is no inner node",
			(unsigned long long)table->root);
	else
		check_node(check, table->root, root->level, &all);
}

/* --- tables -------------------------------------------------------------------------------- */

static int check_table(struct kv_bytes name, void *argument)
{
	struct check *check = argument;
	struct kv_table *table;
	int error = kv_table_open(check->store, name, 0, &table);

	if (error != 0) {
		problem(check, "table \"%.*s\": %s", (int)name.size, (const char *)name.data,
			kv_strerror(error));
		return 0;
	}
	note(check, sh_offset(check->store->head.heap, table->block));
	check_tree(check, table->block);
	return check->error;
}

/* Blocks of dropped tables, with their trees if these are to be emptied. */
static void check_list(struct check *check, sh_off off, bool trees)
{
	const struct table_block *block;

	for (; off != 0 && check->error == 0; off = block->next) {
		if (!met(check, off, sizeof(*block), "block of a table"))
			return;
		block = (const struct table_block *)(const void *)(check->store->base + off);
		if (trees)
			check_tree(check, block);
	}
}

/* --- the heap's list ----------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
	const sh_off *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* A live block, in address order: the next that was met, or one that nothing leads to. */
static int match(const struct sh_block *block, void *argument)
{
	struct check *check = argument;

	for (; check->next < check->count && check->blocks[check->next] < block->off; check->next++)
		problem(check, "block at %#llx is in the store, but not in the heap, or twice",
			(unsigned long long)check->blocks[check->next]);
	if (check->next < check->count && check->blocks[check->next] == block->off)
		check->next++;
	else
		problem(check, "block at %#llx is in no table", (unsigned long long)block->off);
	return check->error;
}

static int match_blocks(struct check *check)
{
	int error;

	qsort(check->blocks, check->count, sizeof(*check->blocks), compare);
	error = sh_walk(check->store->head.heap, match, check);
	for (; error == 0 && check->next < check->count; check->next++)
		problem(check, "block at %#llx is in the store, but not in the heap, or twice",
			(unsigned long long)check->blocks[check->next]);
	return error;
}

static int check_store(struct check *check)
{
	const struct store_block *block = check->store->block;
	int error;

	note(check, sh_offset(check->store->head.heap, block));
	check_tree(check, &block->catalog);
	error = check->error != 0 ? check->error : kv_tables(check->store, check_table, check);
	if (error == 0)
		check_list(check, block->free_blocks, false);
	if (error == 0)
		check_list(check, block->emptied, true);
	return check->error != 0 ? check->error : error;
}

int kv_check(struct kv *store, kv_problem_fn *each, void *argument, uint64_t *problems)
{
	struct check check = { .store = store, .each = each, .argument = argument };
	int error = kv_read_begin(store);

	if (error != 0)
		return error;
	error = check_store(&check);
	kv_read_end(store);
	if (error == 0)
		error = match_blocks(&check);
	free(check.blocks);
	if (problems != NULL)
		*problems = check.problems;
	return check.error != 0 ? check.error : error;
}
