/* calls.h -- calls of the library as operations: marked, and entered in the book
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each carries out one call under a name of its own; what it cannot do ends the program. */
#ifndef CRASHLOG_CALLS_H
#define CRASHLOG_CALLS_H

#include <spanheap.h>
#include <stddef.h>

/* The new block is filled afterwards, unless `flags` have SH_ZERO. */
sh_off call_alloc(const char *name, size_t bytes, size_t align, unsigned flags);
void call_free(const char *name, sh_off off);
void call_free_deferred(const char *name, sh_off off);
sh_off call_realloc(const char *name, sh_off off, size_t bytes);
/* `word` is the offset of the word. */
sh_off call_alloc_to(const char *name, sh_off word, size_t bytes, unsigned flags);
void call_free_from(const char *name, sh_off word);
sh_off call_realloc_to(const char *name, sh_off word, size_t bytes);
sh_off call_pages_alloc(const char *name, size_t pages, unsigned flags);
void call_pages_free(const char *name, sh_off off, size_t pages);
void call_root_set(const char *name, const char *root, sh_off off);
void call_synchronize(const char *name);
void call_reserve(const char *name, size_t bytes);

/* The word at an offset. */
sh_off *call_word(sh_off off);

#endif
