/* root.c -- named roots
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/root.h"

#include "api/thread.h"

#include <errno.h>

int sh_root_set(struct sh_heap *heap, const char *name, sh_off off)
{
	uint64_t words[ROOT_NAME_BYTES / 8];
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		return error;
	if (!root_name(name, words))
		return EINVAL;
	error = root_set(&state->thread, words, off);
	thread_done(state);
	return error;
}

int sh_root_get(struct sh_heap *heap, const char *name, sh_off *off)
{
	uint64_t words[ROOT_NAME_BYTES / 8];

	*off = 0;
	if (heap->lost)
		return ECHILD;
	/* A name that cannot be set is not set. */
	if (!root_name(name, words))
		return SH_ENOTFOUND;
	return root_get(&heap->heap, words, off) ? 0 : SH_ENOTFOUND;
}
