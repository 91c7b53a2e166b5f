/* entries.c -- put, get, del, scan
 * SPDX-License-Identifier: BSD-3-Clause */
#include "bytes.h"
#include "command.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A word of the command line as bytes, which live as long as `text`. */
static bool word_bytes(const struct command *command, const char *word, struct text *text)
{
	text->size = strlen(word);
	text->capacity = text->size + 1;
	text->bytes = strdup(word);
	if (text->bytes == NULL)
		return complain_of(word, ENOMEM) == STATUS_FINE;
	if (command->hex && !text_decode(text, 0, false))
		return complain("\"%s\" is not hexadecimal", word) == STATUS_FINE;
	return true;
}

/* All of standard input. */
static bool read_all(struct text *text)
{
	size_t got;

	do {
		if (text->size == text->capacity) {
			char *bigger = realloc(text->bytes, text->capacity * 2 + 4096);

			if (bigger == NULL)
				return complain_of("standard input", ENOMEM) == STATUS_FINE;
			text->bytes = bigger;
			text->capacity = text->capacity * 2 + 4096;
		}
		got = fread(text->bytes + text->size, 1, text->capacity - text->size, stdin);
		text->size += got;
	} while (got > 0);
	return true;
}

/* What is done with the table and a key. */
typedef enum status entry_fn(const struct command *command, struct kv_table *table,
	struct kv *store, struct kv_bytes key);

static enum status with_key(const struct command *command, bool write, bool create, entry_fn *act)
{
	struct text key = { 0 };
	struct kv *store;
	struct kv_table *table;
	enum status status = STATUS_ERROR;

	if (word_bytes(command, command->words[0], &key)) {
		store = command_open(command, write, create);
		table = store == NULL ? NULL : command_table(command, store, create);
		if (table != NULL)
			status = act(command, table, store, text_bytes(&key));
		if (store != NULL)
			status = command_close(store, status);
	}
	text_free(&key);
	return status;
}

static enum status put(const struct command *command, struct kv_table *table, struct kv *store,
	struct kv_bytes key)
{
	struct text value = { 0 };
	int error;

	(void)store;
	if (command->word_count > 1 ? !word_bytes(command, command->words[1], &value)
				    : !read_all(&value)) {
		text_free(&value);
		return STATUS_ERROR;
	}
	error = kv_put(table, key, text_bytes(&value), command->keep ? KV_INSERT : 0);
	text_free(&value);
	return error == 0 ? STATUS_FINE : complain_of(command->words[0], error);
}

enum status verb_put(const struct command *command)
{
	return with_key(command, true, true, put);
}

static void print(const struct command *command, struct kv_bytes bytes, const char *end)
{
	if (command->hex)
		text_write(stdout, bytes, false);
	else
		fwrite(bytes.data, 1, bytes.size, stdout);
	fputs(end, stdout);
}

static enum status get(const struct command *command, struct kv_table *table, struct kv *store,
	struct kv_bytes key)
{
	struct kv_bytes value;
	int error = kv_read_begin(store);

	if (error != 0)
		return complain_of("reading", error);
	error = kv_get(table, key, &value);
	if (error == 0)
		print(command, value, "\n");
	kv_read_end(store);
	return error == 0 ? STATUS_FINE : complain_of(command->words[0], error);
}

enum status verb_get(const struct command *command)
{
	return with_key(command, false, false, get);
}

static enum status del(const struct command *command, struct kv_table *table, struct kv *store,
	struct kv_bytes key)
{
	int error = kv_delete(table, key);

	(void)store;
	return error == 0 ? STATUS_FINE : complain_of(command->words[0], error);
}

enum status verb_del(const struct command *command)
{
	return with_key(command, true, false, del);
}

/* --- scan ---------------------------------------------------------------------------------- */

typedef int move_fn(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value);

/* Backward: to the last key that is not above `from`. */
static int seek(const struct command *command, struct kv_cursor *cursor, const struct text *from,
	struct kv_bytes *key, struct kv_bytes *value)
{
	int error;

	if (command->word_count == 0)
		return command->backward ? kv_cursor_last(cursor, key, value)
					 : kv_cursor_first(cursor, key, value);
	error = kv_cursor_seek(cursor, text_bytes(from), key, value);
	if (!command->backward)
		return error;
	if (error == KV_ENOTFOUND)
		return kv_cursor_last(cursor, key, value);
	if (error == 0 && !bytes_equal(*key, text_bytes(from)))
		return kv_cursor_previous(cursor, key, value);
	return error;
}

static int show(const struct command *command, struct kv_cursor *cursor, const struct text *from)
{
	move_fn *move = command->backward ? kv_cursor_previous : kv_cursor_next;
	struct kv_bytes key, value;
	int error = seek(command, cursor, from, &key, &value);

	for (uint64_t shown = 0; error == 0 && shown < command->limit; shown++) {
		print(command, key, "\t");
		print(command, value, "\n");
		error = move(cursor, &key, &value);
	}
	return error == KV_ENOTFOUND ? 0 : error;
}

static enum status scan(const struct command *command, struct kv_table *table,
	const struct text *from)
{
	struct kv_cursor *cursor;
	int error = kv_cursor_open(table, &cursor);

	if (error != 0)
		return complain_of("reading", error);
	error = show(command, cursor, from);
	kv_cursor_close(cursor);
	return error == 0 ? STATUS_FINE : complain_of("reading", error);
}

enum status verb_scan(const struct command *command)
{
	struct text from = { 0 };
	enum status status = STATUS_ERROR;
	struct kv_table *table;
	struct kv *store;

	if (command->word_count > 0 && !word_bytes(command, command->words[0], &from))
		return STATUS_ERROR;
	store = command_open(command, false, false);
	if (store != NULL) {
		table = command_table(command, store, false);
		if (table != NULL)
			status = scan(command, table, &from);
		status = command_close(store, status);
	}
	text_free(&from);
	return status;
}
