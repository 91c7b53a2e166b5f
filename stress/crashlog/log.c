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
	uint64_t start; /* of what is logged without an interruption */
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
	const unsigned char *content, enum store_kind kind)
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
		.kind = (uint8_t)kind,
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
	log->operations[log->operation_count++] = (struct logged_operation){ .number = number,
		.start = reading->start,
		.first = log->count };
	return true;
}

static bool add_mark(struct reading *reading, uint64_t mark)
{
	switch (mark) {
	case MARK_START:
		reading->started = true;
		reading->stopped = false;
		reading->start = reading->log->count;
		return true;
	case MARK_STOP:
		reading->stopped = true;
		return true;
	default:
		return add_operation(reading, (uint32_t)(mark / 2), mark % 2 == 0);
	}
}

/* False: there is no such record. */
static bool add_record(struct reading *reading, const struct storelog_record *record,
	const unsigned char *content)
{
	switch ((enum storelog_kind)record->kind) {
	case STORELOG_STORE:
		add_store(reading, record, content, STORE_BYTES);
		return true;
	case STORELOG_LENGTH:
		add_store(reading, record, content, STORE_LENGTH);
		return true;
	case STORELOG_RENAMED:
		add_store(reading, record, content, STORE_RENAMED);
		return true;
	case STORELOG_MARK:
		return add_mark(reading, record->where);
	default:
		return false;
	}
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
		if (!add_record(reading, &record, at))
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
