/* main.c -- kv(1): tables of a store from the command line
 * SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct verb {
	const char *name;
	enum status (*run)(const struct command *command);
	const char *options;
	int words_min;
	int words_max;
	const char *usage;
};

static const struct verb verbs[] = {
	{ "put", verb_put, "nt:x", 1, 2, "put [-n] [-x] [-t TABLE] FILE KEY [VALUE]" },
	{ "get", verb_get, "t:x", 1, 1, "get [-x] [-t TABLE] FILE KEY" },
	{ "del", verb_del, "t:x", 1, 1, "del [-x] [-t TABLE] FILE KEY" },
	{ "scan", verb_scan, "l:rt:x", 0, 1, "scan [-r] [-x] [-l LIMIT] [-t TABLE] FILE [FROM]" },
	{ "load", verb_load, "nt:", 0, 0, "load [-n] [-t TABLE] FILE < TEXT" },
	{ "dump", verb_dump, "apt:", 0, 0, "dump [-a] [-p] [-t TABLE] FILE" },
	{ "stat", verb_stat, "", 0, 0, "stat FILE" },
	{ "check", verb_check, "", 0, 0, "check FILE" },
};

enum status complain(const char *format, ...)
{
	va_list arguments;

	fputs("kv: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return STATUS_ERROR;
}

enum status complain_of(const char *what, int error)
{
	complain("%s: %s", what, kv_strerror(error));
	return error == KV_ENOTFOUND ? STATUS_NOT_FOUND : STATUS_ERROR;
}

static enum status usage(void)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, "%s kv %s\n", i == 0 ? "usage:" : "      ", verbs[i].usage);
	return STATUS_ERROR;
}

static bool parse_option(struct command *command, int option)
{
	char *end;

	switch (option) {
	case 'a':
		command->all_tables = true;
		return true;
	case 'l':
		command->limit = strtoull(optarg, &end, 0);
		return *end == '\0' && end != optarg;
	case 'n':
		command->keep = true;
		return true;
	case 'p':
		command->printable = true;
		return true;
	case 'r':
		command->backward = true;
		return true;
	case 't':
		command->table = (struct kv_bytes){ optarg, strlen(optarg) };
		return true;
	case 'x':
		command->hex = true;
		return true;
	default:
		return false;
	}
}

/* Standard output may be a full disk. */
static enum status flush(enum status status)
{
	return fflush(stdout) == 0 && ferror(stdout) == 0
		? status
		: complain("standard output: write error");
}

static enum status run(const struct verb *verb, int count, char **words)
{
	struct command command = { .table = { "", 0 }, .limit = UINT64_MAX };
	int option;

	while ((option = getopt(count, words, verb->options)) != -1)
		if (!parse_option(&command, option))
			return usage();
	words += optind;
	count -= optind;
	if (count < 1 + verb->words_min || count > 1 + verb->words_max)
		return usage();
	command.path = words[0];
	command.words = words + 1;
	command.word_count = count - 1;
	return flush(verb->run(&command));
}

int main(int count, char **words)
{
	for (size_t i = 0; count >= 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(words[1], verbs[i].name) == 0)
			return (int)run(&verbs[i], count - 1, words + 1);
	return (int)usage();
}

/* --- the store ----------------------------------------------------------------------------- */

struct kv *command_open(const struct command *command, bool write, bool create)
{
	struct kv *store;
	int error = kv_open(command->path,
		create          ? KV_CREATE
			: write ? 0
				: KV_RDONLY,
		NULL, &store);

	/* One that was killed has to be recovered, which takes the right to write. */
	if (error == EROFS && !write)
		error = kv_open(command->path, 0, NULL, &store);
	if (error != 0)
		complain_of(command->path, error);
	return store;
}

struct kv_table *command_table(const struct command *command, struct kv *store, bool create)
{
	struct kv_table *table;
	int error = kv_table_open(store, command->table, create ? KV_CREATE : 0, &table);

	if (error != 0)
		complain("table \"%.*s\": %s", (int)command->table.size,
			(const char *)command->table.data, kv_strerror(error));
	return table;
}

enum status command_close(struct kv *store, enum status status)
{
	int error = kv_close(store);

	return error == 0 ? status : complain_of("closing", error);
}
