/* expected.h -- the scenario's operations and snapshots, read from its file
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_EXPECTED_H
#define CRASHLOG_EXPECTED_H

#include "stress/crashlog/snapshot.h"

#include <stdbool.h>

/* Process. What is true of a heap.
 *
 * base: of a heap that was looked at: where its content is. Then `known` of a block says how much of it
 * `digest` is of, and is changed to what is asked for. NULL: of a snapshot. */
struct truth {
	const char *base;
	struct snapshot_block *blocks;
	const struct snapshot_run *runs;
	const struct snapshot_root *roots;
	uint32_t block_count;
	uint32_t run_count;
	uint32_t root_count;
};

/* Process. */
struct operation {
	struct operation_record record;
	struct truth *allowed; /* record.snapshots of them: before, in between, afterwards */
};

/* Process. */
struct expected {
	char *file;
	struct operation *operations;
	uint32_t count;
};

bool expected_read(struct expected *expected, const char *path);
void expected_free(struct expected *expected);

/* Whether what was found in a heap is what is allowed. Says in `why` what is not. */
bool truth_agrees(const struct truth *found, const struct truth *allowed, char *why,
	size_t why_bytes);

/* The same; page runs are compared page by page, and may begin and end where they do in either. */
bool truth_agrees_but_cuts(const struct truth *found, const struct truth *allowed,
	const struct truth *other, char *why, size_t why_bytes);

#endif
