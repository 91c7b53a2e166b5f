/* arena.h -- the memory in which a target's heap lies: as long as a file, guarded behind its end
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The heap file's buffer is a private mapping of a memory file with one of a few valid heaps. It begins a stretch
 * of address space in which nothing else lies, as large as a heap may say that it is: whoever goes
 * behind the file's end gets a signal, as behind the end of a real file. */
#ifndef FUZZ_ARENA_H
#define FUZZ_ARENA_H

#include "heap/heap.h"
#include "recovery/image.h"

#include <setjmp.h>

#define FUZZ_PROCESSES 4u
/* One more is recovery's. */
#define FUZZ_THREADS 6u
#define FUZZ_BASES 6u

/* Two small arenas; else one with a few chunks of data. */
#define FUZZ_MAX_BYTES \
	(PAGE_SHIFT < 13 ? UINT64_C(2) << ARENA_BYTES_SHIFT : (ZONE_CHUNKS + 5) * CHUNK_BYTES)

/* Process. */
struct fuzz_heap {
	struct image image; /* image.bytes: the length of the file */
	struct thread threads[FUZZ_THREADS];
	/* The callbacks of the system count down; at 0 whoever called is dead. 0: nobody dies. */
	uint64_t death_in;
	jmp_buf death;
};

extern struct fuzz_heap fuzz_heap;

/* Makes one of the valid heaps the content of the file. */
void fuzz_place(unsigned base);

/* An empty heap. */
void fuzz_place_empty(void);

/* Cuts the file to a number of pages of 4 KiB. */
void fuzz_cut(uint64_t pages);

/* Any store to the file is a signal, or not. */
void fuzz_protect(bool read_only);

/* What image_open() says of the file; everybody who had it open is dead. Its first `threads` slots are attached. */
int fuzz_open(bool trusts, unsigned threads);

/* The same heap, without a control file: as nobody opens it, for reading. */
void fuzz_view(struct heap *heap, const struct superblock *superblock);

/* Ends the program: a promise is broken. */
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
