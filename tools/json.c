/* json.c -- writes one JSON document
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* --- text ---------------------------------------------------------------------------------- */

/* Bytes that a sequence with this first byte has; 0 for a byte that begins none. */
static size_t sequence_bytes(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

size_t utf8_sequence(const char *text, size_t bytes)
{
	unsigned char first = (unsigned char)text[0];
	unsigned char second = bytes > 1 ? (unsigned char)text[1] : 0;
	size_t length = sequence_bytes(first);

	if (length == 0 || length > bytes)
		return 0;
	for (size_t i = 1; i < length; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, a surrogate, or above the last code point. */
	if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
		(first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90))
		return 0;
	return length;
}

static void write_sequence(FILE *out, const char *text, size_t length)
{
	unsigned char first = (unsigned char)text[0];

	if (length == 0)
		fputs("\\ufffd", out);
	else if (first == '"' || first == '\\')
		fprintf(out, "\\%c", first);
	else if (first < 0x20 || first == 0x7f)
		fprintf(out, "\\u%04x", first);
	else
		fwrite(text, 1, length, out);
}

static void write_text(FILE *out, const char *text, size_t bytes)
{
	fputc('"', out);
	for (size_t i = 0; i < bytes;) {
		size_t length = utf8_sequence(text + i, bytes - i);

		write_sequence(out, text + i, length);
		i += length == 0 ? 1 : length;
	}
	fputc('"', out);
}

/* --- structure ----------------------------------------------------------------------------- */

static void begin_line(struct json *json)
{
	if (json->on_one_line)
		return;
	fputc('\n', json->out);
	for (unsigned i = 0; i < json->depth; i++)
		fputs("  ", json->out);
}

/* Whatever comes before a value. */
static void begin_value(struct json *json, const char *key)
{
	if (!json->open[json->depth - 1].empty)
		fputc(',', json->out);
	json->open[json->depth - 1].empty = false;
	begin_line(json);
	if (key == NULL)
		return;
	write_text(json->out, key, strlen(key));
	fputs(": ", json->out);
}

static void open_with(struct json *json, char first, char last)
{
	assert(json->depth < JSON_DEPTH);
	fputc(first, json->out);
	json->open[json->depth].close = last;
	json->open[json->depth].empty = true;
	json->depth++;
}

static void begin(struct json *json, FILE *out, bool on_one_line)
{
	json->out = out;
	json->on_one_line = on_one_line;
	json->depth = 0;
	open_with(json, '{', '}');
}

void json_begin(struct json *json, FILE *out)
{
	begin(json, out, false);
}

void json_begin_line(struct json *json, FILE *out)
{
	begin(json, out, true);
}

void json_end(struct json *json)
{
	json_close(json);
	assert(json->depth == 0);
	fputc('\n', json->out);
}

void json_open_object(struct json *json, const char *key)
{
	begin_value(json, key);
	open_with(json, '{', '}');
}

void json_open_array(struct json *json, const char *key)
{
	begin_value(json, key);
	open_with(json, '[', ']');
}

void json_close(struct json *json)
{
	json->depth--;
	if (!json->open[json->depth].empty)
		begin_line(json);
	fputc(json->open[json->depth].close, json->out);
}

/* --- values -------------------------------------------------------------------------------- */

void json_number(struct json *json, const char *key, uint64_t number)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64, number);
}

void json_signed(struct json *json, const char *key, int64_t number)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRId64, number);
}

void json_flag(struct json *json, const char *key, bool flag)
{
	begin_value(json, key);
	fputs(flag ? "true" : "false", json->out);
}

void json_text(struct json *json, const char *key, const char *text, size_t bytes)
{
	begin_value(json, key);
	write_text(json->out, text, bytes);
}

void json_null(struct json *json, const char *key)
{
	begin_value(json, key);
	fputs("null", json->out);
}
