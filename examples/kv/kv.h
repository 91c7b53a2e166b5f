/* kv.h -- ordered key-value tables in one file, written by several processes at once
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A store is one heap file (spanheap.h) with any number of named tables. A table maps keys to values,
 * both strings of bytes, in the order of memcmp(3); of two keys of which one begins with the other the
 * shorter comes first. Any number of threads and processes read and write at once.
 *
 * WHAT IS PROMISED
 *
 * - kv_put(), kv_delete() and kv_batch_commit() are done as a whole or not at all, also when their process,
 *   or all of them, are killed at any instruction (P1 and P2 of spanheap.h). What returned stands.
 * - A store opens again at once, in the time that sh_open() takes.
 * - Readers take no lock and wait for nobody: not for writers, not for stopped or dead ones. Writers wait for
 *   writers of the same leaf (some dozens of neighbouring keys), and for those who change the tree there.
 * - After a power failure (P3) kv_open() gives SH_ETORN. Make copies with kv(1) dump.
 *
 * WHAT A READER SEES
 *
 * Everything happens in a read section, and what is found there stays readable, where it is and unchanged,
 * until the section ends. There are no snapshots:
 * - kv_get() gives the value that is the newest at some moment of the call;
 * - a cursor reads leaf by leaf: the keys that are there at one moment, each with a value that it has while the leaf
 *   is read. Keys that are there all along are shown, once each and in order; a key that comes or goes meanwhile
 *   is shown or not;
 * - the changes of a batch become visible one after the other. Nobody ever sees a half of one stay.
 * Long sections keep freed space from being used again: see kv_cursor_pause().
 *
 * CONVENTIONS
 *
 * int results: 0 is success, a positive value is an errno, SH_E... and KV_E... codes are negative; kv_strerror()
 * names all. Functions may be called from any thread, but not from a signal handler; a batch or a
 * cursor by one thread at a time. A fork child is attached as spanheap.h says, and may go on. */
#ifndef KV_H
#define KV_H

#include <spanheap.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KV_API SH_API

/* A string of bytes: a key or a value. */
struct kv_bytes {
	const void *data;
	size_t size;
};

/* An open store, a table of it, changes that are made together, a place in a table. Process. */
struct kv;
struct kv_table;
struct kv_batch;
struct kv_cursor;

#define KV_EEXIST (-101)    /* the key is there (KV_INSERT), or the table */
#define KV_ENOTFOUND (-102) /* no such key, no such table, or no further key */
#define KV_EDROPPED (-103)  /* the table was dropped; open one anew */
#define KV_ETOOLONG \
	(-104) /* a key or value is longer than KV_KEY_BYTES_MAX or KV_VALUE_BYTES_MAX */
#define KV_EBADSTORE (-105) /* a heap without a store, or with one of another version */

#define KV_KEY_BYTES_MAX ((UINT64_C(1) << 24) - 1)
#define KV_VALUE_BYTES_MAX ((UINT64_C(1) << 40) - 1)

/* Flag of kv_open() and kv_table_open(): make it when it is not there. */
#define KV_CREATE 0x01u
/* Flag of kv_open(): only reading calls work. As SH_RDONLY of sh_open(). */
#define KV_RDONLY 0x02u
/* Flag of kv_put(): KV_EEXIST when the key is there. */
#define KV_INSERT 0x01u

/* Opens the store at `path`. `options` are those of sh_open(), or NULL.
 * Errors: as sh_open(), sh_alloc() and KV_EBADSTORE. Crash: a store that was being made is there as a whole, or
 * the heap is without one, and the next kv_open() with KV_CREATE makes it. */
KV_API int kv_open(const char *path, unsigned flags, const struct sh_options *options,
	struct kv **store);

/* Closes it, with all its tables; batches and cursors must be closed before. NULL is a no-op.
 * Errors: as sh_close(). */
KV_API int kv_close(struct kv *store);

/* The heap that it is in: for sections, statistics, and what else the program keeps there. */
KV_API struct sh_heap *kv_heap(const struct kv *store);

/* Opens the table of this name, of any length; with KV_CREATE makes it when it is not there. The handle is
 * good until kv_close(), for any thread; a second call gives the same one.
 * Errors: KV_ENOTFOUND, KV_ETOOLONG, ENOMEM and others of sh_txn_alloc(). Crash: made or not. */
KV_API int kv_table_open(struct kv *store, struct kv_bytes name, unsigned flags,
	struct kv_table **table);

/* Removes the table and all that is in it. Calls with handles of it that others have give KV_EDROPPED; one that was
 * under way meanwhile may have found a table that was being emptied.
 * Errors: KV_ENOTFOUND, ENOMEM, ENOSPC. Crash: there as a whole, or gone; its space is then given back by the
 * next kv_open() or kv_table_drop(). */
KV_API int kv_table_drop(struct kv *store, struct kv_bytes name);

/* Called with the name of each table, in order; non-zero stops (SH_ESTOPPED). In a read section. */
typedef int kv_name_fn(struct kv_bytes name, void *argument);
KV_API int kv_tables(struct kv *store, kv_name_fn *each, void *argument);

/* What an open store begins with, for the inline functions. */
struct kv_head {
	struct sh_heap *heap;
	uint64_t sections; /* 0: KV_RDONLY, and nobody has the store open: nobody writes */
};

/* Begins and ends a read section of the calling thread; sections nest. What kv_get() found stays as it is until
 * the end of the outermost one. Errors of the first call of a thread: as sh_read_lock(). */
static inline int kv_read_begin(struct kv *store)
{
	const struct kv_head *head = (const struct kv_head *)(const void *)store;

	return head->sections != 0 ? sh_read_lock(head->heap) : 0;
}

static inline void kv_read_end(struct kv *store)
{
	const struct kv_head *head = (const struct kv_head *)(const void *)store;

	if (head->sections != 0)
		sh_read_unlock(head->heap);
}

/* Looks the key up. The calling thread is in a read section. *value is in the heap, aligned to nothing.
 * Errors: KV_ENOTFOUND, KV_EDROPPED. Waits for nobody. */
KV_API int kv_get(struct kv_table *table, struct kv_bytes key, struct kv_bytes *value);

/* Stores the value under the key, in place of another if there is one; with KV_INSERT only if there is none.
 * Errors: KV_EEXIST, KV_ETOOLONG, KV_EDROPPED, EROFS, ENOMEM (the heap is at its maximum), ENOSPC (the disk is
 * full). Nothing is changed then. The thread has no transaction of the heap open: it would not be part of it, and
 * where one of its own is needed EBUSY is the result.
 * Crash: done or not. */
KV_API int kv_put(struct kv_table *table, struct kv_bytes key, struct kv_bytes value,
	unsigned flags);

/* Removes the key. Errors: KV_ENOTFOUND, and as kv_put(). Crash: done or not. */
KV_API int kv_delete(struct kv_table *table, struct kv_bytes key);

/* Begins a list of changes that are made together, to any tables of the store. They are the process's own
 * until kv_batch_commit(); reading calls do not see them. Errors: ENOMEM. */
KV_API int kv_batch_begin(struct kv *store, struct kv_batch **batch);

/* Add a change. Of several to one key the last counts; to remove a key that is not there is no error. What is
 * pointed to is copied. Errors: ENOMEM, KV_ETOOLONG. */
KV_API int kv_batch_put(struct kv_batch *batch, struct kv_table *table, struct kv_bytes key,
	struct kv_bytes value);
KV_API int kv_batch_delete(struct kv_batch *batch, struct kv_table *table, struct kv_bytes key);

/* Makes the changes, all or none, and ends the batch, also when it fails. Errors: as kv_put().
 * Crash: all or none. */
KV_API int kv_batch_commit(struct kv_batch *batch);

/* Forgets them. NULL is a no-op. */
KV_API void kv_batch_abort(struct kv_batch *batch);

/* Makes a cursor, which stands nowhere. It has a read section of its own (an sh_reader) from the first
 * move to kv_cursor_pause() or kv_cursor_close(); what it showed stays readable until then.
 * Errors: as sh_reader_open(). */
KV_API int kv_cursor_open(struct kv_table *table, struct kv_cursor **cursor);
KV_API void kv_cursor_close(struct kv_cursor *cursor);

/* Move: to the first or last key, to the first key that is `key` or comes after it, to the next or the previous
 * key. `key` and `value` may be NULL.
 * Errors: KV_ENOTFOUND: there is none; a cursor that ran off an end, or stands nowhere, is moved by first, last
 * and seek only. KV_EDROPPED, ENOMEM. */
KV_API int kv_cursor_first(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value);
KV_API int kv_cursor_last(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value);
KV_API int kv_cursor_seek(struct kv_cursor *cursor, struct kv_bytes from, struct kv_bytes *key,
	struct kv_bytes *value);
KV_API int kv_cursor_next(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value);
KV_API int kv_cursor_previous(struct kv_cursor *cursor, struct kv_bytes *key,
	struct kv_bytes *value);

/* Ends the cursor's section, and keeps its place: the next step goes on from the key where it stands, there or not.
 * For long scans, every thousand keys or so. Errors: ENOMEM (nothing happened). */
KV_API int kv_cursor_pause(struct kv_cursor *cursor);

/* Of a table. Set up by the call; leaf by leaf, while others write. */
struct kv_stats {
	uint64_t entries;
	uint64_t key_bytes;
	uint64_t value_bytes;
	uint64_t depth; /* inner levels above the leaves */
	uint64_t leaves;
	uint64_t inner_nodes;
	uint64_t inner_bytes;
	uint64_t leaf_bytes;   /* of leaves, with the small entries in them, and room for more */
	uint64_t record_bytes; /* of heap blocks with a key and a value of their own */
};
KV_API int kv_stats(struct kv_table *table, struct kv_stats *stats);

/* Called for each contradiction; non-zero stops (SH_ESTOPPED). The text lives as long as the call. */
typedef int kv_problem_fn(const char *text, void *argument);

/* Checks that every table is a tree in order, and that each block of the heap is in one place of one of them,
 * or nowhere else accounted for. Nobody else may write. *problems is the count.
 * Errors: SH_ESTOPPED, ENOMEM, and as sh_walk(). */
KV_API int kv_check(struct kv *store, kv_problem_fn *each, void *argument, uint64_t *problems);

/* The text of any result; starts with the symbol's name. */
KV_API const char *kv_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif
