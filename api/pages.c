/* pages.c -- manual page runs, and space set aside for later
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/pages.h"
#include "api/error.h"
#include "api/read.h"
#include "heap/growth.h"
#include "heap/manual.h"
#include "recovery/check.h"

#include <errno.h>

#define PAGES_FLAGS (SH_ZERO | SH_IO | SH_HUGE)

static int check_arguments(const struct sh_heap *heap, size_t npages, unsigned flags)
{
	if (npages == 0 || (flags & ~PAGES_FLAGS) != 0)
		return EINVAL;
	if ((flags & SH_HUGE) && npages % HUGE_PAGES != 0)
		return EINVAL;
	return npages > heap->heap.max_bytes >> PAGE_SHIFT ? ENOMEM : 0;
}

static unsigned run_flags(unsigned flags)
{
	return (flags & SH_IO ? RUN_IO : 0) | (flags & SH_HUGE ? RUN_HUGE : 0);
}

sh_off sh_pages_alloc(struct sh_heap *heap, size_t npages, unsigned flags)
{
	int error = check_arguments(heap, npages, flags);
	struct thread_state *state;
	uint64_t page;

	if (error != 0)
		return error_no_block(error);
	state = thread_here(heap, &error);
	if (state == NULL)
		return error_no_block(error);
	page = manual_allocate(&state->thread, npages, run_flags(flags), &error);
	thread_done(state);
	if (page == 0)
		return error_no_block(error);
	if (flags & SH_ZERO)
		pages_zero(&state->thread, page, npages * PAGE_BYTES);
	return page_offset(page);
}

int sh_pages_free(struct sh_heap *heap, sh_off off, size_t npages)
{
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		return error;
	if (npages == 0)
		return EINVAL;
	if (off % PAGE_BYTES != 0)
		return SH_EBADPTR;
	error = manual_free(&state->thread, off >> PAGE_SHIFT, npages);
	thread_done(state);
	return error;
}

int sh_pages_walk(struct sh_heap *heap, sh_pages_fn *pages, void *argument)
{
	struct thread_state *state;
	int error = read_begin_looking(heap, &state);

	if (error != 0)
		return error;
	error = walk_manual(&heap->heap, read_looker(state), pages, argument);
	read_end_looking(state);
	return error;
}

int sh_reserve(struct sh_heap *heap, size_t bytes)
{
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		return error;
	if (bytes > heap->heap.max_bytes)
		return ENOMEM;
	error = growth_reserve(&state->thread, (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT);
	thread_done(state);
	return error;
}
