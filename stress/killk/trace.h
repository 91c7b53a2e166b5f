/* trace.h -- one execution of an operation, instruction by instruction
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_TRACE_H
#define KILLK_TRACE_H

#include "stress/common/route.h"
#include "stress/killk/operations.h"
#include "stress/killk/target.h"

/* What of the two files differs between a step and the one before. */
#define CHANGE_HEAP 1u
#define CHANGE_CONTROL 2u

/* Worker. After k instructions, for k = 0 to route.instructions.
 *
 * change: by the last one. */
struct moment {
	struct image image;
	unsigned change;
};

struct trace {
	struct route route;
	struct moment *moment;
	uint64_t heap_changes;
	uint64_t control_changes;
	/* --- pages of 4 KiB that the operation stores to; of the heap file also as at the beginning */
	uint64_t page_offset[TOUCHED_LIMIT];
	unsigned pages;
	char (*page)[FOUR_KIB];
	uint64_t control_offset[TOUCHED_LIMIT];
	unsigned control_pages;
};

/* Records the operation beside the survivor: what it stores to, then each of its steps. False, with a
 * complaint, when it does not come to its end. */
bool trace_record(struct trace *trace, struct target *target, const struct operation *operation,
	enum survivor survivor);
void trace_free(struct trace *trace);

/* How often the last of the first k instructions was executed by then. */
static inline uint64_t trace_times(const struct trace *trace, uint64_t k)
{
	return k == 0 ? 0 : trace->route.waypoint[k - 1].visits + 1;
}

/* The distinct images that it has. Returns how many; *images is the caller's to free, NULL: no memory. */
uint64_t trace_images(const struct trace *trace, struct image **images);

/* Takes the heap's content for that of the beginning; the image that it is by now. */
void trace_begin_image(struct trace *trace, const struct target *target);
struct image trace_image(const struct trace *trace, const struct target *target);

#endif
