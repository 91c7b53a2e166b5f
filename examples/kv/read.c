/* read.c -- looking up, and the texts of results
 * SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

int kv_get(struct kv_table *table, struct kv_bytes key, struct kv_bytes *value)
{
	const struct leaf *leaf = tree_leaf(table, key);
	const struct record *record;

	if (leaf == NULL)
		return KV_EDROPPED;
	record = leaf_get(leaf, key, table->base);
	if (record == NULL)
		return KV_ENOTFOUND;
	*value = record_value(record);
	return 0;
}

const char *kv_strerror(int error)
{
	switch (error) {
	case KV_EEXIST:
		return "KV_EEXIST: the key is there already; put it without KV_INSERT to replace "
		       "its value";
	case KV_ENOTFOUND:
		return "KV_ENOTFOUND: no such key or table, or no further key";
	case KV_EDROPPED:
		return "KV_EDROPPED: the table was dropped; open one with kv_table_open()";
	case KV_ETOOLONG:
		return "KV_ETOOLONG: a key may have 2^24 - 1 bytes, a value 2^40 - 1";
	case KV_EBADSTORE:
		return "KV_EBADSTORE: the heap has no store, or one of another version; KV_CREATE "
		       "makes one "
		       "where there is none";
	default:
		return sh_strerror(error);
	}
}
