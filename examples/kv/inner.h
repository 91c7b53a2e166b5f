/* inner.h -- the nodes above the leaves
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An inner node has N separators and N + 1 children: leaves at level 1, inner nodes above. Child i has the keys
 * from separator i - 1 on, below separator i. Its separators stay as they are for life, and so does its range;
 * a child's offset is replaced by one store when another node takes that child's place. Any other
 * change is another node, which takes this one's place. So a reader goes down without looking
 * twice: each load of a child is the tree as it was at some moment, for these keys.
 *
 *   separators[0] < separators[1] < ...       count <= INNER_SEPARATORS
 *   heads[i] = bytes_head(separator i, prefix_bytes)
 *   guides[j] = heads[16 j + 15], or UINT64_MAX where there is none (16: INNER_GROUP)
 *   the first prefix_bytes of all separators are the same, and `prefix` has the first of these
 *
 * A search looks at four or five lines of 64 bytes: the node's first two, two with heads, one with the child. */
#ifndef KV_INNER_H
#define KV_INNER_H

#include "bytes.h"
#include "geometry.h"

/* Heap file. What follows it in its block: heads, children, ends, text. */
struct inner {
	struct sh_mutex mutex; /* of who replaces a child, or this node */
	uint64_t
		retired; /* 1: another has its place; stored by transactions of who has the mutex */
	uint16_t level;
	uint16_t count; /* separators */
	uint32_t prefix_bytes;
	char prefix[INNER_PREFIX];
	uint64_t guides[INNER_GUIDES + 1];
	uint64_t words[]; /* count heads, count + 1 children, count + 1 ends in text, text */
};

/* A child of a node that is to be made, and where its keys begin; `low` of the first one says nothing. Process. */
struct piece {
	sh_off node;
	struct kv_bytes low;
};

#ifndef KV_GEOMETRY_SMALL
_Static_assert(offsetof(struct inner, words) == 128, "two lines");
#endif

static inline const uint64_t *inner_heads(const struct inner *inner)
{
	return inner->words;
}

static inline uint64_t *inner_children(struct inner *inner)
{
	return inner->words + inner->count;
}

static inline sh_off inner_child(const struct inner *inner, unsigned i)
{
	/* acquire: a node was filled before it was published. */
	return __atomic_load_n(&inner->words[inner->count + i], __ATOMIC_ACQUIRE);
}

/* Separator i, in the node's text. */
struct kv_bytes inner_separator(const struct inner *inner, unsigned i);

/* Which child has the key: the number of separators that are not above it. */
unsigned inner_search(const struct inner *inner, struct kv_bytes key);

/* Which child has the keys just below this one: the number of separators below it. */
unsigned inner_search_below(const struct inner *inner, struct kv_bytes key);

/* Bytes of a node with these children, 1 to INNER_CHILDREN. */
size_t inner_bytes(const struct piece *pieces, unsigned children);

/* Fills a new node, which nobody sees yet. */
void inner_fill(struct inner *inner, unsigned level, const struct piece *pieces, unsigned children);

#endif
