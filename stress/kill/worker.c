/* worker.c -- a process that works on the heap until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/worker.h"

#include "stress/kill/model.h"
#include "stress/kill/tally.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ENTRY_PROBES (2 * ENTRIES_PER_SEAT)
#define PARK_MICROSECONDS 100
#define HELPER_OPERATIONS 400u
#define CHURN_RUNS 40
#define CHURN_BYTES (UINT64_C(600) << 10)
#define FILL_BYTES (UINT64_C(256) << 10)

/* Process. One thread in its seat. */
struct actor {
	struct sh_heap *heap;
	struct seat *seat;
	struct random random;
};

/* Process. Seats w and WORKERS + w. */
struct worker {
	unsigned number;
	const char *path;
	struct actor actor;
	struct actor helper_actor;
	pthread_t helper;
	bool has_helper;
};

/* --- what calls return --------------------------------------------------------------------- */

/* Complains about an error that is not for want of space. Returns the error. */
static int expect_ok(const struct actor *actor, int error, const char *call)
{
	if (error == ENOMEM || error == ENOSPC)
		atomic_fetch_add(&shared->out_of_memory, 1);
	else if (error != 0)
		fail(CHECK_CALLS, "seat %u: %s: %s", seat_number(actor->seat), call,
			sh_strerror(error));
	return error;
}

static void expect_error(const struct actor *actor, int error, int expected, const char *call)
{
	if (error == expected)
		tally(CHECK_CALLS);
	else
		fail(CHECK_CALLS, "seat %u: %s gave %d, not %s", seat_number(actor->seat), call,
			error, sh_strerror(expected));
}

static void expect_pattern(const struct actor *actor, const struct held *block)
{
	if (sh_usable_size(actor->heap, block->off) < block->size ||
		!pattern_holds(actor->heap, block))
		fail(CHECK_CALLS,
			"seat %u: block %#llx of %llu bytes, id %#llx, is not what it was",
			seat_number(actor->seat), (unsigned long long)block->off,
			(unsigned long long)block->size, (unsigned long long)block->id);
}

/* Around calls that have no record, for the count of deaths inside calls. */
static void enter_call(struct actor *actor)
{
	atomic_store(&actor->seat->in_call, 1);
}

static void leave_call(struct actor *actor)
{
	atomic_store(&actor->seat->in_call, 0);
}

/* --- what to work on ----------------------------------------------------------------------- */

/* Mostly small ones; one in twenty has a span of its own: deaths inside page operations are rare. In
 * some heaps all are of a few classes, of which most have few blocks per span: everybody is in the same
 * spans, and collects again and again what the others freed. */
static uint64_t pick_size(struct random *random)
{
	static const uint64_t few[] = { 48, 2048, 2048, 4096 };
	uint64_t percent = random_below(random, 100);
	uint64_t base = UINT64_C(16) << random_below(random, 6);

	if (shared->few_sizes)
		return few[percent % 4];
	if (percent < 70)
		return base + random_below(random, base + 1);
	if (percent < 82)
		return 1024 + random_below(random, 7 * 1024);
	if (percent < 95)
		return 8192 + random_below(random, 24 * 1024);
	return 32768 + random_below(random, 68 * 1024);
}

/* A block that is to be, by step `step` of the operation that begins next. */
static struct held plan_block(struct actor *actor, uint32_t step)
{
	return (struct held){
		.size = pick_size(&actor->random),
		.id = (uint64_t)(seat_number(actor->seat) + 1) << 56 |
			(record_sequence(actor->seat) + 1) << 8 | step,
	};
}

/* An entry that the seat holds and that no step before `steps` uses; ENTRIES when none is found. */
static uint32_t find_held(struct actor *actor, uint32_t steps)
{
	const struct record *record = &actor->seat->record;
	uint32_t at = (uint32_t)random_below(&actor->random, ENTRIES);

	for (unsigned i = 0; i < ENTRY_PROBES; i++, at = (at + 1) % ENTRIES) {
		uint64_t holder = atomic_load(&shared->entries[at].holder);
		bool used = holder_seat(holder) != seat_number(actor->seat);

		for (uint32_t step = 0; step < steps && !used; step++)
			used = record->steps[step].holder != 0 && record->steps[step].at == at;
		if (!used)
			return at;
	}
	return ENTRIES;
}

/* One of the seat's own entries that holds nothing; ENTRIES when there is none. */
static uint32_t find_empty(struct actor *actor)
{
	uint32_t first = seat_number(actor->seat) * ENTRIES_PER_SEAT;
	uint32_t offset = (uint32_t)random_below(&actor->random, ENTRIES_PER_SEAT);

	for (unsigned i = 0; i < ENTRIES_PER_SEAT; i++) {
		uint32_t at = first + (offset + i) % ENTRIES_PER_SEAT;

		if ((atomic_load(&shared->entries[at].holder) & 255) == HOLDER_NOBODY)
			return at;
	}
	return ENTRIES;
}

/* A directory word that names a block, or none; DIRECTORY_WORDS when a few looks find no such one. */
static uint32_t find_word(struct actor *actor, bool names_block)
{
	for (int i = 0; i < 8; i++) {
		uint32_t at = (uint32_t)random_below(&actor->random, DIRECTORY_WORDS);

		if ((actor->seat->published[at].off != 0) == names_block)
			return at;
	}
	return DIRECTORY_WORDS;
}

static void begin(struct actor *actor, enum operation operation, struct step step)
{
	struct record *record = &actor->seat->record;

	record->operation = operation;
	record->aborts = false;
	record->step_count = 1;
	record->steps[0] = step;
	record_begin(actor->seat);
}

static void end(struct actor *actor, enum outcome outcome)
{
	record_end(actor->heap, actor->seat, outcome);
}

/* --- single calls -------------------------------------------------------------------------- */

static void do_alloc(struct actor *actor)
{
	uint32_t at = find_empty(actor);
	struct step step = { .kind = STEP_ALLOC, .at = at, .block = plan_block(actor, 0) };
	sh_off off;

	if (at == ENTRIES)
		return;
	step.holder =
		holder_next(atomic_load(&shared->entries[at].holder), seat_number(actor->seat));
	begin(actor, OPERATION_ALLOC, step);
	off = sh_alloc(actor->heap, step.block.size);
	atomic_store(&actor->seat->record.result, off);
	if (off == 0)
		expect_ok(actor, errno, "sh_alloc");
	end(actor, off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

static struct step step_of_entry(enum step_kind kind, uint32_t at)
{
	return (struct step){
		.kind = kind,
		.at = at,
		.holder = atomic_load(&shared->entries[at].holder),
		.block = shared->entries[at].block,
	};
}

static void do_free(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);
	struct step step;

	if (at == ENTRIES)
		return;
	step = step_of_entry(STEP_DROP, at);
	expect_pattern(actor, &step.block);
	begin(actor, OPERATION_FREE, step);
	expect_ok(actor, sh_free(actor->heap, step.block.off), "sh_free");
	end(actor, OUTCOME_DONE);
}

/* Runs come and go, in the thread's own pages and under the page lock. One of them may leak. */
static void do_churn(struct actor *actor)
{
	uint64_t size = 32768 + random_below(&actor->random, CHURN_BYTES);
	struct step step = { .kind = STEP_TEMPORARY, .block = { .size = size } };
	int error = 0;

	begin(actor, OPERATION_CHURN, step);
	for (int i = 0; i < CHURN_RUNS && error == 0; i++) {
		sh_off off = sh_alloc(actor->heap, size);

		error = off == 0 ? errno : sh_free(actor->heap, off);
	}
	expect_ok(actor, error, "allocating and freeing a run");
	end(actor, OUTCOME_NOTHING);
}

/* Passes a block on: its next holder frees what this process allocated. */
static void do_give(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);
	_Atomic uint64_t *holder = &shared->entries[at].holder;

	if (at != ENTRIES)
		atomic_store(holder,
			holder_of_seat(atomic_load(holder), random_below(&actor->random, WORKERS)));
}

static void do_alloc_to(struct actor *actor)
{
	uint32_t at = find_word(actor, false);
	struct step step = { .kind = STEP_ALLOC, .at = at, .block = plan_block(actor, 0) };
	sh_off off;

	if (at == DIRECTORY_WORDS)
		return;
	begin(actor, OPERATION_ALLOC_TO, step);
	off = sh_alloc_to(actor->heap, &seat_directory(actor->heap, actor->seat)->block[at],
		step.block.size, 0);
	if (off == 0)
		expect_ok(actor, errno, "sh_alloc_to");
	end(actor, off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

static void do_free_from(struct actor *actor)
{
	uint32_t at = find_word(actor, true);
	int error;

	if (at == DIRECTORY_WORDS)
		return;
	expect_pattern(actor, &actor->seat->published[at]);
	begin(actor, OPERATION_FREE_FROM, (struct step){ .kind = STEP_FREE, .at = at });
	error = sh_free_from(actor->heap, &seat_directory(actor->heap, actor->seat)->block[at]);
	expect_ok(actor, error, "sh_free_from");
	end(actor, error == 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

/* Any number will do for an offset that nobody follows; never the one before. */
static struct step plan_root(struct actor *actor)
{
	uint64_t value = record_sequence(actor->seat) + 1;

	return (struct step){ .kind = STEP_ROOT, .count = value % 65536 * 16 + 16 };
}

static void do_root(struct actor *actor)
{
	struct step step = plan_root(actor);
	char name[ROOT_TEXT_BYTES];
	int error;

	begin(actor, OPERATION_ROOT, step);
	error = sh_root_set(actor->heap, root_of_seat(name, seat_number(actor->seat)), step.count);
	expect_ok(actor, error, "sh_root_set");
	end(actor, error == 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

/* What must be refused, and change nothing. */
static void do_refused(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);
	struct sh_mutex *mutex = &seat_directory(actor->heap, actor->seat)->mutex;
	sh_off off;

	expect_error(actor, sh_mutex_lock(actor->heap, mutex), EDEADLK, "sh_mutex_lock of its own");
	if (at == ENTRIES)
		return;
	off = shared->entries[at].block.off;
	expect_error(actor, sh_free(actor->heap, off + 8), SH_EBADPTR, "sh_free of block + 8");
	expect_error(actor, sh_free(actor->heap, 16), SH_EBADPTR, "sh_free of the superblock");
}

static void do_verify(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);

	if (at != ENTRIES)
		expect_pattern(actor, &shared->entries[at].block);
	seat_verify(actor->heap, actor->seat);
}

static void do_reap(struct actor *actor)
{
	struct sh_reap_report report;

	enter_call(actor);
	if (expect_ok(actor, sh_reap(actor->heap, &report), "sh_reap") == 0)
		tally_report(&report, report.threads);
	leave_call(actor);
}

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

static void plan_entry(struct actor *actor, enum step_kind kind, uint32_t word)
{
	uint32_t at = find_held(actor, actor->seat->record.step_count);
	struct step step;

	if (at == ENTRIES)
		return;
	step = step_of_entry(kind, at);
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
		step.kind = random_once_in(&actor->random, 3) ? STEP_FREE : STEP_REPLACE;
	else if (random_once_in(&actor->random, 3))
		return plan_entry(actor, STEP_ADOPT, word);
	else
		step.kind = STEP_ALLOC;
	plan_add(actor, step);
}

static void plan_data(struct actor *actor, enum step_kind kind)
{
	uint64_t first = random_below(&actor->random, DATA_WORDS);

	plan_add(actor,
		(struct step){
			.kind = kind,
			.at = (uint32_t)first,
			.count = 1 + random_below(&actor->random, DATA_WORDS - first),
		});
}

static void plan_pair(struct actor *actor)
{
	uint32_t pair = (uint32_t)random_below(&actor->random, PAIRS);

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

	switch (random_below(&actor->random, 12)) {
	case 0:
		return plan_entry(actor, STEP_DROP, 0);
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
		return plan_word(actor, (uint32_t)random_below(&actor->random, DIRECTORY_WORDS));
	}
}

static void plan(struct actor *actor, bool is_long)
{
	struct record *record = &actor->seat->record;
	uint64_t steps = is_long ? DIRECTORY_WORDS / 2 : 1 + random_below(&actor->random, 6);

	record->operation = OPERATION_TRANSACTION;
	record->aborts = random_once_in(&actor->random, 6);
	record->step_count = 0;
	for (uint32_t word = 0; is_long && word < DIRECTORY_WORDS; word++)
		plan_word(actor, word);
	for (uint64_t i = 0; i < steps; i++)
		plan_step(actor);
}

/* --- running transactions ------------------------------------------------------------------ */

static int run_alloc(struct actor *actor, struct sh_txn *txn, struct held *block)
{
	block->off = sh_txn_alloc(txn, block->size, 0);
	if (block->off == 0)
		return errno;
	pattern_fill(actor->heap, block);
	return 0;
}

/* Frees a block that nobody changed, and cannot be freed twice. */
static int run_free(struct actor *actor, struct sh_txn *txn, const struct held *block)
{
	int error;

	expect_pattern(actor, block);
	error = sh_txn_free(txn, block->off, 0);
	if (error == 0 && random_once_in(&actor->random, 8)) {
		expect_error(actor, sh_txn_free(txn, block->off, 0), SH_EDOUBLEFREE,
			"sh_txn_free of a freed block");
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

	return error != 0 ? error : sh_txn_free(txn, block.off, 0);
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

/* Commits, unless the plan or an error says otherwise. Returns what came of it. */
static enum outcome run_transaction(struct actor *actor)
{
	struct pair *pair = planned_pair(actor);
	bool lock_first = random_once_in(&actor->random, 2);
	enum outcome outcome = OUTCOME_NOTHING;
	struct sh_txn *txn;
	int error;

	if (pair != NULL && lock_first)
		lock_pair(actor, pair);
	error = expect_ok(actor, sh_txn_begin(actor->heap, 0, &txn), "sh_txn_begin");
	if (pair != NULL && !lock_first)
		lock_pair(actor, pair);
	if (error == 0)
		error = run_steps(actor, txn);
	if (error == 0 && !actor->seat->record.aborts)
		outcome = expect_ok(actor, sh_txn_commit(txn), "sh_txn_commit") == 0
			? OUTCOME_DONE
			: OUTCOME_NOTHING;
	else
		sh_txn_abort(txn);
	if (pair != NULL)
		expect_ok(actor, sh_mutex_unlock(actor->heap, &pair->mutex), "sh_mutex_unlock");
	return outcome;
}

static void do_transaction(struct actor *actor)
{
	plan(actor, random_once_in(&actor->random, 12));
	record_begin(actor->seat);
	end(actor, run_transaction(actor));
}

/* One that is rolled back, by itself or by its reaper: nobody could go on. */
static void do_fill(struct actor *actor)
{
	struct record *record = &actor->seat->record;

	plan(actor, false);
	record->aborts = true;
	plan_add(actor, (struct step){ .kind = STEP_FILL });
	record_begin(actor->seat);
	end(actor, run_transaction(actor));
}

/* --- a thread in its seat ------------------------------------------------------------------ */

static void take_seat(struct actor *actor)
{
	struct seat *seat = actor->seat;
	int error;

	enter_call(actor);
	error = sh_mutex_lock(actor->heap, &seat_directory(actor->heap, seat)->mutex);
	leave_call(actor);
	if (error != 0 && error != SH_EOWNERDIED)
		expect_ok(actor, error, "sh_mutex_lock of its seat");
	else if (error == 0 && record_unsettled(seat))
		fail(CHECK_TAKE_OVERS,
			"seat %u: its mutex was free, and its holder died inside "
			"operation %d",
			seat_number(seat), (int)seat->record.operation);
	record_resolve(actor->heap, seat);
	seat_verify(actor->heap, seat);
}

static void leave_seat(struct actor *actor)
{
	struct sh_mutex *mutex = &seat_directory(actor->heap, actor->seat)->mutex;

	expect_ok(actor, sh_mutex_unlock(actor->heap, mutex), "sh_mutex_unlock of its own");
}

static bool told_to_stop(void)
{
	return atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0;
}

/* Between operations. Parked is said again until the supervisor cannot have missed that we run. */
static void park_if_asked(struct actor *actor)
{
	while (atomic_load(&shared->pause) != 0 && !told_to_stop()) {
		atomic_store(&actor->seat->activity, ACTIVITY_PARKED);
		while (atomic_load(&shared->pause) != 0 && !told_to_stop())
			usleep(PARK_MICROSECONDS);
		atomic_store(&actor->seat->activity, ACTIVITY_RUNNING);
	}
}

static void act(struct actor *actor)
{
	static void (*const acts[])(struct actor * actor) = {
		do_alloc,
		do_alloc,
		do_alloc,
		do_alloc,
		do_free,
		do_free,
		do_free,
		do_free,
		do_give,
		do_give,
		do_alloc_to,
		do_alloc_to,
		do_free_from,
		do_free_from,
		do_transaction,
		do_transaction,
		do_transaction,
		do_transaction,
		do_transaction,
		do_root,
	};

	if (random_once_in(&actor->random, 200))
		do_reap(actor);
	else if (random_once_in(&actor->random, 30))
		do_churn(actor);
	else if (random_once_in(&actor->random, 10000))
		do_fill(actor);
	else if (random_once_in(&actor->random, 60))
		do_refused(actor);
	else if (random_once_in(&actor->random, 60))
		do_verify(actor);
	else
		acts[random_below(&actor->random, sizeof(acts) / sizeof(acts[0]))](actor);
	atomic_fetch_add_explicit(&actor->seat->progress, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&shared->operations, 1, memory_order_relaxed);
	park_if_asked(actor);
}

/* --- the second thread --------------------------------------------------------------------- */

static void *helper_main(void *argument)
{
	struct actor *actor = argument;
	uint64_t count = random_below(&actor->random, HELPER_OPERATIONS);

	take_seat(actor);
	park_if_asked(actor);
	for (uint64_t i = 0; i < count && !told_to_stop(); i++)
		act(actor);
	leave_seat(actor);
	atomic_store(&actor->seat->activity, ACTIVITY_NONE);
	return NULL;
}

static void start_helper(struct worker *worker)
{
	struct actor *helper = &worker->helper_actor;

	*helper = (struct actor){
		.heap = worker->actor.heap,
		.seat = worker->actor.seat + WORKERS,
		.random = { random_next(&worker->actor.random) },
	};
	atomic_store(&helper->seat->activity, ACTIVITY_RUNNING);
	worker->has_helper = pthread_create(&worker->helper, NULL, helper_main, helper) == 0;
	if (!worker->has_helper)
		atomic_store(&helper->seat->activity, ACTIVITY_NONE);
}

static void join_helper(struct worker *worker)
{
	if (worker->has_helper)
		pthread_join(worker->helper, NULL);
	worker->has_helper = false;
}

static bool helper_is_done(const struct worker *worker)
{
	return worker->has_helper &&
		atomic_load(&worker->helper_actor.seat->activity) == ACTIVITY_NONE;
}

/* --- the process --------------------------------------------------------------------------- */

static void open_heap(struct worker *worker)
{
	struct actor *actor = &worker->actor;
	struct sh_reap_report report;

	enter_call(actor);
	if (expect_ok(actor, sh_open(worker->path, 0, NULL, &actor->heap), "sh_open") != 0)
		_exit(1);
	leave_call(actor);
	if (expect_ok(actor, sh_recovery_report(actor->heap, &report, NULL),
		    "sh_recovery_report") == 0)
		tally_report(&report, report.threads);
}

static void close_heap(struct worker *worker)
{
	enter_call(&worker->actor);
	expect_ok(&worker->actor, sh_close(worker->actor.heap), "sh_close");
	leave_call(&worker->actor);
}

/* Not while the second thread runs: it must not be inside a call. */
static void reopen(struct worker *worker)
{
	if (worker->has_helper)
		return;
	leave_seat(&worker->actor);
	close_heap(worker);
	open_heap(worker);
	take_seat(&worker->actor);
}

static void work(struct worker *worker)
{
	struct random *random = &worker->actor.random;

	park_if_asked(&worker->actor);
	while (!told_to_stop()) {
		act(&worker->actor);
		if (helper_is_done(worker))
			join_helper(worker);
		else if (!worker->has_helper && random_once_in(random, 200))
			start_helper(worker);
		else if (random_once_in(random, 1000))
			reopen(worker);
	}
}

void worker_main(struct sh_heap *heap, const char *path, unsigned number, uint64_t generation)
{
	struct worker worker = {
		.number = number,
		.path = path,
		.actor = {
			.heap = heap,
			.seat = &shared->seats[number],
			.random = { seed_of((uint64_t)(number + 1) << 32 | generation) },
		},
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Attached by the fork, or by itself. */
	if (random_once_in(&worker.actor.random, 3)) {
		close_heap(&worker);
		open_heap(&worker);
	}
	take_seat(&worker.actor);
	work(&worker);
	join_helper(&worker);
	leave_seat(&worker.actor);
	close_heap(&worker);
	_exit(failed() ? 1 : 0);
}
