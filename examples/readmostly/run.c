/* run.c -- the whole story: read and write under fire, lose everybody, go on, empty the table
 * SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include "audit.h"
#include "fleet.h"
#include "memory.h"
#include "table.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
	PAUSE_MAX_US = 20000,
	ROUND_MIN_MS = 1000,
	ROUND_MAX_MS = 2500,
	DROPS_PER_STROKE = 256,
	WARM_UP_PART = 3, /* one third of the time, ... */
	SILENCE_MAX_SECONDS = 30,
};

/* Process. What the lines are made of: sums at the last line. */
struct shown {
	uint64_t ns;
	uint64_t lookups;
	uint64_t steps;
	uint64_t moved_ns; /* when a writer was seen to move last */
};

/* Process. */
struct story {
	const struct job *job;
	struct ledger *ledger;
	struct table table;
	struct fleet fleet;
	struct memory memory;
	struct audit audit;
	struct shown shown;
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t drops;           /* keys deleted by this process */
	uint64_t mass_deaths;     /* times that everybody was killed at once */
	uint64_t locks_inherited; /* by this process */
};

static void story_begin(struct story *story, const struct job *job, const struct plan *plan)
{
	ledger_create(job->ledger_path, plan->writers);
	*story = (struct story){
		.job = job,
		.ledger = ledger_map(job->ledger_path),
		.start_ns = now_ns(),
		.end_ns = now_ns() + plan->seconds * SECOND_NS,
	};
	story->fleet = (struct fleet){
		.job = job,
		.ledger = story->ledger,
		.readers = plan->readers,
		.writers = plan->writers,
		.chance = { plan->seed },
	};
	story->shown = (struct shown){ .ns = story->start_ns, .moved_ns = story->start_ns };
	story->memory.warm_ns = story->start_ns + plan->seconds * SECOND_NS / WARM_UP_PART;
}

/* Lines. */

static uint64_t lookups_sum(const struct story *story)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < story->fleet.readers; i++)
		sum += __atomic_load_n(&story->ledger->reader[i].lookups, __ATOMIC_RELAXED);
	return sum;
}

static uint64_t steps_sum(const struct story *story)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < story->fleet.writers; i++)
		sum += __atomic_load_n(&story->ledger->writer[i].steps, __ATOMIC_RELAXED);
	return sum;
}

static uint64_t locks_sum(const struct story *story)
{
	uint64_t sum = story->locks_inherited;

	for (unsigned i = 0; i < story->fleet.writers; i++)
		sum += __atomic_load_n(&story->ledger->writer[i].locks_inherited, __ATOMIC_RELAXED);
	return sum;
}

static void lines_head(void)
{
	printf("  %7s %10s %9s %7s %7s %11s %9s %6s\n", "seconds", "lookups/s", "writes/s",
		"killed", "stopped", "blocks MiB", "file MiB", "wrong");
}

static void line_show(const struct story *story, const struct shown *last, const struct shown *now)
{
	double seconds = (double)(now->ns - last->ns) / (double)SECOND_NS;

	printf("  %7.1f %10.0f %9.0f", (double)(now->ns - story->start_ns) / (double)SECOND_NS,
		(double)(now->lookups - last->lookups) / seconds,
		(double)(now->steps - last->steps) / seconds);
	printf(" %7" PRIu64 " %7" PRIu64, story->fleet.fate.kills, story->fleet.fate.stops);
	printf(" %11.1f %9.1f %6" PRIu64 "\n", (double)story->memory.now.blocks / (double)MEBIBYTE,
		(double)story->memory.now.file / (double)MEBIBYTE, ledger_wrong(story->ledger));
	fflush(stdout);
}

/* A line per second. Writers that move no more hang: the one thing that must not happen. */
static void lines_go_on(struct story *story)
{
	struct shown now = { .ns = now_ns() };

	if (now.ns - story->shown.ns < SECOND_NS)
		return;
	now.lookups = lookups_sum(story);
	now.steps = steps_sum(story);
	now.moved_ns = now.steps != story->shown.steps ? now.ns : story->shown.moved_ns;
	line_show(story, &story->shown, &now);
	if (now.ns - now.moved_ns > SILENCE_MAX_SECONDS * SECOND_NS)
		fail("no writer has moved for %d s: they hang", SILENCE_MAX_SECONDS);
	story->shown = now;
}

/* Scenes. */

static void heap_open(struct story *story)
{
	must(sh_open(story->job->heap_path, 0, NULL, &story->fleet.heap), story->job->heap_path);
	ledger_note_opening(story->ledger, story->fleet.heap);
	table_attach(&story->table, story->fleet.heap, &story->locks_inherited);
}

static void heap_create(struct story *story)
{
	struct sh_heap *heap;

	must(sh_open(story->job->heap_path, SH_CREATE | SH_EXCL, NULL, &heap),
		story->job->heap_path);
	table_create(heap);
	must(sh_close(heap), "sh_close");
}

static void fire(struct story *story, uint64_t until_ns)
{
	while (now_ns() < until_ns) {
		sleep_us(chance_below(&story->fleet.chance, PAUSE_MAX_US));
		fleet_harass(&story->fleet);
		memory_look(&story->memory, story->fleet.heap);
		lines_go_on(story);
	}
}

/* Deletes keys while readers read and are killed, but no writer lives. This process does not die, so
 * it needs no transaction. */
static void keys_drop(struct story *story, uint64_t first, uint64_t behind)
{
	for (uint64_t key = first; key < behind; key++) {
		uint64_t begun = story->ledger->key[key].begun;
		uint64_t number = ledger_next_delete(key, begun + 1);
		ledger_begin(story->ledger, key, number);
		table_drop(&story->table, key);
		ledger_acknowledge(story->ledger, key, number);
		story->drops++;
		if (key % DROPS_PER_STROKE == 0) {
			fleet_harass(&story->fleet);
			memory_look(&story->memory, story->fleet.heap);
		}
	}
}

static void range_drop(struct story *story)
{
	uint64_t first = chance_below(&story->fleet.chance, story->fleet.writers) * RANGE_KEYS;

	keys_drop(story, first, first + RANGE_KEYS);
}

/* From a heap that nobody has open until all are dead (P2). This process is not attached then. */
static void round_play(struct story *story, uint64_t until_ns)
{
	heap_open(story);
	audit_all(&story->audit, &story->table, story->ledger);
	fleet_start_readers(&story->fleet);
	range_drop(story);
	fleet_start_writers(&story->fleet);
	fire(story, until_ns);
}

static void everybody_dies(struct story *story)
{
	must(sh_close(story->fleet.heap), "sh_close");
	fleet_end(&story->fleet);
	story->mass_deaths++;
}

static void rounds_play(struct story *story)
{
	for (;;) {
		uint64_t length_ms = ROUND_MIN_MS +
			chance_below(&story->fleet.chance, ROUND_MAX_MS - ROUND_MIN_MS);
		uint64_t until_ns = now_ns() + length_ms * 1000000;
		bool last = until_ns >= story->end_ns;
		round_play(story, last ? story->end_ns : until_ns);
		if (last)
			return;
		everybody_dies(story);
	}
}

/* Ends with an empty heap, which nobody but this process has open. */
static void table_empty(struct story *story)
{
	struct sh_heap *heap = story->fleet.heap;

	fleet_end(&story->fleet);
	must(sh_reap(heap, NULL), "sh_reap");
	audit_all(&story->audit, &story->table, story->ledger);
	fleet_start_readers(&story->fleet);
	keys_drop(story, 0, story->ledger->keys);
	fleet_end(&story->fleet);
	must(sh_reap(heap, NULL), "sh_reap");
	for (unsigned i = 0; i < story->fleet.writers; i++)
		table_claim(&story->table, i);
	table_destroy(&story->table);
	must(sh_synchronize(heap), "sh_synchronize");
	must(sh_synchronize(heap), "sh_synchronize");
	audit_check(&story->audit, heap);
}

/* What came of it. */

static void values_judge(struct verdict *verdict, const struct story *story)
{
	const struct ledger *ledger = story->ledger;

	for (unsigned i = RIGHT + 1; i < WRONG_KINDS; i++)
		verdict_add(verdict, ledger->wrong[i] == 0,
			"lookups that found what is %s: %" PRIu64, ledger_wrong_name((enum wrong)i),
			ledger->wrong[i]);
	verdict_add(verdict, story->audit.keys_wrong == 0,
		"keys wrong in %" PRIu64 " audits of all keys: %" PRIu64, story->audit.audits,
		story->audit.keys_wrong);
	verdict_add(verdict, story->fleet.fate.ended == 0,
		"processes that ended by themselves: %" PRIu64, story->fleet.fate.ended);
}

static void heap_judge(struct verdict *verdict, const struct story *story)
{
	uint64_t blocks = memory_count_blocks(story->fleet.heap);
	uint64_t taken = memory_count_taken(story->fleet.heap);

	verdict_add(verdict, story->audit.blocks_wrong == 0,
		"blocks lost or out of reach: %" PRIu64, story->audit.blocks_wrong);
	verdict_add(verdict, story->audit.problems == 0, "problems that sh_check found: %" PRIu64,
		story->audit.problems);
	verdict_add(verdict, blocks == 0 && taken == 0,
		"blocks when all is deleted: %" PRIu64 "; with limbo: %" PRIu64, blocks, taken);
}

static void memory_judge(struct verdict *verdict, const struct memory *memory)
{
	const struct space *warm_up = &memory->warm_up;
	const struct space *later = &memory->later;

	verdict_add(verdict, later->blocks <= warm_up->blocks + MEMORY_SLACK_BYTES,
		"blocks and limbo: at most %.1f MiB after the warm-up, %.1f MiB in it; allowed "
		"%.1f more",
		(double)later->blocks / (double)MEBIBYTE,
		(double)warm_up->blocks / (double)MEBIBYTE,
		(double)MEMORY_SLACK_BYTES / (double)MEBIBYTE);
	verdict_add(verdict, later->file <= warm_up->file + MEMORY_SLACK_BYTES,
		"the file at most %.1f MiB long after the warm-up, %.1f MiB in it; the same "
		"allowed",
		(double)later->file / (double)MEBIBYTE, (double)warm_up->file / (double)MEBIBYTE);
}

/* A run in which nothing happened would prove nothing. */
static void events_judge(struct verdict *verdict, const struct story *story)
{
	const struct fate *fate = &story->fleet.fate;

	verdict_add(verdict, lookups_sum(story) > 0, "lookups: %" PRIu64, lookups_sum(story));
	verdict_add(verdict, steps_sum(story) > 0,
		"writes: %" PRIu64 "; by the supervisor: %" PRIu64, steps_sum(story), story->drops);
	verdict_add(verdict, fate->kills > 0 && fate->stops_inside > 0,
		"killed: %" PRIu64 "; readers stopped in a section: %" PRIu64, fate->kills,
		fate->stops_inside);
	verdict_add(verdict, story->mass_deaths > 0, "times that all were killed at once: %" PRIu64,
		story->mass_deaths);
	printf("  Transactions of the dead that were settled by reapers: %" PRIu64 " back, %" PRIu64
	       " forward. Stripes got from dead holders: %" PRIu64 ".\n",
		story->ledger->settled.back, story->ledger->settled.forward, locks_sum(story));
}

bool run(const struct job *job, const struct plan *plan)
{
	struct verdict verdict = { 0 };
	struct story story;

	story_begin(&story, job, plan);
	heap_create(&story);
	lines_head();
	rounds_play(&story);
	table_empty(&story);
	printf("\nWhat was checked\n");
	values_judge(&verdict, &story);
	heap_judge(&verdict, &story);
	memory_judge(&verdict, &story.memory);
	events_judge(&verdict, &story);
	must(sh_close(story.fleet.heap), "sh_close");
	return verdict_close(&verdict);
}

static uint64_t faults(const struct story *story)
{
	return ledger_wrong(story->ledger) + story->fleet.fate.ended;
}

bool run_careless(const struct job *job, const struct plan *plan)
{
	struct verdict verdict = { 0 };
	struct story story;

	story_begin(&story, job, plan);
	heap_create(&story);
	heap_open(&story);
	fleet_start_readers(&story.fleet);
	fleet_start_writers(&story.fleet);
	while (faults(&story) == 0 && now_ns() < story.end_ns) {
		sleep_us(PAUSE_MAX_US);
		fleet_harass(&story.fleet);
	}
	verdict_add(&verdict, faults(&story) > 0,
		"careless, and found out by readers: %" PRIu64 " faults after %.2f s",
		faults(&story), (double)(now_ns() - story.start_ns) / (double)SECOND_NS);
	fleet_end(&story.fleet);
	must(sh_close(story.fleet.heap), "sh_close");
	return verdict_close(&verdict);
}
