/* text.c -- lines of the portable format
 * SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <stdlib.h>

void text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}

struct kv_bytes text_bytes(const struct text *text)
{
	return (struct kv_bytes){ text->bytes, text->size };
}

bool text_line(struct text *line, FILE *file)
{
	ssize_t size = getline(&line->bytes, &line->capacity, file);

	if (size < 0)
		return false;
	line->size = (size_t)size;
	if (line->size > 0 && line->bytes[line->size - 1] == '\n')
		line->size--;
	return true;
}

static int digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return -1;
}

/* The byte of two digits; below 0: they are none. */
static int byte(const char *digits, size_t size)
{
	int high = size < 2 ? -1 : digit(digits[0]), low = size < 2 ? -1 : digit(digits[1]);

	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool text_decode(struct text *text, size_t skip, bool printable)
{
	const char *from = text->bytes + skip, *end = text->bytes + text->size;
	char *to = text->bytes;

	while (from < end) {
		int value;

		if (printable && *from != '\\') {
			*to++ = *from++;
			continue;
		}
		from += printable;
		if (printable && from < end && *from == '\\') {
			*to++ = *from++;
			continue;
		}
		value = byte(from, (size_t)(end - from));
		if (value < 0)
			return false;
		*to++ = (char)value;
		from += 2;
	}
	text->size = (size_t)(to - text->bytes);
	return true;
}

void text_write(FILE *file, struct kv_bytes bytes, bool printable)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *at = bytes.data;

	for (size_t i = 0; i < bytes.size; i++) {
		if (printable && at[i] >= ' ' && at[i] <= '~') {
			if (at[i] == '\\')
				putc('\\', file);
			putc(at[i], file);
			continue;
		}
		if (printable)
			putc('\\', file);
		putc(digits[at[i] >> 4], file);
		putc(digits[at[i] & 15], file);
	}
}
