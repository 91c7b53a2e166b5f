/* crashlog.c -- every crash image of every operation, recovered and judged
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A program does everything that a heap can do (crashlog/scenario/), linked with the library as it is
 * installed, and every store that it makes into the heap file is logged by a tool for valgrind
 * (crashlog/tool/). A processor that keeps stores in order leaves, wherever its process is killed, what
 * the first so many of them make. This program makes all of these images. */
#include "stress/common/verdict.h"
#include "stress/crashlog/mutant.h"
#include "stress/crashlog/sweep.h"
#include "stress/crashlog/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DEEP 1000u
/* What the state "large" may take of a disk for a minute. */
#define LARGE_BYTES (UINT64_C(12) << 30)

static const char usage[] =
	"usage: crashlog [--quick] [--state NAME] [--seed N] [--random N] [--depth N] "
	"[--all-images]\n"
	"                [--no-controls] [--controls] [--list] [--folder PATH]\n"
	"                [--operation NAME|NUMBER [--store N]] [--keep PATH]\n"
	"  --quick        one state of the heap, few operations at random, one death of a "
	"recovery\n"
	"  --state NAME   what the operations meet: fresh, used, reopened, large, closed, killed "
	"or "
	"attended\n"
	"                 (all)\n"
	"  --seed N       of the operations at random (SH_SEED; else 1)\n"
	"  --random N     how many of these there are\n"
	"  --depth N      how many recoveries die one after the other, at most; 0: none does\n"
	"  --all-images   judge those in the middle of long copies, too\n"
	"  --no-controls  leave out the controls; --controls: nothing else\n"
	"  --list         a line for each operation; with the controls, the stores that are not "
	"needed\n"
	"  --folder PATH  where files are made (/dev/shm, else /tmp; of the state large /tmp)\n"
	"  --operation X  only this one; --store N: the image after its first N stores\n"
	"  --keep PATH    leave the image there, for spanheap check\n";

_Noreturn static void give_up(void)
{
	fputs(usage, stderr);
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 0);

	if (end == text || *end != '\0')
		give_up();
	return number;
}

/* Whether it is one; they have no value. */
static bool take_switch(struct options *options, const char *name)
{
	if (strcmp(name, "--quick") == 0) {
		options->state = "used";
		options->random_operations = 20;
		options->depth = 1;
		options->mutant_limit = 24;
	} else if (strcmp(name, "--all-images") == 0) {
		options->all_images = true;
	} else if (strcmp(name, "--no-controls") == 0) {
		options->mutants = false;
	} else if (strcmp(name, "--controls") == 0) {
		options->images = false;
	} else if (strcmp(name, "--list") == 0) {
		options->list = true;
	} else {
		return false;
	}
	return true;
}

static void take_option(struct options *options, const char *name, const char *value)
{
	if (strcmp(name, "--state") == 0) {
		options->state = value;
	} else if (strcmp(name, "--seed") == 0) {
		options->seed = number_of(value);
	} else if (strcmp(name, "--random") == 0) {
		options->random_operations = (unsigned)number_of(value);
	} else if (strcmp(name, "--depth") == 0) {
		options->depth = (unsigned)number_of(value);
	} else if (strcmp(name, "--folder") == 0) {
		options->folder = value;
	} else if (strcmp(name, "--operation") == 0) {
		options->operation = value;
	} else if (strcmp(name, "--store") == 0) {
		options->store = number_of(value);
		options->one_store = true;
		options->mutants = false;
	} else if (strcmp(name, "--keep") == 0) {
		options->keep = value;
	} else {
		give_up();
	}
}

static struct options read_options(int argc, char **argv)
{
	const char *seed = getenv("SH_SEED");
	struct options options = {
		.seed = seed != NULL ? number_of(seed) : 1,
		.random_operations = 100,
		.depth = DEEP,
		.mutants = true,
		.mutant_limit = UINT64_MAX,
		.images = true,
	};

	for (int i = 1; i < argc; i++)
		if (!take_switch(&options, argv[i])) {
			take_option(&options, argv[i], i + 1 < argc ? argv[i + 1] : "");
			i++;
		}
	return options;
}

/* Folder of the scene; NULL: no place has room for it. */
static const char *folder_for(const struct options *options, const char *state)
{
	const char *folder = options->folder;
	struct statvfs status;

	if (strcmp(state, "large") != 0)
		return folder != NULL                   ? folder
			: access("/dev/shm", W_OK) == 0 ? "/dev/shm"
							: "/tmp";
	/* Memory is dearer. */
	if (folder == NULL)
		folder = "/tmp";
	return statvfs(folder, &status) == 0 &&
			(uint64_t)status.f_bavail * status.f_frsize >= LARGE_BYTES
		? folder
		: NULL;
}

static void run_state(const struct options *options, const char *state)
{
	const char *folder = folder_for(options, state);
	struct scene scene;

	if (folder == NULL) {
		verdict_skip("state large: there is no room for files of 12 GiB");
		return;
	}

	if (!scene_make(&scene, options, folder, state)) {
		verdict(false, "%s: the scenario is carried out; to repeat: crashlog --state %s",
			state, state);
		scene_remove(&scene);
		return;
	}
	if (options->images)
		sweep(&scene, options);
	/* One state has all kinds of stores. */
	if (options->mutants && (options->state != NULL || strcmp(state, "used") == 0))
		mutants(&scene, options);
	scene_remove(&scene);
}

int main(int argc, char **argv)
{
	static const char *const states[] = { "fresh", "used", "reopened", "large", "closed",
		"killed", "attended" };
	struct options options = read_options(argc, argv);
	const char *missing = scene_missing();
	unsigned run = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);

	if (missing != NULL) {
		verdict_skip("%s", missing);
		return tally_print() == 0 ? 0 : 1;
	}
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (options.state == NULL || strcmp(options.state, states[i]) == 0) {
			run_state(&options, states[i]);
			run++;
		}
	if (run == 0)
		give_up();
	return tally_print() == 0 ? 0 : 1;
}
