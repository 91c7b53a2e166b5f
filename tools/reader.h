/* reader.h -- a slot among those who use the heap, so that a verb can look in read sections
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * In a section no span that is found becomes another one. It holds up the grace periods of all who use the
 * heap, so it encloses a look, and never output, which may wait for its reader. */
#ifndef SPANHEAP_TOOL_READER_H
#define SPANHEAP_TOOL_READER_H

#include "heap/heap.h"

struct view;
struct sh_heap;
struct thread_state;

/* Process. Without a slot all is zero but for why_not. */
struct reader {
	struct sh_heap *heap;
	struct thread_state *state;
	const char *why_not; /* for people; NULL: it has a slot, or was not asked to */
};

/* Joins those who use the view's heap, for reading, if there are any and it can be done without a wait. */
void reader_join(struct reader *reader, const struct view *view);
void reader_leave(struct reader *reader);

/* The thread in whose sections to look; NULL: without. */
struct thread *reader_thread(const struct reader *reader);

#endif
