/* bytes.h -- strings of bytes: order, common prefixes, heads, hashes
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_BYTES_H
#define KV_BYTES_H

#include "kv.h"

#include <stdbool.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "heads and hashes are in files, made by little-endian machines"
#endif

/* As memcmp(3): below, equal to, above 0. A string comes before those that it begins. */
static inline int bytes_compare(struct kv_bytes a, struct kv_bytes b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	if (order != 0 || a.size == b.size)
		return order;
	return a.size < b.size ? -1 : 1;
}

static inline uint64_t bytes_word(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Whether `size` bytes are the same. Most are few, and in no function's call: in words, of which the last two may
 * overlap. */
static inline bool bytes_same(const char *a, const char *b, size_t size)
{
	if (size < 8 || size > 64)
		return size == 0 || memcmp(a, b, size) == 0;
	for (size_t at = 0; at + 8 < size; at += 8)
		if (bytes_word(a + at) != bytes_word(b + at))
			return false;
	return bytes_word(a + size - 8) == bytes_word(b + size - 8);
}

static inline bool bytes_equal(struct kv_bytes a, struct kv_bytes b)
{
	return a.size == b.size && bytes_same(a.data, b.data, a.size);
}

/* Length of what both begin with. */
static inline size_t bytes_common(struct kv_bytes a, struct kv_bytes b)
{
	const char *left = a.data, *right = b.data;
	size_t limit = a.size < b.size ? a.size : b.size, common = 0;

	for (; common + 8 <= limit; common += 8) {
		uint64_t differ = bytes_word(left + common) ^ bytes_word(right + common);

		if (differ != 0)
			return common + (size_t)__builtin_ctzll(differ) / 8;
	}
	while (common < limit && left[common] == right[common])
		common++;
	return common;
}

/* The eight bytes behind the first `skip`, zeros where there are none, as a number that orders like
 * them. Of strings that share these `skip`: a smaller head means a smaller string, equal ones tell
 * nothing. */
static inline uint64_t bytes_head(struct kv_bytes bytes, size_t skip)
{
	uint64_t head = 0;

	if (bytes.size >= skip + sizeof(head))
		memcpy(&head, (const char *)bytes.data + skip, sizeof(head));
	else if (bytes.size > skip)
		memcpy(&head, (const char *)bytes.data + skip, bytes.size - skip);
	return __builtin_bswap64(head);
}

static inline uint64_t bytes_mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* A tag: 8 bits that differ for most different strings. */
static inline uint8_t bytes_tag(struct kv_bytes bytes)
{
	const char *at = bytes.data;
	uint64_t hash = bytes.size;
	size_t left = bytes.size;

	for (; left >= 8; left -= 8, at += 8)
		hash = bytes_mix(hash, bytes_word(at));
	if (left > 0) {
		uint64_t word = 0;

		memcpy(&word, at, left);
		hash = bytes_mix(hash, word);
	}
	return (uint8_t)(hash >> 56);
}

#endif
