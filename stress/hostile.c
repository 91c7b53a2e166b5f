/* hostile.c -- a heap in surroundings that do not wish it well
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Runs the scenarios of stress/hostile/, each in a process of its own, and prints one line for each:
 * PASS, FAIL or SKIPPED, and what happened. */
#define _GNU_SOURCE
#include "stress/common/totals.h"
#include "stress/hostile/cgroup.h"
#include "stress/hostile/scenarios.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_US UINT64_C(90000000)

static const char usage[] = "usage: hostile [--folder PATH] [--list] [SCENARIO...]\n"
			    "  --folder PATH  where heaps and images are made (TMPDIR, else /tmp)\n"
			    "  --list         print the names of the scenarios\n";

static unsigned counts[3];

/* The scenario's own process. */
static void play(const struct scenario *scenario)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	scenario->run();
	_exit(0);
}

/* Waits for the scenario's end; its wait status, or -1 when it took too long. */
static int watch(pid_t child)
{
	uint64_t end_us = now_us() + LIMIT_US;
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now_us() > end_us)
			return -1;
		usleep(1000);
	}
	return status;
}

/* Whatever the scenario left running is in its process group. */
static void clean_up(pid_t child)
{
	kill(-child, SIGKILL);
	waitpid(child, NULL, 0);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	cgroup_remove(folder);
	command("rm -rf %s", folder);
}

static void judge(int status)
{
	if (atomic_load(&board->writers) != 0)
		return;
	if (status == 0) {
		atomic_store(&board->outcome, OUTCOME_PASSED);
		return;
	}
	tell(status == -1 ? "it did not end in time" : "it ended with status %d", status);
	atomic_store(&board->outcome, OUTCOME_FAILED);
}

static void run_scenario(const struct scenario *scenario, const char *parent)
{
	static const char *const names[] = { "PASS   ", "FAIL   ", "SKIPPED" };
	uint64_t start_us = now_us();
	pid_t child;

	memset(board, 0, sizeof(*board));
	snprintf(folder, sizeof(folder), "%s/spanheap-hostile-XXXXXX", parent);
	if (mkdtemp(folder) == NULL) {
		fprintf(stderr, "hostile: %s: %s\n", parent, strerror(errno));
		exit(2);
	}
	fflush(NULL);
	child = fork();
	if (child == 0)
		play(scenario);
	judge(watch(child));
	clean_up(child);
	counts[atomic_load(&board->outcome)]++;
	printf("%s %s: %s (%.1f s)\n", names[atomic_load(&board->outcome)], scenario->name,
		board->text, (double)(now_us() - start_us) / 1e6);
}

static const struct scenario *find(const char *name)
{
	for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++)
		if (strcmp(scenario->name, name) == 0)
			return scenario;
	fprintf(stderr, "hostile: there is no scenario '%s'; --list names them\n%s", name, usage);
	exit(2);
}

static int list(void)
{
	for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++)
		puts(scenario->name);
	return 0;
}

int main(int argc, char **argv)
{
	const char *parent = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--list") == 0)
			return list();
		if (strcmp(argv[i], "--folder") != 0 || i + 1 == argc) {
			fputs(usage, stderr);
			return 2;
		}
		parent = argv[++i];
	}
	for (int k = i; k < argc; k++)
		find(argv[k]);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (board == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
		perror("hostile");
		return 2;
	}
	for (int k = i; k < argc; k++)
		run_scenario(find(argv[k]), parent);
	for (const struct scenario *s = scenarios; i == argc && s->name != NULL; s++)
		run_scenario(s, parent);
	totals_print(&(struct totals){
		.cases = counts[OUTCOME_PASSED] + counts[OUTCOME_FAILED],
		.images = TOTALS_NONE,
		.states = TOTALS_NONE,
		.deaths = TOTALS_NONE,
		.bad = counts[OUTCOME_FAILED],
	});
	printf("%u passed, %u failed, %u skipped\n", counts[OUTCOME_PASSED], counts[OUTCOME_FAILED],
		counts[OUTCOME_SKIPPED]);
	return counts[OUTCOME_FAILED] != 0;
}
