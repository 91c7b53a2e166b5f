/* record.h -- a key and its value
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Heap file, a block of its own. Written before it is published, never changed afterwards; freed
 * deferred, so whoever found it in a read section may read it until the section ends. */
#ifndef KV_RECORD_H
#define KV_RECORD_H

#include "bytes.h"

#define RECORD_KEY_BITS 24

struct record {
	uint64_t lengths; /* of the key: the low RECORD_KEY_BITS; of the value: the rest */
	char bytes[];     /* the key, then the value */
};

static inline size_t record_bytes(size_t key_bytes, size_t value_bytes)
{
	return sizeof(struct record) + key_bytes + value_bytes;
}

static inline void record_fill(struct record *record, struct kv_bytes key, struct kv_bytes value)
{
	record->lengths = (uint64_t)value.size << RECORD_KEY_BITS | key.size;
	if (key.size > 0)
		memcpy(record->bytes, key.data, key.size);
	if (value.size > 0)
		memcpy(record->bytes + key.size, value.data, value.size);
}

static inline struct kv_bytes record_key(const struct record *record)
{
	return (struct kv_bytes){ record->bytes, record->lengths & KV_KEY_BYTES_MAX };
}

static inline struct kv_bytes record_value(const struct record *record)
{
	return (struct kv_bytes){ record->bytes + (record->lengths & KV_KEY_BYTES_MAX),
		record->lengths >> RECORD_KEY_BITS };
}

#endif
