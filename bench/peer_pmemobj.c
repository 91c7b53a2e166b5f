/* peer_pmemobj.c -- libpmemobj: atomic and transactional allocation
 * SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <libpmemobj.h>
#include <stdlib.h>

/* Process. An open pool. */
struct pool {
	PMEMobjpool *pool;
	PMEMoid root;
	PMEMoid *words; /* PEER_WORDS names in the root object */
};

static PMEMoid name_of(const struct pool *pool, uint64_t block)
{
	return (PMEMoid){ .pool_uuid_lo = pool->root.pool_uuid_lo, .off = block };
}

void *peer_open(const char *path, uint64_t bytes)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->pool = bytes == 0 ? pmemobj_open(path, "bench")
				: pmemobj_create(path, "bench", bytes, 0600);
	if (pool->pool == NULL) {
		free(pool);
		return NULL;
	}
	pool->root = pmemobj_root(pool->pool, PEER_WORDS * sizeof(PMEMoid));
	pool->words = pmemobj_direct(pool->root);
	return pool;
}

void peer_close(void *peer)
{
	struct pool *pool = peer;

	pmemobj_close(pool->pool);
	free(pool);
}

char *peer_base(void *peer)
{
	struct pool *pool = peer;

	return (char *)pool->pool;
}

uint64_t peer_alloc(void *peer, size_t size)
{
	struct pool *pool = peer;
	PMEMoid name;

	return pmemobj_alloc(pool->pool, &name, size, 0, NULL, NULL) == 0 ? name.off : 0;
}

int peer_free(void *peer, uint64_t block)
{
	PMEMoid name = name_of(peer, block);

	pmemobj_free(&name);
	return 0;
}

uint64_t peer_transaction_alloc(void *peer, size_t size)
{
	struct pool *pool = peer;
	PMEMoid name = OID_NULL;

	if (pmemobj_tx_begin(pool->pool, NULL, TX_PARAM_NONE) == 0) {
		name = pmemobj_tx_xalloc(size, 0, POBJ_XALLOC_NO_ABORT);
		pmemobj_tx_commit();
	}
	(void)pmemobj_tx_end();
	return name.off;
}

int peer_transaction_free(void *peer, uint64_t block)
{
	struct pool *pool = peer;
	int error = pmemobj_tx_begin(pool->pool, NULL, TX_PARAM_NONE);

	if (error == 0) {
		error = pmemobj_tx_xfree(name_of(pool, block), POBJ_XFREE_NO_ABORT);
		pmemobj_tx_commit();
	}
	(void)pmemobj_tx_end();
	return error;
}

int peer_alloc_to(void *peer, unsigned word, size_t size)
{
	struct pool *pool = peer;

	return pmemobj_alloc(pool->pool, &pool->words[word], size, 0, NULL, NULL);
}

int peer_free_from(void *peer, unsigned word)
{
	struct pool *pool = peer;

	pmemobj_free(&pool->words[word]);
	return 0;
}

/* In an open transaction: a new block, and its name in the word. */
static int alloc_to(struct pool *pool, unsigned word, size_t size)
{
	PMEMoid name = pmemobj_tx_xalloc(size, 0, POBJ_XALLOC_NO_ABORT);

	if (OID_IS_NULL(name))
		return ENOMEM;
	if (pmemobj_tx_xadd_range_direct(&pool->words[word], sizeof(PMEMoid), POBJ_XADD_NO_ABORT) !=
		0)
		return ENOMEM;
	pool->words[word] = name;
	return 0;
}

int peer_transaction_alloc_to(void *peer, unsigned word, size_t size)
{
	struct pool *pool = peer;
	int error = pmemobj_tx_begin(pool->pool, NULL, TX_PARAM_NONE);

	if (error == 0) {
		error = alloc_to(pool, word, size);
		pmemobj_tx_commit();
	}
	(void)pmemobj_tx_end();
	return error;
}

int peer_transaction_replace(void *peer, unsigned word, size_t size)
{
	struct pool *pool = peer;
	int error = pmemobj_tx_begin(pool->pool, NULL, TX_PARAM_NONE);

	if (error == 0) {
		error = pmemobj_tx_xfree(pool->words[word], POBJ_XFREE_NO_ABORT);
		if (error == 0)
			error = alloc_to(pool, word, size);
		pmemobj_tx_commit();
	}
	(void)pmemobj_tx_end();
	return error;
}
