/* content.c -- keys and values: what each says of itself
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/content.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a value that is not empty begins with. */
struct value_head {
	uint64_t id;
	uint64_t version;
	uint64_t size;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	struct chance chance = { a * UINT64_C(0xd6e8feb86659fd93) ^ b };

	return chance_next(&chance);
}

/* --- keys ---------------------------------------------------------------------------------- */

struct kv_bytes key_text(char *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, KEY_BYTES, format, arguments);
	va_end(arguments);
	return (struct kv_bytes){ text, (size_t)length };
}

/* Eight bytes in no order; one of four behind a long prefix. */
static struct kv_bytes scattered_key(char *text, uint32_t number)
{
	uint64_t bytes = mix(number, 1);
	size_t prefix = 0;

	if (number % 4 == 3)
		prefix = key_text(text, "a prefix that many of these keys share, %u/", number % 3)
				 .size;
	memcpy(text + prefix, &bytes, sizeof(bytes));
	return (struct kv_bytes){ text, prefix + sizeof(bytes) };
}

unsigned table_of_place(uint32_t place)
{
	return place < 2 * BOTH_KEYS ? place / BOTH_KEYS
				     : 2 + (place - 2 * BOTH_KEYS) / PRIVATE_KEYS;
}

unsigned owner_of_place(uint32_t place)
{
	return place < 2 * BOTH_KEYS ? place % WRITERS : (place - 2 * BOTH_KEYS) / PRIVATE_KEYS;
}

struct kv_bytes key_of_place(char *text, uint32_t place)
{
	if (table_of_place(place) == 1)
		return scattered_key(text, place - BOTH_KEYS);
	return key_text(text, "key %06u", place);
}

struct kv_bytes table_name(char *text, unsigned table)
{
	if (table < 2)
		return key_text(text, table == 0 ? "east" : "west");
	return key_text(text, "private to %u", table - 2);
}

/* --- values -------------------------------------------------------------------------------- */

bool value_is_empty(uint64_t id, uint64_t version)
{
	return id < PLACES && mix(id, version) % 16 == 0;
}

static size_t size_of(uint64_t id, uint64_t version)
{
	uint64_t random = mix(id, version);

	if (value_is_empty(id, version))
		return 0;
	return sizeof(struct value_head) +
		(random % 8 == 1 ? random >> 32 & 0x3ff : random >> 32 & 0x7f);
}

/* The byte at a place behind the head: of a word that is the version's own. */
static void fill(unsigned char *bytes, size_t size, uint64_t id, uint64_t version)
{
	uint64_t word = mix(id, version) | 1;

	for (size_t i = 0; i < size; i += sizeof(word), word += 0x0101) {
		size_t left = size - i;

		memcpy(bytes + i, &word, left < sizeof(word) ? left : sizeof(word));
	}
}

struct kv_bytes value_of(void *bytes, uint64_t id, uint64_t version)
{
	struct value_head head = { id, version, size_of(id, version) };

	if (head.size > 0) {
		memcpy(bytes, &head, sizeof(head));
		fill((unsigned char *)bytes + sizeof(head), head.size - sizeof(head), id, version);
	}
	return (struct kv_bytes){ bytes, head.size };
}

bool value_holds(struct kv_bytes value, uint64_t *id, uint64_t *version)
{
	unsigned char expected[VALUE_BYTES];
	struct value_head head;

	if (value.size < sizeof(head))
		return false;
	memcpy(&head, value.data, sizeof(head));
	*id = head.id;
	*version = head.version;
	return value.size == size_of(head.id, head.version) &&
		memcmp(value.data, value_of(expected, head.id, head.version).data, value.size) == 0;
}

bool value_read(struct kv_bytes value, uint64_t id, uint64_t *version)
{
	uint64_t found;

	*version = 0;
	if (value.size == 0)
		return id < PLACES;
	return value_holds(value, &found, version) && found == id;
}
