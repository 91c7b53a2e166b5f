/* dirt.c -- stores that take long, before a section begins
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/dirt.h"

#if defined(__x86_64__)
static void evict(const void *line)
{
	__builtin_ia32_clflush(line);
}
#else
/* Elsewhere only what other threads do to the caches makes the stores slow. */
static void evict(const void *line)
{
	(void)line;
}
#endif

void dirt_spread(struct dirt *dirt, struct chance *chance)
{
	uint64_t number = chance_next(chance);
	unsigned count = number % 16;

	for (unsigned i = 0; i < count; i++) {
		number = number >> 5 | number << 59;
		evict(&dirt->lines[number % DIRT_LINES]);
		atomic_store_explicit(&dirt->lines[number % DIRT_LINES].word, number,
			memory_order_relaxed);
	}
}
