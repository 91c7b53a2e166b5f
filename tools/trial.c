/* trial.c -- what recovery would do, tried on the private mapping of a view
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tools/trial.h"

#include "recovery/check.h"
#include "recovery/reap.h"
#include "recovery/recover.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* --- a system without processes ------------------------------------------------------------ */

/* All users are dead; recovery is alone, and asks nobody. */
static bool nobody_alive(void *context, uint64_t tag)
{
	(void)context;
	(void)tag;
	return false;
}

static bool no_process_alive(void *context, uint32_t process)
{
	(void)context;
	(void)process;
	return false;
}

/* Recovery does not grow the heap. */
static int refuse_to_grow(void *context, uint64_t offset, uint64_t bytes)
{
	(void)context;
	(void)offset;
	(void)bytes;
	return ENOSPC;
}

/* Memory is there when it is touched. */
static int already_backed(void *context, uint64_t offset, uint64_t bytes)
{
	(void)context;
	(void)offset;
	(void)bytes;
	return 0;
}

static const struct system lonely_system = {
	.alive = nobody_alive,
	.process_alive = no_process_alive,
	.futex_wait = system_futex_wait,
	.futex_wake = system_futex_wake,
	.now_ns = system_now_ns,
	.back_heap = refuse_to_grow,
	.back_control = already_backed,
};

/* --- the trial ----------------------------------------------------------------------------- */

static void recover_and_check(struct heap *heap, struct superblock *superblock,
	struct thread *thread, struct trial *trial)
{
	struct recovery recovery = {
		.problem = problems_add,
		.problem_argument = &trial->set_aside,
	};
	uint64_t problems;

	recover(heap, superblock, thread, &recovery);
	check_heap(heap, thread, problems_add, &trial->after, &problems);
	trial->counts = thread->counts;
	trial->spans = recovery.spans;
	trial->quarantined = recovery.quarantined;
}

static int run_on(struct heap *heap, struct superblock *superblock, struct trial *trial)
{
	struct thread *thread = malloc(sizeof(*thread));

	if (thread == NULL)
		return ENOMEM;
	heap_view_init(heap);
	recover_and_check(heap, superblock, thread, trial);
	free(thread);
	return 0;
}

int trial_run(struct view *view, struct trial *trial)
{
	struct superblock superblock = view->superblock;
	struct heap heap = view->heap;
	uint64_t bytes = heap_control_bytes(heap.max_bytes, heap.process_slots, heap.thread_slots);
	int error = input_allow_stores(&view->input, view->input.bytes);

	*trial = (struct trial){ .spans = 0 };
	if (error != 0)
		return error;
	heap.control = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap.control == MAP_FAILED)
		return errno;
	superblock.clean = 0;
	superblock.incarnation++;
	heap.incarnation = superblock.incarnation;
	heap.system = lonely_system;
	heap.reap = reap_all;
	error = run_on(&heap, &superblock, trial);
	munmap(heap.control, bytes);
	return error;
}

void trial_free(struct trial *trial)
{
	problems_free(&trial->set_aside);
	problems_free(&trial->after);
}
