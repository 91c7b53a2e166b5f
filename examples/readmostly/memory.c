/* memory.c -- how much space the heap takes, over time
 * SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include "process.h"

static void space_raise(struct space *worst, const struct space *now)
{
	if (now->blocks > worst->blocks)
		worst->blocks = now->blocks;
	if (now->file > worst->file)
		worst->file = now->file;
}

void memory_look(struct memory *memory, struct sh_heap *heap)
{
	struct sh_stats stats = SH_STATS_INIT;

	must(sh_stats(heap, &stats), "sh_stats");
	memory->now.blocks = stats.small_block_bytes + stats.large_block_bytes + stats.limbo_bytes;
	memory->now.file = stats.file_bytes;
	space_raise(now_ns() < memory->warm_ns ? &memory->warm_up : &memory->later, &memory->now);
}

static int block_count(const struct sh_block *block, void *argument)
{
	uint64_t *blocks = argument;

	(void)block;
	(*blocks)++;
	return 0;
}

uint64_t memory_count_blocks(struct sh_heap *heap)
{
	uint64_t blocks = 0;

	must(sh_walk(heap, block_count, &blocks), "sh_walk");
	return blocks;
}

uint64_t memory_count_taken(struct sh_heap *heap)
{
	struct sh_stats stats = SH_STATS_INIT;

	must(sh_stats(heap, &stats), "sh_stats");
	return stats.small_blocks + stats.large_blocks + stats.limbo_blocks;
}
