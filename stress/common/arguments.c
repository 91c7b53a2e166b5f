/* arguments.c -- the options of a program
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/arguments.h"

#include "stress/common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 0);
	return end != text && *end == '\0';
}

/* Says what is wrong with an option. */
static bool refuse(const char *name, const char *why)
{
	fprintf(stderr, "%s: %s\n", name, why);
	return false;
}

bool arguments_seed(uint64_t *seed)
{
	const char *text = getenv("SH_SEED");

	*seed = now_ns() ^ (uint64_t)getpid() << 40;
	return text == NULL || read_number(text, seed) ||
		refuse("SH_SEED", "its value is no number");
}

const char *arguments_folder(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static const struct argument *find(const char *name, const struct argument *known, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

static bool take(const struct argument *argument, const char *value)
{
	if (value == NULL)
		return refuse(argument->name, "needs a value");
	if (argument->number != NULL && !read_number(value, argument->number))
		return refuse(argument->name, "its value is no number");
	if (argument->text != NULL)
		*argument->text = value;
	return true;
}

bool arguments_read(int argc, char **argv, const struct argument *known, size_t count)
{
	for (int i = 1; i < argc; i++) {
		const struct argument *argument = find(argv[i], known, count);

		if (argument == NULL)
			return refuse(argv[i], "no such option");
		if (argument->flag != NULL)
			*argument->flag = true;
		else if (!take(argument, argv[++i]))
			return false;
	}
	return true;
}
