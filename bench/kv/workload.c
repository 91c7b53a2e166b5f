/* workload.c -- dbbench's set, YCSB, and a mix of writers and readers
 * SPDX-License-Identifier: BSD-3-Clause */
#include "workload.h"

#define GROUP 1000u
/* Large transactions leave LMDB long lists of free pages, which make its later writes three or four times
 * slower; those who sync cannot choose. */
#define FILL_GROUP 10u
#define FILL_SYNC_GROUP 10000u
#define SCAN_MAX 100u
#define SCAN_ROUNDS 5u
#define CHURN_ROUNDS 4u
#define CHURN_GROUP 100u
#define CHURN_TEXT "values of half to one and a half of the size, 100 puts to a transaction"

/* --- keys and values -------------------------------------------------------------------------- */

static struct bytes key_of(struct worker *worker, uint64_t number)
{
	key_make(worker->key, number);
	return (struct bytes){ worker->key, KEY_BYTES };
}

static struct bytes value_next(struct worker *worker)
{
	const struct task *task = worker->task;
	uint64_t random = random_next(&worker->random);
	uint64_t size = task->value_bytes;

	if (task->workload->uneven)
		size = random_size(random >> 16, size / 2, size + size / 2);
	return (struct bytes){ value_at(task->numbers, random), size };
}

static uint64_t any_number(struct worker *worker)
{
	return random_below(random_next(&worker->random), worker->task->numbers->entries);
}

static uint64_t next_shuffled(struct worker *worker, unsigned ahead)
{
	return worker->task->numbers->shuffled[worker->done + ahead];
}

/* --- writing ---------------------------------------------------------------------------------- */

static uint64_t put_number(struct worker *worker, uint64_t number, bool append)
{
	struct bytes key = key_of(worker, number);
	struct bytes value = value_next(worker);

	worker->engine->calls->put(worker->session, &key, &value, append);
	return 1;
}

static uint64_t put_sequential(struct worker *worker, enum operation *operation)
{
	(void)operation;
	return put_number(worker, worker->done, true);
}

static uint64_t put_shuffled(struct worker *worker, enum operation *operation)
{
	(void)operation;
	return put_number(worker, next_shuffled(worker, 0), false);
}

static uint64_t put_any(struct worker *worker, enum operation *operation)
{
	(void)operation;
	return put_number(worker, any_number(worker), false);
}

/* Puts a transaction's entries, number by number. */
static uint64_t put_group(struct worker *worker,
	uint64_t (*number_at)(struct worker *worker, unsigned index))
{
	const struct engine_calls *calls = worker->engine->calls;
	uint64_t left = worker->operations - worker->done;
	unsigned group = worker->task->workload->group;
	unsigned count = group < left ? group : (unsigned)left;

	calls->group_begin(worker->session);
	for (unsigned i = 0; i < count; i++) {
		struct bytes key = key_of(worker, number_at(worker, i));
		struct bytes value = value_next(worker);

		calls->group_put(worker->session, &key, &value);
	}
	calls->group_commit(worker->session);
	return count;
}

static uint64_t put_shuffled_group(struct worker *worker, enum operation *operation)
{
	(void)operation;
	return put_group(worker, next_shuffled);
}

static uint64_t any_number_at(struct worker *worker, unsigned index)
{
	(void)index;
	return any_number(worker);
}

static uint64_t put_any_group(struct worker *worker, enum operation *operation)
{
	(void)operation;
	return put_group(worker, any_number_at);
}

static uint64_t next_record(struct worker *worker, unsigned ahead)
{
	return record_number(worker->done + ahead);
}

static uint64_t load_group(struct worker *worker, enum operation *operation)
{
	(void)operation;
	return put_group(worker, next_record);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool get_number(struct worker *worker, uint64_t number)
{
	struct bytes key = key_of(worker, number);

	return worker->engine->calls->get(worker->session, &key, &worker->look);
}

static uint64_t get_any(struct worker *worker, enum operation *operation)
{
	const struct engine_calls *calls = worker->engine->calls;
	unsigned group = worker->task->workload->group;

	*operation = READ;
	calls->read_begin(worker->session, group);
	for (unsigned i = 0; i < group; i++)
		if (!get_number(worker, any_number(worker)))
			die("%s lost an entry", worker->engine->name);
	calls->read_end(worker->session);
	return group;
}

static uint64_t scan_all(struct worker *worker, bool backward)
{
	uint64_t entries = worker->task->numbers->entries;
	uint64_t seen = worker->engine->calls->scan(worker->session, NULL, backward, UINT64_MAX,
		&worker->look);

	if (seen != entries)
		die("a scan of %s found %llu entries of %llu", worker->engine->name,
			(unsigned long long)seen, (unsigned long long)entries);
	return seen;
}

static uint64_t scan_forward(struct worker *worker, enum operation *operation)
{
	*operation = READ;
	return scan_all(worker, false);
}

static uint64_t scan_backward(struct worker *worker, enum operation *operation)
{
	*operation = READ;
	return scan_all(worker, true);
}

/* --- YCSB ------------------------------------------------------------------------------------- */

/* A record that somebody wants: Zipf's, scattered over all that were loaded; or one of the latest. */
static uint64_t wanted_record(struct worker *worker)
{
	const struct numbers *numbers = worker->task->numbers;
	uint64_t rank = numbers->draws[worker->draw++ % DRAWS];

	if (!worker->task->workload->mix->latest)
		return scatter(rank) % numbers->entries;
	return atomic_load_explicit(worker->inserted, memory_order_relaxed) - 1 - rank;
}

/* Others' inserts may be under way. */
static void read_record(struct worker *worker)
{
	const struct engine_calls *calls = worker->engine->calls;
	bool alone = worker->task->writers == 1;

	calls->read_begin(worker->session, 1);
	if (!get_number(worker, record_number(wanted_record(worker))) && alone)
		die("%s lost an entry", worker->engine->name);
	calls->read_end(worker->session);
}

static void scan_records(struct worker *worker)
{
	struct bytes key = key_of(worker, record_number(wanted_record(worker)));
	uint64_t count = 1 + random_below(random_next(&worker->random), SCAN_MAX);

	worker->engine->calls->scan(worker->session, &key, false, count, &worker->look);
}

static void insert_record(struct worker *worker)
{
	put_number(worker, record_number(atomic_fetch_add(worker->inserted, 1)), false);
}

static void modify_record(struct worker *worker)
{
	const struct engine_calls *calls = worker->engine->calls;
	uint64_t number = record_number(wanted_record(worker));

	calls->read_begin(worker->session, 1);
	if (!get_number(worker, number))
		die("%s lost an entry", worker->engine->name);
	calls->read_end(worker->session);
	put_number(worker, number, false);
}

/* An operation of YCSB's; a scan counts as one. */
static uint64_t mix_step(struct worker *worker, enum operation *operation)
{
	const struct mix *mix = worker->task->workload->mix;
	unsigned chance = (unsigned)random_below(random_next(&worker->random), 100);

	*operation = READ;
	if (chance < mix->reads) {
		read_record(worker);
		return 1;
	}
	chance -= mix->reads;
	if (chance < mix->scans) {
		scan_records(worker);
		return 1;
	}
	chance -= mix->scans;
	*operation = WRITE;
	if (chance < mix->inserts)
		insert_record(worker);
	else if (chance < mix->inserts + mix->updates)
		put_number(worker, record_number(wanted_record(worker)), false);
	else
		modify_record(worker);
	return 1;
}

/* --- a worker at work ------------------------------------------------------------------------- */

static bool goes_on(const struct worker *worker)
{
	return worker->done < worker->operations &&
		!atomic_load_explicit(worker->stop, memory_order_relaxed);
}

void worker_warm_up(struct worker *worker)
{
	if (worker->task->workload->before != EMPTY)
		worker->engine->calls->scan(worker->session, NULL, false, UINT64_MAX,
			&worker->look);
}

void worker_run(struct worker *worker)
{
	const struct workload *workload = worker->task->workload;
	step_fn *step = worker->writes ? workload->write : workload->read;
	unsigned stride = worker->task->stride;
	unsigned turn = 0;

	worker->tally->start_ns = now_ns();
	while (goes_on(worker)) {
		enum operation operation = WRITE;
		bool sampled = stride != 0 && ++turn == stride;
		uint64_t start = sampled ? now_ns() : 0;
		uint64_t entries = step(worker, &operation);

		if (sampled) {
			histogram_add(&worker->tally->latency[operation], now_ns() - start);
			turn = 0;
		}
		worker->tally->entries[operation] += entries;
		worker->done += entries;
	}
	worker->tally->end_ns = now_ns();
	/* Readers beside writers with so much to do read as long as those write. */
	if (worker->writes)
		atomic_store(worker->stop, true);
}

/* --- all workloads ---------------------------------------------------------------------------- */

static const struct mix mixes[] = {
	{ .reads = 50, .updates = 50 },
	{ .reads = 95, .updates = 5 },
	{ .reads = 100 },
	{ .reads = 95, .inserts = 5, .latest = true },
	{ .scans = 95, .inserts = 5 },
	{ .reads = 50, .modifications = 50 },
};

#define MIX(letter, number, text, then)                                                \
	{                                                                              \
		.name = "ycsb-" letter, .set = "ycsb", .what = text, .before = LOADED, \
		.after = (then), .group = 1, .by_time = true, .write = mix_step,       \
		.mix = &mixes[number],                                                 \
	}

/* In this order, so that what one of them leaves is what the next ones begin with. */
static const struct workload workloads[] = {
	{ "fillseq", "db", "keys in order, one put to a transaction", EMPTY, FILLED, 1,
		.write = put_sequential },
	{ "fillrandbatch", "db", "keys in random order, 1,000 puts to a transaction", EMPTY, FILLED,
		GROUP, .write = put_shuffled_group },
	{ "fillrandom", "db", "keys in random order, one put to a transaction", EMPTY, FILLED, 1,
		.write = put_shuffled },
	{ "readrandom", "db", "each get in a transaction of its own", FILLED, FILLED, 1,
		.read = get_any },
	{ "readrandbatch", "db", "1,000 gets to a transaction", FILLED, FILLED, GROUP,
		.read = get_any },
	{ "readseq", "db", "a scan of everything", FILLED, FILLED, 1, .rounds = SCAN_ROUNDS,
		.read = scan_forward },
	{ "readreverse", "db", "the same, backward", FILLED, FILLED, 1, .rounds = SCAN_ROUNDS,
		.read = scan_backward },
	{ "overwrite", "db", "random keys that exist, one put to a transaction", FILLED, FILLED, 1,
		.write = put_any },
	{ "readwhilewriting", "db", "one process overwrites, another one reads", FILLED, FILLED, 1,
		.by_time = true, .write = put_any, .read = get_any },
	MIX("a", 0, "50 % reads, 50 % updates", LOADED),
	MIX("b", 1, "95 % reads, 5 % updates", LOADED),
	MIX("c", 2, "reads", LOADED),
	MIX("f", 5, "50 % reads, 50 % a read and an update", LOADED),
	MIX("d", 3, "95 % reads of the latest, 5 % inserts", SPOILED),
	MIX("e", 4, "95 % scans of 1 to 100 entries, 5 % inserts", SPOILED),
	{ "churn", "churn", "random keys four times over, " CHURN_TEXT, FILLED, SPOILED,
		CHURN_GROUP, .rounds = CHURN_ROUNDS, .uneven = true, .write = put_any_group },
	{ "churnread", "churn", "the same beside a reader, 100 gets to a transaction", FILLED,
		SPOILED, CHURN_GROUP, .rounds = CHURN_ROUNDS, .uneven = true,
		.write = put_any_group, .read = get_any },
};

/* What others have done to the store makes LMDB's writes slower: each pair of numbers gets a new one. */
static const struct workload mixed = { "grid", "grid", "random overwrites and gets", FILLED,
	SPOILED, 1, .by_time = true, .write = put_any, .read = get_any };

static const struct workload fillings[][2] = {
	[FILLED] = {
		{ "fill", "", "", EMPTY, FILLED, FILL_GROUP, .write = put_shuffled_group },
		{ "fill", "", "", EMPTY, FILLED, FILL_SYNC_GROUP, .write = put_shuffled_group },
	},
	[LOADED] = {
		{ "load", "", "", EMPTY, LOADED, FILL_GROUP, .write = load_group },
		{ "load", "", "", EMPTY, LOADED, FILL_SYNC_GROUP, .write = load_group },
	},
};

const struct workload *workload_number(unsigned index)
{
	return index < LENGTH_OF(workloads) ? &workloads[index] : NULL;
}

const struct workload *workload_filling(enum filling filling, bool syncs)
{
	return &fillings[filling][syncs];
}

const struct workload *workload_mixed(void)
{
	return &mixed;
}
