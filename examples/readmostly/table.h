/* table.h -- a hash table in the heap, read without locks
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An array of buckets, each the offset of the first entry of a chain. An entry that can be found
 * never changes but for its link, which is stored in one step; a new value is a new entry in the
 * place of the old one. So a reader needs no more than a read section: what it can find stays what
 * it is until the section ends.
 *
 * Writers hold the mutex of the bucket's stripe, and change links by transaction: allocated, linked,
 * unlinked and freed all at once, or nothing of it. Whoever gets a mutex from a dead holder
 * (SH_EOWNERDIED) finds whole chains behind it and has nothing to mend. */
#ifndef READMOSTLY_TABLE_H
#define READMOSTLY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"
#include "spanheap.h"

enum { BUCKET_COUNT = 2048, STRIPE_COUNT = 128, VALUE_WORDS_MAX = 4096 };

/* Heap file. Never changes but for `next`. */
struct entry {
	sh_off next;
	uint64_t key;
	uint64_t number;   /* of the step that put it */
	uint64_t checksum; /* of all but `next` and itself */
	uint64_t length;   /* bytes of the value */
	uint64_t value[];
};

/* Heap file. The root block. */
struct table_root {
	struct sh_mutex
		stripe[STRIPE_COUNT]; /* stripe[b % STRIPE_COUNT] is for bucket b's writers */
	sh_off bucket[BUCKET_COUNT];  /* first struct entry */
	struct sh_mutex range_lock[WRITERS_MAX]; /* held as long as a writer has the range */
	sh_off retired[WRITERS_MAX]; /* unlinked, not freed yet; under the range's lock */
};

/* Process. */
struct table {
	struct sh_heap *heap;
	struct table_root *root;
	uint64_t *locks_inherited; /* counts stripes got from a dead holder */
	bool careless;
};

/* The functions end the program with a message when the heap gives an error: leaving without
 * sh_close(), inside a transaction and with a mutex held, is a death like any other. */

void table_create(struct sh_heap *heap);

void table_attach(struct table *table, struct sh_heap *heap, uint64_t *locks_inherited);

/* Frees the root; the table is empty. */
void table_destroy(struct table *table);

/* Finds a key; NULL when it is not there, or when something is wrong with the chain. The caller is in
 * a read section and has what it got until the section ends. */
const struct entry *table_find(const struct table *table, uint64_t key, enum wrong *wrong);

/* Whether an entry that was found is whole. */
enum wrong table_examine(const struct entry *entry);

/* Waits until the range's last writer has left, or is dead and its open transaction settled; gives back
 * what that one retired. */
void table_claim(struct table *table, unsigned range);

/* Puts the value of step `number`: replaces or inserts. */
void table_put(struct table *table, uint64_t key, uint64_t number);

/* Deletes a key by one transaction, which gives the block to sh_free_deferred()'s care. */
void table_delete(struct table *table, uint64_t key);

/* The same in two steps, for a caller who has something to do with the entry when the last reader is
 * gone and before anybody gets its block: here, to poison it. The caller has claimed the range. */
void table_retire(struct table *table, uint64_t key, unsigned range);

/* The same without a transaction: unlinks, then sh_free_deferred(). A caller who died in between would
 * leave a block that nobody can find: only for those who are sure to live. */
void table_drop(struct table *table, uint64_t key);

/* Blocks that the table consists of. Nobody may write meanwhile. */
uint64_t table_count_blocks(const struct table *table);

#endif
