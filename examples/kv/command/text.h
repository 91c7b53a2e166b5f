/* text.h -- bytes as text: the portable format of LMDB's mdb_dump(1) and mdb_load(1)
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A table is a header, lines NAME=VALUE from VERSION=3 to HEADER=END, then two lines for each entry, its key and its value,
 * each begun by a space, then DATA=END. With format=bytevalue a line has two hexadecimal digits for each
 * byte; with format=print it has printable characters as they are, \\ for a backslash, and \ and two digits for
 * others. */
#ifndef KV_TEXT_H
#define KV_TEXT_H

#include "kv.h"

#include <stdbool.h>
#include <stdio.h>

/* A string of bytes that grows. Process. */
struct text {
	char *bytes;
	size_t size;
	size_t capacity;
};
void text_free(struct text *text);
struct kv_bytes text_bytes(const struct text *text);

/* Reads a line, without its end, of any length. False at the end of the file, or if there is no memory. */
bool text_line(struct text *line, FILE *file);

/* Replaces text behind `skip` characters by the bytes that it stands for; false: it stands for none. */
bool text_decode(struct text *text, size_t skip, bool printable);

void text_write(FILE *file, struct kv_bytes bytes, bool printable);

#endif
