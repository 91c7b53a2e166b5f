/* log.h -- the log of a slot: one word of state, and entries
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The word holds state, number of entries and index of the first unapplied entry, so every step is
 * one store. Entries below the number are whole; the number grows after the entry is written.
 *
 *	EMPTY      no transaction
 *	OPEN       entries are recorded
 *	COMMITTED  stores and roots are applied, in order         \ the commit point is the store
 *	FREEING    blocks that the transaction freed are freed    / of COMMITTED
 *	ABORTING   byte ranges are put back, last first
 *	ROLLBACK   blocks that the transaction allocated are freed
 *
 * Entries beyond those in the slot stand in extensions, runs of the heap, each twice the one
 * before. This layer knows words and runs; what the entries mean is heap/transaction.c's. */
#ifndef SPANHEAP_LOG_H
#define SPANHEAP_LOG_H

#include "heap/heap.h"
#include "shm/order.h"

enum log_state {
	LOG_EMPTY = 0,
	LOG_OPEN = 1,
	LOG_COMMITTED = 2,
	LOG_FREEING = 3,
	LOG_ABORTING = 4,
	LOG_ROLLBACK = 5,
};

enum log_kind {
	LOG_ALLOC = 1, /* where: block; before: span class */
	LOG_FREE = 2,  /* where: block */
	LOG_STORE = 3, /* where: word; before, after: its values */
	LOG_ROOT = 4,  /* where: root; before: sequence + 1 when it was applied, 0 before; after */
	LOG_FREE_DEFERRED = 6, /* where: block; freed after a grace period */
	LOG_RANGE =
		5, /* where: range; before: 1 + index of the LOG_RANGE entry before it; the content
			* follows in raw entries */
};

/* Log word. Stack. */
struct log_word {
	enum log_state state;
	uint64_t count;
	uint64_t index;
};

#define LOG_STATE_BITS 4
#define LOG_COUNT_BITS 30
#define LOG_COUNT_LIMIT ((UINT64_C(1) << LOG_COUNT_BITS) - 1)

static inline struct log_word log_read(const struct slot_log *log)
{
	uint64_t word = atomic_load_explicit(&log->word, memory_order_acquire);

	return (struct log_word){
		.state = (enum log_state)(word & 15),
		.count = word >> LOG_STATE_BITS & LOG_COUNT_LIMIT,
		.index = word >> (LOG_STATE_BITS + LOG_COUNT_BITS) & LOG_COUNT_LIMIT,
	};
}

static inline void log_write(struct slot_log *log, struct log_word word)
{
	atomic_store_explicit(&log->word,
		word.index << (LOG_STATE_BITS + LOG_COUNT_BITS) | word.count << LOG_STATE_BITS |
			(uint64_t)word.state,
		memory_order_release);
}

/* Entry `index` of a slot's log; NULL when its extension is not there (a damaged log). */
struct log_entry *log_entry_at(const struct heap *heap, struct slot_log *log, uint64_t index);

static inline enum log_kind log_entry_kind(const struct log_entry *entry)
{
	return (enum log_kind)(entry->kind & 0xff);
}

/* Bytes of a LOG_RANGE entry, and how many raw entries hold them. */
static inline uint64_t log_entry_bytes(const struct log_entry *entry)
{
	return entry->kind >> 8;
}

static inline uint64_t log_raw_entries(uint64_t bytes)
{
	return (bytes + LOG_ENTRY_BYTES - 1) / LOG_ENTRY_BYTES;
}

/* Makes room for `more` entries in the thread's own log. 0, ENOMEM or ENOSPC; nothing recorded is
 * lost. No intent is open. */
int log_reserve_behind(struct thread *thread, uint64_t more);

static inline int log_reserve(struct thread *thread, uint64_t more)
{
	return more <= thread->log_room && log_read(thread->log).count <= thread->log_room - more
		? 0
		: log_reserve_behind(thread, more);
}

/* The same behind those in the slot. */
struct log_entry *log_entry_behind(const struct heap *heap, struct slot_log *log, uint64_t index);

/* Entry `index` of the log of a thread that reserved it itself: it is there. */
static inline struct log_entry *log_entry_reserved(const struct thread *thread, uint64_t index)
{
	return index < LOG_INLINE_ENTRIES ? &thread->log_entries[index]
					  : log_entry_behind(thread->heap, thread->log, index);
}

/* Records an entry in the thread's own log; room was reserved. Returns its index. Crash: recorded or not. */
static inline uint64_t log_append(struct thread *thread, struct log_entry entry)
{
	struct slot_log *log = thread->log;
	uint64_t word = atomic_load_explicit(&log->word, memory_order_relaxed);
	uint64_t count = word >> LOG_STATE_BITS & LOG_COUNT_LIMIT;

	*log_entry_reserved(thread, count) = entry;
	/* Crash before: not recorded. */
	crash_order();
	atomic_store_explicit(&log->word, word + (UINT64_C(1) << LOG_STATE_BITS),
		memory_order_release);
	return count;
}

/* Records a range and its content as it is. Room for 1 + log_raw_entries(bytes) was reserved. */
void log_append_bytes(struct thread *thread, const struct log_entry *entry, const void *content);

/* Copies `bytes` raw bytes behind entry `index` out to `to`. False: damaged. */
bool log_copy_bytes(const struct heap *heap, struct slot_log *log, uint64_t index, void *to,
	uint64_t bytes);

/* Gives the extensions of an EMPTY log of `slot` back, whose one writer the caller is; uses intent
 * `which`. They come in ascending order and go in descending order, so the first is there when any is. */
void log_release_extensions(struct thread *thread, uint32_t slot, unsigned which);

#endif
