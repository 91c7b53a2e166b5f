/* place.c -- sorting requests
 * SPDX-License-Identifier: BSD-3-Clause */
#include "place.h"

#include <stdlib.h>

/* So many are worth counting their bytes. */
#define RADIX_COUNT 64u
#define HEAD_BYTES 8u

static int compare(const struct place *a, const struct place *b)
{
	int order;

	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	order = bytes_compare(a->key, b->key);
	if (order != 0)
		return order;
	return a->number < b->number ? -1 : 1;
}

static bool in_order(const struct place *places, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (compare(&places[i - 1], &places[i]) > 0)
			return false;
	return true;
}

static bool of_one_table(const struct place *places, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (places[i].table != places[0].table)
			return false;
	return true;
}

/* --- by comparing: few, or of several tables ----------------------------------------------- */

/* Merges the sorted halves of `from` into `to`. */
static void merge(const struct place *from, size_t half, size_t count, struct place *to)
{
	const struct place *left = from, *left_end = from + half;
	const struct place *right = left_end, *right_end = from + count;

	while (left < left_end && right < right_end)
		*to++ = compare(left, right) < 0 ? *left++ : *right++;
	while (left < left_end)
		*to++ = *left++;
	while (right < right_end)
		*to++ = *right++;
}

/* As qsort(3), of which most of the time would be calls. */
static void merge_sort(struct place *places, size_t count, struct place *spare)
{
	size_t half = count / 2;

	if (count < 2)
		return;
	merge_sort(places, half, spare);
	merge_sort(places + half, count - half, spare);
	if (compare(&places[half - 1], &places[half]) < 0)
		return;
	memcpy(spare, places, count * sizeof(*places));
	merge(spare, half, count, places);
}

/* --- by heads: many of one table ----------------------------------------------------------- */

/* A place by its head. Process. */
struct headed {
	uint64_t head;
	size_t at; /* in the list of places */
};

/* How many heads have which value in each of their bytes, the lowest one first. Stack. */
struct digits {
	size_t count[HEAD_BYTES][256];
};

static unsigned digit(const struct headed *headed, unsigned byte)
{
	return headed->head >> 8 * byte & 0xff;
}

static void count_digits(const struct headed *list, size_t count, struct digits *digits)
{
	memset(digits, 0, sizeof(*digits));
	for (size_t i = 0; i < count; i++)
		for (unsigned byte = 0; byte < HEAD_BYTES; byte++)
			digits->count[byte][digit(&list[i], byte)]++;
}

/* Copies in order of one byte of the heads; those that have the same stay as they are. */
static void sort_by_digit(const struct headed *from, size_t count, unsigned byte,
	const size_t counts[256], struct headed *to)
{
	size_t at[256], sum = 0;

	for (unsigned value = 0; value < 256; value++) {
		at[value] = sum;
		sum += counts[value];
	}
	for (size_t i = 0; i < count; i++)
		to[at[digit(&from[i], byte)]++] = from[i];
}

/* Sorts the list, with room for another one behind it; returns where it is then. */
static const struct headed *sort_headed(struct headed *list, size_t count)
{
	struct headed *from = list, *to = list + count;
	struct digits digits;

	count_digits(list, count, &digits);
	for (unsigned byte = 0; byte < HEAD_BYTES; byte++) {
		struct headed *sorted = to;

		if (digits.count[byte][digit(&from[0], byte)] == count)
			continue;
		sort_by_digit(from, count, byte, digits.count[byte], to);
		to = from;
		from = sorted;
	}
	return from;
}

/* False: there is no memory, and nothing is done. */
static bool sort_by_heads(struct place *places, size_t count, struct place *spare)
{
	struct headed *list = malloc(2 * count * sizeof(*list));
	const struct headed *sorted;

	if (list == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		list[i] = (struct headed){ places[i].head, i };
	sorted = sort_headed(list, count);
	memcpy(spare, places, count * sizeof(*places));
	for (size_t i = 0; i < count; i++)
		places[i] = spare[sorted[i].at];
	free(list);
	return true;
}

/* Sorts those that have the same head, and stand together. */
static void sort_ties(struct place *places, size_t count, struct place *spare)
{
	size_t end;

	for (size_t begin = 0; begin < count; begin = end) {
		for (end = begin + 1; end < count && places[end].head == places[begin].head; end++)
			;
		merge_sort(places + begin, end - begin, spare);
	}
}

/* --- both ---------------------------------------------------------------------------------- */

/* The prefix that all keys share counts for nothing in their heads. */
static void fill_heads(struct place *places, size_t count)
{
	struct kv_bytes shared = places[0].key;

	for (size_t i = 1; i < count && shared.size > 0; i++)
		shared.size = bytes_common(shared, places[i].key);
	for (size_t i = 0; i < count; i++)
		places[i].head = bytes_head(places[i].key, shared.size);
}

static void sort(struct place *places, size_t count, struct place *spare)
{
	if (in_order(places, count))
		return;
	if (count < RADIX_COUNT || !of_one_table(places, count) ||
		!sort_by_heads(places, count, spare))
		merge_sort(places, count, spare);
	else
		sort_ties(places, count, spare);
}

size_t places_sort(struct place *places, size_t count, struct place *spare)
{
	size_t kept = 0;

	if (count == 0)
		return 0;
	fill_heads(places, count);
	sort(places, count, spare);
	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || places[i].table != places[i + 1].table ||
			!bytes_equal(places[i].key, places[i + 1].key))
			places[kept++] = places[i];
	return kept;
}
