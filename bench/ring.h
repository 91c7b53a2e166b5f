/* ring.h -- a queue of blocks from one thread to another, without locks
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_RING_H
#define SPANHEAP_BENCH_RING_H

#include "allocators.h"

#include <sched.h>
#include <stdatomic.h>

#define RING_MAX (1u << 20)

/* Shared mapping. Each end's words have a cache line pair of their own. */
struct ring {
	_Alignas(128) _Atomic uint64_t pushed; /* written by the producer */
	_Alignas(128) _Atomic uint64_t popped; /* written by the consumer */
	_Alignas(128) uint64_t capacity;       /* a power of two, at most RING_MAX */
	block_name blocks[RING_MAX];
};

static inline uint64_t ring_length(struct ring *ring)
{
	return atomic_load_explicit(&ring->pushed, memory_order_acquire) -
		atomic_load_explicit(&ring->popped, memory_order_acquire);
}

/* The producer's. False when there is no room for `count`. */
static inline bool ring_push(struct ring *ring, const block_name *blocks, unsigned count)
{
	uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);

	if (ring_length(ring) + count > ring->capacity)
		return false;
	for (unsigned i = 0; i < count; i++)
		ring->blocks[(pushed + i) & (ring->capacity - 1)] = blocks[i];
	/* Pairs with the acquire of ring_length(). */
	atomic_store_explicit(&ring->pushed, pushed + count, memory_order_release);
	return true;
}

/* The consumer's. False when there are no `count` blocks. */
static inline bool ring_pop(struct ring *ring, block_name *blocks, unsigned count)
{
	uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);

	if (ring_length(ring) < count)
		return false;
	for (unsigned i = 0; i < count; i++)
		blocks[i] = ring->blocks[(popped + i) & (ring->capacity - 1)];
	atomic_store_explicit(&ring->popped, popped + count, memory_order_release);
	return true;
}

#endif
