/* book.h -- what the scenario knows of the heap, from what it asked for and was told
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_BOOK_H
#define CRASHLOG_BOOK_H

#include <spanheap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A block that was allocated; what stands in it is not known yet. Returns `off`. */
sh_off book_add(struct sh_heap *heap, sh_off off, unsigned kind);
/* Stores a pattern of its own in all of it. Returns `off`. */
sh_off book_fill(struct sh_heap *heap, sh_off off);
/* The first `bytes` read as zeros. Returns `off`. */
sh_off book_zero(sh_off off, size_t bytes);
/* A block was moved or resized to `bytes`: it stands at `to`, with its content up to the smaller size. */
void book_move(struct sh_heap *heap, sh_off from, sh_off to, size_t bytes);
void book_remove(sh_off off);
/* What stands in `bytes` from `at` on, somewhere in a block. */
void book_write(sh_off at, const void *content, size_t bytes);
void book_store(sh_off at, uint64_t value);
/* The content of a block as the book has it. */
const void *book_content(sh_off off);
size_t book_bytes(sh_off off);
unsigned book_kind(sh_off off);

void book_add_run(sh_off off, size_t pages, unsigned flags);
/* The pages are in no run any more. */
void book_cut_runs(sh_off off, size_t pages);

/* 0: removed. */
void book_root(const char *name, sh_off off);

/* Writes a snapshot (stress/crashlog/snapshot.h). */
void book_write_snapshot(FILE *to);

#endif
