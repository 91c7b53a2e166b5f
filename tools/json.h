/* json.h -- writes one JSON document
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers are written as they are, up to 64 bits. Text that is not UTF-8 gets U+FFFD for each byte
 * that does not fit. In an array the keys are NULL. */
#ifndef SPANHEAP_JSON_H
#define SPANHEAP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 8

/* Process. A document that is being written: what is open, outermost first. */
struct json {
	FILE *out;
	bool on_one_line;
	unsigned depth;
	struct {
		char close; /* the character that ends it */
		bool empty;
	} open[JSON_DEPTH];
};

/* Begins the document, an object, and ends it; the same on one line, where others follow. */
void json_begin(struct json *json, FILE *out);
void json_begin_line(struct json *json, FILE *out);
void json_end(struct json *json);

void json_open_object(struct json *json, const char *key);
void json_open_array(struct json *json, const char *key);
void json_close(struct json *json);

void json_number(struct json *json, const char *key, uint64_t number);
void json_signed(struct json *json, const char *key, int64_t number);
void json_flag(struct json *json, const char *key, bool flag);
void json_text(struct json *json, const char *key, const char *text, size_t bytes);
void json_null(struct json *json, const char *key);

/* Bytes of the UTF-8 sequence at `text`, of which `bytes` (at least 1) are there; 0: it is none. */
size_t utf8_sequence(const char *text, size_t bytes);

#endif
