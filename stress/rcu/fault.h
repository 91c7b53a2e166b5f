/* fault.h -- one rule of the protocol left out: each must be caught
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What is planted changes what this process asks of its handle, or takes the place of
 * sh_synchronize(). Everything else is the public interface. */
#ifndef RCU_FAULT_H
#define RCU_FAULT_H

#include "stress/rcu/delay.h"
#include "stress/rcu/pool.h"

/* Of --control. */
const char *fault_name(enum fault fault);

/* Whether it shows only where two processors work at once. */
bool fault_needs_two_processors(enum fault fault);

/* The barrier of the heap under which it shows, or SH_BARRIER_AUTO when it shows under any. */
unsigned fault_barrier(enum fault fault);

/* Whether readers of the heap have fences of their own. */
bool fault_readers_fence(const struct sh_heap *heap);

/* In an updater, and in a reader after its first section, `section` being its own. */
void fault_plant_in_updater(struct sh_heap *heap);
void fault_plant_in_reader(struct sh_heap *heap, struct sh_section *section);

/* Publishes the object in place of the one that is there, and waits until nobody reads that. 0, or what
 * sh_synchronize() returned. */
int fault_replace(struct sh_heap *heap, struct pool *pool, unsigned updater, struct object *object,
	struct chance *chance);

#endif
