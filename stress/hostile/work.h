/* work.h -- a heap whose content tells whether anything was lost
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef HOSTILE_WORK_H
#define HOSTILE_WORK_H

#include "stress/hostile/case.h"

#include <spanheap.h>

#define HELD 64u

/* Heap, root "bank". left + right == 0, and each held block is live, whenever nobody holds the
 * mutex. */
struct bank {
	struct sh_mutex mutex;
	int64_t left;
	int64_t right;
	sh_off held[HELD];
};

/* The path of the scenario's heap: `place`/heap. Static. */
const char *path_in(const char *place);

/* sh_open() with 1 GiB of address space; the error, or a failure. */
int try_open(const char *path, unsigned flags, struct sh_heap **heap);
struct sh_heap *open_heap(const char *path, unsigned flags);
void close_heap(struct sh_heap *heap);

/* A new heap with a bank in it. */
struct sh_heap *new_heap(const char *path);
struct bank *bank_of(struct sh_heap *heap);

/* So many random transactions, allocations and frees; the seed decides which. */
void work(struct sh_heap *heap, uint64_t seed, unsigned steps);

/* Body of a process: opens the heap at the path that is its argument, reaches step 1 of signpost 0,
 * and works until it is killed. */
void work_until_killed(void *path);

/* Fails unless the bank's sums are right, its blocks live, and sh_check() content. */
void check_heap_content(struct sh_heap *heap);

/* The same for a heap that is opened for it, and closed; afterwards the file must be clean. */
void check_file(const char *path);

/* Whether the file is marked clean, and may be opened read-only. */
bool is_clean(const char *path);

/* Allocates and writes until there is no more; returns the errno. The last 16 MiB of it are freed again.
 * `bytes` is what it got. */
int fill(struct sh_heap *heap, uint64_t *bytes);

/* Allocates until the file has grown by so many MiB; all are kept. */
void grow(struct sh_heap *heap, unsigned mebibytes);

/* Files in a folder whose name begins with that of the heap. */
unsigned files_beside(const char *path);

#endif
