/* ledger.c -- operations on keys with one owner, and what must be found under these keys
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/ledger.h"

#include "stress/kv/content.h"
#include "stress/kv/tally.h"

/* More empty values than this between two looks, and any may be meant. */
#define VERSIONS_TRIED 64u

typedef unsigned long long counted;

/* --- tables -------------------------------------------------------------------------------- */

int desk_open(struct desk *desk, struct kv *store, unsigned writer)
{
	char text[KEY_BYTES];
	int error = 0;

	*desk = (struct desk){ .store = store };
	for (unsigned i = 0; i < 2 + WRITERS && error == 0; i++)
		if (i < 2 || i == 2 + writer)
			error = kv_table_open(store, table_name(text, i), KV_CREATE,
				&desk->tables[i]);
	if (error == 0)
		error = kv_table_open(store, key_text(text, "common"), KV_CREATE, &desk->common);
	if (error == 0)
		error = kv_table_open(store, key_text(text, "scanned"), KV_CREATE, &desk->scanned);
	return expect_ok(error, "kv_table_open");
}

/* --- operations ---------------------------------------------------------------------------- */

static struct standing *standing_of(uint32_t place)
{
	return &shared->standing[place];
}

void operation_plan(struct journal *journal)
{
	journal->count = 0;
}

bool operation_has(const struct journal *journal, uint32_t place)
{
	for (unsigned i = 0; i < journal->count; i++)
		if (journal->items[i].place == place)
			return true;
	return false;
}

uint64_t operation_add(struct journal *journal, uint32_t place, bool put)
{
	uint64_t before = atomic_load(&standing_of(place)->acknowledged);
	uint64_t after = next_version(before, put);

	journal->items[journal->count++] = (struct item){ place, before, after };
	return after;
}

void operation_begin(struct journal *journal)
{
	atomic_store(&journal->phase, PHASE_BEGUN);
	for (unsigned i = 0; i < journal->count; i++)
		atomic_store(&standing_of(journal->items[i].place)->begun, journal->items[i].after);
}

void operation_acknowledge(struct journal *journal)
{
	atomic_store(&journal->phase, PHASE_RETURNED);
	for (unsigned i = 0; i < journal->count; i++)
		atomic_store(&standing_of(journal->items[i].place)->acknowledged,
			journal->items[i].after);
	atomic_store(&journal->phase, PHASE_IDLE);
}

/* It never was. A number that nobody saw is used again. */
static void operation_forget(struct journal *journal)
{
	for (unsigned i = 0; i < journal->count; i++)
		atomic_store(&standing_of(journal->items[i].place)->begun,
			journal->items[i].before);
	atomic_store(&journal->phase, PHASE_IDLE);
}

/* --- what is found ------------------------------------------------------------------------- */

struct finding look_up(struct desk *desk, uint32_t place)
{
	struct kv_table *table = desk->tables[table_of_place(place)];
	struct finding finding = { false, true, 0 };
	char text[KEY_BYTES];
	struct kv_bytes value;
	int error;

	if (table == NULL)
		return finding;
	if (expect_ok(kv_read_begin(desk->store), "kv_read_begin") != 0)
		return finding;
	error = kv_get(table, key_of_place(text, place), &value);
	if (error == 0) {
		finding.there = true;
		finding.whole = value_read(value, place, &finding.version);
	} else if (error != KV_ENOTFOUND) {
		expect_ok(error, "kv_get");
	}
	kv_read_end(desk->store);
	return finding;
}

bool finding_is(const struct finding *finding, uint32_t place, uint64_t version)
{
	if (!finding->whole || finding->there != is_put(version))
		return false;
	if (!finding->there || finding->version == version)
		return true;
	return finding->version == 0 && value_is_empty(place, version);
}

/* Whether one of the versions in between has no value, or an empty one. */
static bool any_without(uint32_t place, uint64_t from, uint64_t to, bool there)
{
	uint64_t number = from >> 1, end = to >> 1;

	if (end - number > VERSIONS_TRIED)
		return true;
	if (!there)
		return !is_put(from) || !is_put(to) || end - number > 1;
	for (; number <= end; number++)
		if (value_is_empty(place, number << 1 | 1))
			return true;
	return false;
}

static bool is_of_time(const struct finding *finding, uint32_t place, uint64_t from, uint64_t to)
{
	if (!finding->whole)
		return false;
	if (finding->version != 0)
		return finding->version >= from && finding->version <= to;
	return any_without(place, from, to, finding->there);
}

bool finding_judge(const struct finding *finding, uint32_t place, uint64_t acknowledged,
	enum check check)
{
	uint64_t begun = atomic_load(&standing_of(place)->begun);

	tally(check);
	if (is_of_time(finding, place, acknowledged, begun))
		return true;
	fail(check, "place %u: found %s, version %#llx; acknowledged was %#llx, begun %#llx", place,
		!finding->there          ? "nothing"
			: finding->whole ? "a value"
					 : "what is no value of its",
		(counted)finding->version, (counted)acknowledged, (counted)begun);
	return false;
}

/* --- operations of the dead ---------------------------------------------------------------- */

/* How many of the items are as before the operation, and as after it. A key that was not there and is deleted
 * is both. */
static void compare(const struct journal *journal, struct desk *desk, unsigned *before,
	unsigned *after)
{
	*before = *after = 0;
	for (unsigned i = 0; i < journal->count; i++) {
		const struct item *item = &journal->items[i];
		struct finding finding = look_up(desk, item->place);

		*before += finding_is(&finding, item->place, item->before);
		*after += finding_is(&finding, item->place, item->after);
	}
}

static void count_batch(bool made)
{
	tally(CHECK_BATCHES);
	atomic_fetch_add(made ? &shared->counts.batches_whole : &shared->counts.batches_none, 1);
}

static void settle(struct journal *journal, struct desk *desk, unsigned writer)
{
	bool returned = atomic_load(&journal->phase) == PHASE_RETURNED;
	unsigned before, after;

	compare(journal, desk, &before, &after);
	tally(CHECK_TAKEN_OVER);
	if (journal->count > 1)
		count_batch(after == journal->count);
	if (after == journal->count) {
		operation_acknowledge(journal);
	} else if (before == journal->count && !returned) {
		operation_forget(journal);
	} else {
		fail(journal->count > 1 ? CHECK_BATCHES : CHECK_TAKEN_OVER,
			"writer %u: of %u keys of the dead one's operation, which %s, %u are as "
			"before and %u as after it; the first is place %u",
			writer, journal->count, returned ? "had returned" : "was under way", before,
			after, journal->items[0].place);
	}
}

void operation_take_over(struct journal *journal, struct desk *desk, unsigned writer)
{
	if (atomic_load(&journal->phase) == PHASE_IDLE)
		return;
	if (table_of_place(journal->items[0].place) >= 2)
		tally(CHECK_DROPS);
	settle(journal, desk, writer);
}
