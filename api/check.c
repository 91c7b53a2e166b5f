/* check.c -- checking and walking a heap
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/check.h"

#include "api/read.h"

#include <errno.h>

int sh_check(struct sh_heap *heap, unsigned flags, sh_problem_fn *problem, void *argument,
	uint64_t *problems)
{
	struct thread_state *state;
	uint64_t count = 0;
	int error;

	if (flags != 0)
		return EINVAL;
	error = read_begin_looking(heap, &state);
	if (error != 0)
		return error;
	/* A process that may not write looks at truth only: it takes no lock, which it might have to
	 * repair after the dead. */
	error = heap->read_only
		? check_reading(&heap->heap, read_looker(state), problem, argument, &count)
		: check_heap(&heap->heap, read_looker(state), problem, argument, &count);
	if (problems != NULL)
		*problems = count;
	read_end_looking(state);
	return error;
}

int sh_walk(struct sh_heap *heap, sh_block_fn *block, void *argument)
{
	struct thread_state *state;
	int error = read_begin_looking(heap, &state);

	if (error != 0)
		return error;
	error = walk_heap(&heap->heap, read_looker(state), block, argument);
	read_end_looking(state);
	return error;
}
