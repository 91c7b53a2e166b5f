/* mutant.c -- the controls: what if a store were missing, or came too early?
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/mutant.h"

#include "stress/common/verdict.h"
#include "stress/crashlog/field.h"
#include "stress/crashlog/guard.h"
#include "stress/crashlog/hash_set.h"
#include "stress/crashlog/oracle.h"
#include "stress/crashlog/sweep.h"
#include "stress/crashlog/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the images behind a missing store, so many are judged, then every second, every fourth and so on, and
 * the last one. */
#define NEAR_IMAGES 6u

/* Process. Stores to one kind of place. */
struct mutant_row {
	uint64_t missing;
	uint64_t missing_found;
	uint64_t early;
	uint64_t early_found;
};

/* Process. */
struct mutation {
	struct scene *scene;
	const struct options *options;
	const struct operation *operation;
	const struct logged_operation *logged;
	struct oracle oracle;
	struct hash_set right; /* images of the operation as it is */
	struct hash_set good;  /* others that were judged, and are no worse */
	struct mutant_row rows[FIELDS];
};

/* What must be found when it is missing, and when it comes too early. */
static const bool missing_matters[FIELDS] = {
	[FIELD_DATA] = true,
	[FIELD_ROOT] = true,
	[FIELD_LOG_WORD] = true,
	[FIELD_ENTRY] = true,
	[FIELD_INTENT] = true,
	[FIELD_CONTROL] = true,
	[FIELD_EXTENSION] = true,
	[FIELD_HEAD] = true,
	[FIELD_MANUAL_HEAD] = true,
	[FIELD_RECORD] = true,
	[FIELD_BYTES] = true,
	[FIELD_ALLOCATED] = true,
	[FIELD_FREED] = true,
	[FIELD_LIMBO] = true,
	[FIELD_TABLE] = true,
};
static const bool early_matters[FIELDS] = {
	[FIELD_LOG_WORD] = true,
	[FIELD_INTENT] = true,
	[FIELD_HEAD] = true,
	[FIELD_MANUAL_HEAD] = true,
};

static const struct store *store_at(const struct mutation *mutation, uint64_t at)
{
	return &mutation->scene->log.stores[at];
}

/* Whether the image that stands now is found to be bad. */
static bool is_found(struct mutation *mutation, bool is_last)
{
	struct replay *replay = &mutation->scene->replay;
	struct image_hash both = replay_both(replay);
	unsigned flags = JUDGE_QUICKLY | (is_last ? JUDGE_AFTER : JUDGE_ANY);

	if (!is_last &&
		(hash_set_has(&mutation->right, both) || hash_set_has(&mutation->good, both)))
		return false;
	work_reset(replay);
	if (!oracle_judge(&mutation->oracle, mutation->operation, flags) ||
		!oracle_judge_reaping(&mutation->oracle, mutation->operation, flags))
		return true;
	hash_set_add(&mutation->good, both);
	return false;
}

static bool is_looked_at(uint64_t distance)
{
	unsigned shift = 0;

	while (distance >> shift > NEAR_IMAGES)
		shift++;
	return (distance & ((UINT64_C(1) << shift) - 1)) == 0;
}

/* The replay is where the store comes next; and is there again afterwards. */
static bool is_missed(struct mutation *mutation, uint64_t missing)
{
	struct replay *replay = &mutation->scene->replay;
	uint64_t end = mutation->logged->end;
	uint64_t at = missing + 1;
	bool found = false;

	if (at == end)
		found = is_found(mutation, true);
	for (; at < end && !found; at++) {
		replay_apply(replay, store_at(mutation, at));
		if (at + 1 == end || is_looked_at(at - missing))
			found = is_found(mutation, at + 1 == end);
	}
	while (at-- > missing + 1)
		replay_take_back(replay, store_at(mutation, at));
	return found;
}

/* The replay is where the operation begins. */
static bool is_too_early(struct mutation *mutation, uint64_t at)
{
	struct replay *replay = &mutation->scene->replay;
	bool found;

	replay_apply(replay, store_at(mutation, at));
	found = is_found(mutation, false);
	replay_take_back(replay, store_at(mutation, at));
	return found;
}

/* --- one operation ------------------------------------------------------------------------- */

static enum field field_of(const struct mutation *mutation, uint64_t at)
{
	const struct store *store = store_at(mutation, at);

	if (store->kind != STORE_BYTES)
		return FIELD_OTHER;
	return store->file == FILE_HEAP ? field_at(&mutation->scene->replay.view, store->where)
					: FIELD_CONTROL;
}

/* Of a copy, a fill or another loop the first stores stand for all. */
static bool is_one_of_many(const struct mutation *mutation, uint64_t at)
{
	const struct store *store = store_at(mutation, at);
	enum field field = field_of(mutation, at);

	if (at < mutation->logged->first + 2)
		return false;
	for (unsigned i = 1; i <= 2; i++) {
		const struct store *before = store_at(mutation, at - i);

		if (field_of(mutation, at - i) != field ||
			(before->code != store->code && field != FIELD_DATA))
			return false;
	}
	return true;
}

static bool changes_nothing(const struct mutation *mutation, const struct store *store)
{
	const char *now = mutation->scene->replay.files[store->file].now;

	return memcmp(now + store->where, store->content, store->bytes) == 0;
}

/* Whether so many were tried that no more are. */
static bool is_enough(const struct mutation *mutation, uint64_t tried, uint64_t found, bool matters)
{
	return tried >= mutation->options->mutant_limit && (found > 0 || !matters);
}

static void leave_out(struct mutation *mutation, uint64_t at)
{
	enum field field = field_of(mutation, at);
	struct mutant_row *row = &mutation->rows[field];
	bool found;

	if (store_at(mutation, at)->kind != STORE_BYTES ||
		is_enough(mutation, row->missing, row->missing_found, missing_matters[field]))
		return;
	if (is_one_of_many(mutation, at) || changes_nothing(mutation, store_at(mutation, at)))
		return;
	found = is_missed(mutation, at);
	row->missing++;
	row->missing_found += found;
	if (mutation->options->list && !found) {
		printf("not needed by this oracle: %s, store %" PRIu64 ": ",
			mutation->operation->record.name, at - mutation->logged->first + 1);
		print_store(mutation->scene, store_at(mutation, at));
		putchar('\n');
	}
}

static void make_early(struct mutation *mutation, uint64_t at)
{
	enum field field = field_of(mutation, at);
	struct mutant_row *row = &mutation->rows[field];

	if (store_at(mutation, at)->kind != STORE_BYTES ||
		is_enough(mutation, row->early, row->early_found, early_matters[field]))
		return;
	if (at == mutation->logged->first || is_one_of_many(mutation, at))
		return;
	row->early++;
	row->early_found += is_too_early(mutation, at);
}

/* The images of the operation as it is, all of which are right. */
static void note_images(struct mutation *mutation)
{
	struct replay *replay = &mutation->scene->replay;

	for (uint64_t at = mutation->logged->first; at < mutation->logged->end; at++) {
		hash_set_add(&mutation->right, replay_both(replay));
		replay_apply(replay, store_at(mutation, at));
	}
	for (uint64_t at = mutation->logged->end; at-- > mutation->logged->first;)
		replay_take_back(replay, store_at(mutation, at));
}

static void mutate(struct mutation *mutation)
{
	struct replay *replay = &mutation->scene->replay;

	note_images(mutation);
	for (uint64_t at = mutation->logged->first; at < mutation->logged->end; at++)
		make_early(mutation, at);
	for (uint64_t at = mutation->logged->first; at < mutation->logged->end; at++) {
		leave_out(mutation, at);
		replay_apply(replay, store_at(mutation, at));
	}
	replay_settle(replay);
	hash_set_clear(&mutation->right);
	hash_set_clear(&mutation->good);
}

/* --- the result ---------------------------------------------------------------------------- */

static void print_rows(const struct mutation *mutation)
{
	printf("%-20s %8s %6s %8s %6s\n", "control: store to", "missing", "found", "early",
		"found");
	for (enum field field = 0; field < FIELDS; field++) {
		const struct mutant_row *row = &mutation->rows[field];

		if (row->missing + row->early != 0)
			printf("%-20s %8" PRIu64 " %6" PRIu64 " %8" PRIu64 " %6" PRIu64 "\n",
				field_name(field), row->missing, row->missing_found, row->early,
				row->early_found);
	}
}

static void judge_rows(const struct mutation *mutation)
{
	for (enum field field = 0; field < FIELDS; field++) {
		const struct mutant_row *row = &mutation->rows[field];

		if (missing_matters[field])
			verdict(row->missing_found > 0, "control: a missing store is found: %s",
				field_name(field));
		if (early_matters[field])
			verdict(row->early_found > 0,
				"control: a store that comes too early is found: %s",
				field_name(field));
	}
}

/* Each operation's first occurrence. */
static bool is_repeated(const struct scene *scene, uint32_t i)
{
	for (uint32_t before = 0; before < i; before++)
		if (strcmp(scene->expected.operations[before].record.name,
			    scene->expected.operations[i].record.name) == 0)
			return true;
	return false;
}

void mutants(struct scene *scene, const struct options *options)
{
	struct mutation *mutation = calloc(1, sizeof(*mutation));
	uint64_t at = 0;

	if (mutation == NULL)
		exit(2);
	mutation->scene = scene;
	mutation->options = options;
	mutation->oracle.replay = &scene->replay;
	scene_rewind(scene);
	fflush(stderr);
	guard_quietly();
	for (uint32_t i = 0; i < scene->log.operation_count; i++) {
		mutation->operation = &scene->expected.operations[i];
		mutation->logged = &scene->log.operations[i];
		sweep_apply(scene, &at, mutation->logged->first);
		if (!sweep_wants(options, mutation->operation) || is_repeated(scene, i))
			continue;
		mutate(mutation);
		at = mutation->logged->end;
	}
	print_rows(mutation);
	if (options->operation == NULL)
		judge_rows(mutation);
	free(mutation);
}
