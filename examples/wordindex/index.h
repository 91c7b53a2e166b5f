/* index.h -- an index of words over spanheap: word -> count, and the lines where it stands
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A hash table of entries, one per word. Any number of processes add to it at once. Each bucket
 * belongs to one of LOCK_COUNT mutexes in the heap.
 *
 * Every change is one transaction under one mutex: the word's count, its postings and the worker's
 * progress move together or not at all. So whoever gets a mutex after its holder's death
 * (SH_EOWNERDIED) finds whole data behind it and has nothing to mend.
 *
 * Postings are kept as a list of sorted segments, short ones first. Published segments never
 * change: an occurrence makes a new segment, which swallows the segments before it that are no
 * longer than itself, and they are freed in the same transaction. So every transaction allocates,
 * and frees a block on average, many at times. */
#ifndef WORDINDEX_INDEX_H
#define WORDINDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spanheap.h"
#include "text.h"

enum { WORKER_COUNT = 4, LOCK_COUNT = 64, BUCKET_COUNT = 8192 };

/* Heap file. How far a worker came; all zero at the beginning. Written by the worker in the
 * transaction of each step, read by its replacement. */
struct progress {
	uint64_t pass;                 /* of the step that is done last; from 0 */
	struct text_position position; /* behind the last word done */
	uint64_t steps;                /* words done, in all passes */
	uint64_t locks_inherited;      /* mutexes got from a dead holder */
};

/* Heap file. The root block. */
struct index_root {
	struct sh_mutex lock[LOCK_COUNT];         /* lock[b % LOCK_COUNT] protects bucket b */
	sh_off bucket[BUCKET_COUNT];              /* first struct entry */
	struct sh_mutex share_lock[WORKER_COUNT]; /* held as long as a worker has the share */
	struct progress progress[WORKER_COUNT];   /* under the share's lock */
	uint64_t passes;                          /* of a finished index; 0 while it is built */
};

/* Heap file. A word. Under the lock of its bucket; `next`, `length` and `letters` never change. */
struct entry {
	sh_off next;     /* in the bucket */
	uint64_t count;  /* occurrences = sum of `times` over all postings */
	sh_off postings; /* first struct segment */
	uint64_t length;
	char letters[]; /* small, not terminated */
};

/* Heap file. Occurrences of a word in one line. */
struct posting {
	uint64_t place; /* text number (from 1) << 32 | line number (from 1) */
	uint64_t times;
};

/* Heap file. Postings in ascending order of places, each place once. Never changes.
 * Of two neighbours in a list the second is the longer one. */
struct segment {
	sh_off next;
	uint64_t length; /* postings */
	struct posting posting[];
};

/* Process. Sorted postings outside the heap. */
struct postings {
	struct posting *posting;
	size_t length;
	size_t capacity;
};

/* Process. */
struct index {
	struct sh_heap *heap;
	struct index_root *root;
	struct postings gathered; /* the segment being made */
	struct postings merged;   /* its successor */
};

/* The functions end the program with a message when the heap gives an error: leaving without
 * sh_close(), inside a transaction and with a mutex held, is a death like any other. */

/* Makes an empty index in a heap that has none. */
void index_create(struct sh_heap *heap);

/* Finds the index of the heap. */
void index_attach(struct index *index, struct sh_heap *heap);

/* Gives back process memory; the heap stays open. */
void index_detach(struct index *index);

/* Takes over the share of a worker and reads how far it is done. Waits until the last worker of
 * the share has left, or is dead and its open transaction undone. */
void index_share_claim(struct index *index, unsigned worker, struct progress *progress);

void index_share_release(struct index *index, unsigned worker);

/* Adds one occurrence and stores *progress as that of the worker, in one transaction. The
 * caller has claimed that worker's share. Counts the step, and a mutex that was inherited from a
 * dead worker, in *progress. */
void index_add(struct index *index, const struct text_word *word, unsigned worker,
	struct progress *progress);

/* Notes how many passes over the texts the finished index holds. */
void index_finish(struct index *index, uint64_t passes);

/* Called for each entry. */
typedef void entry_fn(struct index *index, const struct entry *entry, void *argument);

/* Shows all entries. Nobody may add meanwhile. */
void index_for_each(struct index *index, entry_fn *show, void *argument);

/* Merges all postings of an entry into index->gathered, and gives the number of its segments.
 * Ends the program when they do not sum up to the count. */
uint64_t index_gather(struct index *index, const struct entry *entry);

#endif
