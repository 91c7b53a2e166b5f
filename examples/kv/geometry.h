/* geometry.h -- sizes that are fixed when the library is compiled
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * KV_GEOMETRY_SMALL shrinks all of them, so that a model checker splits and joins leaves of a few entries. The store's
 * block has the size of a leaf: builds that differ refuse each other's files. */
#ifndef KV_GEOMETRY_H
#define KV_GEOMETRY_H

#ifdef KV_GEOMETRY_SMALL

#define LEAF_BYTES 320u
#define LEAF_SLOTS 8u
#define LEAF_INLINE_BYTES 32u
#define LEAF_EMPTY_SLOTS 8u
#define LEAF_FILL 6u
#define LEAF_FILL_BYTES ((size_t)156)

#define INNER_SEPARATORS 3u
#define INNER_GROUP 2u
#define INNER_FEW 2u
#define INNER_JOINED 3u
#define INNER_FILL 3u

/* What a process remembers would be one more part of the state. */
#define BATCH_KEPT_BYTES ((size_t)0)

#else

#define LEAF_BYTES 8192u

/* At most; a leaf has a multiple of 8. */
#define LEAF_SLOTS 56u

/* Larger records are blocks of their own. */
#define LEAF_INLINE_BYTES 256u

/* Of a leaf that is made without entries. */
#define LEAF_EMPTY_SLOTS 40u

/* Entries of a leaf that is made when one does not do, or of two that are joined, and what they take of its
 * 7,936 bytes, at most. */
#define LEAF_FILL 44u
#define LEAF_FILL_BYTES ((size_t)5952)

#define INNER_SEPARATORS 127u

/* Heads between two guides. */
#define INNER_GROUP 16u

/* Fewer children, and it is joined with a neighbour, if both fit in INNER_JOINED. */
#define INNER_FEW 32u
#define INNER_JOINED 96u

/* Children of an inner node that is made when one does not do. */
#define INNER_FILL 96u

/* A batch that ended with less memory is kept for the next one: what is freed the system takes, and gives back page
 * by page. */
#define BATCH_KEPT_BYTES ((size_t)1 << 20)

#endif

#define INNER_CHILDREN (INNER_SEPARATORS + 1)
#define INNER_GUIDES (INNER_SEPARATORS / INNER_GROUP)
#define INNER_PREFIX 32u

#endif
