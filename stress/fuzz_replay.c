/* fuzz_replay.c -- the fuzzers' corpus, and random changes of it, without libFuzzer
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *	fuzz_replay [--seed N] [--seconds N] [--corpus FOLDER]
 *	fuzz_replay image|operations FILE...
 *	fuzz_replay --make-corpus FOLDER
 *
 * Each input is played in a process that a signal may end, many in one; an input that ends its process is
 * written to a file. */
#define _GNU_SOURCE
#include "stress/common/chance.h"
#include "stress/common/totals.h"
#include "stress/fuzz/arena.h"
#include "stress/fuzz/edits.h"
#include "stress/fuzz/image_target.h"
#include "stress/fuzz/operation_target.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INPUT_BYTES 4096u
#define INPUTS_MOST 512u
#define WATCHDOG_S 20u
#define FAILURES_MOST 5u

#ifndef FUZZ_CORPUS
#define FUZZ_CORPUS "stress/fuzz/corpus"
#endif

enum target { TARGET_IMAGE, TARGET_OPERATIONS, TARGETS };

static const char *const target_names[] = { "image", "operations" };

/* Process. */
struct input {
	size_t size;
	uint8_t data[INPUT_BYTES];
};

/* Shared mapping: what the process that plays is at. */
struct playing {
	struct input input;
	enum target target;
	uint64_t played[TARGETS];
	uint64_t deaths; /* inside of calls */
};

static struct input *corpus[TARGETS];
static unsigned corpus_count[TARGETS];
static struct playing *playing;
static uint64_t seed;
static uint64_t seconds = 8;
static unsigned failures;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void play(enum target target, const struct input *input)
{
	playing->input = *input;
	playing->target = target;
	alarm(WATCHDOG_S);
	if (target == TARGET_IMAGE)
		image_target(input->data, input->size);
	else
		operation_target(input->data, input->size);
	playing->played[target]++;
	playing->deaths = operation_deaths();
}

/* --- the corpus ---------------------------------------------------------------------------- */

static bool read_input(const char *path, struct input *input)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL)
		return false;
	input->size = fread(input->data, 1, INPUT_BYTES, file);
	fclose(file);
	return true;
}

static bool write_input(const char *path, const struct input *input)
{
	FILE *file = fopen(path, "wb");
	bool done = file != NULL && fwrite(input->data, 1, input->size, file) == input->size;

	if (file != NULL && fclose(file) != 0)
		done = false;
	return done;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_corpus(const char *folder, enum target target)
{
	char path[1024];
	struct dirent **entries = NULL;
	int count;

	snprintf(path, sizeof(path), "%s/%s", folder, target_names[target]);
	count = scandir(path, &entries, NULL, by_name);
	corpus[target] = calloc(INPUTS_MOST, sizeof(struct input));
	if (corpus[target] == NULL)
		abort();
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", folder, target_names[target],
			entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && corpus_count[target] < INPUTS_MOST &&
			read_input(path, &corpus[target][corpus_count[target]]))
			corpus_count[target]++;
		free(entries[i]);
	}
	free(entries);
}

/* A few inputs from which others can be made: every heap untouched, each kind of field edited; runs of calls. */
static bool make_corpus(const char *folder)
{
	struct chance chance = { 1 };
	char path[1024];
	bool done = true;

	for (unsigned i = 0; i < 60; i++) {
		struct input input = { .size = EDITS_HEADER_BYTES };

		input.data[0] = (uint8_t)(i % FUZZ_BASES);
		input.data[1] = (uint8_t)(i / FUZZ_BASES % 4);
		for (unsigned k = 0; i >= 12 && k < 1 + i % 5; k++)
			input.size = edits_mutate(input.data, input.size, INPUT_BYTES, &chance);
		snprintf(path, sizeof(path), "%s/image/made-%02u", folder, i);
		done &= write_input(path, &input);
	}
	for (unsigned i = 0; i < 24; i++) {
		struct input input = { .size = 3 * (10 + 4 * i) };

		for (size_t k = 0; k < input.size; k++)
			input.data[k] = (uint8_t)chance_next(&chance);
		snprintf(path, sizeof(path), "%s/operations/made-%02u", folder, i);
		done &= write_input(path, &input);
	}
	return done;
}

/* --- random changes ------------------------------------------------------------------------ */

static void change_bytes(struct input *input, struct chance *chance)
{
	for (uint64_t i = 1 + chance_below(chance, 12); i > 0; i--) {
		size_t at = chance_below(chance, input->size + 1);

		if (at == input->size && input->size + 3 <= 360)
			input->size += 3;
		if (at < input->size)
			input->data[at] = (uint8_t)chance_next(chance);
	}
}

static void change(enum target target, struct input *input, struct chance *chance)
{
	if (target == TARGET_OPERATIONS) {
		change_bytes(input, chance);
		return;
	}
	for (uint64_t i = 1 + chance_below(chance, 4); i > 0; i--)
		input->size = edits_mutate(input->data, input->size, INPUT_BYTES, chance);
}

static void play_changed(uint64_t first, double end)
{
	for (uint64_t number = first; now() < end; number++) {
		struct chance chance = { seed ^ number * UINT64_C(0xd6e8feb86659fd93) };
		enum target target = number % 4 == 3 ? TARGET_OPERATIONS : TARGET_IMAGE;
		struct input input = { .size = 0 };

		if (corpus_count[target] > 0)
			input = corpus[target][chance_below(&chance, corpus_count[target])];
		change(target, &input, &chance);
		play(target, &input);
	}
}

/* --- processes ----------------------------------------------------------------------------- */

static void tell_failure(const char *what, int status)
{
	char path[64];
	const char *target = target_names[playing->target];

	failures++;
	snprintf(path, sizeof(path), "fuzz-%s-%llu-%u", target, (unsigned long long)seed, failures);
	if (!write_input(path, &playing->input))
		snprintf(path, sizeof(path), "(it cannot be written)");
	printf("FAILED  %s: %s (status 0x%x); repeat: fuzz_replay %s %s\n", what,
		WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "hangs" : "dies",
		(unsigned)status, target, path);
	fflush(stdout);
}

static pid_t start(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (child < 0)
		abort();
	return child;
}

static bool ended_well(pid_t child, const char *what)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		tell_failure(what, status);
	return status == 0;
}

static bool play_corpus(enum target target)
{
	pid_t child = start();

	if (child == 0) {
		for (unsigned i = 0; i < corpus_count[target]; i++)
			play(target, &corpus[target][i]);
		_exit(0);
	}
	return ended_well(child, target == TARGET_IMAGE ? "image, corpus" : "operations, corpus");
}

static void play_changes(void)
{
	double end = now() + (double)seconds;
	uint64_t first = 0;

	while (now() < end && failures < FAILURES_MOST) {
		uint64_t before =
			playing->played[TARGET_IMAGE] + playing->played[TARGET_OPERATIONS];
		pid_t child = start();
		uint64_t number;

		if (child == 0) {
			play_changed(first, end);
			_exit(0);
		}
		number = first;
		if (ended_well(child, "changed"))
			break;
		first = number + 1 + playing->played[TARGET_IMAGE] +
			playing->played[TARGET_OPERATIONS] - before;
	}
}

static int play_files(int count, char **arguments)
{
	enum target target = strcmp(arguments[1], target_names[TARGET_IMAGE]) == 0
		? TARGET_IMAGE
		: TARGET_OPERATIONS;

	for (int i = 2; i < count; i++) {
		struct input input;

		if (!read_input(arguments[i], &input)) {
			fprintf(stderr, "fuzz_replay: %s cannot be read\n", arguments[i]);
			return 2;
		}
		play(target, &input);
	}
	printf("%d passed, 0 failed\n", count - 2);
	return 0;
}

static void usage(void)
{
	fputs("usage: fuzz_replay [--seed N] [--seconds N] [--corpus FOLDER]\n"
	      "       fuzz_replay image|operations FILE...\n"
	      "       fuzz_replay --make-corpus FOLDER\n",
		stderr);
	exit(2);
}

static const char *read_arguments(int count, char **arguments)
{
	const char *folder = FUZZ_CORPUS;

	for (int i = 1; i < count; i++) {
		if (i + 1 == count)
			usage();
		if (strcmp(arguments[i], "--seed") == 0)
			seed = strtoull(arguments[++i], NULL, 0);
		else if (strcmp(arguments[i], "--seconds") == 0)
			seconds = strtoull(arguments[++i], NULL, 0);
		else if (strcmp(arguments[i], "--corpus") == 0)
			folder = arguments[++i];
		else if (strcmp(arguments[i], "--make-corpus") == 0)
			exit(make_corpus(arguments[++i]) ? 0 : 2);
		else
			usage();
	}
	return folder;
}

static void print_totals(unsigned bad)
{
	const struct totals totals = {
		.cases = playing->played[TARGET_OPERATIONS],
		.images = playing->played[TARGET_IMAGE],
		.states = TOTALS_NONE,
		.deaths = playing->deaths,
		.bad = bad,
	};

	totals_print(&totals);
}

int main(int count, char **arguments)
{
	const char *given = getenv("SH_SEED");
	const char *folder;
	unsigned good = 0;

	playing = mmap(NULL, sizeof(*playing), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (playing == MAP_FAILED)
		abort();
	if (count > 2 &&
		(strcmp(arguments[1], target_names[TARGET_IMAGE]) == 0 ||
			strcmp(arguments[1], target_names[TARGET_OPERATIONS]) == 0))
		return play_files(count, arguments);
	seed = given != NULL ? strtoull(given, NULL, 0)
			     : (uint64_t)time(NULL) % 1000000 * 1000 + (uint64_t)getpid() % 1000;
	folder = read_arguments(count, arguments);
	printf("fuzz_replay --seed %llu\n", (unsigned long long)seed);
	for (unsigned target = 0; target < TARGETS; target++) {
		read_corpus(folder, target);
		if (corpus_count[target] == 0)
			printf("FAILED  there is no corpus in %s/%s\n", folder,
				target_names[target]);
		else if (play_corpus(target))
			good++;
	}
	play_changes();
	printf("%u + %u inputs of the corpus; played in all: %llu images, %llu sequences of calls "
	       "with %llu deaths inside of calls\n",
		corpus_count[TARGET_IMAGE], corpus_count[TARGET_OPERATIONS],
		(unsigned long long)playing->played[TARGET_IMAGE],
		(unsigned long long)playing->played[TARGET_OPERATIONS],
		(unsigned long long)playing->deaths);
	good += failures == 0;
	print_totals(TARGETS + 1 - good);
	printf("%u passed, %u failed\n", good, TARGETS + 1 - good);
	return good == TARGETS + 1 ? 0 : 1;
}
