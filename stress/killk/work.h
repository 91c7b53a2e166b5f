/* work.h -- what else is done with the heap: afterwards, meanwhile, beside a stopped process
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_WORK_H
#define KILLK_WORK_H

#include "stress/killk/board.h"

/* Everything works, and leaves the heap as it was. `deferred`: deferred frees, too; no section may be open. */
void work_all(struct sh_heap *heap, bool deferred);

/* Lets the calling thread do work_light() later without a lock of the heap. */
void work_warm_up(struct sh_heap *heap);

/* What needs none of the heap's own locks. */
void work_light(struct sh_heap *heap);

/* Works at random until there is an order, then leaves the heap as it was. */
void work_until_ordered(struct sh_heap *heap);

#endif
