/* reader.c -- a process that looks keys up and trusts nothing that it finds
 * SPDX-License-Identifier: BSD-3-Clause */
#include "reader.h"

#include "chance.h"
#include "ledger.h"
#include "table.h"

enum {
	SECTION_LOOKUPS_MAX = 32,
	HANDLE_ONE_IN = 4,
	NESTED_ONE_IN = 16,
	HOLD_ONE_IN = 16384,
	HOLD_MAX_US = 2000,
	LONG_HOLD_ONE_IN = 8,
	LONG_HOLD_MAX_US = 30000,
};

/* Process. */
struct reading {
	struct sh_heap *heap;
	struct table table;
	struct ledger *ledger;
	struct reader_note *note;
	struct sh_reader *handle;
	struct chance chance;
};

/* What was found is held for a while: until the section ends it must stay what it is, however often
 * it is replaced or deleted meanwhile. */
static enum wrong hold(struct reading *reading, const struct entry *entry)
{
	uint64_t key = entry->key;
	uint64_t number = entry->number;
	bool is_long = chance_one_in(&reading->chance, LONG_HOLD_ONE_IN);

	sleep_us(chance_below(&reading->chance, is_long ? LONG_HOLD_MAX_US : HOLD_MAX_US));
	enum wrong wrong = table_examine(entry);
	if (wrong != RIGHT)
		return wrong;
	return entry->key == key && entry->number == number ? RIGHT : WRONG_CHANGED;
}

static enum wrong look_up(struct reading *reading, uint64_t key)
{
	uint64_t acknowledged = ledger_acknowledged(reading->ledger, key);
	enum wrong wrong;
	const struct entry *entry = table_find(&reading->table, key, &wrong);

	if (wrong != RIGHT)
		return wrong;
	if (entry == NULL)
		return ledger_judge(reading->ledger, key, acknowledged, 0);
	wrong = table_examine(entry);
	if (wrong == RIGHT)
		wrong = ledger_judge(reading->ledger, key, acknowledged, entry->number);
	if (wrong == RIGHT && chance_one_in(&reading->chance, HOLD_ONE_IN))
		wrong = hold(reading, entry);
	note_add(&reading->note->found, 1);
	return wrong;
}

static void look_up_some(struct reading *reading)
{
	uint64_t ranges = reading->ledger->keys / RANGE_KEYS;
	uint64_t count = 1 + chance_below(&reading->chance, SECTION_LOOKUPS_MAX);

	__atomic_store_n(&reading->note->inside, 1, __ATOMIC_RELAXED);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t key =
			ledger_choose(&reading->chance, chance_below(&reading->chance, ranges));
		enum wrong wrong = look_up(reading, key);
		if (wrong != RIGHT)
			ledger_accuse(reading->ledger, wrong, key);
	}
	note_add(&reading->note->lookups, count);
	__atomic_store_n(&reading->note->inside, 0, __ATOMIC_RELAXED);
}

static void section_of_thread(struct reading *reading)
{
	bool nested = chance_one_in(&reading->chance, NESTED_ONE_IN);

	must(sh_read_lock(reading->heap), "sh_read_lock");
	if (nested)
		must(sh_read_lock(reading->heap), "sh_read_lock");
	look_up_some(reading);
	if (nested)
		sh_read_unlock(reading->heap);
	sh_read_unlock(reading->heap);
}

static void section_of_handle(struct reading *reading)
{
	sh_reader_lock(reading->handle);
	look_up_some(reading);
	sh_reader_unlock(reading->handle);
}

void reader_run(const struct job *job, unsigned slot, uint64_t seed)
{
	struct reading reading = { .chance = { seed } };

	reading.ledger = ledger_map(job->ledger_path);
	reading.note = &reading.ledger->reader[slot];
	/* The predecessor may have died inside. */
	__atomic_store_n(&reading.note->inside, 0, __ATOMIC_RELAXED);
	must(sh_open(job->heap_path, 0, NULL, &reading.heap), job->heap_path);
	ledger_note_opening(reading.ledger, reading.heap);
	must(sh_reader_open(reading.heap, &reading.handle), "sh_reader_open");
	table_attach(&reading.table, reading.heap, NULL);
	for (;;) {
		if (chance_one_in(&reading.chance, HANDLE_ONE_IN))
			section_of_handle(&reading);
		else
			section_of_thread(&reading);
	}
}
