/* markup.c -- text in a document of HTML or SVG
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/markup.h"

#include "tools/json.h"

#include <stdbool.h>
#include <string.h>

static const char *entity_of(char character)
{
	switch (character) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	default:
		return NULL;
	}
}

/* Not control characters, U+0080 to U+009F among them, nor what no document may have: U+FFFE and U+FFFF. */
static bool is_shown(const char *text, size_t bytes)
{
	unsigned char first = (unsigned char)text[0];

	switch (bytes) {
	case 0:
		return false;
	case 1:
		return first >= 0x20 && first != 0x7f;
	case 2:
		return first != 0xc2 || (unsigned char)text[1] >= 0xa0;
	default:
		return memcmp(text, "\xef\xbf\xbe", 3) != 0 && memcmp(text, "\xef\xbf\xbf", 3) != 0;
	}
}

void markup_text(FILE *out, const char *text)
{
	size_t left = strlen(text);

	while (left != 0) {
		size_t bytes = utf8_sequence(text, left);
		const char *entity = entity_of(*text);

		if (!is_shown(text, bytes))
			fputs("\xef\xbf\xbd", out);
		else if (entity != NULL)
			fputs(entity, out);
		else
			fwrite(text, 1, bytes, out);
		bytes = bytes == 0 ? 1 : bytes;
		text += bytes;
		left -= bytes;
	}
}
