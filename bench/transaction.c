/* transaction.c -- transactions against plain allocation, and libpmemobj beside them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Blocks of 64 B, 1,000 words of the heap that name them. "allocate": blocks for all words, timed;
 * freed afterwards, which is not timed. "replace": for each word its block is freed, another one
 * allocated and stored. A figure is the processor time per word. */
#define _GNU_SOURCE
#include "peer.h"
#include "subjects.h"

#define WORDS 1000u
#define BLOCK_BYTES 64u

_Static_assert(WORDS <= PEER_WORDS, "the peers' words");

/* Process. The heap of either kind, and what to call. */
struct target {
	bool is_spanheap;
	struct sh_heap *heap;
	sh_off *words; /* in the heap */
	void *peer;
	struct allocator allocator;
	int (*peer_alloc_to)(void *peer, unsigned word, size_t size);
	int (*peer_free_from)(void *peer, unsigned word);
	int (*peer_transaction_alloc_to)(void *peer, unsigned word, size_t size);
	int (*peer_transaction_replace)(void *peer, unsigned word, size_t size);
};

static void expect(int error, const char *call)
{
	if (__builtin_expect(error != 0, 0))
		die("%s: %s", call, sh_strerror(error));
}

static void expect_block(sh_off block, const char *call)
{
	if (__builtin_expect(block == 0, 0))
		die("%s: %s", call, strerror(errno));
}

/* --- spanheap --------------------------------------------------------------------------------- */

static void plain_alloc(const struct target *target, unsigned word)
{
	sh_off block = sh_alloc(target->heap, BLOCK_BYTES);

	expect_block(block, "sh_alloc");
	target->words[word] = block;
}

static void plain_free(const struct target *target, unsigned word)
{
	expect(sh_free(target->heap, target->words[word]), "sh_free");
	target->words[word] = 0;
}

static void plain_replace(const struct target *target, unsigned word)
{
	plain_free(target, word);
	plain_alloc(target, word);
}

static void alloc_to(const struct target *target, unsigned word)
{
	expect_block(sh_alloc_to(target->heap, &target->words[word], BLOCK_BYTES, 0),
		"sh_alloc_to");
}

static void free_from_alloc_to(const struct target *target, unsigned word)
{
	expect(sh_free_from(target->heap, &target->words[word]), "sh_free_from");
	alloc_to(target, word);
}

static void transaction_alloc(const struct target *target, unsigned word)
{
	struct sh_txn *txn;

	expect(sh_txn_begin(target->heap, 0, &txn), "sh_txn_begin");
	sh_off block = sh_txn_alloc(txn, BLOCK_BYTES, 0);

	expect_block(block, "sh_txn_alloc");
	expect(sh_txn_store(txn, &target->words[word], block), "sh_txn_store");
	expect(sh_txn_commit(txn), "sh_txn_commit");
}

static void transaction_replace(const struct target *target, unsigned word)
{
	struct sh_txn *txn;

	expect(sh_txn_begin(target->heap, 0, &txn), "sh_txn_begin");
	expect(sh_txn_free(txn, target->words[word], 0), "sh_txn_free");
	sh_off block = sh_txn_alloc(txn, BLOCK_BYTES, 0);

	expect_block(block, "sh_txn_alloc");
	expect(sh_txn_store(txn, &target->words[word], block), "sh_txn_store");
	expect(sh_txn_commit(txn), "sh_txn_commit");
}

/* --- libpmemobj ------------------------------------------------------------------------------- */

static void peer_atomic_alloc(const struct target *target, unsigned word)
{
	expect(target->peer_alloc_to(target->peer, word, BLOCK_BYTES), "pmemobj_alloc");
}

static void peer_free_word(const struct target *target, unsigned word)
{
	expect(target->peer_free_from(target->peer, word), "pmemobj_free");
}

static void peer_atomic_replace(const struct target *target, unsigned word)
{
	peer_free_word(target, word);
	peer_atomic_alloc(target, word);
}

static void peer_tx_alloc(const struct target *target, unsigned word)
{
	expect(target->peer_transaction_alloc_to(target->peer, word, BLOCK_BYTES),
		"pmemobj_tx_alloc");
}

static void peer_tx_replace(const struct target *target, unsigned word)
{
	expect(target->peer_transaction_replace(target->peer, word, BLOCK_BYTES),
		"pmemobj_tx_free");
}

/* --- rows ------------------------------------------------------------------------------------- */

typedef void step_fn(const struct target *target, unsigned word);

struct operation {
	const char *name;
	step_fn *step;      /* NULL: there is no such thing */
	step_fn *peer_step; /* the same of libpmemobj */
	bool replaces;      /* the words stay full: nothing is freed between rounds */
};

static const struct operation operations[] = {
	{ "allocate, plain store", plain_alloc, NULL, false },
	{ "allocate to a word, atomic", alloc_to, peer_atomic_alloc, false },
	{ "allocate, store: a transaction", transaction_alloc, peer_tx_alloc, false },
	{ "replace, plain", plain_replace, NULL, true },
	{ "free from a word, allocate to it", free_from_alloc_to, peer_atomic_replace, true },
	{ "replace: a transaction", transaction_replace, peer_tx_replace, true },
};

/* What a measuring process is told. */
struct task {
	const struct operation *operation;
	bool quick;
};

static struct target start_spanheap(const struct subject *subject)
{
	struct allocator allocator = subject_start(subject, 0);
	struct target target = { .is_spanheap = true,
		.heap = allocator.heap,
		.allocator = allocator };
	sh_off words = sh_alloc_ex(target.heap, WORDS * sizeof(sh_off), 0, SH_ZERO);

	expect_block(words, "sh_alloc_ex");
	target.words = sh_ptr(target.heap, words);
	return target;
}

static struct target start_peer(const struct subject *subject)
{
	struct allocator allocator = subject_start(subject, 0);
	struct target target = { .peer = allocator.heap, .allocator = allocator };
	void *module = peer_load("pmemobj");

	allocator_find(module, "peer_alloc_to", &target.peer_alloc_to);
	allocator_find(module, "peer_free_from", &target.peer_free_from);
	allocator_find(module, "peer_transaction_alloc_to", &target.peer_transaction_alloc_to);
	allocator_find(module, "peer_transaction_replace", &target.peer_transaction_replace);
	return target;
}

static void for_all_words(const struct target *target, step_fn *step)
{
	for (unsigned word = 0; word < WORDS; word++)
		step(target, word);
}

static double run(const struct target *target, const struct operation *operation, struct pace pace)
{
	step_fn *step = target->is_spanheap ? operation->step : operation->peer_step;
	step_fn *free_step = target->is_spanheap ? plain_free : peer_free_word;
	step_fn *alloc_step = target->is_spanheap ? plain_alloc : peer_atomic_alloc;

	if (operation->replaces)
		for_all_words(target, alloc_step);
	while (pace_goes_on(&pace)) {
		uint64_t start = cpu_ns();

		for_all_words(target, step);
		pace.spent_ns += cpu_ns() - start;
		pace.blocks += WORDS;
		if (!operation->replaces)
			for_all_words(target, free_step);
	}
	if (operation->replaces)
		for_all_words(target, free_step);
	return pace_result(&pace);
}

static void measure(const struct subject *subject, const void *argument, double *results)
{
	const struct task *task = argument;
	struct target target =
		subject->kind == ALLOCATOR_SPANHEAP ? start_spanheap(subject) : start_peer(subject);

	run(&target, task->operation, pace_of_warming(task->quick));
	results[0] = run(&target, task->operation, pace_of(task->quick));
}

static void measure_row(struct table *table, const struct subjects *subjects,
	const struct options *options, const struct operation *operation)
{
	static double values[SUBJECTS_MAX][REPETITIONS_MAX];
	static double plain[SUBJECTS_MAX];
	struct task task = { .operation = operation, .quick = options->quick };
	double medians[SUBJECTS_MAX] = { 0 };

	table_cell(table, "%s", operation->name);
	for (unsigned s = 0; s < subjects->count; s++) {
		bool is_spanheap = subjects->of[s].kind == ALLOCATOR_SPANHEAP;

		if (!is_spanheap && operation->peer_step == NULL) {
			table_nothing(table);
			continue;
		}
		for (unsigned r = 0; r < options->repetitions; r++)
			subject_measure(&subjects->of[s], measure, &task, &values[s][r], 1);
		medians[s] = table_median(table, values[s], options->repetitions);
	}
	for (unsigned s = 0; s < subjects->count; s++) {
		if (subjects->of[s].kind != ALLOCATOR_SPANHEAP)
			continue;
		/* The plain way stands above those that are compared with it. */
		if (operation->peer_step == NULL)
			plain[s] = medians[s];
		table_number(table, medians[s] / plain[s]);
	}
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct subjects subjects = { .count = 0 };
	const char *heads[2 * SUBJECTS_MAX] = { "operation" };
	unsigned count = 1;

	subjects_add_spanheap(&subjects, &options);
	if (subjects_have("pmemobj", "libpmemobj-dev"))
		subjects_add(&subjects, ALLOCATOR_PMEMOBJ_ATOMIC, options.folders[0], "pmemobj");
	for (unsigned s = 0; s < subjects.count; s++)
		heads[count++] = subjects.of[s].label;
	for (unsigned f = 0; f < options.folder_count; f++)
		heads[count++] = f == 0 ? "tmpfs/plain" : "ext4/plain";
	struct table table =
		table_begin("Transactions, blocks of 64 B, CPU ns per operation", heads);

	for (size_t o = 0; o < LENGTH_OF(operations); o++)
		measure_row(&table, &subjects, &options, &operations[o]);
	table_end(&table);
	return 0;
}
