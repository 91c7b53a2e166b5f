/* content.h -- a heap whose content tells whether anything was lost
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAULTS_CONTENT_H
#define FAULTS_CONTENT_H

#include <spanheap.h>

#define CONTENT_BLOCKS 40u
#define CONTENT_RUN_PAGES 3u

/* Heap, root "bank". left + right == 0, and each block is live and holds its pattern, whenever nobody holds
 * the mutex. */
struct bank {
	struct sh_mutex mutex;
	struct sh_mutex gate; /* what neighbours hold */
	int64_t left;
	int64_t right;
	sh_off block[CONTENT_BLOCKS];
	uint64_t word[4096]; /* for long transactions: each is its index, or each its index + 1 */
};

/* Makes the content of an empty heap. */
void content_make(struct sh_heap *heap);

struct bank *content_bank(struct sh_heap *heap);

/* The case is bad unless all of it is there, beside `blocks` blocks and runs of `pages` pages of others.
 * `who` is told. */
void content_check(struct sh_heap *heap, uint64_t blocks, uint64_t pages, const char *who);

/* The same for whoever may not write, or is not alone: what the bank names. */
void content_look(struct sh_heap *heap, const char *who);

/* Some calls of each kind, which leave no block more or less. */
void content_work(struct sh_heap *heap, const char *who);

/* A call that is open when the process dies here: a transaction, bound and detached, a section, a mutex. */
void content_begin_all(struct sh_heap *heap);

#endif
