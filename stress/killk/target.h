/* target.h -- the heap under test, and how it comes back to its beginning
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The file is made once, closed clean, and copied. Before each case it gets the copy's content again and
 * loses its control file: equal heaps make equal executions. */
#ifndef KILLK_TARGET_H
#define KILLK_TARGET_H

#include "heap/geometry.h"
#include "stress/killk/board.h"

/* Sizes of blocks: those of the heap's beginning, ... */
#define PARTLY_BYTES 200u               /* of a span with room */
#define FULL_BYTES (5 * PAGE_BYTES / 8) /* of a span without */
#define OTHERS 3u                       /* of each other size */
#define RUN_PAGES 6u
#define CUT_PAGE 2u /* of the run: what the operation on a part of it frees */
#define CUT_PAGES 2u
/* ... and of a class that nobody has used. */
#define UNUSED_BYTES (3 * PAGE_BYTES / 16)

/* Heap file: a block that root "field" names. */
struct field {
	struct sh_mutex held;  /* by the victim, before its operation */
	struct sh_mutex mutex; /* of the operation on mutexes */
	uint64_t word[4];      /* that operations change */
	uint64_t plain[8];     /* that transactions edit */
};

#define ROOT_FIELD "field"
#define ROOT_RUN "run"
#define ROOT_SWITCH "switch" /* names the first known block; set to the second one */

/* Worker. */
struct target {
	char folder[PATH_BYTES];
	char control[PATH_BYTES]; /* path of the control file */
	struct known_blocks known;
	int fd;
	uint64_t bytes;
	const char *beginning; /* the copy */
	char *file;            /* the heap file, mapped */
};

/* Makes it in a new folder below `parent`. False, with a complaint, when that fails. */
bool target_make(struct target *target, const char *parent);
/* Takes over one that another process made, and has reset; known: the blocks that it holds. */
bool target_adopt(struct target *target, const char *folder, const struct known_blocks *known);
void target_reset(struct target *target);
void target_remove(struct target *target);

/* --- in the processes of a case ------------------------------------------------------------ */

struct sh_heap *target_open(void);
struct field *field_of(struct sh_heap *heap);
sh_off root_of(struct sh_heap *heap, const char *name);

/* Allocates a block and fills it with what follows from its offset, as known_verify() wants to find it. */
sh_off known_allocate(struct sh_heap *heap, uint64_t bytes);

/* The same of a block that is there. */
void known_add(struct sh_heap *heap, sh_off off, uint64_t bytes);

/* The first known block of a size that was asked for. */
sh_off known_of_bytes(uint64_t bytes);

/* Words that follow from each other, beginning with `fill`; what stands `bytes` later. */
uint64_t words_later(uint64_t fill, uint64_t bytes);
void words_fill(void *words, uint64_t bytes, uint64_t fill);
bool words_agree(const void *words, uint64_t bytes, uint64_t fill);

#endif
