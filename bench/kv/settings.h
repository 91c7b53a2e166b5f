/* settings.h -- what the benchmark is told
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_SETTINGS_H
#define SPANHEAP_BENCH_KV_SETTINGS_H

#include "common.h"

#define LIST_MAX 8u

/* Numbers that were separated by commas. */
struct list {
	unsigned of[LIST_MAX];
	unsigned count;
};

struct settings {
	const char *engines;   /* NULL: all; see subjects_pick() */
	const char *workloads; /* names and sets; NULL: all */
	struct list entries;
	struct list value_bytes;
	struct list writers; /* of the grid */
	struct list readers;
	unsigned operations; /* at most, of a worker; 0: as many as there are entries */
	double seconds;      /* of runs by time */
	unsigned repetitions;
	unsigned deaths;
	unsigned clients;     /* of YCSB */
	const char *pictures; /* how the names of the pictures begin; NULL: none */
	const char *folders[FOLDERS_MAX];
	unsigned folder_count;
};

/* Prints usage, or dies, when the arguments are wrong. */
struct settings settings_parse(int argc, char **argv);

/* Whether a workload or a test of this name and set was asked for. */
bool settings_want(const struct settings *settings, const char *name, const char *set);

#endif
