/* updater.c -- a process that replaces an object until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/updater.h"

#include "stress/rcu/delay.h"
#include "stress/rcu/fault.h"
#include "stress/rcu/pool.h"

/* Stack. */
struct updating {
	struct sh_heap *heap;
	struct pool *pool;
	struct seat *seat;
	unsigned updater;
	struct chance chance;
};

/* One of the updater's objects that nobody finds. */
static struct object *spare_of(struct updating *updating)
{
	const struct object *found = pool_follow(updating->heap, updating->pool, updating->updater);
	struct object *objects = updating->pool->objects[updating->updater];

	return found == &objects[0] ? &objects[1] : &objects[0];
}

static void note_wait(struct seat *seat, uint64_t ns)
{
	if (ns > atomic_load_explicit(&seat->longest_ns, memory_order_relaxed))
		atomic_store_explicit(&seat->longest_ns, ns, memory_order_relaxed);
}

/* The object that the predecessor may have unlinked: after a grace period it is nobody's. */
static int take_over(struct updating *updating)
{
	int error = sh_synchronize(updating->heap);

	if (error == 0)
		pool_poison(spare_of(updating));
	return error;
}

static int replace_once(struct updating *updating)
{
	struct object *fresh = spare_of(updating);
	struct object *old = pool_follow(updating->heap, updating->pool, updating->updater);
	struct seat *seat = updating->seat;
	uint64_t begun = now_ns();
	int error;

	pool_fill(fresh, atomic_fetch_add(&shared->serial, 1) + 1);
	atomic_store_explicit(&seat->inside, 1, memory_order_relaxed);
	error = fault_replace(updating->heap, updating->pool, updating->updater, fresh,
		&updating->chance);
	if (error == 0 && old != NULL)
		pool_poison(old);
	atomic_store_explicit(&seat->inside, 0, memory_order_relaxed);
	note_wait(seat, now_ns() - begun);
	atomic_fetch_add_explicit(&seat->done, 1, memory_order_relaxed);
	chance_window(&updating->chance);
	return error;
}

int updater_main(struct sh_heap *heap, unsigned updater, uint64_t generation)
{
	struct updating updating = {
		.heap = heap,
		.pool = pool_find(heap),
		.seat = &shared->seats[updater],
		.updater = updater,
		.chance = chance_of(shared->seed, generation * READER_THREADS),
	};
	int error = take_over(&updating);

	fault_plant_in_updater(heap);
	while (error == 0 && !stopping())
		error = replace_once(&updating);
	return error == 0 ? 0 : 1;
}
