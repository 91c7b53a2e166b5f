/* look.h -- a span or page run as it was at one moment
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TOOL_LOOK_H
#define SPANHEAP_TOOL_LOOK_H

#include "heap/span.h"

#include <stdbool.h>
#include <stdint.h>

/* Stack. Others may be changing the span meanwhile. */
struct span_look {
	uint64_t head;
	uint64_t hot;
	struct span_record record;
	const struct size_class *size_class; /* NULL: not a span of objects */
	bool plausible; /* of a heap in use perhaps with more pages than the view has */
	uint64_t used;  /* live blocks */
	uint64_t live[SPAN_MAX_WORDS]; /* these, of objects */
};

/* Looks at the span or run of this head, in a read section of `reader`; NULL: without. False: it is gone. */
bool look_at_span(const struct heap *heap, struct thread *reader, uint64_t head,
	struct span_look *look);

/* Whether its blocks lead nowhere, as who allocated them said. */
bool look_is_noscan(const struct span_look *look);

/* Whether a salvage set it aside. `in_use`: so is the heap; otherwise nothing tells. */
bool look_is_set_aside(const struct span_look *look, const struct heap *heap, bool in_use);

#endif
