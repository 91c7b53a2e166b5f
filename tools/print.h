/* print.h -- what a verb prints: described once, shown as aligned text or as JSON
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each value has a key, its name in JSON, and a label, what people read. Text from a file is shown
 * with everything escaped that a terminal could take for a command. */
#ifndef SPANHEAP_PRINT_H
#define SPANHEAP_PRINT_H

#include "tools/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Process. A column of a table. */
struct column {
	const char *key;
	const char *title;
	int width; /* in characters; negative: aligned to the left */
};

enum cell_kind { CELL_NONE, CELL_NUMBER, CELL_OFFSET, CELL_TEXT };

/* Stack. One value of a row. */
struct cell {
	enum cell_kind kind;
	uint64_t number;
	const char *text;
	size_t bytes; /* of the text */
};

/* Process. Where a verb's output stands. */
struct printer {
	bool as_json;
	unsigned depth; /* of the groups */
	struct json json;
	const char *title; /* of the table; NULL after its first row */
	const struct column *columns;
	unsigned column_count;
};

/* Begins the output of a verb about a file, and ends it. */
void print_begin(struct printer *printer, bool as_json, const char *verb, const char *path);
void print_end(struct printer *printer);

/* Begins a JSON document on a line of its own. */
void print_begin_line(struct printer *printer, const char *verb, const char *path);

void print_number(struct printer *printer, const char *key, const char *label, uint64_t number);
/* With the unit spelled out, and in larger units beside it. */
void print_bytes(struct printer *printer, const char *key, const char *label, uint64_t bytes);
/* part / whole: in percent, in JSON of a million; 0 of nothing. */
void print_share(struct printer *printer, const char *key, const char *label, uint64_t part,
	uint64_t whole);
void print_flag(struct printer *printer, const char *key, const char *label, bool flag);
void print_text(struct printer *printer, const char *key, const char *label, const char *text);
/* Bytes as hexadecimal digits, without regard to what they mean. */
void print_hex(struct printer *printer, const char *key, const char *label, const void *bytes,
	size_t count);

/* A group of values; a JSON object. */
void print_group(struct printer *printer, const char *key, const char *title);
void print_group_end(struct printer *printer);

/* A table; a JSON array of objects. `columns` stay until its end; a row has a cell for each. */
void print_table(struct printer *printer, const char *key, const char *title,
	const struct column *columns, unsigned column_count);
void print_row(struct printer *printer, const struct cell *cells);
void print_table_end(struct printer *printer);

static inline struct cell cell_number(uint64_t number)
{
	return (struct cell){ .kind = CELL_NUMBER, .number = number };
}

static inline struct cell cell_offset(uint64_t offset)
{
	return (struct cell){ .kind = CELL_OFFSET, .number = offset };
}

static inline struct cell cell_none(void)
{
	return (struct cell){ .kind = CELL_NONE };
}

struct cell cell_text(const char *text);

/* In the largest unit of which there is one at least. */
double bytes_scaled(uint64_t bytes, const char **unit);

#endif
