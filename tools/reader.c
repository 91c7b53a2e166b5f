/* reader.c -- a slot among those who use the heap, so that a verb can look in read sections
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/reader.h"

#include "api/read.h"
#include "tools/view.h"

#include <string.h>

/* Whether the handle is of the heap that the view is of: the path may lead elsewhere by now. */
static bool is_of(const struct sh_heap *heap, const struct view *view)
{
	const struct superblock *superblock = (const void *)heap->heap.base;

	return heap->heap.incarnation == view->heap.incarnation &&
		memcmp(superblock->heap_id, view->superblock.heap_id,
			sizeof(superblock->heap_id)) == 0;
}

/* NULL when it has joined, or why not. */
static const char *join(struct reader *reader, const struct view *view)
{
	int error;

	/* Who opens it may have been stopped: whoever looks into such a heap must not hang with it. */
	if (input_is_being_opened(&view->input))
		return "somebody is opening or closing the heap";
	error = sh_open(view->input.path, SH_RDONLY, NULL, &reader->heap);
	if (error != 0)
		return sh_strerror(error);
	if (!is_of(reader->heap, view) || !reader->heap->in_run)
		return "the heap was closed meanwhile";
	error = read_begin_looking(reader->heap, &reader->state);
	return error == 0 ? NULL : sh_strerror(error);
}

void reader_join(struct reader *reader, const struct view *view)
{
	const char *why_not;

	*reader = (struct reader){ .heap = NULL };
	if (view->state != STATE_IN_USE)
		return;
	why_not = join(reader, view);
	if (why_not == NULL)
		return;
	reader_leave(reader);
	reader->why_not = why_not;
}

void reader_leave(struct reader *reader)
{
	if (reader->state != NULL)
		read_end_looking(reader->state);
	if (reader->heap != NULL)
		sh_close(reader->heap);
	*reader = (struct reader){ .heap = NULL };
}

struct thread *reader_thread(const struct reader *reader)
{
	return read_looker(reader->state);
}
