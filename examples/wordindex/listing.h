/* listing.h -- what a finished index holds, for people and for comparison
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORDINDEX_LISTING_H
#define WORDINDEX_LISTING_H

#include <stdint.h>

#include "index.h"

/* Prints "PASSES": how often each text is in the index. */
void list_passes(struct index *index);

/* Prints "COUNT WORD" for each word, in no order. */
void list_counts(struct index *index);

/* Prints "TIMES TEXT:LINE:WORD" for each line of each word; texts and lines count from 1. */
void list_postings(struct index *index);

/* Prints the most frequent words as a table. */
void list_top(struct index *index, size_t rows, const struct texts *texts);

/* Counts the blocks that the index consists of; ends the program when a posting list does not
 * fit its count. */
uint64_t count_index_blocks(struct index *index);

/* Stack. */
struct heap_use {
	uint64_t blocks;
	uint64_t bytes;
};

/* Counts the live blocks of the heap, whoever can reach them. */
struct heap_use count_heap_blocks(struct sh_heap *heap);

#endif
