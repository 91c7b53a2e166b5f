/* streak.h -- rows of stores that copy or fill, of whose images a few stand for all
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * No opener looks into blocks, and none into entries of the spans table behind an entry that is wrong: the
 * images in the middle of a long copy differ in nothing that is looked at. Those after its first stores and
 * its last are judged, and every so many in between, of a very long one fewer. */
#ifndef CRASHLOG_STREAK_H
#define CRASHLOG_STREAK_H

#include "stress/crashlog/field.h"

#include <stdbool.h>

#define STREAK_BEGIN 3u
#define STREAK_STEP 64u
#define STREAK_LONG 1024u
#define STREAK_LONG_STEP 4096u
#define STREAK_NO_STORE UINT64_MAX

/* Stack. All zero at the start of an operation or a recovery. */
struct streak {
	uint64_t length;
};

static inline bool streak_may_have(const struct heap *view, uint64_t where)
{
	enum field field = where == STREAK_NO_STORE ? FIELD_OTHER : field_at(view, where);

	return field == FIELD_DATA || field == FIELD_TABLE;
}

/* Takes note of a store at `where` of the heap file. Whether the image after it is left out; `next` is where
 * the next store goes, or STREAK_NO_STORE. */
static inline bool streak_leaves_out(struct streak *streak, const struct heap *view, uint64_t where,
	uint64_t next)
{
	uint64_t step;

	if (!streak_may_have(view, where)) {
		streak->length = 0;
		return false;
	}
	streak->length++;
	step = streak->length <= STREAK_LONG ? STREAK_STEP : STREAK_LONG_STEP;
	return streak->length > STREAK_BEGIN && streak->length % step != 0 &&
		streak_may_have(view, next);
}

#endif
