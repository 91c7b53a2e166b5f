/* reap.c -- what reaping and recovery did, and reaping on demand
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/reap.h"

#include "api/thread.h"
#include "recovery/reap.h"

#include <errno.h>
#include <string.h>

void reap_report(struct sh_reap_report *report, const struct reap_counts *after,
	const struct reap_counts *before)
{
	if (report == NULL)
		return;
	*report = (struct sh_reap_report){
		.processes = after->processes - before->processes,
		.threads = after->threads - before->threads,
		.rolled_back = after->rolled_back - before->rolled_back,
		.rolled_forward = after->rolled_forward - before->rolled_forward,
		.blocks_freed = after->blocks_freed - before->blocks_freed,
		.pages_returned = after->pages_returned - before->pages_returned,
		.operations_finished = after->operations_finished - before->operations_finished,
		.operations_undone = after->operations_undone - before->operations_undone,
	};
}

int sh_reap(struct sh_heap *heap, struct sh_reap_report *report)
{
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);
	struct reap_counts before;

	if (state == NULL)
		return error;
	before = state->thread.counts;
	state->thread.met_dead = false;
	reap_all(&state->thread);
	reap_report(report, &state->thread.counts, &before);
	thread_done(state);
	return 0;
}

int sh_recovery_report(struct sh_heap *heap, struct sh_reap_report *report, uint64_t *nanoseconds)
{
	static const struct reap_counts nothing;

	if (heap->lost)
		return ECHILD;
	reap_report(report, &heap->counts, &nothing);
	if (nanoseconds != NULL)
		*nanoseconds = heap->recovery_ns;
	return 0;
}
