/* read_file.h -- a file as a whole
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_READ_FILE_H
#define CRASHLOG_READ_FILE_H

#include <stdint.h>

/* Allocated by malloc(); NULL when it cannot be read, which is said. */
void *read_file(const char *path, uint64_t *bytes);

/* Copies what is no hole into memory that is zero, at most `limit` bytes; ends the program when it cannot. */
void load_file(const char *path, char *to, uint64_t limit);

uint64_t length_of_file(const char *path);

#endif
