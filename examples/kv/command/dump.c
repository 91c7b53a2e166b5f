/* dump.c -- tables as text
 * SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "text.h"

#define MAP_BYTES_LEAST (UINT64_C(1) << 20)
#define MAP_BYTES_STEP (UINT64_C(1) << 12)

/* mdb_load(1) makes its map so large: twice what a half-full page for each record would take. */
static uint64_t map_bytes(const struct kv_stats *stats)
{
	uint64_t bytes =
		MAP_BYTES_LEAST + 4 * (stats->key_bytes + stats->value_bytes + 64 * stats->entries);

	return (bytes + MAP_BYTES_STEP - 1) / MAP_BYTES_STEP * MAP_BYTES_STEP;
}

static void write_header(const struct command *command, struct kv_bytes name,
	const struct kv_stats *stats)
{
	printf("VERSION=3\nformat=%s\n", command->printable ? "print" : "bytevalue");
	if (name.size > 0)
		printf("database=%.*s\n", (int)name.size, (const char *)name.data);
	printf("type=btree\nmapsize=%llu\nmaxreaders=126\nHEADER=END\n",
		(unsigned long long)map_bytes(stats));
}

static void write_line(const struct command *command, struct kv_bytes bytes)
{
	putchar(' ');
	text_write(stdout, bytes, command->printable);
	putchar('\n');
}

/* Entries between two pauses of the cursor: writers go on while a dump is written to something slow. */
#define PAUSE_AFTER 1024u

static int write_entries(const struct command *command, struct kv_table *table)
{
	struct kv_bytes key, value;
	struct kv_cursor *cursor;
	unsigned written = 0;
	int error = kv_cursor_open(table, &cursor);

	if (error != 0)
		return error;
	error = kv_cursor_first(cursor, &key, &value);
	while (error == 0 && ferror(stdout) == 0) {
		write_line(command, key);
		write_line(command, value);
		if (++written % PAUSE_AFTER == 0)
			error = kv_cursor_pause(cursor);
		if (error == 0)
			error = kv_cursor_next(cursor, &key, &value);
	}
	kv_cursor_close(cursor);
	return error == KV_ENOTFOUND ? 0 : error;
}

static enum status dump_table(const struct command *command, struct kv_table *table,
	struct kv_bytes name)
{
	struct kv_stats stats;
	int error = kv_stats(table, &stats);

	if (error == 0) {
		write_header(command, name, &stats);
		error = write_entries(command, table);
		puts("DATA=END");
	}
	return error == 0 ? STATUS_FINE : complain_of("reading", error);
}

/* What kv_tables() is given. */
struct all_tables {
	const struct command *command;
	struct kv *store;
	enum status status;
};

static int dump_named(struct kv_bytes name, void *argument)
{
	struct all_tables *all = argument;
	struct kv_table *table;
	int error = kv_table_open(all->store, name, 0, &table);

	/* One that was dropped meanwhile. */
	if (error == KV_ENOTFOUND)
		return 0;
	all->status =
		error != 0 ? complain_of("reading", error) : dump_table(all->command, table, name);
	return all->status != STATUS_FINE;
}

static enum status dump_all(const struct command *command, struct kv *store)
{
	struct all_tables all = { command, store, STATUS_FINE };
	int error = kv_tables(store, dump_named, &all);

	return error == 0 || error == SH_ESTOPPED ? all.status : complain_of("reading", error);
}

enum status verb_dump(const struct command *command)
{
	struct kv *store = command_open(command, false, false);
	struct kv_table *table;
	enum status status = STATUS_ERROR;

	if (store == NULL)
		return STATUS_ERROR;
	if (command->all_tables) {
		status = dump_all(command, store);
	} else {
		table = command_table(command, store, false);
		if (table != NULL)
			status = dump_table(command, table, command->table);
	}
	return command_close(store, status);
}
