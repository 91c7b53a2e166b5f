/* log.c -- what the tool wrote: marks and stores, in order
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/log.h"

#include "stress/crashlog/read_file.h"
#include "stress/crashlog/tool/storelog.h"

#include <stdio.h>
#include <stdlib.h>

/* Stack. */
struct reading {
	struct store_log *log;
	uint64_t store_limit;
	uint32_t operation_limit;
	bool started;
	bool stopped;
};

static void *grown(void *array, uint64_t count, size_t size)
{
	void *larger = realloc(array, count * size);

	if (larger == NULL) {
		perror("crashlog: realloc");
		exit(2);
	}
	return larger;
}

static void add_store(struct reading *reading, const struct storelog_record *record,
	const unsigned char *content)
{
	struct store_log *log = reading->log;

	if (!reading->started || reading->stopped)
		return;
	if (log->count == reading->store_limit) {
		reading->store_limit = reading->store_limit * 2 + 1024;
		log->stores = grown(log->stores, reading->store_limit, sizeof(log->stores[0]));
	}
	log->stores[log->count++] = (struct store){
		.where = record->where,
		.code = record->code,
		.content = content,
		.bytes = record->bytes,
		.file = record->file,
	};
}

static bool add_operation(struct reading *reading, uint32_t number, bool begins)
{
	struct store_log *log = reading->log;

	if (!begins) {
		if (log->operation_count == 0 ||
			log->operations[log->operation_count - 1].number != number)
			return false;
		log->operations[log->operation_count - 1].end = log->count;
		return true;
	}
	if (log->operation_count == reading->operation_limit) {
		reading->operation_limit = reading->operation_limit * 2 + 64;
		log->operations = grown(log->operations, reading->operation_limit,
			sizeof(log->operations[0]));
	}
	log->operations[log->operation_count++] =
		(struct logged_operation){ .number = number, .first = log->count };
	return true;
}

static bool add_mark(struct reading *reading, uint64_t mark)
{
	if (mark == MARK_START)
		reading->started = true;
	else if (mark == MARK_STOP)
		reading->stopped = true;
	else
		return add_operation(reading, (uint32_t)(mark / 2), mark % 2 == 0);
	return true;
}

static bool read_records(struct reading *reading, uint64_t bytes)
{
	const unsigned char *at = reading->log->file;
	const unsigned char *end = at + bytes;

	while ((uint64_t)(end - at) >= sizeof(struct storelog_record)) {
		struct storelog_record record;
		uint64_t padded;

		memcpy(&record, at, sizeof(record));
		at += sizeof(record);
		padded = (record.bytes + 7u) & ~7u;
		if (padded > (uint64_t)(end - at))
			return false;
		if (record.kind == STORELOG_STORE)
			add_store(reading, &record, at);
		else if (record.kind != STORELOG_MARK || !add_mark(reading, record.where))
			return false;
		at += padded;
	}
	return at == end && reading->stopped;
}

bool store_log_read(struct store_log *log, const char *path)
{
	struct reading reading = { .log = log };
	uint64_t bytes;

	memset(log, 0, sizeof(*log));
	log->file = read_file(path, &bytes);
	if (log->file != NULL && read_records(&reading, bytes))
		return true;
	printf("the log of stores %s is not whole\n", path);
	return false;
}

void store_log_free(struct store_log *log)
{
	free(log->file);
	free(log->stores);
	free(log->operations);
}
