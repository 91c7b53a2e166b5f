/* arena.h -- what malloc(3) and its kin do for the store in the model
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory of a model process is part of the state: each has an arena that the explorer tracks. The store's sources are
 * compiled with these names in place of libc's. */
#ifndef KV_MODEL_ARENA_H
#define KV_MODEL_ARENA_H

#include <stdbool.h>
#include <stddef.h>

void *arena_malloc(size_t bytes);
void *arena_calloc(size_t count, size_t bytes);
void *arena_realloc(void *memory, size_t bytes);
void arena_free(void *memory);

/* As memcmp(3), whose loads nobody would see. */
int arena_compare(const void *a, const void *b, size_t bytes);

/* Has the explorer track the arenas of the processes. */
void arena_track(void);

/* A process has died: what it had in its arena is gone. */
void arena_clear(unsigned process);

/* Whether nothing is left in the arena of the process. */
bool arena_is_empty(unsigned process);

/* Whose arena memory is of: the process's whose body is running; that of the store itself, for as long as the program
 * runs; or that of checks, which is emptied. */
enum arena_use { ARENA_OF_BODY, ARENA_OF_STORE, ARENA_OF_CHECK };
void arena_turn_to(enum arena_use use);

#endif
