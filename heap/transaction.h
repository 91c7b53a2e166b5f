/* transaction.h -- transactions: what the entries of a slot's log mean, and who carries them out
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A. The commit point is the store of COMMITTED; everything that commit needs was reserved when it
 *    was recorded.
 * B. Rollback is a free like any other: blocks that the transaction allocated are freed in
 *    ROLLBACK by the same loop that frees its freed blocks in FREEING.
 * C. Each step of that loop: applying names the block; the bit; the index moves on; only then is
 *    applying cleared or overwritten, and only then have frees consequences for their span. So a
 *    step that a death interrupts is repeated, and a block is not given out between.
 * D. Whoever acts for a dead slot writes that slot's log and words, never its own, and frees
 *    through `freed` only.
 * E. A large block's entry is retired after its head bit is clear and before its pages can leave. */
#ifndef SPANHEAP_TRANSACTION_H
#define SPANHEAP_TRANSACTION_H

#include "heap/heap.h"
#include "heap/log.h"

/* Process. What an open transaction remembers beside its log: which entry names an offset, so that
 * long logs are not searched. Derived from the log. */
struct transaction_index {
	uint64_t *slots; /* entry + 1, or 0; NULL while there are few */
	uint64_t capacity;
	uint64_t used;       /* entries of the log that name something */
	uint64_t last_range; /* index of the last LOG_RANGE entry + 1, or 0 */
};

/* Process. The open transaction of a thread. */
struct transaction {
	struct thread *thread;
	struct transaction_index index;
	bool stores; /* an entry stores a word */
	bool frees;  /* an entry frees a block */
	bool pins;   /* a root is pinned */
};

/* Opens the thread's log. The log is EMPTY. */
void transaction_begin(struct transaction *transaction, struct thread *thread);

/* Whether the thread's transaction names the block: LOG_ALLOC, LOG_FREE, or 0 when not. LOG_FREE
 * when both. */
enum log_kind transaction_names(const struct transaction *transaction, uint64_t off);

/* Allocates a block that the log names; 0 and *error. `bytes` as object or large span. */
uint64_t transaction_allocate(struct transaction *transaction, uint64_t bytes, bool noscan,
	int *error);

/* Record; 0, SH_E... or an errno. The caller has checked that ranges and words lie in the heap. */
int transaction_free(struct transaction *transaction, uint64_t off);
int transaction_free_deferred(struct transaction *transaction, uint64_t off);
int transaction_add(struct transaction *transaction, uint64_t off, uint64_t bytes);
int transaction_store(struct transaction *transaction, uint64_t off, uint64_t value);
int transaction_root(struct transaction *transaction, const char *name, uint64_t value);

/* Carry out; the log is EMPTY afterwards. */
void transaction_commit(struct transaction *transaction);
void transaction_abort(struct transaction *transaction);

/* Finishes or undoes the log of `slot`, whose one writer the caller is and whose thread is dead; the
 * log is EMPTY afterwards. Counts it in thread->counts. Uses intent[1]. Crash: whoever comes next
 * goes on. */
void transaction_settle(struct thread *thread, uint32_t slot);

#endif
