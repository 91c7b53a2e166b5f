/* content.h -- what stands in a file, whatever the file is
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TESTS_CONTENT_H
#define SPANHEAP_TESTS_CONTENT_H

#include <stdint.h>

/* Makes the file hold these bytes and nothing else. */
void write_file(const char *path, const void *bytes, uint64_t count);

/* Copies what is no hole; the copy is as long. */
void copy_file(const char *from, const char *to);

/* Overwrites bytes of a file in place. */
void poke(const char *path, uint64_t offset, const void *bytes, uint64_t count);

/* A number that any change to the file's content changes. */
uint64_t digest_of(const char *path);

uint64_t length_of(const char *path);

#endif
