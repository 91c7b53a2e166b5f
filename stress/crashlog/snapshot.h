/* snapshot.h -- what must be true before, within and after an operation, as the scenario knows it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * File MODEL_FILE: for each operation a struct operation_record, then its snapshots, each of a struct
 * snapshot_counts and so many blocks, runs and roots, each in ascending order. The first snapshot is
 * what was before, the last one what is afterwards; those between are further results that the
 * documentation allows a death to leave.
 *
 * The scenario takes nothing of it from the heap but what calls return. */
#ifndef CRASHLOG_SNAPSHOT_H
#define CRASHLOG_SNAPSHOT_H

#include <stdint.h>
#include <string.h>

/* In the folder that the scenario is given. */
#define HEAP_FILE "heap"
#define CONTROL_FILE "heap-shm"
#define NEW_CONTROL_FILE "heap-shm.new"  /* a control file that is being made */
#define BASE_FILE "base"                 /* the heap file when logging begins */
#define BASE_CONTROL_FILE "base-control" /* the control file then */
#define LAST_FILE "last"                 /* the heap file when logging ends */
#define MODEL_FILE "model"
#define LOG_FILE "log"

/* Which file a store goes to. */
enum logged_file {
	FILE_HEAP = 0,
	FILE_CONTROL = 1,
	FILE_NEW_CONTROL = 2, /* takes the place of the other one by rename(2) */
	LOGGED_FILES,
};

/* What is said to the tool: logging begins, and stops; an operation begins, and ends. */
#define MARK_START UINT64_C(0)
#define MARK_STOP UINT64_C(1)
#define MARK_BEGIN(number) ((uint64_t)(number)*2)
#define MARK_END(number) ((uint64_t)(number)*2 + 1)
#define FIRST_OPERATION 1u

/* Page runs are compared page by page; where they begin and end may be as before or as afterwards. */
#define OPERATION_CUTS_RUNS 1u
/* Its images are opened by sh_open() as well, as files. */
#define OPERATION_IN_FILES 2u
/* Nobody else has the heap open who could survive. */
#define OPERATION_ALONE 4u
/* The file is marked clean before it, afterwards. */
#define OPERATION_CLEAN_BEFORE 8u
#define OPERATION_CLEAN_AFTER 16u

/* File. */
struct operation_record {
	char name[48];
	uint32_t number;
	uint32_t flags;
	uint32_t snapshots;
	uint32_t reserved;
};

/* File. */
struct snapshot_counts {
	uint32_t blocks;
	uint32_t runs;
	uint32_t roots;
	uint32_t reserved;
};

/* File. */
struct snapshot_block {
	uint64_t off;
	uint64_t bytes; /* usable */
	uint64_t
		known; /* of these, from the first on: what stands there. Behind it may be anything. */
	uint64_t digest; /* of the known ones */
	uint64_t kind;
};

/* File. */
struct snapshot_run {
	uint64_t off;
	uint64_t pages;
	uint64_t flags;
};

/* File. */
struct snapshot_root {
	char name[64];
	uint64_t value;
};

/* Of a block's content. `bytes` is rounded down to a multiple of 8. */
static inline uint64_t content_digest(const void *content, uint64_t bytes)
{
	const char *at = content;
	uint64_t digest = bytes;
	uint64_t word;

	for (uint64_t i = 0; i + sizeof(word) <= bytes; i += sizeof(word)) {
		memcpy(&word, at + i, sizeof(word));
		digest = (digest ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		digest ^= digest >> 29;
	}
	return digest;
}

#endif
