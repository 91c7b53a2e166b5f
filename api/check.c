/* check.c -- checking and walking a heap
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/check.h"

#include "api/thread.h"

#include <errno.h>

int sh_check(struct sh_heap *heap, unsigned flags, sh_problem_fn *problem, void *argument,
	uint64_t *problems)
{
	struct thread_state *state = NULL;
	uint64_t count = 0;
	int error = 0;

	if (flags != 0)
		return EINVAL;
	if (heap->lost)
		return ECHILD;
	/* A process that may not write looks at truth only. */
	if (!heap->read_only) {
		state = thread_here(heap, &error);
		if (state == NULL)
			return error;
	}
	error = check_heap(&heap->heap, state == NULL ? NULL : &state->thread, problem, argument,
		&count);
	if (problems != NULL)
		*problems = count;
	if (state != NULL)
		thread_done(state);
	return error;
}

int sh_walk(struct sh_heap *heap, sh_block_fn *block, void *argument)
{
	return heap->lost ? ECHILD : walk_heap(&heap->heap, block, argument);
}
