/* print.c -- what a verb prints: described once, shown as aligned text or as JSON
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABEL_WIDTH 30
#define NUMBER_TEXT_BYTES 32

/* --- text for people ----------------------------------------------------------------------- */

static bool is_harmless(const char *text, size_t length)
{
	unsigned char first = (unsigned char)text[0];

	/* C1 control characters are two bytes in UTF-8. */
	if (length == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0)
		return false;
	return length > 1 || (length == 1 && first >= 0x20 && first != 0x7f && first != '\\');
}

static void write_escaped(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes;) {
		size_t length = utf8_sequence(text + i, bytes - i);

		if (is_harmless(text + i, length)) {
			fwrite(text + i, 1, length, stdout);
			i += length;
		} else {
			printf("\\x%02x", (unsigned char)text[i++]);
		}
	}
}

static void indent(const struct printer *printer)
{
	for (unsigned i = 0; i < printer->depth; i++)
		fputs("  ", stdout);
}

static void write_label(const struct printer *printer, const char *label)
{
	indent(printer);
	printf("%-*s", LABEL_WIDTH - 2 * (int)printer->depth, label);
}

/* --- values -------------------------------------------------------------------------------- */

void print_begin(struct printer *printer, bool as_json, const char *verb, const char *path)
{
	*printer = (struct printer){ .as_json = as_json };
	if (as_json) {
		json_begin(&printer->json, stdout);
		json_text(&printer->json, "verb", verb, strlen(verb));
	}
	print_text(printer, "file", "file", path);
}

void print_begin_line(struct printer *printer, const char *verb, const char *path)
{
	*printer = (struct printer){ .as_json = true };
	json_begin_line(&printer->json, stdout);
	json_text(&printer->json, "verb", verb, strlen(verb));
	print_text(printer, "file", "file", path);
}

void print_end(struct printer *printer)
{
	if (printer->as_json)
		json_end(&printer->json);
}

void print_number(struct printer *printer, const char *key, const char *label, uint64_t number)
{
	if (printer->as_json) {
		json_number(&printer->json, key, number);
		return;
	}
	write_label(printer, label);
	printf("%" PRIu64 "\n", number);
}

double bytes_scaled(uint64_t bytes, const char **unit)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double scaled = (double)bytes;
	unsigned step = 0;

	while (scaled >= 1024) {
		scaled /= 1024;
		step++;
	}
	*unit = units[step];
	return scaled;
}

void print_bytes(struct printer *printer, const char *key, const char *label, uint64_t bytes)
{
	const char *unit;
	double scaled = bytes_scaled(bytes, &unit);

	if (printer->as_json) {
		json_number(&printer->json, key, bytes);
		return;
	}
	write_label(printer, label);
	printf("%" PRIu64 " bytes", bytes);
	if (bytes >= 1024)
		printf(" (%.4g %s)", scaled, unit);
	fputc('\n', stdout);
}

void print_share(struct printer *printer, const char *key, const char *label, uint64_t part,
	uint64_t whole)
{
	double share = whole == 0 ? 0 : (double)part / (double)whole;

	if (printer->as_json) {
		json_number(&printer->json, key, (uint64_t)(share * 1e6));
		return;
	}
	write_label(printer, label);
	printf("%.2f %%\n", 100 * share);
}

void print_flag(struct printer *printer, const char *key, const char *label, bool flag)
{
	if (printer->as_json) {
		json_flag(&printer->json, key, flag);
		return;
	}
	write_label(printer, label);
	puts(flag ? "yes" : "no");
}

void print_text(struct printer *printer, const char *key, const char *label, const char *text)
{
	if (printer->as_json) {
		json_text(&printer->json, key, text, strlen(text));
		return;
	}
	write_label(printer, label);
	write_escaped(text, strlen(text));
	fputc('\n', stdout);
}

void print_hex(struct printer *printer, const char *key, const char *label, const void *bytes,
	size_t count)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = bytes;
	char text[2 * 64 + 1] = "";

	for (size_t i = 0; i < count && i < 64; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	print_text(printer, key, label, text);
}

/* --- groups -------------------------------------------------------------------------------- */

void print_group(struct printer *printer, const char *key, const char *title)
{
	if (printer->as_json) {
		json_open_object(&printer->json, key);
		return;
	}
	indent(printer);
	printf("%s\n", title);
	printer->depth++;
}

void print_group_end(struct printer *printer)
{
	if (printer->as_json)
		json_close(&printer->json);
	else
		printer->depth--;
}

/* --- tables -------------------------------------------------------------------------------- */

struct cell cell_text(const char *text)
{
	return (struct cell){ .kind = CELL_TEXT, .text = text, .bytes = strlen(text) };
}

void print_table(struct printer *printer, const char *key, const char *title,
	const struct column *columns, unsigned column_count)
{
	printer->title = title;
	printer->columns = columns;
	printer->column_count = column_count;
	if (printer->as_json)
		json_open_array(&printer->json, key);
}

static void write_titles(struct printer *printer)
{
	indent(printer);
	printf("%s\n", printer->title);
	indent(printer);
	for (unsigned i = 0; i < printer->column_count; i++)
		printf("  %*s", printer->columns[i].width, printer->columns[i].title);
	fputc('\n', stdout);
	printer->title = NULL;
}

static void write_cell(const struct cell *cell, int width)
{
	char text[NUMBER_TEXT_BYTES] = "-";

	if (cell->kind == CELL_TEXT) {
		write_escaped(cell->text, cell->bytes);
		for (size_t i = cell->bytes; width < 0 && i < (size_t)-width; i++)
			fputc(' ', stdout);
		return;
	}
	if (cell->kind == CELL_NUMBER)
		snprintf(text, sizeof(text), "%" PRIu64, cell->number);
	if (cell->kind == CELL_OFFSET)
		snprintf(text, sizeof(text), "0x%" PRIx64, cell->number);
	printf("%*s", width, text);
}

static void write_json_cell(struct json *json, const char *key, const struct cell *cell)
{
	switch (cell->kind) {
	case CELL_NUMBER:
	case CELL_OFFSET:
		json_number(json, key, cell->number);
		break;
	case CELL_TEXT:
		json_text(json, key, cell->text, cell->bytes);
		break;
	case CELL_NONE:
		json_null(json, key);
		break;
	}
}

void print_row(struct printer *printer, const struct cell *cells)
{
	if (printer->as_json) {
		json_open_object(&printer->json, NULL);
		for (unsigned i = 0; i < printer->column_count; i++)
			write_json_cell(&printer->json, printer->columns[i].key, &cells[i]);
		json_close(&printer->json);
		return;
	}
	if (printer->title != NULL)
		write_titles(printer);
	indent(printer);
	for (unsigned i = 0; i < printer->column_count; i++) {
		fputs("  ", stdout);
		write_cell(&cells[i], printer->columns[i].width);
	}
	fputc('\n', stdout);
}

void print_table_end(struct printer *printer)
{
	if (printer->as_json) {
		json_close(&printer->json);
	} else if (printer->title != NULL) {
		write_label(printer, printer->title);
		puts("none");
	}
	printer->title = NULL;
}
