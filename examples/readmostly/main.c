/* main.c -- the options of readmostly
 * SPDX-License-Identifier: BSD-3-Clause */
#include "ledger.h"
#include "process.h"
#include "reader.h"
#include "run.h"
#include "writer.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, ROOM_MIB = 256, CPUS_MIN = 2, ALARM_SLACK_SECONDS = 120 };

static const char usage[] =
	"usage: readmostly [--seconds N] [--seed N] [--readers N] [--writers N] [--careless]\n"
	"\n"
	"Readers look keys up in a hash table in a heap, without locks, while writers replace,\n"
	"insert and delete them; all are killed and replaced all the time, and everything that is\n"
	"found is checked. Exits with 0 only if everything holds.\n"
	"\n"
	"  --seconds N  how long; default 10\n"
	"  --seed N     of the random moments (they still depend on the machine)\n"
	"  --readers N  processes at a time; default 4\n"
	"  --writers N  default 2\n"
	"  --careless   writers do not wait for readers: the run holds if wrong values are found\n";

static _Noreturn void usage_fail(void)
{
	fputs(usage, stderr);
	exit(EXIT_FAILURE);
}

static uint64_t number_parse(const char *text, uint64_t least, uint64_t most)
{
	char *end;

	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || number < least || number > most)
		fail("%s: not a number from %" PRIu64 " to %" PRIu64, text, least, most);
	return number;
}

/* The processes that process_start() starts. */
static _Noreturn void child_run(const char *role, char **arguments)
{
	struct job job = {
		.heap_path = arguments[1],
		.ledger_path = arguments[2],
		.careless = number_parse(arguments[3], 0, 1) == 1,
	};
	uint64_t seed = number_parse(arguments[5], 0, UINT64_MAX);

	process_follow((pid_t)number_parse(arguments[0], 1, INT32_MAX));
	if (strcmp(role, "read") == 0)
		reader_run(&job, (unsigned)number_parse(arguments[4], 0, READERS_MAX - 1), seed);
	writer_run(&job, (unsigned)number_parse(arguments[4], 0, WRITERS_MAX - 1), seed);
}

static bool has_room(const char *folder)
{
	struct statvfs status;

	return access(folder, W_OK) == 0 && statvfs(folder, &status) == 0 &&
		(uint64_t)status.f_bavail * status.f_frsize >= (uint64_t)ROOM_MIB << 20;
}

/* A disk would make every page that is written cost more, and prove no more. */
static void folder_make(char folder[PATH_BYTES])
{
	const char *parent = getenv("TMPDIR");

	if (has_room("/dev/shm"))
		parent = "/dev/shm";
	else if (parent == NULL)
		parent = "/tmp";
	snprintf(folder, PATH_BYTES, "%s/readmostly.XXXXXX", parent);
	if (mkdtemp(folder) == NULL)
		fail("%s: %s", folder, strerror(errno));
}

static void folder_remove(const char *folder)
{
	static const char *const name[] = { "heap", "heap-shm", "ledger" };
	char path[PATH_BYTES + 16];

	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, name[i]);
		unlink(path);
	}
	if (rmdir(folder) != 0)
		fail("%s: %s", folder, strerror(errno));
}

static bool play(const struct plan *plan, bool careless)
{
	char folder[PATH_BYTES];
	char heap_path[PATH_BYTES + 16];
	char ledger_path[PATH_BYTES + 16];
	struct job job = { heap_path, ledger_path, careless };

	folder_make(folder);
	snprintf(heap_path, sizeof(heap_path), "%s/heap", folder);
	snprintf(ledger_path, sizeof(ledger_path), "%s/ledger", folder);
	printf("%u readers, %u writers, seed %" PRIu64 ", in %s\n", plan->readers, plan->writers,
		plan->seed, folder);
	fflush(stdout);
	/* If anything hangs, SIGALRM ends this process, and the others follow it. */
	alarm((unsigned)plan->seconds + ALARM_SLACK_SECONDS);
	bool holds = careless ? run_careless(&job, plan) : run(&job, plan);
	/* What is wrong is left for a look. */
	if (holds)
		folder_remove(folder);
	return holds;
}

/* That this process may run on. */
static int cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return CPUS_MIN;
	return CPU_COUNT(&set);
}

static void option_parse(const char *option, const char *value, struct plan *plan)
{
	if (value == NULL)
		usage_fail();
	if (strcmp(option, "--seconds") == 0)
		plan->seconds = number_parse(value, 3, 1000000);
	else if (strcmp(option, "--seed") == 0)
		plan->seed = number_parse(value, 0, UINT64_MAX);
	else if (strcmp(option, "--readers") == 0)
		plan->readers = (unsigned)number_parse(value, 1, READERS_MAX);
	else if (strcmp(option, "--writers") == 0)
		plan->writers = (unsigned)number_parse(value, 1, WRITERS_MAX);
	else
		usage_fail();
}

static void options_parse(char **argv, int argc, struct plan *plan, bool *careless)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		}
		if (strcmp(argv[i], "--careless") == 0) {
			*careless = true;
			continue;
		}
		option_parse(argv[i], argv[i + 1], plan);
		i++;
	}
}

int main(int argc, char **argv)
{
	enum { CHILD_ARGUMENTS = 8 };
	struct plan plan = { .seed = now_ns(), .seconds = 10, .readers = 4, .writers = 2 };
	bool careless = false;

	if (argc == CHILD_ARGUMENTS && argv[1][0] != '-')
		child_run(argv[1], argv + 2);
	options_parse(argv, argc, &plan, &careless);
	if (careless && cpus() < CPUS_MIN) {
		printf("SKIPPED: with one cpu the control may find nothing\n"
		       "0 passed, 0 failed, 1 skipped\n");
		return EXIT_SUCCESS;
	}
	return play(&plan, careless) ? EXIT_SUCCESS : EXIT_FAILURE;
}
