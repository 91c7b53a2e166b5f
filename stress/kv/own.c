/* own.c -- a writer's own keys: puts, deletions, batches, drops
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/content.h"
#include "stress/kv/tally.h"
#include "stress/kv/writer.h"

#define HOT_KEYS 32u
#define KEYS_EACH (BOTH_KEYS / WRITERS)
#define LOST_ODDS 400u

static uint64_t acknowledged(uint32_t place)
{
	return atomic_load(&shared->standing[place].acknowledged);
}

/* One of its keys in the tables that all write to. */
static uint32_t own_place(const struct writer *writer, uint64_t table, uint64_t number)
{
	return (uint32_t)(table * BOTH_KEYS + number % KEYS_EACH * WRITERS + writer->number);
}

static uint32_t private_place(const struct writer *writer, uint64_t number)
{
	return (uint32_t)(2 * BOTH_KEYS + writer->number * PRIVATE_KEYS + number % PRIVATE_KEYS);
}

static uint32_t any_place(struct writer *writer)
{
	struct chance *random = &writer->random;

	if (chance_once_in(random, 8))
		return private_place(writer, chance_next(random));
	return own_place(writer, chance_below(random, 2),
		chance_below(random, chance_once_in(random, 3) ? HOT_KEYS : KEYS_EACH));
}

static bool wants_put(struct writer *writer)
{
	return chance_below(&writer->random, 100) < writer->puts_percent;
}

static struct kv_table *table_at(const struct writer *writer, uint32_t place)
{
	return writer->desk.tables[table_of_place(place)];
}

/* --- one key ------------------------------------------------------------------------------- */

static int put(struct writer *writer, uint32_t place, uint64_t version, unsigned flags)
{
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	int error;

	call_begin(writer);
	error = kv_put(table_at(writer, place), key_of_place(text, place),
		value_of(bytes, place, version), flags);
	call_end(writer);
	return error;
}

static int delete (struct writer *writer, uint32_t place)
{
	char text[KEY_BYTES];
	int error;

	call_begin(writer);
	error = kv_delete(table_at(writer, place), key_of_place(text, place));
	call_end(writer);
	return error;
}

static void expect_refusal(uint32_t place, int error, int expected)
{
	tally(CHECK_CALLS);
	if (error != expected)
		fail(CHECK_CALLS, "place %u, version %#llx: got %d, not %s", place,
			(unsigned long long)acknowledged(place), error, kv_strerror(expected));
}

static bool loses(struct writer *writer)
{
	return shared->fault == FAULT_LOST && chance_once_in(&writer->random, LOST_ODDS);
}

static void change_one(struct writer *writer, uint32_t place, bool to_put)
{
	struct journal *journal = &writer->seat->journal;
	bool there = is_put(acknowledged(place));
	uint64_t version;
	int error = 0;

	operation_plan(journal);
	version = operation_add(journal, place, to_put);
	operation_begin(journal);
	if (!loses(writer))
		error = to_put
			? put(writer, place, version,
				  !there && chance_once_in(&writer->random, 2) ? KV_INSERT : 0)
			: delete (writer, place);
	if (expect_ok(error, to_put ? "kv_put" : "kv_delete") == 0)
		operation_acknowledge(journal);
}

/* What the key's owner knows to be refused. */
static void change_refused(struct writer *writer, uint32_t place)
{
	uint64_t version = acknowledged(place);

	if (is_put(version))
		expect_refusal(place, put(writer, place, version + 2, KV_INSERT), KV_EEXIST);
	else
		expect_refusal(place, delete (writer, place), KV_ENOTFOUND);
}

static void one_key(struct writer *writer)
{
	uint32_t place = any_place(writer);
	bool there = is_put(acknowledged(place));
	bool to_put = wants_put(writer);

	if (there == to_put && (!there || chance_once_in(&writer->random, 4)))
		change_refused(writer, place);
	else
		change_one(writer, place, to_put);
}

/* --- batches ------------------------------------------------------------------------------- */

/* Neighbours, or keys from all over both tables. */
static void plan_batch(struct writer *writer)
{
	struct journal *journal = &writer->seat->journal;
	struct chance *random = &writer->random;
	unsigned wanted = chance_once_in(random, 3) ? chance_between(random, 2, ITEMS)
						    : chance_between(random, 2, 12);
	bool in_order = chance_once_in(random, 2), alike = chance_once_in(random, 2);
	bool to_put = wants_put(writer);
	uint64_t table = chance_below(random, 2), first = chance_next(random) % KEYS_EACH;

	operation_plan(journal);
	for (unsigned i = 0; i < wanted; i++) {
		uint32_t place = in_order ? own_place(writer, table, first + i) : any_place(writer);

		if (!operation_has(journal, place))
			operation_add(journal, place, alike ? to_put : wants_put(writer));
		if (in_order && i == wanted / 2 && chance_once_in(random, 2))
			table = 1 - table;
	}
}

static int add_item(struct writer *writer, struct kv_batch *batch, const struct item *item)
{
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	struct kv_table *table = table_at(writer, item->place);
	struct kv_bytes key = key_of_place(text, item->place);
	int error = 0;

	/* Of several to one key the last counts. */
	if (chance_once_in(&writer->random, 64))
		error = chance_once_in(&writer->random, 2)
			? kv_batch_put(batch, table, key, (struct kv_bytes){ "never", 5 })
			: kv_batch_delete(batch, table, key);
	if (error != 0)
		return error;
	if (!is_put(item->after))
		return kv_batch_delete(batch, table, key);
	return kv_batch_put(batch, table, key, value_of(bytes, item->place, item->after));
}

static int commit_items(struct writer *writer, unsigned first, unsigned end)
{
	struct journal *journal = &writer->seat->journal;
	struct kv_batch *batch;
	int error = kv_batch_begin(writer->desk.store, &batch);

	if (error != 0)
		return error;
	for (unsigned i = first; i < end && error == 0; i++)
		error = add_item(writer, batch, &journal->items[i]);
	if (error == 0)
		return kv_batch_commit(batch);
	kv_batch_abort(batch);
	return error;
}

static void batch(struct writer *writer)
{
	struct journal *journal = &writer->seat->journal;
	unsigned middle;
	int error;

	plan_batch(writer);
	operation_begin(journal);
	middle = shared->fault == FAULT_HALF ? journal->count / 2 : 0;
	call_begin(writer);
	error = middle > 0 ? commit_items(writer, 0, middle) : 0;
	if (error == 0)
		error = commit_items(writer, middle, journal->count);
	call_end(writer);
	if (expect_ok(error, "kv_batch_commit") == 0)
		operation_acknowledge(journal);
}

/* --- drops --------------------------------------------------------------------------------- */

/* All that is in the writer's own table goes at once; then it is made anew. */
static void drop(struct writer *writer)
{
	struct journal *journal = &writer->seat->journal;
	unsigned table = 2 + writer->number;
	char text[KEY_BYTES];
	int error;

	operation_plan(journal);
	for (uint32_t i = 0; i < PRIVATE_KEYS; i++)
		if (is_put(acknowledged(private_place(writer, i))))
			operation_add(journal, private_place(writer, i), false);
	if (journal->count == 0)
		return;
	operation_begin(journal);
	call_begin(writer);
	error = kv_table_drop(writer->desk.store, table_name(text, table));
	call_end(writer);
	if (expect_ok(error, "kv_table_drop") != 0)
		return;
	operation_acknowledge(journal);
	atomic_fetch_add(&shared->counts.tables_dropped, 1);
	call_begin(writer);
	expect_refusal(private_place(writer, 0), put(writer, private_place(writer, 0), 1, 0),
		KV_EDROPPED);
	error = kv_table_open(writer->desk.store, table_name(text, table), KV_CREATE,
		&writer->desk.tables[table]);
	call_end(writer);
	expect_ok(error, "kv_table_open after a drop");
}

/* It reads what it wrote, which nobody else writes. */
static void read_back(struct writer *writer)
{
	uint32_t place = any_place(writer);
	struct finding finding = look_up(&writer->desk, place);

	finding_judge(&finding, place, acknowledged(place), CHECK_ACKNOWLEDGED);
}

void own_any(struct writer *writer)
{
	uint64_t percent = chance_below(&writer->random, 100);

	if (percent < 70)
		one_key(writer);
	else if (percent < 90)
		batch(writer);
	else if (percent < 98)
		read_back(writer);
	else if (chance_once_in(&writer->random, 4))
		drop(writer);
}
