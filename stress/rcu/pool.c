/* pool.c -- the few objects in the heap that readers find and updaters replace
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/rcu/pool.h"

bool pool_make(struct sh_heap *heap)
{
	sh_off off = sh_alloc_ex(heap, sizeof(struct pool), 64, SH_ZERO);

	return off != 0 && sh_root_set(heap, "pool", off) == 0;
}

struct pool *pool_find(struct sh_heap *heap)
{
	sh_off off;

	return sh_root_get(heap, "pool", &off) == 0 ? sh_ptr(heap, off) : NULL;
}

void pool_poison(struct object *object)
{
	pool_fill(object, POOL_POISON);
}

void pool_fill(struct object *object, uint64_t serial)
{
	for (unsigned i = 0; i < POOL_WORDS; i++)
		atomic_store_explicit(&object->words[i], serial, memory_order_relaxed);
}

void pool_publish(struct sh_heap *heap, struct pool *pool, unsigned updater, struct object *object)
{
	/* release: its words come before it is found. */
	atomic_store_explicit(&pool->current[updater], sh_offset(heap, object),
		memory_order_release);
}

struct object *pool_follow(struct sh_heap *heap, struct pool *pool, unsigned updater)
{
	return sh_ptr(heap, atomic_load_explicit(&pool->current[updater], memory_order_acquire));
}

enum reading pool_read(const struct object *object, uint64_t *serial)
{
	uint64_t first = atomic_load_explicit(&object->words[0], memory_order_relaxed);

	*serial = first;
	if (first == POOL_POISON)
		return READING_POISONED;
	for (unsigned i = 1; i < POOL_WORDS; i++) {
		uint64_t word = atomic_load_explicit(&object->words[i], memory_order_relaxed);

		if (word != first)
			return word == POOL_POISON ? READING_POISONED : READING_TORN;
	}
	return READING_GOOD;
}
