/* writer.c -- a process that replaces, inserts and deletes the keys of its range
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A writer who takes over a range does again what its predecessor had begun and not acknowledged:
 * the table has it or has it not, and a step done twice is the same step. */
#include "writer.h"

#include "chance.h"
#include "ledger.h"
#include "table.h"

/* Readers are to be many and writers few: a writer rests between bursts. */
enum { BURST_STEPS = 128, REST_US = 2000, RETIRE_ONE_IN = 256 };

/* Process. */
struct writing {
	struct sh_heap *heap;
	struct table table;
	struct ledger *ledger;
	struct writer_note *note;
	unsigned range;
	struct chance chance;
};

static void step_do(struct writing *writing, uint64_t key, uint64_t number)
{
	ledger_begin(writing->ledger, key, number);
	if (!ledger_deletes(key, number))
		table_put(&writing->table, key, number);
	else if (chance_one_in(&writing->chance, RETIRE_ONE_IN))
		table_retire(&writing->table, key, writing->range);
	else
		table_delete(&writing->table, key);
	ledger_acknowledge(writing->ledger, key, number);
	note_add(&writing->note->steps, 1);
}

static void begun_finish(struct writing *writing)
{
	uint64_t first = (uint64_t)writing->range * RANGE_KEYS;

	for (uint64_t key = first; key < first + RANGE_KEYS; key++) {
		const struct standing *standing = &writing->ledger->key[key];
		if (standing->begun != standing->acknowledged)
			step_do(writing, key, standing->begun);
	}
}

static void burst(struct writing *writing)
{
	__atomic_store_n(&writing->note->inside, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < BURST_STEPS; i++) {
		uint64_t key = ledger_choose(&writing->chance, writing->range);
		step_do(writing, key, ledger_acknowledged(writing->ledger, key) + 1);
	}
	__atomic_store_n(&writing->note->inside, 0, __ATOMIC_RELAXED);
}

void writer_run(const struct job *job, unsigned slot, uint64_t seed)
{
	struct writing writing = { .range = slot, .chance = { seed } };

	writing.ledger = ledger_map(job->ledger_path);
	writing.note = &writing.ledger->writer[slot];
	/* The predecessor may have died inside. */
	__atomic_store_n(&writing.note->inside, 0, __ATOMIC_RELAXED);
	must(sh_open(job->heap_path, 0, NULL, &writing.heap), job->heap_path);
	ledger_note_opening(writing.ledger, writing.heap);
	table_attach(&writing.table, writing.heap, &writing.note->locks_inherited);
	writing.table.careless = job->careless;
	table_claim(&writing.table, writing.range);
	begun_finish(&writing);
	for (;;) {
		burst(&writing);
		sleep_us(REST_US);
	}
}
