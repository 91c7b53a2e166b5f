/* log.h -- what the tool wrote: marks and stores, in order
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_LOG_H
#define CRASHLOG_LOG_H

#include "stress/crashlog/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

enum store_kind {
	STORE_BYTES,
	STORE_LENGTH,  /* the file was made `where` bytes long */
	STORE_RENAMED, /* the file took the place of file `where` */
};

/* Process. A store, or what else changed a file in one step. */
struct store {
	uint64_t where; /* in its file */
	uint64_t
		code; /* address of the instruction, 0: the kernel's; of the other kinds the inode */
	const unsigned char *content;
	uint16_t bytes;
	uint8_t file; /* enum logged_file */
	uint8_t kind; /* enum store_kind */
};

/* Process. The stores of one operation: from `first` up to `end`. Those since the logging began last, which lead
 * to where it begins, are from `start` on. */
struct logged_operation {
	uint32_t number;
	uint64_t start;
	uint64_t first;
	uint64_t end;
};

/* Process. Stores between each MARK_START and the MARK_STOP behind it. */
struct store_log {
	unsigned char *file;
	struct store *stores;
	uint64_t count;
	struct logged_operation *operations;
	uint32_t operation_count;
};

/* Reads a log; what is wrong with it is said. False: it is of no use. */
bool store_log_read(struct store_log *log, const char *path);
void store_log_free(struct store_log *log);

#endif
