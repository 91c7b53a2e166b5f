/* operations.h -- what is killed: single calls, and how to see whether they happened
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_OPERATIONS_H
#define KILLK_OPERATIONS_H

#include "stress/killk/sight.h"

/* survive: by the survivor, before the victim opens the heap; NULL: nothing.
 * prepare: by the victim, which holds field->held; NULL: nothing.
 * act: what is stepped. Its result is what the call returned.
 * judge: whether it happened; says what must be gone and what there must be more of. Fails when it
 *	happened by half, or did not do what it said.
 * detached: it has a thread slot of its own. */
struct operation {
	const char *name;
	void (*survive)(struct sh_heap *heap);
	void (*prepare)(struct sh_heap *heap);
	uint64_t (*act)(struct sh_heap *heap);
	bool (*judge)(struct sh_heap *heap, struct sight *sight);
	bool detached;
};

extern const struct operation operations[];
extern const unsigned operation_count;

#endif
