/* main.c -- the commands of wordindex
 * SPDX-License-Identifier: BSD-3-Clause */
#include "index.h"
#include "listing.h"
#include "process.h"
#include "run.h"
#include "supervisor.h"
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: wordindex run HEAP SEED SECONDS TEXT...\n"
	"       wordindex passes|counts|postings HEAP\n"
	"\n"
	"run       makes the heap file HEAP and builds an index of the words of all TEXTs in it,\n"
	"          while workers are killed for at most SECONDS; a SEED of 0 means any\n"
	"passes    prints how often the finished index holds each text\n"
	"counts    prints COUNT WORD for each word\n"
	"postings  prints TIMES TEXT:LINE:WORD for each line of each word; texts count from 1\n";

static _Noreturn void usage_fail(void)
{
	fputs(usage, stderr);
	exit(EXIT_FAILURE);
}

static uint64_t number_parse(const char *text)
{
	char *end;

	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		fail("%s: not a number", text);
	return number;
}

static void run_command(char **arguments, size_t count)
{
	if (count < 4)
		usage_fail();
	struct job job = {
		.heap_path = arguments[0],
		.text_names = arguments + 3,
		.text_count = count - 3,
	};
	uint64_t seed = number_parse(arguments[1]);
	run(&job, seed != 0 ? seed : now_ns(), number_parse(arguments[2]));
}

/* The processes that process_start() starts. */
static void child_command(const char *command, char **arguments, size_t count)
{
	if (count < 5)
		usage_fail();
	struct job job = {
		.heap_path = arguments[1],
		.text_names = arguments + 4,
		.text_count = count - 4,
	};
	uint64_t number = number_parse(arguments[2]);

	process_follow((pid_t)number_parse(arguments[0]));
	if (strcmp(command, "supervise") == 0)
		supervisor_run(&job, number);
	if (number >= WORKER_COUNT)
		usage_fail();
	worker_run(&job, (unsigned)number, number_parse(arguments[3]));
}

static void list_command(void (*list)(struct index *index), char **arguments, size_t count)
{
	struct sh_heap *heap;
	struct index index;

	if (count != 1)
		usage_fail();
	must(sh_open(arguments[0], SH_RDONLY, NULL, &heap), arguments[0]);
	index_attach(&index, heap);
	list(&index);
	index_detach(&index);
	must(sh_close(heap), "sh_close");
	if (fflush(stdout) != 0)
		fail("writing: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc < 2)
		usage_fail();
	const char *command = argv[1];
	char **arguments = argv + 2;
	size_t count = (size_t)argc - 2;

	if (strcmp(command, "run") == 0)
		run_command(arguments, count);
	else if (strcmp(command, "work") == 0 || strcmp(command, "supervise") == 0)
		child_command(command, arguments, count);
	else if (strcmp(command, "passes") == 0)
		list_command(list_passes, arguments, count);
	else if (strcmp(command, "counts") == 0)
		list_command(list_counts, arguments, count);
	else if (strcmp(command, "postings") == 0)
		list_command(list_postings, arguments, count);
	else
		usage_fail();
	return EXIT_SUCCESS;
}
