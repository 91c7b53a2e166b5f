/* stats.c -- how much is in a table
 * SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

static void count_leaf(const struct kv_table *table, const struct leaf *leaf,
	struct kv_stats *stats)
{
	struct leaf_copy copy;

	leaf_read(leaf, table->base, &copy);
	stats->leaves++;
	stats->leaf_bytes += leaf_bytes(leaf);
	stats->entries += copy.count;
	for (unsigned i = 0; i < copy.count; i++) {
		sh_off off = (sh_off)((const char *)copy.records[i] - table->base);

		stats->key_bytes += record_key(copy.records[i]).size;
		stats->value_bytes += record_value(copy.records[i]).size;
		if (!leaf_has_inside(leaf, table->base, off))
			stats->record_bytes += sh_usable_size(table->heap, off);
	}
}

static void count_inner(const struct kv_table *table, const struct inner *inner,
	struct kv_stats *stats)
{
	stats->inner_nodes++;
	stats->inner_bytes +=
		sh_usable_size(table->heap, (sh_off)((const char *)inner - table->base));
	for (unsigned i = 0; i <= inner->count; i++) {
		sh_off child = inner_child(inner, i);

		if (inner->level == 1)
			count_leaf(table, tree_node(table, child), stats);
		else
			count_inner(table, tree_node(table, child), stats);
	}
}

int kv_stats(struct kv_table *table, struct kv_stats *stats)
{
	const struct inner *root;
	int error = kv_read_begin(table->store);

	*stats = (struct kv_stats){ 0 };
	if (error != 0)
		return error;
	root = tree_root(table);
	if (root == NULL) {
		error = KV_EDROPPED;
	} else {
		stats->depth = root->level;
		count_inner(table, root, stats);
	}
	kv_read_end(table->store);
	return error;
}
