/* problems.c -- what was found wrong, kept until it is printed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tools/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_LIMIT 65536u
#define TEXT_BYTES 256

static bool make_room(struct problems *problems)
{
	void *list;

	/* A power of two is full. */
	if ((problems->kept & (problems->kept - 1)) != 0)
		return true;
	list = realloc(problems->list,
		(problems->kept == 0 ? 1 : 2 * problems->kept) * sizeof(*problems->list));
	if (list == NULL)
		return false;
	problems->list = list;
	return true;
}

/* Takes over `text`, from malloc or NULL. */
static void keep(struct problems *problems, uint64_t off, char *text)
{
	problems->count++;
	if (text == NULL || problems->kept >= KEPT_LIMIT || !make_room(problems)) {
		free(text);
		return;
	}
	problems->list[problems->kept].off = off;
	problems->list[problems->kept].text = text;
	problems->kept++;
}

int problems_add(const struct sh_problem *problem, void *problems)
{
	keep(problems, problem->off, strdup(problem->text));
	return 0;
}

void problems_note(struct problems *problems, uint64_t off, const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	keep(problems, off, strdup(text));
}

void problems_join(struct problems *problems, struct problems *more)
{
	uint64_t not_kept = more->count - more->kept;

	for (size_t i = 0; i < more->kept; i++)
		keep(problems, more->list[i].off, more->list[i].text);
	problems->count += not_kept;
	free(more->list);
	*more = (struct problems){ .list = NULL };
}

/* --- those that stay ----------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
	const struct problem *a = left;
	const struct problem *b = right;

	if (a->off != b->off)
		return a->off < b->off ? -1 : 1;
	return strcmp(a->text, b->text);
}

static void sort(struct problems *problems)
{
	if (problems->kept > 1)
		qsort(problems->list, problems->kept, sizeof(*problems->list), compare);
}

void problems_keep_common(struct problems *problems, struct problems *other)
{
	size_t kept = 0;
	size_t j = 0;

	if (problems->count > problems->kept || other->count > other->kept)
		return;
	sort(problems);
	sort(other);
	for (size_t i = 0; i < problems->kept; i++) {
		while (j < other->kept && compare(&other->list[j], &problems->list[i]) < 0)
			j++;
		if (j < other->kept && compare(&other->list[j], &problems->list[i]) == 0)
			problems->list[kept++] = problems->list[i];
		else
			free(problems->list[i].text);
	}
	problems->kept = kept;
	problems->count = kept;
}

/* --- printing ------------------------------------------------------------------------------ */

void problems_print(const struct problems *problems, struct printer *printer, const char *key,
	const char *title)
{
	static const struct column columns[] = {
		{ "offset", "offset", 18 },
		{ "text", "what", 0 },
	};

	print_table(printer, key, title, columns, 2);
	for (size_t i = 0; i < problems->kept; i++) {
		struct cell cells[] = {
			cell_offset(problems->list[i].off),
			cell_text(problems->list[i].text),
		};

		print_row(printer, cells);
	}
	print_table_end(printer);
}

void problems_free(struct problems *problems)
{
	for (size_t i = 0; i < problems->kept; i++)
		free(problems->list[i].text);
	free(problems->list);
	*problems = (struct problems){ .list = NULL };
}
