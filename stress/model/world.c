/* world.c -- a small heap for the model checker: memory, processes, oracle
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/world.h"

#include "heap/object.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "recovery/reap.h"

#include <stdio.h>
#include <stdlib.h>

bool world_live(const struct heap *heap, uint64_t off)
{
	struct block block;

	return block_find(heap, off, &block) == 0 && block_is_live(&block);
}

enum progress world_progress(const struct world *world, unsigned process)
{
	return (enum progress)world->ghosts[process].progress;
}

void world_must(bool done, unsigned process)
{
	if (done)
		return;
	fprintf(stderr, "model_checker: what process %u needs cannot be prepared\n", process);
	exit(1);
}

uint64_t world_allocate(struct world *world, unsigned process, uint64_t bytes)
{
	int error;
	uint64_t off = object_allocate(&world->threads[process],
		span_class_make(size_class_of(bytes), false), &error);

	world_must(off != 0, process);
	memset(heap_at(&world->image.heap, off), 0, bytes);
	return off;
}

uint64_t world_allocate_large(struct world *world, unsigned process, uint64_t bytes)
{
	int error;
	uint64_t head =
		span_prepare_large(&world->threads[process], bytes, SPAN_LARGE, false, &error);

	world_must(head != 0, process);
	span_commit_large(&world->threads[process], head);
	return page_offset(head);
}
