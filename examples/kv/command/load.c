/* load.c -- text into tables
 * SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Entries that are put together. */
#define BATCH_ENTRIES 1000u

/* A text that is being read. Stack. */
struct load {
	const struct command *command;
	struct kv *store;
	struct kv_table *table;
	struct kv_batch *batch;
	unsigned batched;
	struct text line;
	struct text key;
	struct text name; /* of the table, by the header */
	uint64_t line_number;
	bool printable;
};

static bool next_line(struct load *load, struct text *line)
{
	load->line_number++;
	return text_line(line, stdin);
}

static enum status wrong_line(const struct load *load, const char *what)
{
	return complain("standard input, line %llu: %s", (unsigned long long)load->line_number,
		what);
}

/* --- the header ---------------------------------------------------------------------------- */

static bool is_line(const struct text *line, const char *wanted)
{
	return line->size == strlen(wanted) && memcmp(line->bytes, wanted, line->size) == 0;
}

static bool begins(const struct text *line, const char *wanted)
{
	return line->size >= strlen(wanted) && memcmp(line->bytes, wanted, strlen(wanted)) == 0;
}

static enum status take_name(struct load *load)
{
	size_t size = load->line.size - strlen("database=");

	text_free(&load->name);
	load->name.bytes = malloc(size + 1);
	if (load->name.bytes == NULL)
		return complain_of("loading", ENOMEM);
	memcpy(load->name.bytes, load->line.bytes + load->line.size - size, size);
	load->name.size = size;
	return STATUS_FINE;
}

static enum status take_header_line(struct load *load)
{
	const struct text *line = &load->line;

	if (begins(line, "VERSION=") && !is_line(line, "VERSION=3") && !is_line(line, "VERSION=2"))
		return wrong_line(load, "a version that is neither 2 nor 3");
	if (begins(line, "format=")) {
		load->printable = is_line(line, "format=print");
		if (!load->printable && !is_line(line, "format=bytevalue"))
			return wrong_line(load, "a format that is neither print nor bytevalue");
	}
	if (begins(line, "type=") && !is_line(line, "type=btree"))
		return wrong_line(load, "only type=btree can be loaded");
	if (is_line(line, "duplicates=1") || is_line(line, "dupsort=1"))
		return wrong_line(load, "a table with several values to a key cannot be loaded");
	if (is_line(line, "integerkey=1") || is_line(line, "reversekey=1"))
		wrong_line(load, "a warning: keys will be in the order of their bytes");
	return begins(line, "database=") ? take_name(load) : STATUS_FINE;
}

/* Reads up to HEADER=END; *end: there is nothing more. */
static enum status read_header(struct load *load, bool *end)
{
	enum status status = STATUS_FINE;
	bool any = false;

	*end = false;
	load->printable = false;
	text_free(&load->name);
	while (status == STATUS_FINE) {
		if (!next_line(load, &load->line)) {
			*end = !any;
			return any ? wrong_line(load, "the text ends before HEADER=END")
				   : STATUS_FINE;
		}
		if (is_line(&load->line, "HEADER=END"))
			return STATUS_FINE;
		if (memchr(load->line.bytes, '=', load->line.size) == NULL)
			return wrong_line(load, "no line of a header, NAME=VALUE");
		any = true;
		status = take_header_line(load);
	}
	return status;
}

/* --- the entries --------------------------------------------------------------------------- */

static int commit(struct load *load)
{
	struct kv_batch *batch = load->batch;

	load->batch = NULL;
	load->batched = 0;
	return batch == NULL ? 0 : kv_batch_commit(batch);
}

static int put(struct load *load)
{
	int error = 0;

	if (load->command->keep) {
		error = kv_put(load->table, text_bytes(&load->key), text_bytes(&load->line),
			KV_INSERT);
		return error == KV_EEXIST ? 0 : error;
	}
	if (load->batch == NULL)
		error = kv_batch_begin(load->store, &load->batch);
	if (error == 0)
		error = kv_batch_put(load->batch, load->table, text_bytes(&load->key),
			text_bytes(&load->line));
	if (error == 0 && ++load->batched == BATCH_ENTRIES)
		error = commit(load);
	return error;
}

static enum status decode(struct load *load, struct text *line)
{
	if (line->size == 0 || line->bytes[0] != ' ')
		return wrong_line(load,
			"neither an entry, which begins with a space, nor DATA=END");
	return text_decode(line, 1, load->printable) ? STATUS_FINE
						     : wrong_line(load, "no bytes in this format");
}

static enum status read_entry(struct load *load)
{
	enum status status = decode(load, &load->key);
	int error;

	if (status != STATUS_FINE)
		return status;
	if (!next_line(load, &load->line))
		return wrong_line(load, "the text ends before an entry's value");
	status = decode(load, &load->line);
	if (status != STATUS_FINE)
		return status;
	error = put(load);
	return error == 0 ? STATUS_FINE : complain_of("loading", error);
}

static enum status read_entries(struct load *load)
{
	enum status status = STATUS_FINE;
	int error;

	while (status == STATUS_FINE) {
		if (!next_line(load, &load->key))
			return wrong_line(load, "the text ends before DATA=END");
		if (is_line(&load->key, "DATA=END"))
			break;
		status = read_entry(load);
	}
	error = status == STATUS_FINE ? commit(load) : 0;
	return error == 0 ? status : complain_of("loading", error);
}

/* -t counts more than the header's name. */
static enum status open_table(struct load *load)
{
	struct command command = *load->command;

	if (command.table.size == 0)
		command.table = text_bytes(&load->name);
	load->table = command_table(&command, load->store, true);
	return load->table == NULL ? STATUS_ERROR : STATUS_FINE;
}

static enum status load_all(struct load *load)
{
	enum status status;
	bool end = false;

	do {
		status = read_header(load, &end);
		if (status == STATUS_FINE && !end)
			status = open_table(load);
		if (status == STATUS_FINE && !end)
			status = read_entries(load);
	} while (status == STATUS_FINE && !end);
	return status;
}

enum status verb_load(const struct command *command)
{
	struct load load = { .command = command, .store = command_open(command, true, true) };
	enum status status;

	if (load.store == NULL)
		return STATUS_ERROR;
	status = load_all(&load);
	kv_batch_abort(load.batch);
	text_free(&load.line);
	text_free(&load.key);
	text_free(&load.name);
	return command_close(load.store, status);
}
