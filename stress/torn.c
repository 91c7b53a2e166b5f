/* torn.c -- what a power failure, a copy in use or a restore in place leaves: told, every time?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *	torn [--quick] [--seconds N | --images N] [--seed N] [--image N] [--folder PATH]
 *	torn --salvage FILE
 *
 * Records what the pages of a heap file were at many moments while processes worked on it, builds files of
 * pages of different moments, and opens them. Image N of a seed is the same in each run; only what
 * sh_open() draws at random (ids, nonces) differs. */
#define _GNU_SOURCE
#include "stress/common/heap_files.h"
#include "stress/common/totals.h"
#include "stress/common/verdict.h"
#include "stress/torn/give_up.h"
#include "stress/torn/image.h"
#include "stress/torn/live.h"
#include "stress/torn/mixture.h"
#include "stress/torn/opener.h"
#include "stress/torn/scene.h"
#include "stress/torn/seat.h"

#include <errno.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCENE_IMAGES 400u
#define KINDS_MOST 16u
#define FAILURES_MOST 4u
#define LEAST_ROUNDS 6u
/* How many times as long as it was to take, for that. */
#define PATIENCE 10
#define ANY UINT64_MAX

/* Process. How images of one kind ended. */
struct tally {
	uint64_t images;
	uint64_t refused;
	uint64_t clean; /* opened, and exactly a moment at which the heap was closed */
	uint64_t
		recovered; /* opened, and exactly a moment of the run whose control file is there */
	uint64_t untold;   /* opened, and a mixture in which nothing contradicts the marks */
	uint64_t salvaged;
	uint64_t not_salvaged;
	uint64_t bad;
};

/* Process. */
struct run {
	uint64_t seed;
	uint64_t only; /* the one image that is asked for, or ANY */
	uint64_t seconds;
	uint64_t images; /* instead of the seconds; 0: as many as there is time for */
	char folder[256];
	char path[300];
	const char *file; /* the one that is to be salvaged, or NULL */
	struct tally tallies[KINDS_MOST];
	struct recording recording;
	struct recording other;
	struct source source;
	struct image image;
	uint64_t scenes;
	uint64_t moments;
	uint64_t blocks;
	bool keep;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* --- one image ----------------------------------------------------------------------------- */

static uint64_t failures(const struct run *run)
{
	uint64_t bad = 0;

	for (unsigned i = 0; i < mixture_kind_count; i++)
		bad += run->tallies[i].bad;
	return bad;
}

static void bad(struct run *run, uint64_t number, unsigned kind, const char *what)
{
	char kept[400];

	run->tallies[kind].bad++;
	if (failures(run) > FAILURES_MOST)
		return;
	snprintf(kept, sizeof(kept), "%s/image-%llu", run->folder, (unsigned long long)number);
	image_write(&run->image, kept);
	run->keep = true;
	printf("FAILED  %s: %s\n        repeat: torn --seed %llu --image %llu; the file: %s\n",
		mixture_kinds[kind].name, what, (unsigned long long)run->seed,
		(unsigned long long)number, kept);
	fflush(stdout);
}

static bool is_moment(const struct run *run, enum moment_state state)
{
	for (unsigned i = 0; i < run->recording.count; i++)
		if (run->recording.moment[i]->state == state &&
			image_is(&run->image, run->recording.moment[i]))
			return true;
	return false;
}

static bool is_refusal(int error)
{
	return error == SH_ETORN || error == SH_EBADHEAP || error == SH_EVERSION;
}

static bool is_read_only_refusal(int error)
{
	return error == EROFS || error == SH_EBADHEAP || error == SH_EVERSION;
}

/* Whether nothing in the file or beside it tells that it is a mixture. */
static bool cannot_be_told(const struct run *run, unsigned kind)
{
	return !mixture_kinds[kind].promised &&
		(image_marks_agree(&run->image) || image_control_agrees(&run->image));
}

static void judge_opened(struct run *run, uint64_t number, unsigned kind,
	const struct outcome *outcome, bool clean, bool in_use)
{
	struct tally *tally = &run->tallies[kind];

	if (clean || (image_control_agrees(&run->image) && in_use)) {
		if (outcome->fault[0] != '\0')
			bad(run, number, kind, outcome->fault);
		else if (outcome->problems != 0)
			bad(run, number, kind, "sh_check() finds problems in a whole file");
		else if (clean)
			tally->clean++;
		else
			tally->recovered++;
	} else if (cannot_be_told(run, kind)) {
		tally->untold++;
	} else {
		bad(run, number, kind, "a mixture was taken for whole");
	}
}

static void judge_salvage(struct run *run, uint64_t number, unsigned kind)
{
	struct tally *tally = &run->tallies[kind];
	struct outcome outcome;

	opener_salvage(run->path, number / mixture_kind_count % 4 == 0, &outcome);
	run->blocks += outcome.blocks;
	if (outcome.fault[0] != '\0')
		bad(run, number, kind, outcome.fault);
	else if (outcome.opened == 0)
		tally->salvaged++;
	else if (is_refusal(outcome.opened))
		tally->not_salvaged++;
	else
		bad(run, number, kind, sh_strerror(outcome.opened));
}

static void judge_refused(struct run *run, uint64_t number, unsigned kind,
	const struct outcome *outcome, bool clean)
{
	if (!is_refusal(outcome->opened))
		bad(run, number, kind, sh_strerror(outcome->opened));
	else if (clean)
		bad(run, number, kind, "a whole clean file was refused");
	else if (!is_read_only_refusal(outcome->read_only))
		bad(run, number, kind, "SH_RDONLY opens what is refused without");
	else if (!image_unchanged(&run->image, run->path))
		bad(run, number, kind, "a file that was refused was written");
	else
		run->tallies[kind].refused++;
	judge_salvage(run, number, kind);
}

static void play_image(struct run *run, uint64_t number)
{
	struct chance chance = chance_of(run->seed, number * 2 + 1);
	unsigned kind = (unsigned)(number % mixture_kind_count);
	struct outcome outcome;
	bool clean;
	bool in_use;

	mixture_kinds[kind].make(&run->source, &chance, &run->image);
	clean = is_moment(run, MOMENT_CLEAN);
	in_use = is_moment(run, MOMENT_IN_USE);
	if (run->image.other_boot)
		image_reboot(&run->image);
	image_write(&run->image, run->path);
	run->tallies[kind].images++;
	opener_try(run->path, &outcome);
	if (run->only != ANY)
		printf("image %llu: %s; %s a clean moment; sh_open: %s; with SH_RDONLY: %s\n",
			(unsigned long long)number, mixture_kinds[kind].name, clean ? "is" : "not",
			outcome.opened == 0 ? "yes" : sh_strerror(outcome.opened),
			outcome.read_only == 0 ? "yes" : sh_strerror(outcome.read_only));
	if (outcome.opened == 0 && (outcome.fault[0] == '\0' || outcome.closed))
		judge_opened(run, number, kind, &outcome, clean, in_use);
	else if (outcome.fault[0] != '\0')
		bad(run, number, kind, outcome.fault);
	else
		judge_refused(run, number, kind, &outcome, clean);
}

/* --- scenes -------------------------------------------------------------------------------- */

static void play_scene(struct run *run, uint64_t scene)
{
	uint64_t most;

	if (!scene_play(&run->other, run->path, chance_of(run->seed ^ 1, scene)) ||
		!scene_play(&run->recording, run->path, chance_of(run->seed, scene * 2)))
		give_up("a scene cannot be played");
	source_init(&run->source, &run->recording, &run->other);
	most = run->recording.most_pages;
	if (run->other.most_pages > most)
		most = run->other.most_pages;
	image_init(&run->image, most);
	run->scenes++;
	run->moments += run->recording.count;
}

static void end_scene(struct run *run)
{
	source_free(&run->source);
	image_free(&run->image);
	recording_free(&run->recording);
	recording_free(&run->other);
}

static struct tally sum_of_tallies(const struct run *run)
{
	struct tally all = { 0 };

	for (unsigned i = 0; i < mixture_kind_count; i++) {
		const struct tally *tally = &run->tallies[i];

		all.images += tally->images;
		all.bad += tally->bad;
		all.refused += tally->refused;
		all.clean += tally->clean;
		all.recovered += tally->recovered;
		all.salvaged += tally->salvaged;
	}
	return all;
}

static bool all_kinds_came_up(const struct tally *all)
{
	return all->refused > 0 && all->clean > 0 && all->recovered > 0 && all->salvaged > 0;
}

/* A slow machine, too, tries every kind a few times, and sees all that can become of an image: of a scene some may not
 * come up. */
static bool goes_on(const struct run *run, uint64_t number, double end)
{
	if (failures(run) >= FAILURES_MOST)
		return false;
	if (run->images != 0)
		return number < run->images;
	const struct tally all = sum_of_tallies(run);

	return now() < end || number < LEAST_ROUNDS * mixture_kind_count ||
		(!all_kinds_came_up(&all) && now() < end + PATIENCE * (double)run->seconds);
}

static void play_images(struct run *run)
{
	double end = now() + (double)run->seconds;

	for (uint64_t scene = 0; goes_on(run, scene * SCENE_IMAGES, end); scene++) {
		uint64_t number = scene * SCENE_IMAGES;

		play_scene(run, scene);
		for (; number < (scene + 1) * SCENE_IMAGES && goes_on(run, number, end); number++)
			play_image(run, number);
		end_scene(run);
	}
}

static void play_one(struct run *run)
{
	play_scene(run, run->only / SCENE_IMAGES);
	play_image(run, run->only);
	end_scene(run);
}

/* --- the table ----------------------------------------------------------------------------- */

static void print_table(const struct run *run)
{
	printf("\n%-42s %7s %7s %6s %9s %6s %8s %7s %4s\n", "mixture", "images", "refused", "clean",
		"recovered", "untold", "salvaged", "beyond", "bad");
	for (unsigned i = 0; i < mixture_kind_count; i++) {
		const struct tally *tally = &run->tallies[i];

		printf("%-42s %7llu %7llu %6llu %9llu %6llu %8llu %7llu %4llu\n",
			mixture_kinds[i].name, (unsigned long long)tally->images,
			(unsigned long long)tally->refused, (unsigned long long)tally->clean,
			(unsigned long long)tally->recovered, (unsigned long long)tally->untold,
			(unsigned long long)tally->salvaged,
			(unsigned long long)tally->not_salvaged, (unsigned long long)tally->bad);
	}
	printf("%llu scenes, %llu moments; %llu blocks allocated in salvaged heaps\n\n",
		(unsigned long long)run->scenes, (unsigned long long)run->moments,
		(unsigned long long)run->blocks);
}

static void print_totals(const struct run *run, const struct tally *all)
{
	const struct totals totals = {
		.cases = run->moments,
		.images = all->images,
		.states = TOTALS_NONE,
		.deaths = TOTALS_NONE,
		.bad = all->bad,
	};

	totals_print(&totals);
}

static void print_verdicts(const struct run *run)
{
	const struct tally all = sum_of_tallies(run);

	for (unsigned i = 0; i < mixture_kind_count; i++)
		verdict(run->tallies[i].bad == 0 && run->tallies[i].images > 0, "%s",
			mixture_kinds[i].name);
	verdict(all_kinds_came_up(&all),
		"there were images that are refused, clean, recovered and salvaged");
	print_totals(run, &all);
}

/* --- */

static void usage(void)
{
	fputs("usage: torn [--quick] [--seconds N | --images N] [--seed N] [--image N] [--folder "
	      "PATH]\n"
	      "       torn --salvage FILE\n",
		stderr);
	exit(2);
}

static bool take_argument(struct run *run, const char *name, const char *value)
{
	if (strcmp(name, "--seconds") == 0)
		run->seconds = strtoull(value, NULL, 0);
	else if (strcmp(name, "--images") == 0)
		run->images = strtoull(value, NULL, 0);
	else if (strcmp(name, "--seed") == 0)
		run->seed = strtoull(value, NULL, 0);
	else if (strcmp(name, "--image") == 0)
		run->only = strtoull(value, NULL, 0);
	else if (strcmp(name, "--salvage") == 0)
		run->file = value;
	else if (strcmp(name, "--folder") == 0)
		snprintf(run->folder, sizeof(run->folder), "%s", value);
	else
		return false;
	return true;
}

static void read_arguments(struct run *run, int count, char **arguments)
{
	for (int i = 1; i < count; i++) {
		if (strcmp(arguments[i], "--quick") == 0)
			run->seconds = 12;
		else if (i + 1 == count || !take_argument(run, arguments[i], arguments[i + 1]))
			usage();
		else
			i++;
	}
}

static void make_folder(struct run *run)
{
	size_t used = strlen(run->folder);

	snprintf(run->folder + used, sizeof(run->folder) - used, "/spanheap-torn-XXXXXX");
	if (mkdtemp(run->folder) == NULL)
		give_up(run->folder);
	snprintf(run->path, sizeof(run->path), "%s/heap", run->folder);
}

static void remove_folder(const struct run *run)
{
	heap_files_remove(run->path);
	if (!run->keep)
		rmdir(run->folder);
}

/* What is done to every torn image, to a file: it is changed. */
static int salvage_file(const char *path)
{
	struct outcome outcome;

	opener_salvage(path, true, &outcome);
	verdict(outcome.fault[0] == '\0', "%s: sh_open: %d; %llu problems; %s", path,
		outcome.opened, (unsigned long long)outcome.problems, outcome.fault);
	return verdict_print() == 0 ? 0 : 1;
}

int main(int count, char **arguments)
{
	static struct run run = { .only = ANY, .seconds = 34, .folder = "/dev/shm" };
	const char *seed = getenv("SH_SEED");

	run.seed = seed != NULL ? strtoull(seed, NULL, 0)
				: (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
	run.seed %= 1000000000;
	read_arguments(&run, count, arguments);
	printf("torn --seed %llu\n", (unsigned long long)run.seed);
	if (run.file != NULL)
		return salvage_file(run.file);
	make_folder(&run);
	seats_prepare(run.path);
	if (run.only != ANY) {
		play_one(&run);
		verdict(failures(&run) == 0, "image %llu", (unsigned long long)run.only);
	} else {
		play_images(&run);
		print_table(&run);
		print_verdicts(&run);
		run.keep |= !live_copies(run.folder, run.seed, run.seconds > 20 ? 5000 : 2000);
	}
	remove_folder(&run);
	return verdict_print() == 0 ? 0 : 1;
}
