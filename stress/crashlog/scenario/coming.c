/* coming.c -- how a process comes to the heap: the options of its sh_open()
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/scenario/coming.h"

#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/snapshot.h"

#include <limits.h>
#include <stdio.h>

#define MAX_PROCESSES 4
#define MAX_THREADS 12

/* Process. */
static char path[PATH_MAX];
static uint64_t limit;

void coming_prepare(const char *folder, uint64_t max_bytes)
{
	snprintf(path, sizeof(path), "%s/%s", folder, HEAP_FILE);
	limit = max_bytes;
}

struct sh_heap *coming_open(void)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct sh_heap *opened;

	options.max_size = limit;
	options.max_processes = MAX_PROCESSES;
	options.max_threads = MAX_THREADS;
	MUST(sh_open(path, SH_CREATE, &options, &opened) == 0);
	return opened;
}
