/* arena.c -- what malloc(3) and its kin do for the store in the model
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv_model/arena.h"

#include "stress/kv_model/calls.h"
#include "stress/model/explorer.h"
#include "stress/model/world.h"

#include <stdint.h>
#include <string.h>

#define PROCESS_BYTES 4096u
#define OUTSIDE_BYTES 65536u
#define UNIT_BYTES 16u

/* Process. One block behind the other, each behind its size. What was freed last is used again first; what lies
 * below is used again when nothing is left. */
struct arena {
	uint64_t used;
	uint64_t blocks;
};

static struct {
	struct arena head;
	_Alignas(UNIT_BYTES) char bytes[PROCESS_BYTES];
} arenas[WORLD_PROCESSES];
static struct {
	struct arena head;
	_Alignas(UNIT_BYTES) char bytes[OUTSIDE_BYTES];
} outside[2];
static enum arena_use in_use = ARENA_OF_BODY;

static struct arena *here(void)
{
	return in_use == ARENA_OF_BODY ? &arenas[explorer_process()].head
				       : &outside[in_use - ARENA_OF_STORE].head;
}

static char *bytes_of(struct arena *arena)
{
	return (char *)(arena + 1);
}

void *arena_malloc(size_t bytes)
{
	struct arena *arena = here();
	size_t whole = UNIT_BYTES + ((bytes + UNIT_BYTES - 1) & ~(size_t)(UNIT_BYTES - 1));
	char *block = bytes_of(arena) + arena->used;

	if ((in_use == ARENA_OF_BODY ? PROCESS_BYTES : OUTSIDE_BYTES) - arena->used < whole)
		explorer_fail("the model's arena is too small");
	*(uint64_t *)(void *)block = whole;
	arena->used += whole;
	arena->blocks++;
	return block + UNIT_BYTES;
}

/* What is free is zero. */
void *arena_calloc(size_t count, size_t bytes)
{
	return arena_malloc(count * bytes);
}

void arena_free(void *memory)
{
	struct arena *arena = here();
	char *block = memory;
	size_t whole;

	if (memory == NULL)
		return;
	block -= UNIT_BYTES;
	whole = *(uint64_t *)(void *)block;
	memset(block, 0, whole);
	if (block + whole == bytes_of(arena) + arena->used)
		arena->used -= whole;
	if (--arena->blocks == 0)
		arena->used = 0;
}

void *arena_realloc(void *memory, size_t bytes)
{
	char *bigger = arena_malloc(bytes);
	size_t held;

	if (memory == NULL)
		return bigger;
	held = *(uint64_t *)(void *)((char *)memory - UNIT_BYTES) - UNIT_BYTES;
	memcpy(bigger, memory, held < bytes ? held : bytes);
	arena_free(memory);
	return bigger;
}

int arena_compare(const void *a, const void *b, size_t bytes)
{
	const unsigned char *left = a;
	const unsigned char *right = b;

	for (size_t i = 0; i < bytes; i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}

/* --- for the checker ----------------------------------------------------------------------- */

void arena_track(void)
{
	explorer_track("arenas", arenas, sizeof(arenas), EXPLORER_PRIVATE);
}

void arena_clear(unsigned process)
{
	calls_clear(&arenas[process], sizeof(arenas[process]));
}

bool arena_is_empty(unsigned process)
{
	return arenas[process].head.blocks == 0;
}

void arena_turn_to(enum arena_use use)
{
	struct arena *arena = &outside[ARENA_OF_CHECK - ARENA_OF_STORE].head;

	in_use = use;
	if (use == ARENA_OF_CHECK)
		memset(arena, 0, sizeof(*arena) + arena->used);
}
