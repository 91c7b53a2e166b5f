/* peer.h -- heaps and stores in files that others wrote, each wrapped into a module
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * peer_boost.cpp, peer_pmemobj.c and peer_lmdb.c are built as modules of their own and loaded on
 * request (allocators.h): a benchmark links none of these libraries, and one that is not installed
 * is left out. Each module has those of the functions below that make sense for it.
 *
 * A block is named by its offset from peer_base(). Functions that return a pointer or an offset return
 * 0 on failure, the others 0 on success. */
#ifndef SPANHEAP_BENCH_PEER_H
#define SPANHEAP_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_API __attribute__((visibility("default")))

/* Words of the heap that the functions with `word` store into. */
#define PEER_WORDS 1024u

/* Makes the file with room for `bytes`, or opens it when `bytes` is 0. */
PEER_API void *peer_open(const char *path, uint64_t bytes);
PEER_API void peer_close(void *peer);
PEER_API char *peer_base(void *peer);

PEER_API uint64_t peer_alloc(void *peer, size_t size);
PEER_API int peer_free(void *peer, uint64_t block);

/* libpmemobj: the same, each in a transaction of its own. */
PEER_API uint64_t peer_transaction_alloc(void *peer, size_t size);
PEER_API int peer_transaction_free(void *peer, uint64_t block);

/* libpmemobj: allocates a block and stores its name in a word of the heap, in one atomic step or in a
 * transaction; frees the word's block and clears the word; and frees the old block, allocates
 * another and stores it in one transaction. */
PEER_API int peer_alloc_to(void *peer, unsigned word, size_t size);
PEER_API int peer_free_from(void *peer, unsigned word);
PEER_API int peer_transaction_alloc_to(void *peer, unsigned word, size_t size);
PEER_API int peer_transaction_replace(void *peer, unsigned word, size_t size);

/* Boost.Interprocess: a mutex in the file. EBUSY when it was not free within `wait_ms`. */
PEER_API int peer_lock(void *peer, unsigned wait_ms);
PEER_API void peer_unlock(void *peer);

/* LMDB: a write transaction that puts `size` bytes under `key`. */
PEER_API int peer_put(void *peer, uint64_t key, const void *value, size_t size);
/* LMDB: a write transaction that puts `count` records, keys 0, 1, ... */
PEER_API int peer_put_many(void *peer, uint64_t count, const void *value, size_t size);

#ifdef __cplusplus
}
#endif

#endif
