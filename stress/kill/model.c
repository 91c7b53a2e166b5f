/* model.c -- what a seat owns, as it recorded it: recording, applying, verifying
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/model.h"

#include "stress/kill/runs.h"
#include "stress/kill/tally.h"

#include <stdio.h>
#include <string.h>

/* --- content of blocks --------------------------------------------------------------------- */

#define DENSE_WORDS 1024u
#define SPARSE_STEP 61u

uint64_t pattern_word(uint64_t id, uint64_t word)
{
	return (id + word) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Big blocks are checked in every 61st word: each page has some, and no place is always left out. */
static uint64_t pattern_step(uint64_t words)
{
	return words <= DENSE_WORDS ? 1 : SPARSE_STEP;
}

void pattern_fill(struct sh_heap *heap, const struct held *block)
{
	uint64_t *content = sh_ptr(heap, block->off);
	uint64_t words = block->size / sizeof(*content);

	for (uint64_t i = 0; i < words; i += pattern_step(words))
		content[i] = pattern_word(block->id, i);
	content[words - 1] = pattern_word(block->id, words - 1);
}

bool pattern_kept(struct sh_heap *heap, const struct held *before, const struct held *now)
{
	const uint64_t *content = sh_ptr(heap, now->off);
	uint64_t words = before->size / sizeof(*content);
	uint64_t kept = now->size / sizeof(*content);

	for (uint64_t i = 0; i < words && i < kept; i += pattern_step(words))
		if (content[i] != pattern_word(before->id, i))
			return false;
	return words == 0 || words > kept ||
		content[words - 1] == pattern_word(before->id, words - 1);
}

bool pattern_holds(struct sh_heap *heap, const struct held *block)
{
	return pattern_kept(heap, block, block);
}

uint64_t data_value(uint64_t sequence, uint32_t step, uint64_t word)
{
	return pattern_word(sequence << 20 | (uint64_t)step << 8, word);
}

/* --- roots --------------------------------------------------------------------------------- */

static const char *root_text(char name[ROOT_TEXT_BYTES], const char *what, unsigned number)
{
	snprintf(name, ROOT_TEXT_BYTES, "%s-%u", what, number);
	return name;
}

const char *root_of_directory(char name[ROOT_TEXT_BYTES], unsigned seat)
{
	return root_text(name, "directory", seat);
}

const char *root_of_seat(char name[ROOT_TEXT_BYTES], unsigned seat)
{
	return root_text(name, "seat", seat);
}

const char *root_of_pair(char name[ROOT_TEXT_BYTES], unsigned pair)
{
	return root_text(name, "pair", pair);
}

const char *root_of_count(char name[ROOT_TEXT_BYTES], unsigned pair)
{
	return root_text(name, "count", pair);
}

/* --- applying ------------------------------------------------------------------------------ */

/* Only from what the step was planned with: its home may have filled the entry anew since. */
static void clear_entry(const struct step *step, uint64_t who)
{
	uint64_t holder = step->holder;

	atomic_compare_exchange_strong(&shared->entries[step->at].holder, &holder,
		holder_make(holder, who));
}

static void fill_entry(struct sh_heap *heap, const struct seat *seat, const struct step *step,
	uint64_t holder)
{
	struct entry *entry = &shared->entries[step->at];
	uint64_t off = atomic_load(&seat->record.result);

	/* Filled already, and perhaps passed on since. */
	if (atomic_load(&entry->holder) == holder)
		return;
	entry->block = step->block;
	entry->block.off = off;
	pattern_fill(heap, &entry->block);
	atomic_store(&entry->holder, holder);
}

/* The block that word `at` names, as the step planned it. */
static struct held published_by(struct sh_heap *heap, const struct seat *seat,
	const struct step *step)
{
	struct held block = step->block;

	block.off = seat_directory(heap, seat)->block[step->at];
	return block;
}

static void apply_step(struct sh_heap *heap, struct seat *seat, uint32_t index)
{
	const struct step *step = &seat->record.steps[index];

	switch (step->kind) {
	case STEP_ALLOC:
	case STEP_REPLACE:
	case STEP_RESIZE_TO:
		seat->published[step->at] = published_by(heap, seat, step);
		break;
	case STEP_FREE:
		seat->published[step->at] = (struct held){ 0 };
		break;
	case STEP_ADOPT:
		seat->published[step->word] = step->block;
		clear_entry(step, HOLDER_NOBODY);
		break;
	case STEP_DROP:
		clear_entry(step, HOLDER_NOBODY);
		break;
	case STEP_ADD:
	case STEP_WRITE:
		for (uint64_t i = step->at; i < step->at + step->count; i++)
			seat->data[i] = data_value(record_sequence(seat), index, i);
		break;
	case STEP_SPREAD:
		seat->spread = record_sequence(seat);
		break;
	case STEP_PAIR:
		seat->added[step->at] = step->count;
		break;
	case STEP_ROOT:
		seat->root = step->count;
		break;
	case STEP_RESIZE:
	case STEP_RUN:
	case STEP_TEMPORARY:
	case STEP_FILL:
		break;
	}
}

static void apply_done(struct sh_heap *heap, struct seat *seat)
{
	struct record *record = &seat->record;

	switch (record->operation) {
	case OPERATION_ALLOC:
		fill_entry(heap, seat, &record->steps[0], record->steps[0].holder);
		return;
	case OPERATION_REALLOC:
		fill_entry(heap, seat, &record->steps[0],
			holder_next(record->steps[0].holder, seat_number(seat)));
		return;
	case OPERATION_FREE:
	case OPERATION_FREE_DEFERRED:
		clear_entry(&record->steps[0], HOLDER_NOBODY);
		return;
	case OPERATION_PAGES_ALLOC:
	case OPERATION_PAGES_FREE:
		runs_apply(heap, seat);
		return;
	case OPERATION_TRANSACTION:
		seat->version = record_sequence(seat);
		break;
	default:
		break;
	}
	for (uint32_t i = 0; i < record->step_count; i++)
		apply_step(heap, seat, i);
	/* Nobody filled it before it was published. */
	if (record->operation == OPERATION_ALLOC_TO || record->operation == OPERATION_REALLOC_TO)
		pattern_fill(heap, &seat->published[record->steps[0].at]);
}

static void note_leak(struct seat *seat)
{
	const struct step *step = &seat->record.steps[0];
	uint64_t sequence = record_sequence(seat);
	uint64_t count = seat->leak_count;

	if (count > 0 && seat->leaks[count - 1].sequence == sequence)
		return;
	if (count == LEAKS) {
		fail(CHECK_MODEL, "seat %u: too many deaths in sh_alloc() between two rounds",
			seat_number(seat));
		return;
	}
	seat->leaks[count] = (struct leak){
		.sequence = sequence,
		.size = step->block.size,
		.align = step->align,
		.kind = step->block.kind,
		.entry = step->kind == STEP_RESIZE ? step->at : NO_ENTRY,
		.id = step->block.id,
	};
	seat->leak_count = count + 1;
}

static void apply_doubt(struct seat *seat)
{
	switch (seat->record.operation) {
	case OPERATION_REALLOC:
		note_leak(seat);
		clear_entry(&seat->record.steps[0], HOLDER_DOUBT);
		break;
	case OPERATION_FREE:
	case OPERATION_FREE_DEFERRED:
		clear_entry(&seat->record.steps[0], HOLDER_DOUBT);
		break;
	case OPERATION_PAGES_ALLOC:
	case OPERATION_PAGES_FREE:
		runs_doubt(seat);
		break;
	default:
		note_leak(seat);
	}
}

static void apply(struct sh_heap *heap, struct seat *seat)
{
	struct record *record = &seat->record;

	switch ((enum outcome)(atomic_load(&record->outcome) & 3)) {
	case OUTCOME_DONE:
		apply_done(heap, seat);
		break;
	case OUTCOME_DOUBT:
		apply_doubt(seat);
		break;
	case OUTCOME_NOTHING:
		break;
	}
	atomic_store(&record->applied, record_sequence(seat));
}

/* --- records ------------------------------------------------------------------------------- */

void record_begin(struct seat *seat)
{
	atomic_store(&seat->record.result, 0);
	atomic_store(&seat->record.intent, record_sequence(seat) + 1);
}

static void set_outcome(struct seat *seat, enum outcome outcome)
{
	atomic_store(&seat->record.outcome, record_sequence(seat) << 2 | (uint64_t)outcome);
}

void record_end(struct sh_heap *heap, struct seat *seat, enum outcome outcome)
{
	set_outcome(seat, outcome);
	apply(heap, seat);
}

/* --- finding out --------------------------------------------------------------------------- */

void expect_resized(struct sh_heap *heap, const struct seat *seat, sh_off off, const char *call)
{
	const struct step *step = &seat->record.steps[0];
	struct held now = step->block;

	now.off = off;
	if (sh_usable_size(heap, off) >= now.size && pattern_kept(heap, &step->before, &now))
		return;
	fail(CHECK_CALLS,
		"seat %u: %s of %#llx from %llu to %llu bytes, id %#llx, made %#llx, with %zu bytes"
		" or another content",
		seat_number(seat), call, (unsigned long long)step->before.off,
		(unsigned long long)step->before.size, (unsigned long long)now.size,
		(unsigned long long)step->before.id, (unsigned long long)off,
		sh_usable_size(heap, off));
}

static enum outcome decide_word(struct sh_heap *heap, const struct seat *seat, bool frees)
{
	uint32_t at = seat->record.steps[0].at;
	sh_off now = seat_directory(heap, seat)->block[at];
	sh_off before = seat->published[at].off;

	if (now == before)
		return OUTCOME_NOTHING;
	if (frees && now != 0)
		fail(CHECK_TAKE_OVERS,
			"seat %u: a death in sh_free_from() left %#llx in a word that held %#llx",
			seat_number(seat), (unsigned long long)now, (unsigned long long)before);
	return OUTCOME_DONE;
}

/* Of a block that the word still names, a length that is too short for what it was says that it shrank
 * in place; one that grew may as well be as it was. */
static enum outcome decide_resize_to(struct sh_heap *heap, const struct seat *seat)
{
	const struct step *step = &seat->record.steps[0];
	struct held now = published_by(heap, seat, step);

	if (now.off == step->before.off &&
		(now.off == 0 || sh_usable_size(heap, now.off) >= step->before.size))
		return OUTCOME_NOTHING;
	expect_resized(heap, seat, now.off, "sh_realloc_to");
	return OUTCOME_DONE;
}

static enum outcome decide_resize(struct sh_heap *heap, const struct seat *seat)
{
	sh_off off = atomic_load(&seat->record.result);

	if (off == 0)
		return OUTCOME_DOUBT;
	expect_resized(heap, seat, off, "sh_realloc");
	return OUTCOME_DONE;
}

static enum outcome decide_root(struct sh_heap *heap, const struct seat *seat)
{
	uint64_t planned = seat->record.steps[0].count;
	char name[ROOT_TEXT_BYTES];
	sh_off now = 0;

	sh_root_get(heap, root_of_seat(name, seat_number(seat)), &now);
	if (now != planned && now != seat->root)
		fail(CHECK_TAKE_OVERS, "root %s is %#llx, which is neither %#llx nor %#llx", name,
			(unsigned long long)now, (unsigned long long)seat->root,
			(unsigned long long)planned);
	return now == planned ? OUTCOME_DONE : OUTCOME_NOTHING;
}

static enum outcome decide_transaction(struct sh_heap *heap, const struct seat *seat)
{
	uint64_t stored = seat_directory(heap, seat)->stored;

	if (stored == seat->version)
		return OUTCOME_NOTHING;
	if (stored != record_sequence(seat) || seat->record.aborts)
		fail(CHECK_TAKE_OVERS, "seat %u: transaction %llu%s stands, after %llu was begun",
			seat_number(seat), (unsigned long long)stored,
			seat->record.aborts ? ", which was aborted," : "",
			(unsigned long long)record_sequence(seat));
	return OUTCOME_DONE;
}

static enum outcome decide(struct sh_heap *heap, const struct seat *seat)
{
	switch (seat->record.operation) {
	case OPERATION_ALLOC:
	case OPERATION_PAGES_ALLOC:
		return atomic_load(&seat->record.result) != 0 ? OUTCOME_DONE : OUTCOME_DOUBT;
	case OPERATION_FREE:
	case OPERATION_FREE_DEFERRED:
	case OPERATION_CHURN:
	case OPERATION_PAGES_FREE:
		return OUTCOME_DOUBT;
	case OPERATION_REALLOC:
		return decide_resize(heap, seat);
	case OPERATION_REALLOC_TO:
		return decide_resize_to(heap, seat);
	case OPERATION_ALLOC_TO:
		return decide_word(heap, seat, false);
	case OPERATION_FREE_FROM:
		return decide_word(heap, seat, true);
	case OPERATION_ROOT:
		return decide_root(heap, seat);
	case OPERATION_TRANSACTION:
		return decide_transaction(heap, seat);
	case OPERATION_NONE:
		break;
	}
	return OUTCOME_NOTHING;
}

static void resolve(struct sh_heap *heap, struct seat *seat)
{
	if (!record_unsettled(seat))
		return;
	if (record_in_flight(seat)) {
		atomic_fetch_add(&shared->doubts, 1);
		set_outcome(seat, decide(heap, seat));
	}
	apply(heap, seat);
}

/* --- verifying ----------------------------------------------------------------------------- */

static bool versions_agree(struct sh_heap *heap, const struct seat *seat)
{
	const struct directory *directory = seat_directory(heap, seat);

	if (directory->stored == seat->version && directory->written == seat->version)
		return true;
	fail(CHECK_TAKE_OVERS,
		"seat %u: transaction %llu by what it stored, %llu by what it wrote, not %llu",
		seat_number(seat), (unsigned long long)directory->stored,
		(unsigned long long)directory->written, (unsigned long long)seat->version);
	return false;
}

/* Transactions that abort, and any that die, put it back. */
static bool scratch_agrees(struct sh_heap *heap, const struct seat *seat)
{
	uint64_t scratch = seat_directory(heap, seat)->scratch;

	if (scratch == 0)
		return true;
	fail(CHECK_TAKE_OVERS, "seat %u: %#llx stands, which no transaction committed",
		seat_number(seat), (unsigned long long)scratch);
	return false;
}

static bool data_agree(struct sh_heap *heap, const struct seat *seat)
{
	const struct directory *directory = seat_directory(heap, seat);

	for (unsigned i = 0; i < DATA_WORDS; i++)
		if (directory->data[i] != seat->data[i]) {
			fail(CHECK_TAKE_OVERS,
				"seat %u: data word %u is %#llx, and %#llx by the model",
				seat_number(seat), i, (unsigned long long)directory->data[i],
				(unsigned long long)seat->data[i]);
			return false;
		}
	return true;
}

static bool spread_agrees(struct sh_heap *heap, const struct seat *seat)
{
	const uint64_t *spread = seat_directory(heap, seat)->spread;

	for (unsigned i = 0; i < SPREAD_WORDS; i++)
		if (spread[i] != seat->spread) {
			fail(CHECK_TAKE_OVERS,
				"seat %u: word %u of its spread is %#llx, and %#llx by the model",
				seat_number(seat), i, (unsigned long long)spread[i],
				(unsigned long long)seat->spread);
			return false;
		}
	return true;
}

static bool word_agrees(struct sh_heap *heap, const struct seat *seat, unsigned at)
{
	const struct held *block = &seat->published[at];
	sh_off off = seat_directory(heap, seat)->block[at];
	const char *wrong = NULL;

	if (off != block->off)
		wrong = "names another block";
	else if (off != 0 && sh_usable_size(heap, off) < block->size)
		wrong = "names a block that is not live, or too small";
	else if (off != 0 && !pattern_holds(heap, block))
		wrong = "names a block whose content changed";
	if (wrong != NULL)
		fail(CHECK_TAKE_OVERS, "seat %u: word %u holds %#llx, %#llx by the model, and %s",
			seat_number(seat), at, (unsigned long long)off,
			(unsigned long long)block->off, wrong);
	return wrong == NULL;
}

static bool root_agrees(struct sh_heap *heap, const struct seat *seat)
{
	char name[ROOT_TEXT_BYTES];
	sh_off now = 0;

	sh_root_get(heap, root_of_seat(name, seat_number(seat)), &now);
	if (now == seat->root)
		return true;
	fail(CHECK_TAKE_OVERS, "root %s is %#llx, and %#llx by the model", name,
		(unsigned long long)now, (unsigned long long)seat->root);
	return false;
}

void seat_verify(struct sh_heap *heap, const struct seat *seat)
{
	bool agrees = versions_agree(heap, seat) && scratch_agrees(heap, seat) &&
		data_agree(heap, seat) && spread_agrees(heap, seat) && root_agrees(heap, seat);

	for (unsigned at = 0; agrees && at < DIRECTORY_WORDS; at++)
		agrees = word_agrees(heap, seat, at);
	if (agrees)
		tally(CHECK_TAKE_OVERS);
}

/* --- taking over --------------------------------------------------------------------------- */

void seat_take(struct sh_heap *heap, struct seat *seat)
{
	int error = sh_mutex_lock(heap, &seat_directory(heap, seat)->mutex);

	if (error != 0 && error != SH_EOWNERDIED)
		fail(CHECK_CALLS, "seat %u: sh_mutex_lock: %s", seat_number(seat),
			sh_strerror(error));
	/* Who died inside an operation died with the mutex. */
	if (error == 0 && record_unsettled(seat))
		fail(CHECK_TAKE_OVERS, "seat %u: its mutex was free after a death in operation %d",
			seat_number(seat), (int)seat->record.operation);
	resolve(heap, seat);
	seat_verify(heap, seat);
}
