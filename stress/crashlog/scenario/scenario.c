/* scenario.c -- a program that does everything that a heap can do, one operation at a time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Linked with the library as it is installed, and run under the tool that logs stores; by itself it does
 * the same and logs nothing. */
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"
#include "stress/crashlog/snapshot.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define MAX_BYTES (UINT64_C(256) << 20)
#define MAX_PROCESSES 4
#define MAX_THREADS 12

static void open_heap(const char *folder)
{
	struct sh_options options = SH_OPTIONS_INIT;
	char path[PATH_MAX];

	options.max_size = MAX_BYTES;
	options.max_processes = MAX_PROCESSES;
	options.max_threads = MAX_THREADS;
	snprintf(path, sizeof(path), "%s/%s", folder, HEAP_FILE);
	MUST(sh_open(path, SH_CREATE, &options, &heap) == 0);
}

static void usage(void)
{
	fputs("usage: crashlog_scenario FOLDER fresh|used|reopened SEED RANDOM-OPERATIONS\n",
		stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	uint64_t seed;

	if (argc != 5)
		usage();
	seed = strtoull(argv[3], NULL, 0);
	open_heap(argv[1]);
	if (strcmp(argv[2], "fresh") != 0)
		operations_fill_heap(seed);
	if (strcmp(argv[2], "reopened") == 0) {
		MUST(sh_close(heap) == 0);
		open_heap(argv[1]);
	}
	logging_start(argv[1]);
	operations_directed();
	operations_random(seed, (unsigned)strtoul(argv[4], NULL, 0));
	logging_stop();
	MUST(sh_close(heap) == 0);
	return 0;
}
