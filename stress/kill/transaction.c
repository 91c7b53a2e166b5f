/* transaction.c -- transactions: planned into the record, then run
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/actor.h"

#include <errno.h>
#include <pthread.h>

#define LONG_ODDS 12u
#define SPREAD_ODDS 2u
#define ABORT_ODDS 6u
#define DETACHED_ODDS 4u
#define DEFERS_ODDS 3u
#define BYSTANDER_ODDS 12u
#define OTHER_THREAD_ODDS 16u
#define BYSTANDER_BLOCKS 4u
#define FILL_BYTES (UINT64_C(256) << 10)

/* --- planning transactions ----------------------------------------------------------------- */

static bool plans(const struct record *record, enum step_kind kind)
{
	for (uint32_t i = 0; i < record->step_count; i++)
		if (record->steps[i].kind == kind)
			return true;
	return false;
}

static bool plans_word(const struct record *record, uint32_t word)
{
	for (uint32_t i = 0; i < record->step_count; i++) {
		const struct step *step = &record->steps[i];

		if ((step->kind <= STEP_REPLACE && step->at == word) ||
			(step->kind == STEP_ADOPT && step->word == word))
			return true;
	}
	return false;
}

static void plan_add(struct actor *actor, struct step step)
{
	struct record *record = &actor->seat->record;

	record->steps[record->step_count++] = step;
}

static void plan_held(struct actor *actor, enum step_kind kind, uint32_t word)
{
	uint32_t at = find_held(actor, actor->seat->record.step_count);
	struct step step;

	if (at == ENTRIES)
		return;
	step = plan_entry(kind, at);
	step.word = word;
	plan_add(actor, step);
}

/* Does something about a directory word that no other step is about. */
static void plan_word(struct actor *actor, uint32_t word)
{
	const struct record *record = &actor->seat->record;
	struct step step = { .at = word, .block = plan_block(actor, record->step_count) };

	if (plans_word(record, word))
		return;
	if (actor->seat->published[word].off != 0)
		step.kind = chance_once_in(&actor->random, 3) ? STEP_FREE : STEP_REPLACE;
	else if (chance_once_in(&actor->random, 3))
		return plan_held(actor, STEP_ADOPT, word);
	else
		step.kind = STEP_ALLOC;
	plan_add(actor, step);
}

static void plan_data(struct actor *actor, enum step_kind kind)
{
	uint64_t first = chance_below(&actor->random, DATA_WORDS);

	plan_add(actor,
		(struct step){
			.kind = kind,
			.at = (uint32_t)first,
			.count = 1 + chance_below(&actor->random, DATA_WORDS - first),
		});
}

static void plan_pair(struct actor *actor)
{
	uint32_t pair = (uint32_t)chance_below(&actor->random, PAIRS);

	if (!plans(&actor->seat->record, STEP_PAIR))
		plan_add(actor,
			(struct step){
				.kind = STEP_PAIR,
				.at = pair,
				.count = actor->seat->added[pair] + 1,
			});
}

static void plan_step(struct actor *actor)
{
	const struct record *record = &actor->seat->record;

	switch (chance_below(&actor->random, 12)) {
	case 0:
		return plan_held(actor, STEP_DROP, 0);
	case 1:
		return plan_add(actor,
			(struct step){
				.kind = STEP_TEMPORARY,
				.block = plan_block(actor, record->step_count),
			});
	case 2:
		return plan_data(actor, STEP_ADD);
	case 3:
		return plan_data(actor, STEP_WRITE);
	case 4:
	case 5:
		return plan_pair(actor);
	case 6:
		if (!plans(record, STEP_ROOT))
			plan_add(actor, plan_root(actor));
		return;
	default:
		return plan_word(actor, (uint32_t)chance_below(&actor->random, DIRECTORY_WORDS));
	}
}

static void plan_no_step(struct actor *actor)
{
	struct record *record = &actor->seat->record;

	record->operation = OPERATION_TRANSACTION;
	record->aborts = chance_once_in(&actor->random, ABORT_ODDS);
	record->detached = chance_once_in(&actor->random, DETACHED_ODDS);
	record->defers = chance_once_in(&actor->random, DEFERS_ODDS);
	record->step_count = 0;
}

static void plan(struct actor *actor, bool is_long)
{
	uint64_t steps = is_long ? DIRECTORY_WORDS / 2 : 1 + chance_below(&actor->random, 6);

	plan_no_step(actor);
	for (uint32_t word = 0; is_long && word < DIRECTORY_WORDS; word++)
		plan_word(actor, word);
	for (uint64_t i = 0; i < steps; i++)
		plan_step(actor);
}

/* Stores and nothing else: of its time an uncommonly large part is in the commit. */
static void plan_spread(struct actor *actor)
{
	plan_no_step(actor);
	plan_add(actor, (struct step){ .kind = STEP_SPREAD });
}

/* --- running transactions ------------------------------------------------------------------ */

static int run_alloc(struct actor *actor, struct sh_txn *txn, struct held *block)
{
	block->off = sh_txn_alloc(txn, block->size, block->kind);
	if (block->off == 0)
		return errno;
	pattern_fill(actor->heap, block);
	return 0;
}

static int free_block(struct actor *actor, struct sh_txn *txn, sh_off off)
{
	return sh_txn_free(txn, off, actor->seat->record.defers ? SH_DEFERRED : 0);
}

/* Frees a block that nobody changed, and cannot be freed twice. Of a detached transaction sh_free() does
 * not know. */
static int run_free(struct actor *actor, struct sh_txn *txn, const struct held *block)
{
	int error;

	expect_pattern(actor, block);
	error = free_block(actor, txn, block->off);
	if (error == 0 && chance_once_in(&actor->random, 8)) {
		expect_error(actor, sh_txn_free(txn, block->off, 0), SH_EDOUBLEFREE,
			"sh_txn_free of a freed block");
		if (!actor->seat->record.detached)
			expect_error(actor, sh_free(actor->heap, block->off), SH_EDOUBLEFREE,
				"sh_free of a block that the transaction frees");
	}
	return error;
}

/* What happens to the directory word of a step. */
static int run_word(struct actor *actor, struct sh_txn *txn, const struct step *step)
{
	struct directory *directory = seat_directory(actor->heap, actor->seat);
	struct held block = step->block;
	uint32_t word = step->kind == STEP_ADOPT ? step->word : step->at;
	int error = 0;

	if (step->kind == STEP_FREE || step->kind == STEP_REPLACE)
		error = run_free(actor, txn, &actor->seat->published[word]);
	if (error == 0 && (step->kind == STEP_ALLOC || step->kind == STEP_REPLACE))
		error = run_alloc(actor, txn, &block);
	if (error == 0)
		error = sh_txn_store(txn, &directory->block[word], block.off);
	return error;
}

static int run_temporary(struct actor *actor, struct sh_txn *txn, struct held block)
{
	int error = run_alloc(actor, txn, &block);

	return error != 0 ? error : free_block(actor, txn, block.off);
}

/* Takes all that is left, so that the others find nothing. */
static int run_fill(struct sh_txn *txn)
{
	while (sh_txn_alloc(txn, FILL_BYTES, 0) != 0)
		;
	return errno == ENOMEM ? 0 : errno;
}

static int run_data(struct actor *actor, struct sh_txn *txn, uint32_t index)
{
	const struct step *step = &actor->seat->record.steps[index];
	uint64_t *data = seat_directory(actor->heap, actor->seat)->data + step->at;
	uint64_t values[DATA_WORDS];
	int error = 0;

	for (uint64_t i = 0; i < step->count; i++)
		values[i] = data_value(record_sequence(actor->seat), index, step->at + i);
	if (step->kind == STEP_WRITE)
		return sh_txn_write(txn, data, values, step->count * sizeof(*data));
	/* Word by word, and first what must not stay: undone in the right order or not at all. */
	for (uint64_t i = 0; i < step->count && error == 0; i++) {
		error = sh_txn_add(txn, &data[i], sizeof(*data));
		if (error == 0)
			data[i] = ~values[i];
	}
	for (uint64_t i = 0; i < step->count && error == 0; i++)
		error = sh_txn_write(txn, &data[i], &values[i], sizeof(*data));
	return error;
}

static int run_spread(struct actor *actor, struct sh_txn *txn)
{
	uint64_t *spread = seat_directory(actor->heap, actor->seat)->spread;
	int error = 0;

	for (unsigned i = 0; i < SPREAD_WORDS && error == 0; i++)
		error = sh_txn_store(txn, &spread[i], record_sequence(actor->seat));
	return error;
}

static int run_pair(struct actor *actor, struct sh_txn *txn, uint32_t number)
{
	struct pair *pair = sh_ptr(actor->heap, shared->pairs[number]);
	char name[ROOT_TEXT_BYTES];
	int error = sh_txn_add(txn, &pair->left, sizeof(pair->left));

	if (error != 0)
		return error;
	pair->left++;
	error = sh_txn_add(txn, &pair->right, sizeof(pair->right));
	if (error != 0)
		return error;
	pair->right++;
	return sh_txn_root(txn, root_of_count(name, number), pair->left);
}

static int run_step(struct actor *actor, struct sh_txn *txn, uint32_t index)
{
	const struct step *step = &actor->seat->record.steps[index];
	char name[ROOT_TEXT_BYTES];

	switch (step->kind) {
	case STEP_DROP:
		return run_free(actor, txn, &step->block);
	case STEP_TEMPORARY:
		return run_temporary(actor, txn, step->block);
	case STEP_FILL:
		return run_fill(txn);
	case STEP_ADD:
	case STEP_WRITE:
		return run_data(actor, txn, index);
	case STEP_SPREAD:
		return run_spread(actor, txn);
	case STEP_PAIR:
		return run_pair(actor, txn, step->at);
	case STEP_ROOT:
		return sh_txn_root(txn, root_of_seat(name, seat_number(actor->seat)), step->count);
	default:
		return run_word(actor, txn, step);
	}
}

/* Complains about what goes wrong, unless it is for want of space. */
static int run_steps(struct actor *actor, struct sh_txn *txn)
{
	static const char *const names[] = {
		[STEP_ALLOC] = "a block in a transaction",
		[STEP_FREE] = "a free in a transaction",
		[STEP_REPLACE] = "a replacement in a transaction",
		[STEP_ADOPT] = "a store in a transaction",
		[STEP_DROP] = "a free of an unpublished block in a transaction",
		[STEP_TEMPORARY] = "alloc and free in a transaction",
		[STEP_FILL] = "filling the heap in a transaction",
		[STEP_ADD] = "sh_txn_add",
		[STEP_WRITE] = "sh_txn_write",
		[STEP_SPREAD] = "many stores in a transaction",
		[STEP_PAIR] = "a pair in a transaction",
		[STEP_ROOT] = "sh_txn_root",
	};
	const struct record *record = &actor->seat->record;
	struct directory *directory = seat_directory(actor->heap, actor->seat);
	uint64_t sequence = record_sequence(actor->seat);
	int error = sh_txn_write(txn, &directory->written, &sequence, sizeof(sequence));

	expect_ok(actor, error, "sh_txn_write of the sequence");
	for (uint32_t i = 0; i < record->step_count && error == 0; i++)
		error = expect_ok(actor, run_step(actor, txn, i), names[record->steps[i].kind]);
	if (error == 0)
		error = expect_ok(actor, sh_txn_store(txn, &directory->stored, sequence),
			"sh_txn_store of the sequence");
	return error;
}

/* The pair that the plan edits; NULL when it edits none. */
static struct pair *planned_pair(struct actor *actor)
{
	const struct record *record = &actor->seat->record;

	for (uint32_t i = 0; i < record->step_count; i++)
		if (record->steps[i].kind == STEP_PAIR)
			return sh_ptr(actor->heap, shared->pairs[record->steps[i].at]);
	return NULL;
}

/* Whoever gets the lock, from the living or from the dead, finds the pair whole. */
static void lock_pair(struct actor *actor, struct pair *pair)
{
	int error = sh_mutex_lock(actor->heap, &pair->mutex);

	if (error != 0 && error != SH_EOWNERDIED)
		expect_ok(actor, error, "sh_mutex_lock");
	else if (pair->left == pair->right)
		tally(CHECK_CALLS);
	else
		fail(CHECK_TAKE_OVERS, "a pair is %llu and %llu under its lock (%s)",
			(unsigned long long)pair->left, (unsigned long long)pair->right,
			error == 0 ? "from the living" : "from the dead");
}

static int begin(struct actor *actor, struct sh_txn **txn)
{
	unsigned flags = actor->seat->record.detached ? SH_DETACHED : 0;

	return expect_ok(actor, sh_txn_begin(actor->heap, flags, txn), "sh_txn_begin");
}

/* Commits, unless the plan or an error says otherwise. Returns what came of it. */
static enum outcome finish(struct actor *actor, struct sh_txn *txn, int error)
{
	if (error == 0 && !actor->seat->record.aborts)
		return expect_ok(actor, sh_txn_commit(txn), "sh_txn_commit") == 0 ? OUTCOME_DONE
										  : OUTCOME_NOTHING;
	if (txn != NULL)
		sh_txn_abort(txn);
	return OUTCOME_NOTHING;
}

/* --- detached transactions ----------------------------------------------------------------- */

/* Stack. What another thread does of a transaction: all but its end. */
struct errand {
	struct actor *actor;
	struct sh_txn *txn; /* written by the other thread */
	int error;          /* the same */
};

static void *errand_main(void *argument)
{
	struct errand *errand = argument;

	errand->error = begin(errand->actor, &errand->txn);
	if (errand->error == 0)
		errand->error = run_steps(errand->actor, errand->txn);
	return NULL;
}

/* Begins a detached transaction and does its steps, in a thread that is gone when it is to end. */
static int run_elsewhere(struct actor *actor, struct sh_txn **txn)
{
	struct errand errand = { .actor = actor };
	pthread_t thread;

	if (pthread_create(&thread, NULL, errand_main, &errand) != 0)
		return EAGAIN;
	pthread_join(thread, NULL);
	*txn = errand.txn;
	return errand.error;
}

/* Begins a detached transaction that nobody will see anything of: it edits a word and has blocks of its
 * own, one of which it frees. NULL when there is no space. */
static struct sh_txn *begin_bystander(struct actor *actor)
{
	uint64_t *scratch = &seat_directory(actor->heap, actor->seat)->scratch;
	struct sh_txn *txn;
	int error = sh_txn_begin(actor->heap, SH_DETACHED, &txn);

	if (expect_ok(actor, error, "sh_txn_begin of a bystander") != 0)
		return NULL;
	error = sh_txn_add(txn, scratch, sizeof(*scratch));
	if (error == 0)
		*scratch = record_sequence(actor->seat);
	for (uint32_t i = 0; i < BYSTANDER_BLOCKS && error == 0; i++) {
		struct held block = plan_block(actor, STEPS + i);

		error = i == 0 ? run_temporary(actor, txn, block) : run_alloc(actor, txn, &block);
	}
	expect_ok(actor, error, "a bystander's edits and blocks");
	return txn;
}

/* --- whole transactions -------------------------------------------------------------------- */

/* Begins and does the steps. A thread of its own takes no part in locks: they belong to threads. */
static int run_open(struct actor *actor, struct sh_txn **txn)
{
	struct pair *pair = planned_pair(actor);
	bool lock_first = chance_once_in(&actor->random, 2);
	bool elsewhere =
		actor->seat->record.detached && chance_once_in(&actor->random, OTHER_THREAD_ODDS);
	int error;

	*txn = NULL;
	if (pair != NULL && (lock_first || elsewhere))
		lock_pair(actor, pair);
	if (elsewhere)
		return run_elsewhere(actor, txn);
	error = begin(actor, txn);
	if (pair != NULL && !lock_first)
		lock_pair(actor, pair);
	return error == 0 ? run_steps(actor, *txn) : error;
}

/* Returns what came of it. */
static enum outcome run_transaction(struct actor *actor)
{
	struct pair *pair = planned_pair(actor);
	struct sh_txn *bystander =
		chance_once_in(&actor->random, BYSTANDER_ODDS) ? begin_bystander(actor) : NULL;
	enum outcome outcome;
	struct sh_txn *txn;
	int error = run_open(actor, &txn);

	outcome = finish(actor, txn, error);
	if (bystander != NULL)
		sh_txn_abort(bystander);
	if (pair != NULL)
		expect_ok(actor, sh_mutex_unlock(actor->heap, &pair->mutex), "sh_mutex_unlock");
	return outcome;
}

void operation_transaction(struct actor *actor)
{
	if (chance_once_in(&actor->random, SPREAD_ODDS))
		plan_spread(actor);
	else
		plan(actor, chance_once_in(&actor->random, LONG_ODDS));
	record_begin(actor->seat);
	end(actor, run_transaction(actor));
}

/* One that is rolled back, by itself or by its reaper: nobody could go on. */
void operation_fill(struct actor *actor)
{
	struct record *record = &actor->seat->record;

	plan(actor, false);
	record->aborts = true;
	plan_add(actor, (struct step){ .kind = STEP_FILL });
	record_begin(actor->seat);
	end(actor, run_transaction(actor));
}
