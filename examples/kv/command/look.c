/* look.c -- stat and check
 * SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

static int stat_table(struct kv_bytes name, void *argument)
{
	struct kv *store = argument;
	struct kv_table *table;
	struct kv_stats stats;
	int error = kv_table_open(store, name, 0, &table);

	if (error == 0)
		error = kv_stats(table, &stats);
	if (error != 0)
		return error == KV_ENOTFOUND || error == KV_EDROPPED ? 0 : error;
	printf("table \"%.*s\"\n", (int)name.size, (const char *)name.data);
	printf("  entries      %llu\n", (unsigned long long)stats.entries);
	printf("  key bytes    %llu\n", (unsigned long long)stats.key_bytes);
	printf("  value bytes  %llu\n", (unsigned long long)stats.value_bytes);
	printf("  records      %llu bytes\n", (unsigned long long)stats.record_bytes);
	printf("  leaves       %llu, %llu bytes\n", (unsigned long long)stats.leaves,
		(unsigned long long)stats.leaf_bytes);
	printf("  inner nodes  %llu, %llu bytes\n", (unsigned long long)stats.inner_nodes,
		(unsigned long long)stats.inner_bytes);
	printf("  depth        %llu\n", (unsigned long long)stats.depth);
	return 0;
}

static void stat_heap(struct sh_heap *heap)
{
	struct sh_stats stats = SH_STATS_INIT;

	if (sh_stats(heap, &stats) != 0)
		return;
	printf("heap\n");
	printf("  file         %llu bytes, %llu on disk\n", (unsigned long long)stats.file_bytes,
		(unsigned long long)stats.disk_bytes);
	printf("  free         %llu bytes\n", (unsigned long long)stats.free_bytes);
	printf("  waiting      %llu bytes, for readers\n",
		(unsigned long long)(stats.limbo_bytes + stats.parked_bytes));
	printf("  processes    %llu\n", (unsigned long long)stats.processes);
}

enum status verb_stat(const struct command *command)
{
	struct kv *store = command_open(command, false, false);
	int error;

	if (store == NULL)
		return STATUS_ERROR;
	error = kv_tables(store, stat_table, store);
	stat_heap(kv_heap(store));
	return command_close(store, error == 0 ? STATUS_FINE : complain_of("reading", error));
}

static int show(const char *text, void *argument)
{
	(void)argument;
	puts(text);
	return 0;
}

enum status verb_check(const struct command *command)
{
	struct kv *store = command_open(command, true, false);
	uint64_t problems = 0;
	enum status status;
	int error;

	if (store == NULL)
		return STATUS_ERROR;
	/* What waits for readers is no block any more, but is still in the heap. */
	error = sh_synchronize(kv_heap(store));
	if (error == 0)
		error = kv_check(store, show, NULL, &problems);
	status = error != 0    ? complain_of("checking", error)
		: problems > 0 ? STATUS_DAMAGED
			       : STATUS_FINE;
	if (error == 0)
		printf("%llu problems\n", (unsigned long long)problems);
	return command_close(store, status);
}
