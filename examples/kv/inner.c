/* inner.c -- searching and filling inner nodes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "inner.h"

#include <assert.h>

static const uint64_t *ends(const struct inner *inner)
{
	return inner->words + 2 * (size_t)inner->count + 1;
}

struct kv_bytes inner_separator(const struct inner *inner, unsigned i)
{
	const uint64_t *end = ends(inner);
	const char *text = (const char *)(end + inner->count + 1);

	return (struct kv_bytes){ text + end[i], end[i + 1] - end[i] };
}

/* How many of the heads are below `head`. Without branches that nobody can predict. */
static unsigned heads_below(const struct inner *inner, uint64_t head)
{
	const uint64_t *heads = inner_heads(inner), *at;
	unsigned group = 0, count;

	for (unsigned j = 0; j < INNER_GUIDES; j++)
		group += inner->guides[j] < head;
	at = heads + INNER_GROUP * (size_t)group;
	/* The child, too, is asked for before it is known which: between these. */
	__builtin_prefetch(at + inner->count);
	__builtin_prefetch(at + inner->count + INNER_GROUP / 2);
	__builtin_prefetch(at + inner->count + INNER_GROUP);
	__builtin_prefetch(at + INNER_GROUP / 2);
	count = inner->count - INNER_GROUP * group;
	if (count > INNER_GROUP)
		count = INNER_GROUP;
	if (count == 0)
		return inner->count;
	while (count > 1) {
		unsigned half = count / 2;

		/* A product, of which no compiler makes a branch. */
		at += half * (at[half - 1] < head);
		count -= half;
	}
	return (unsigned)(at - heads) + (*at < head);
}

/* Whether the key begins with what all separators begin with. */
static inline bool shares_prefix(const struct inner *inner, struct kv_bytes key)
{
	size_t prefix = inner->prefix_bytes;

	if (key.size < prefix)
		return false;
	return prefix <= INNER_PREFIX
		? bytes_same(inner->prefix, key.data, prefix)
		: bytes_same(inner_separator(inner, 0).data, key.data, prefix);
}

/* Of the separators from `first` on that have this head: the end of those that compare below the key, or, with
 * `equal`, not above it. */
static unsigned search_ties(const struct inner *inner, unsigned first, uint64_t head,
	struct kv_bytes key, bool equal)
{
	unsigned low = first, high = first;

	while (high < inner->count && inner_heads(inner)[high] == head)
		high++;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = bytes_compare(inner_separator(inner, middle), key);

		if (order < 0 || (equal && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline unsigned search(const struct inner *inner, struct kv_bytes key, bool equal)
{
	uint64_t head;
	unsigned at;

	if (inner->count == 0)
		return 0;
	if (!shares_prefix(inner, key))
		return bytes_compare(inner_separator(inner, 0), key) < 0 ? inner->count : 0;
	head = bytes_head(key, inner->prefix_bytes);
	at = heads_below(inner, head);
	if (at == inner->count || inner_heads(inner)[at] != head)
		return at;
	return search_ties(inner, at, head, key, equal);
}

unsigned inner_search(const struct inner *inner, struct kv_bytes key)
{
	return search(inner, key, true);
}

unsigned inner_search_below(const struct inner *inner, struct kv_bytes key)
{
	return search(inner, key, false);
}

/* --- making -------------------------------------------------------------------------------- */

static size_t text_bytes(const struct piece *pieces, unsigned children)
{
	size_t bytes = 0;

	for (unsigned i = 1; i < children; i++)
		bytes += pieces[i].low.size;
	return bytes;
}

size_t inner_bytes(const struct piece *pieces, unsigned children)
{
	size_t words = 3 * (size_t)children - 1;

	return sizeof(struct inner) + words * sizeof(uint64_t) + text_bytes(pieces, children);
}

/* The separators are in order: what the first and the last share, all do. */
static size_t shared_prefix(const struct piece *pieces, unsigned children)
{
	return children < 2 ? 0 : bytes_common(pieces[1].low, pieces[children - 1].low);
}

static void fill_guides(struct inner *inner)
{
	for (unsigned j = 0; j <= INNER_GUIDES; j++) {
		unsigned last = INNER_GROUP * j + INNER_GROUP - 1;

		inner->guides[j] = last < inner->count ? inner_heads(inner)[last] : UINT64_MAX;
	}
}

void inner_fill(struct inner *inner, unsigned level, const struct piece *pieces, unsigned children)
{
	size_t prefix = shared_prefix(pieces, children);
	unsigned count = children - 1;
	uint64_t *end = inner->words + 2 * (size_t)count + 1;
	char *text = (char *)(end + children);

	assert(children > 0 && children <= INNER_CHILDREN);
	*inner = (struct inner){
		.level = (uint16_t)level,
		.count = (uint16_t)count,
		.prefix_bytes = (uint32_t)prefix,
	};
	end[0] = 0;
	inner_children(inner)[0] = pieces[0].node;
	for (unsigned i = 0; i < count; i++) {
		struct kv_bytes separator = pieces[i + 1].low;

		inner->words[i] = bytes_head(separator, prefix);
		inner_children(inner)[i + 1] = pieces[i + 1].node;
		memcpy(text + end[i], separator.data, separator.size);
		end[i + 1] = end[i] + separator.size;
	}
	fill_guides(inner);
	if (count > 0)
		memcpy(inner->prefix, text, prefix < INNER_PREFIX ? prefix : INNER_PREFIX);
}
