/* sweep.c -- every image of every operation of a scene
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/sweep.h"

#include "stress/common/verdict.h"
#include "stress/crashlog/closure.h"
#include "stress/crashlog/opener.h"
#include "stress/crashlog/streak.h"
#include "stress/crashlog/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAILURES_SAID 3u
/* Of the images of a long operation. */
#define FOLLOWED_ENDS 60u
#define FOLLOWED_STEP 8u

/* Process. */
struct sweeping {
	struct scene *scene;
	const struct options *options;
	struct oracle oracle;
	struct closure closure;
	struct opener opener;
	const struct operation *operation; /* under way */
	const struct logged_operation *logged;
	struct hash_set seen;        /* its images */
	struct hash_set seen_by_one; /* of both files: what a survivor finds */
	struct hash_set seen_by_opener;
	struct tally tally;
	struct streak streak;
};

bool sweep_wants(const struct options *options, const struct operation *operation)
{
	char *end;
	uint64_t number;

	if (options->operation == NULL)
		return true;
	number = strtoull(options->operation, &end, 0);
	if (*options->operation != '\0' && *end == '\0')
		return number == operation->record.number;
	return strcmp(options->operation, operation->record.name) == 0;
}

void sweep_apply(struct scene *scene, uint64_t *at, uint64_t end)
{
	while (*at < end) {
		replay_apply(&scene->replay, &scene->log.stores[(*at)++]);
		replay_settle(&scene->replay);
	}
}

/* --- failures ------------------------------------------------------------------------------ */

void print_repeat(const struct scene *scene, const struct options *options,
	const struct operation *operation, uint64_t store)
{
	printf("  to repeat: crashlog --state %s --seed %" PRIu64
	       " --random %u --operation %" PRIu32 " --store %" PRIu64 "\n",
		scene->state, options->seed, options->random_operations, operation->record.number,
		store);
}

void print_store(const struct scene *scene, const struct store *store)
{
	if (store->kind != STORE_BYTES) {
		printf("a file is %s",
			store->kind == STORE_LENGTH ? "made longer or shorter" : "renamed");
		return;
	}
	printf("%s, %u bytes at %" PRIx64 ", by the instruction at %" PRIx64
	       " of crashlog_scenario",
		store->file == FILE_HEAP ? field_name(field_at(&scene->replay.view, store->where))
					 : "control file",
		store->bytes, store->where, store->code);
}

static void keep_page(const struct replayed_file *file, uint64_t offset, void *argument)
{
	FILE *to = argument;

	if (offset < file->length) {
		fseeko(to, (off_t)offset, SEEK_SET);
		fwrite(file->now + offset, 1, 4096, to);
	}
}

/* Leaves the image as a file. */
static void keep(const struct sweeping *sweeping)
{
	const struct replayed_file *file = &sweeping->scene->replay.files[FILE_HEAP];
	FILE *to = fopen(sweeping->options->keep, "we");

	if (to == NULL) {
		perror(sweeping->options->keep);
		return;
	}
	replay_each_page(file, keep_page, to);
	fflush(to);
	if (ftruncate(fileno(to), (off_t)file->length) != 0)
		perror(sweeping->options->keep);
	fclose(to);
	printf("  the image is %s\n", sweeping->options->keep);
}

/* `how`: what was done with the image. */
static void say_failure(struct sweeping *sweeping, uint64_t store, const char *how, unsigned deaths)
{
	const struct closure *closure = &sweeping->closure;
	const struct operation *operation = sweeping->operation;
	uint64_t count = sweeping->logged->end - sweeping->logged->first;

	if (++sweeping->tally.bad > FAILURES_SAID)
		return;
	printf("FAILED  %s: after %" PRIu64 " of %" PRIu64 " stores, %s: %s\n",
		operation->record.name, store, count, how, sweeping->oracle.why);
	if (store > 0) {
		printf("  the last store: ");
		print_store(sweeping->scene,
			&sweeping->scene->log.stores[sweeping->logged->first + store - 1]);
		putchar('\n');
	}
	for (unsigned i = 0; i < deaths && i < CLOSURE_DEATHS; i++)
		printf("  then a recovery died after %" PRIu64 " stores\n", closure->died_after[i]);
	print_repeat(sweeping->scene, sweeping->options, operation, store);
	if (sweeping->options->keep != NULL)
		keep(sweeping);
	fflush(stdout);
}

/* --- images -------------------------------------------------------------------------------- */

/* Whether deaths of the image's recovery are looked at. In the middle of a long operation they are for every
 * so many images. */
static bool recoveries_die(const struct sweeping *sweeping, uint64_t store, uint64_t count)
{
	const struct options *options = sweeping->options;

	if (options->depth == 0)
		return false;
	return options->all_images || options->one_store || store <= FOLLOWED_ENDS ||
		count - store < FOLLOWED_ENDS || sweeping->tally.images % FOLLOWED_STEP == 0;
}

/* A call that was not begun has done nothing, one that returned has done all. */
static unsigned allowed_after(uint64_t store, uint64_t count)
{
	if (store == count)
		return JUDGE_AFTER;
	return store == 0 ? JUDGE_BEFORE : JUDGE_ANY;
}

static void judge(struct sweeping *sweeping, uint64_t store)
{
	uint64_t count = sweeping->logged->end - sweeping->logged->first;
	unsigned flags = allowed_after(store, count);
	uint64_t images = sweeping->closure.images;
	uint64_t recoveries = sweeping->closure.recoveries;

	sweeping->tally.images++;
	work_reset(&sweeping->scene->replay);
	if (!oracle_judge(&sweeping->oracle, sweeping->operation, flags))
		say_failure(sweeping, store, "recovered", 0);
	else if (recoveries_die(sweeping, store, count) &&
		!closure_judge(&sweeping->closure, sweeping->operation, flags, store == 0))
		say_failure(sweeping, store, "recovered at last", sweeping->closure.deaths);
	sweeping->tally.recovery_images += sweeping->closure.images - images;
	sweeping->tally.recoveries += sweeping->closure.recoveries - recoveries;
}

static void judge_reaping(struct sweeping *sweeping, uint64_t store)
{
	uint64_t count = sweeping->logged->end - sweeping->logged->first;

	sweeping->tally.reapings++;
	if (!oracle_judge_reaping(&sweeping->oracle, sweeping->operation,
		    allowed_after(store, count)))
		say_failure(sweeping, store, "reaped", 0);
}

static void judge_files(struct sweeping *sweeping, uint64_t store)
{
	uint64_t count = sweeping->logged->end - sweeping->logged->first;
	uint32_t flags = sweeping->operation->record.flags;
	bool clean = (store == 0 && (flags & OPERATION_CLEAN_BEFORE) != 0) ||
		(store == count && (flags & OPERATION_CLEAN_AFTER) != 0);

	sweeping->tally.openings++;
	if (!opener_judge(&sweeping->opener, sweeping->operation, allowed_after(store, count),
		    clean))
		say_failure(sweeping, store, "opened as files", 0);
}

/* All that is asked of the image, each thing unless the same was there before. */
static void judge_all(struct sweeping *sweeping, uint64_t store, bool always)
{
	const struct replay *replay = &sweeping->scene->replay;
	uint32_t flags = sweeping->operation->record.flags;

	if (hash_set_add(&sweeping->seen, replay->exact) || always)
		judge(sweeping, store);
	if ((flags & OPERATION_ALONE) == 0 &&
		(hash_set_add(&sweeping->seen_by_one, replay_both(replay)) || always))
		judge_reaping(sweeping, store);
	if ((flags & OPERATION_IN_FILES) != 0 &&
		(hash_set_add(&sweeping->seen_by_opener, replay_for_opener(replay)) || always))
		judge_files(sweeping, store);
}

static uint64_t place_in_heap(const struct sweeping *sweeping, uint64_t at)
{
	const struct store *store = &sweeping->scene->log.stores[at];

	return at < sweeping->logged->end && store->file == FILE_HEAP && store->kind == STORE_BYTES
		? store->where
		: STREAK_NO_STORE;
}

/* Whether the image after the store is one in the middle of a long copy. */
static bool is_passed_by(struct sweeping *sweeping, uint64_t at)
{
	bool left_out = streak_leaves_out(&sweeping->streak, &sweeping->scene->replay.view,
		place_in_heap(sweeping, at), place_in_heap(sweeping, at + 1));

	return left_out && !sweeping->options->all_images;
}

static void look_at_one(struct sweeping *sweeping, uint64_t store)
{
	judge_all(sweeping, store, true);
	if (sweeping->options->keep != NULL && sweeping->tally.bad == 0)
		keep(sweeping);
}

static void look_at(struct sweeping *sweeping, uint64_t store)
{
	const struct logged_operation *logged = sweeping->logged;
	const struct options *options = sweeping->options;
	uint64_t at = logged->first + store - 1;
	bool is_last = logged->first + store == logged->end;
	bool passed_by = store > 0 && is_passed_by(sweeping, at);

	if (store > 0 && place_in_heap(sweeping, at) != STREAK_NO_STORE)
		sweeping->tally.stores++;
	if (options->one_store) {
		if (store == options->store)
			look_at_one(sweeping, store);
		return;
	}
	if (passed_by) {
		sweeping->tally.passed_by++;
		return;
	}
	judge_all(sweeping, store, is_last);
}

static void sweep_operation(struct sweeping *sweeping, uint64_t *at)
{
	const char *name = sweeping->operation->record.name;
	uint64_t count = sweeping->logged->end - sweeping->logged->first;

	sweeping->tally = (struct tally){ .operations = 1 };
	sweeping->streak = (struct streak){ 0 };
	look_at(sweeping, 0);
	for (uint64_t store = 1; store <= count; store++) {
		sweep_apply(sweeping->scene, at, sweeping->logged->first + store);
		look_at(sweeping, store);
	}
	hash_set_clear(&sweeping->seen);
	hash_set_clear(&sweeping->seen_by_one);
	hash_set_clear(&sweeping->seen_by_opener);
	closure_forget(&sweeping->closure);
	tally_of_kind(name, &sweeping->tally);
	if (sweeping->options->list)
		printf("%4" PRIu32 " %-46s %6" PRIu64 " images, %6" PRIu64
		       " of recoveries, %" PRIu64 " bad\n",
			sweeping->operation->record.number, name, sweeping->tally.images,
			sweeping->tally.recovery_images, sweeping->tally.bad);
}

void sweep(struct scene *scene, const struct options *options)
{
	struct sweeping *sweeping = calloc(1, sizeof(*sweeping));
	uint64_t at = 0;
	bool any = false;

	if (sweeping == NULL)
		exit(2);
	sweeping->scene = scene;
	sweeping->options = options;
	sweeping->oracle.replay = &scene->replay;
	closure_init(&sweeping->closure, &sweeping->oracle, options->depth);
	sweeping->closure.all_images = options->all_images;
	opener_init(&sweeping->opener, &sweeping->oracle, scene->folder);
	for (uint32_t i = 0; i < scene->log.operation_count; i++) {
		sweeping->operation = &scene->expected.operations[i];
		sweeping->logged = &scene->log.operations[i];
		sweep_apply(scene, &at, sweeping->logged->first);
		if (!sweep_wants(options, sweeping->operation))
			continue;
		sweep_operation(sweeping, &at);
		any = true;
	}
	if (!any)
		verdict(false, "%s: there is no operation %s", scene->state,
			options->operation == NULL ? "at all" : options->operation);
	sweep_apply(scene, &at, scene->log.count);
	verdict(replay_equals(&scene->replay, scene->last),
		"%s: the log leads to the heap file byte by byte: no store is missing",
		scene->state);
	tally_print_kinds(scene->state);
	if (sweeping->closure.deepest > 0)
		printf("%" PRIu64 " recoveries were gone through, %" PRIu64
		       " stores; at most %u died one after the other; %" PRIu64 " cut off\n",
			sweeping->closure.recoveries, sweeping->closure.stores,
			sweeping->closure.deepest, sweeping->closure.cut_off);
	closure_free(&sweeping->closure);
	opener_free(&sweeping->opener);
	free(sweeping);
}
