/* test_explorer.c -- the explorer finds what it must find, and nothing else
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * This file is compiled without the hook: what it does with tracked memory itself, it announces. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "stress/model/explorer.h"
#include "stress/model/toy.h"

#define ALONE_STORES 4

/* Shared memory. What the kernel knows, and what reapers have done. */
struct flags {
	uint64_t dead[TOY_PROCESSES];
	uint64_t reaped[TOY_PROCESSES];
};

static _Alignas(64) struct toy_counter counter;
static _Alignas(64) struct toy_locks locks;
static _Alignas(64) struct toy_records records;
static _Alignas(64) struct toy_heap heap;
static _Alignas(64) struct toy_context contexts[TOY_PROCESSES];
static _Alignas(64) struct flags flags;
static _Alignas(64) _Atomic uint64_t alone[TOY_PROCESSES][ALONE_STORES];
static _Alignas(64) struct toy_mixture mixture;
static _Alignas(64) uint64_t words[TOY_PROCESSES];

static unsigned passed;
static unsigned failed;

static void expect(bool condition, const char *what, const char *name)
{
	if (condition) {
		passed++;
		return;
	}
	failed++;
	printf("FAILED: %s: %s\n", name, what);
}

static struct explorer_result explore(const struct explorer_scenario *scenario)
{
	struct explorer_result result;

	explorer_run(scenario, &result);
	explorer_print_result(stdout, scenario, &result);
	return result;
}

static void expect_complete(const struct explorer_scenario *scenario)
{
	struct explorer_result result = explore(scenario);

	expect(result.complete && !result.violated, "must be complete without a violation",
		scenario->name);
	expect(result.terminal_states > 0, "must have an end", scenario->name);
}

static void expect_violation(const struct explorer_scenario *scenario, const char *text)
{
	struct explorer_result result = explore(scenario);

	expect(result.violated && !result.complete, "must be violated", scenario->name);
	expect(strstr(result.violation, text) != NULL, text, scenario->name);
}

/* The three ways to choose switch points must agree on the verdict and, where there is no
 * violation, on the images at the end. */
static void expect_agreement(const struct explorer_scenario *scenario)
{
	static const enum explorer_switches switches[] = {
		EXPLORER_AT_EVERY_ACCESS,
		EXPLORER_AT_STORES,
		EXPLORER_AT_CONFLICTS,
	};
	struct explorer_scenario variant = *scenario;
	struct explorer_result results[3];

	for (size_t i = 0; i < 3; i++) {
		variant.switches = switches[i];
		results[i] = explore(&variant);
		expect(results[i].violated == results[0].violated, "verdicts must agree",
			scenario->name);
		if (results[0].violated)
			continue;
		expect(results[i].complete, "must be complete", scenario->name);
		expect(results[i].terminal_images == results[0].terminal_images &&
				results[i].terminal_digest == results[0].terminal_digest,
			"images at the end must agree", scenario->name);
		expect(results[i].truth_images == results[0].truth_images, "truth must agree",
			scenario->name);
		/* Beside the frozen there are states of their own. */
		expect(scenario->check_truth != NULL || results[i].states <= results[0].states,
			"fewer switch points must not make more states", scenario->name);
	}
}

static void mark_dead(unsigned process)
{
	explorer_will_write(&flags.dead[process], sizeof flags.dead[process]);
	flags.dead[process] = 1;
}

/* Counters */

static void add_plain(unsigned process)
{
	(void)process;
	toy_counter_add_plain(&counter);
}

static void add_atomic(unsigned process)
{
	(void)process;
	toy_counter_add_atomic(&counter);
}

static const char *check_sum(void)
{
	return counter.plain + counter.atomic == 2 ? NULL : "an update was lost";
}

static void test_counters(void)
{
	struct explorer_scenario scenario = {
		.name = "two plain increments",
		.process_count = 2,
		.body = add_plain,
		.check_final = check_sum,
	};

	explorer_track("counter", &counter, sizeof counter, EXPLORER_SHARED);
	expect_violation(&scenario, "an update was lost");
	expect_agreement(&scenario);
	scenario.name = "two atomic increments";
	scenario.body = add_atomic;
	expect_complete(&scenario);
	expect_agreement(&scenario);
	expect(counter.plain == 0 && counter.atomic == 0, "memory must be put back", scenario.name);
	explorer_untrack_all();
}

/* Locks */

static void add_guarded(unsigned which)
{
	explorer_will_read(&locks.guarded[which], sizeof locks.guarded[which]);
	uint32_t value = locks.guarded[which];
	explorer_will_write(&locks.guarded[which], sizeof locks.guarded[which]);
	locks.guarded[which] = value + 1;
}

static void lock_both(unsigned process, unsigned first)
{
	toy_lock(&locks, first, process);
	toy_lock(&locks, !first, process);
	add_guarded(0);
	add_guarded(1);
	toy_unlock(&locks, !first);
	toy_unlock(&locks, first);
}

static void lock_in_opposite_order(unsigned process)
{
	lock_both(process, process % 2);
}

static void lock_in_one_order(unsigned process)
{
	lock_both(process, 0);
}

static const char *check_guarded(void)
{
	return locks.guarded[0] == 3 && locks.guarded[1] == 3 ? NULL : "a guarded update was lost";
}

static void lock_once(unsigned process)
{
	toy_lock(&locks, 0, process);
	add_guarded(0);
	toy_unlock(&locks, 0);
}

static void lock_once_with_takeover(unsigned process)
{
	toy_lock_with_takeover(&locks, 0, process);
	add_guarded(0);
	toy_unlock(&locks, 0);
}

static void lock_once_spinning(unsigned process)
{
	toy_lock_spinning(&locks, 0, process);
	add_guarded(0);
	toy_unlock(&locks, 0);
}

static void mark_lock_holder_dead(unsigned process)
{
	explorer_will_write(&locks.dead[process], sizeof locks.dead[process]);
	locks.dead[process] = 1;
}

static const char *check_unlocked(void)
{
	uint32_t holder = locks.words[0];

	if (holder != 0 && !locks.dead[holder - 1])
		return "a lock was left locked";
	return locks.guarded[0] <= 3 ? NULL : "a guarded update was made twice";
}

static unsigned toy_locks_held(unsigned process)
{
	return (locks.words[0] == process + 1 ? 1u : 0) | (locks.words[1] == process + 1 ? 2u : 0);
}

static void lock_or_add(unsigned process)
{
	if (process == 0)
		lock_once(process);
	else
		add_guarded(0);
}

static void lock_or_rob(unsigned process)
{
	if (process == 0) {
		lock_once(process);
		return;
	}
	explorer_will_write(&locks.words[0], sizeof locks.words[0]);
	locks.words[0] = process + 1;
	add_guarded(0);
	toy_unlock(&locks, 0);
}

static void lock_one_of_two(unsigned process)
{
	toy_lock(&locks, process % 2, process);
	add_guarded(0);
	toy_unlock(&locks, process % 2);
}

static const char *check_two_guarded(void)
{
	return locks.guarded[0] == 2 ? NULL : "a guarded update was lost";
}

/* Knowing the locks must change nothing but the number of states. */
static void expect_same_with_locks(const struct explorer_scenario *scenario)
{
	struct explorer_scenario variant = *scenario;

	variant.locks_held = NULL;
	struct explorer_result without = explore(&variant);
	variant.locks_held = toy_locks_held;
	struct explorer_result with = explore(&variant);

	expect(with.violated == without.violated, "verdicts must agree", scenario->name);
	if (with.violated)
		return;
	expect(with.complete && without.complete, "must be complete", scenario->name);
	expect(with.terminal_images == without.terminal_images &&
			with.terminal_digest == without.terminal_digest,
		"images at the end must agree", scenario->name);
	expect(with.truth_images == without.truth_images, "truth must agree", scenario->name);
	expect(with.states < without.states && with.conflict_words < without.conflict_words,
		"what a lock guards must be no conflict", scenario->name);
}

/* Guards that do not guard, known as locks. */
static void test_broken_guards(void)
{
	struct explorer_scenario scenario = {
		.name = "an addition past the lock",
		.process_count = 2,
		.body = lock_or_add,
		.locks_held = toy_locks_held,
		.check_final = check_two_guarded,
	};

	explorer_track("locks", &locks, sizeof locks, EXPLORER_SHARED);
	expect_violation(&scenario, "a guarded update was lost");
	scenario.name = "a lock that is robbed from the living";
	scenario.body = lock_or_rob;
	expect_violation(&scenario, "a guarded update was lost");
	scenario.name = "two locks for one word";
	scenario.body = lock_one_of_two;
	expect_violation(&scenario, "a guarded update was lost");
	explorer_untrack_all();
}

/* Process 1 waits for a word that nobody stores, and 2 finds the wait over: only the return of 0
 * ends it while 2 can still run. */
static void wait_and_look(unsigned process)
{
	const volatile uint32_t *word = &locks.guarded[0];

	if (process == 0)
		return;
	if (process == 1) {
		explorer_block(word, 0);
		add_guarded(1);
		return;
	}
	explorer_will_read(&locks.guarded[1], sizeof locks.guarded[1]);
	if (locks.guarded[1] != 0)
		explorer_fail("a wait ended");
}

/* Process 1 goes round until 0 has seen the word change: only a step from the middle of a round
 * leads to an end. */
static void go_round(unsigned process)
{
	const volatile uint32_t *word = &locks.guarded[0];
	bool is_over = false;

	if (process == 0) {
		do {
			explorer_block(word, 0);
			explorer_will_read(word, sizeof *word);
		} while (*word == 0);
		add_guarded(1);
		return;
	}
	while (!is_over) {
		explorer_will_read(&locks.guarded[1], sizeof locks.guarded[1]);
		is_over = locks.guarded[1] != 0;
		explorer_will_write(&locks.guarded[0], sizeof locks.guarded[0]);
		locks.guarded[0] ^= 1;
	}
}

static void test_waits(void)
{
	struct explorer_scenario scenario = {
		.name = "a wait that a return ends",
		.process_count = 3,
		.body = wait_and_look,
	};

	explorer_track("locks", &locks, sizeof locks, EXPLORER_SHARED);
	expect_violation(&scenario, "a wait ended");
	expect_agreement(&scenario);
	scenario.name = "a round that ends";
	scenario.process_count = 2;
	scenario.body = go_round;
	expect_complete(&scenario);
	expect_agreement(&scenario);
	explorer_untrack_all();
}

static void test_locks(void)
{
	struct explorer_scenario scenario = {
		.name = "two locks in opposite order",
		.process_count = 2,
		.body = lock_in_opposite_order,
	};

	explorer_track("locks", &locks, sizeof locks, EXPLORER_SHARED);
	expect_violation(&scenario, "deadlock");
	expect_agreement(&scenario);

	scenario.name = "two locks in one order";
	scenario.process_count = 3;
	scenario.body = lock_in_one_order;
	scenario.check_final = check_guarded;
	expect_complete(&scenario);
	expect_agreement(&scenario);
	expect_same_with_locks(&scenario);

	scenario.name = "a lock whose holder may die";
	scenario.death_limit = 1;
	scenario.body = lock_once;
	scenario.on_death = mark_lock_holder_dead;
	scenario.check_final = check_unlocked;
	expect_violation(&scenario, "deadlock");
	expect_agreement(&scenario);

	scenario.name = "a spin lock whose holder may die";
	scenario.body = lock_once_spinning;
	expect_violation(&scenario, "livelock");
	expect_agreement(&scenario);

	scenario.name = "a lock that is taken over from the dead";
	scenario.death_limit = 3;
	scenario.body = lock_once_with_takeover;
	expect_complete(&scenario);
	expect_agreement(&scenario);
	expect_same_with_locks(&scenario);
	explorer_untrack_all();
}

/* Records */

static void overwrite_record(unsigned process)
{
	toy_record_overwrite(&records, (unsigned char)(process + 1));
}

static void switch_record(unsigned process)
{
	toy_record_switch(&records, (unsigned char)(process + 1));
}

static const char *check_record(void)
{
	return toy_record_is_whole(&records) ? NULL : "the record is torn";
}

static void test_records(void)
{
	struct explorer_scenario scenario = {
		.name = "overwritten record, no death",
		.process_count = 1,
		.body = overwrite_record,
		.check_final = check_record,
	};

	explorer_track("records", &records, sizeof records, EXPLORER_TRUTH);
	expect_complete(&scenario);

	scenario.name = "overwritten record, one death";
	scenario.death_limit = 1;
	expect_violation(&scenario, "the record is torn");
	expect_agreement(&scenario);

	scenario.name = "overwritten record, death of all";
	scenario.death_limit = 0;
	scenario.check_final = NULL;
	scenario.check_truth = check_record;
	expect_violation(&scenario, "the record is torn");
	expect_agreement(&scenario);

	scenario.name = "record switched when it is whole";
	scenario.death_limit = 1;
	scenario.check_final = check_record;
	scenario.body = switch_record;
	expect_complete(&scenario);
	expect_agreement(&scenario);
	expect(explore(&scenario).truth_images == 1 + TOY_RECORD_BYTES / 8 + 1,
		"truth images: base, each word of the copy, the switch", scenario.name);
	explorer_untrack_all();
}

/* Replacing: 0 and 1 replace a root each, 2 reaps, 3 reaps when 2 is dead. */

static bool conditional;

static void reap_all(void)
{
	for (unsigned i = 0; i < 2; i++) {
		explorer_will_read(&flags.dead[i], sizeof flags.dead[i]);
		if (flags.dead[i] == 0)
			continue;
		explorer_will_read(&flags.reaped[i], sizeof flags.reaped[i]);
		if (flags.reaped[i] != 0)
			continue;
		toy_reap(&heap, i, conditional);
		explorer_will_write(&flags.reaped[i], sizeof flags.reaped[i]);
		flags.reaped[i] = 1;
	}
}

static void replace_or_reap(unsigned process)
{
	if (process < 2)
		toy_replace(&heap, &contexts[process], process, process,
			(unsigned char)(process + 1), conditional);
	else
		reap_all();
}

static bool may_replace_or_reap(unsigned process)
{
	if (process < 2)
		return explorer_status(process) == EXPLORER_FRESH;
	if (process == 3 && explorer_status(2) != EXPLORER_DEAD)
		return false;
	explorer_will_read(&flags, sizeof flags);
	return (flags.dead[0] && !flags.reaped[0]) || (flags.dead[1] && !flags.reaped[1]);
}

static bool may_die_at_work(unsigned process)
{
	enum explorer_status status = explorer_status(process);

	return status == EXPLORER_RUNNING || status == EXPLORER_BLOCKED;
}

static void forget_context(unsigned process)
{
	mark_dead(process);
	explorer_will_write(&contexts[process], sizeof contexts[process]);
	memset(&contexts[process], 0, sizeof contexts[process]);
}

static const char *check_heap(void)
{
	return toy_heap_check(&heap, false);
}

static const char *check_heap_at_rest(void)
{
	return toy_heap_check(&heap, true);
}

static void track_heap(void)
{
	toy_heap_initialise(&heap);
	explorer_track("heap", &heap, sizeof heap, EXPLORER_TRUTH);
	explorer_track("flags", &flags, sizeof flags, EXPLORER_SHARED);
	explorer_track("contexts", contexts, sizeof contexts, EXPLORER_PRIVATE);
}

static const struct explorer_scenario replace_scenario = {
	.name = "replace",
	.process_count = 4,
	.body = replace_or_reap,
	.may_start = may_replace_or_reap,
	.may_die = may_die_at_work,
	.on_death = forget_context,
	.check_truth = check_heap,
	.check_final = check_heap_at_rest,
};

static void test_replace(void)
{
	struct explorer_scenario scenario = replace_scenario;

	track_heap();
	conditional = false;
	scenario.name = "replace, redone without a condition, no death";
	expect_complete(&scenario);
	scenario.name = "replace, redone without a condition";
	scenario.death_limit = 1;
	expect_violation(&scenario, "handed out twice");
	expect_agreement(&scenario);

	conditional = true;
	scenario.name = "replace, redone conditionally";
	expect_agreement(&scenario);
	scenario.death_limit = 2;
	expect_complete(&scenario);

	scenario.name = "replace, redone conditionally, in one order";
	scenario.death_limit = 1;
	scenario.switches = EXPLORER_AT_EVERY_ACCESS;

	uint64_t states = explore(&scenario).states;

	scenario.name = "replace, redone conditionally, in another order";
	scenario.seed = 7;
	expect(explore(&scenario).states == states, "the states do not depend on the order",
		scenario.name);
	explorer_untrack_all();
}

/* The counterexample names the places in the code, the death, and interrupts as little as
 * possible. */
static void test_counterexample(void)
{
	struct explorer_scenario scenario = replace_scenario;
	char *text = NULL;
	size_t bytes = 0;

	track_heap();
	conditional = false;
	scenario.name = "replace, counterexample";
	scenario.death_limit = 2;
	scenario.report = open_memstream(&text, &bytes);

	struct explorer_result result = explore(&scenario);

	fclose(scenario.report);
	expect(result.violated, "must be violated", scenario.name);
	expect(strstr(text, "handed out twice") != NULL, "must say what is broken", scenario.name);
	expect(strstr(text, "DIES before: ") != NULL, "must show the death", scenario.name);
	expect(strstr(text, "publish (toy_replace.c:") != NULL, "must name the place in the code",
		scenario.name);
	expect(strstr(text, "heap+0x") != NULL, "must name the address", scenario.name);
	if (failed > 0)
		fputs(text, stdout);
	free(text);
	explorer_untrack_all();
}

/* Processes that do not meet */

static void count_alone(unsigned process)
{
	toy_count_alone(alone[process], ALONE_STORES);
}

static void test_independent(void)
{
	struct explorer_scenario scenario = {
		.name = "independent processes",
		.process_count = 3,
		.body = count_alone,
	};
	const uint64_t places = ALONE_STORES + 2; /* fresh, before each store, idle */
	const uint64_t ends = ALONE_STORES + 2;   /* dead before each store or return, idle */

	explorer_track("alone", alone, sizeof alone, EXPLORER_SHARED);
	explorer_track("flags", &flags, sizeof flags, EXPLORER_SHARED);
	expect_agreement(&scenario);

	struct explorer_result result = explore(&scenario);

	expect(result.states == 2 * 2 * 2, "reduced: fresh or idle", scenario.name);
	expect(result.terminal_states == 1, "one end", scenario.name);
	scenario.switches = EXPLORER_AT_EVERY_ACCESS;
	result = explore(&scenario);
	expect(result.states == places * places * places, "all places of three processes",
		scenario.name);
	expect(result.terminal_states == 1, "one end", scenario.name);

	scenario.name = "independent processes that die";
	scenario.process_count = 2;
	scenario.death_limit = 2;
	scenario.on_death = mark_dead;
	expect_agreement(&scenario);
	result = explore(&scenario);
	expect(result.terminal_images == ends * ends, "all ends of two processes", scenario.name);
	scenario.switches = EXPLORER_AT_CONFLICTS;
	result = explore(&scenario);
	expect(result.terminal_images == ends * ends, "all ends of two processes", scenario.name);
	explorer_untrack_all();
}

static const char *all_is_well(void)
{
	return NULL;
}

/* All die together wherever they are, which is no death that is counted; or some die before. */
static void test_truth(void)
{
	struct explorer_scenario scenario = {
		.name = "truth of processes that do not meet",
		.process_count = 2,
		.body = count_alone,
		.on_death = mark_dead,
		.check_truth = all_is_well,
	};
	const uint64_t contents = ALONE_STORES + 1;
	const uint64_t ends = ALONE_STORES + 2; /* dead before each store or return, idle */

	explorer_track("alone", alone, sizeof alone, EXPLORER_TRUTH);
	explorer_track("flags", &flags, sizeof flags, EXPLORER_SHARED);
	for (scenario.death_limit = 0; scenario.death_limit <= 2; scenario.death_limit++) {
		struct explorer_result result = explore(&scenario);

		expect_agreement(&scenario);
		expect(result.truth_images == contents * contents, "all contents", scenario.name);
		if (scenario.death_limit == 2)
			expect(result.terminal_images == ends * ends, "all ends", scenario.name);
	}
	explorer_untrack_all();
}

/* Process 0 stores, returns and may die only while it runs. That 1 sees it alive after its last
 * store, and dead later, takes a death between the last store and the return. */

static void store_or_look(unsigned process)
{
	if (process == 0)
		toy_count_alone(alone[0], 1);
	else if (toy_saw_store_before_death(&flags.dead[0], &alone[0][0]))
		explorer_fail("died after its last store");
}

static bool is_first(unsigned process)
{
	return process == 0 && explorer_status(process) == EXPLORER_RUNNING;
}

static void test_last_death(void)
{
	struct explorer_scenario scenario = {
		.name = "death before the return",
		.process_count = 2,
		.death_limit = 1,
		.body = store_or_look,
		.may_die = is_first,
		.on_death = mark_dead,
	};

	explorer_track("alone", alone, sizeof alone, EXPLORER_SHARED);
	explorer_track("flags", &flags, sizeof flags, EXPLORER_SHARED);
	expect_violation(&scenario, "died after its last store");
	expect_agreement(&scenario);
	explorer_untrack_all();
}

/* Orders of accesses that are easily lost with the switch points that are left out. */

static uint64_t load(const uint64_t *word)
{
	explorer_will_read(word, sizeof *word);
	return *word;
}

static void store(uint64_t *word, uint64_t value)
{
	explorer_will_write(word, sizeof *word);
	*word = value;
}

static bool starts_after_death(unsigned process)
{
	if (explorer_status(process) != EXPLORER_FRESH)
		return false;
	return process < 2 || load(&flags.dead[0]) != 0 || load(&flags.dead[1]) != 0;
}

/* 0 writes a journal that only its reaper 2 reads, and dies in the middle of it, but not before 1
 * has seen it alive. */
static void write_journal(unsigned process)
{
	if (process == 0) {
		store(&words[0], 1);
		store(&words[1], 1);
		store(&words[2], 1);
	} else if (process == 1) {
		if (load(&words[0]) != 0 && load(&flags.dead[0]) == 0)
			store(&words[3], 1);
	} else if (load(&words[1]) != 0 && load(&words[2]) == 0 && load(&words[3]) != 0) {
		explorer_fail("died in the middle of its journal, and was seen alive before");
	}
}

/* 0 raises the flag before the data is there. */
static void publish_early(unsigned process)
{
	if (process == 0) {
		store(&words[0], 1);
		store(&words[1], 1);
	} else if (load(&words[0]) != 0 && load(&words[1]) == 0) {
		explorer_fail("the flag was there before the data");
	}
}

/* 0 stores after it has seen 1 alive, and returns; 2, which the death of 1 starts, is faster. */
static void store_if_alive(unsigned process)
{
	if (process == 0 && load(&flags.dead[1]) == 0)
		store(&words[0], 1);
	else if (process == 1)
		store(&words[1], 1);
	else if (process == 2)
		store(&words[2], load(&words[0]) + 1);
}

static bool is_second(unsigned process)
{
	return process == 1 && explorer_status(process) == EXPLORER_RUNNING;
}

static const char *check_late_store(void)
{
	return words[0] == 1 && words[2] == 1 ? "the store came after the load" : NULL;
}

static void test_orders(void)
{
	struct explorer_scenario scenario = {
		.name = "a death that others run before",
		.process_count = 3,
		.death_limit = 1,
		.body = write_journal,
		.may_start = starts_after_death,
		.may_die = is_first,
		.on_death = mark_dead,
	};

	explorer_track("words", words, sizeof words, EXPLORER_SHARED);
	explorer_track("flags", &flags, sizeof flags, EXPLORER_SHARED);
	expect_violation(&scenario, "died in the middle");
	expect_agreement(&scenario);

	scenario.name = "a flag before the data";
	scenario.process_count = 2;
	scenario.death_limit = 0;
	scenario.body = publish_early;
	expect_violation(&scenario, "the flag was there");
	expect_agreement(&scenario);

	scenario.name = "a start between two accesses";
	scenario.process_count = 3;
	scenario.death_limit = 1;
	scenario.body = store_if_alive;
	scenario.may_die = is_second;
	scenario.check_final = check_late_store;
	expect_violation(&scenario, "the store came after the load");
	expect_agreement(&scenario);
	explorer_untrack_all();
}

/* The hook's own work */

static void use_mixture(unsigned process)
{
	(void)process;
	if (!toy_mixture_use(&mixture))
		explorer_fail("an operation has the wrong result");
}

static void test_operations(void)
{
	struct explorer_scenario scenario = {
		.name = "operations",
		.process_count = 1,
		.death_limit = 1,
		.body = use_mixture,
		.switches = EXPLORER_AT_EVERY_ACCESS,
	};

	expect(toy_mixture_use(&mixture), "must be right outside of a search", scenario.name);
	mixture = (struct toy_mixture){ 0 };
	explorer_track("mixture", &mixture, sizeof mixture, EXPLORER_SHARED);
	expect_complete(&scenario);
	expect(explore(&scenario).states > 80, "every access must be seen", scenario.name);
	explorer_untrack_all();
}

/* Faults and endless loops */

static void store_for_ever(unsigned process)
{
	toy_store_for_ever(&alone[process][0]);
}

static void wait_for_each_other(unsigned process)
{
	if (process == 0)
		toy_wait_for_ever(&alone[1][0]);
	toy_count_alone(alone[process], 1);
}

static void wait_for_nobody(unsigned process)
{
	toy_wait_for_ever(&alone[process][1]);
}

static void fault(unsigned process)
{
	toy_fault(&alone[process][0]);
}

static void recurse(unsigned process)
{
	toy_recurse(&alone[process][0]);
}

static void store_untracked(unsigned process)
{
	(void)process;
	toy_store_untracked();
}

static void call_abort(unsigned process)
{
	toy_count_alone(alone[process], 1);
	abort();
}

static void fail_if_first(unsigned process)
{
	explorer_will_read(&alone[!process][0], sizeof alone[0][0]);
	if (alone[!process][0] == 0)
		toy_count_alone(alone[process], 1);
	else
		explorer_fail("the other process was first");
}

static void test_faults(void)
{
	struct explorer_scenario scenario = {
		.name = "a loop of stores",
		.process_count = 2,
		.body = store_for_ever,
		.report = tmpfile(),
	};

	explorer_track("alone", alone, sizeof alone, EXPLORER_SHARED);
	expect_violation(&scenario, "livelock");
	scenario.name = "a loop of loads";
	scenario.body = wait_for_nobody;
	expect_violation(&scenario, "livelock");
	scenario.name = "a loop that another process ends";
	scenario.body = wait_for_each_other;
	expect_complete(&scenario);
	scenario.name = "a load from nowhere";
	scenario.body = fault;
	expect_violation(&scenario, "Segmentation fault");
	scenario.name = "a stack that overflows";
	scenario.body = recurse;
	expect_violation(&scenario, "Segmentation fault");
	scenario.name = "a store to untracked memory";
	scenario.body = store_untracked;
	expect_violation(&scenario, ": toy_store_untracked (toy_faults.c:");
	scenario.name = "abort";
	scenario.body = call_abort;
	expect_violation(&scenario, "abort()");
	scenario.name = "a body that fails";
	scenario.body = fail_if_first;
	expect_violation(&scenario, "the other process was first");
	expect(alone[0][0] == 0, "memory must be put back", scenario.name);
	fclose(scenario.report);
	explorer_untrack_all();
}

/* Callbacks */

static void dirty_stack(unsigned process)
{
	(void)process;
	toy_dirty_stack(&alone[0][0]);
}

/* What a process leaves below its stack pointer, and what another branch of the search left there,
 * are no part of the state. */
static void test_stacks(void)
{
	struct explorer_scenario scenario = {
		.name = "frames that are not initialised",
		.process_count = 2,
		.body = dirty_stack,
	};
	const uint64_t places = 5; /* fresh, before each of three accesses, idle */

	explorer_track("alone", alone, sizeof alone, EXPLORER_SHARED);
	for (scenario.seed = 0; scenario.seed < 8; scenario.seed++)
		expect(explore(&scenario).states == places * places,
			"only the place in the code matters", scenario.name);
	explorer_untrack_all();
}

static const char *scribble(void)
{
	toy_count_alone(alone[3], ALONE_STORES);
	explorer_will_write(&flags, sizeof flags);
	memset(&flags, 0xff, sizeof flags);
	return NULL;
}

static void write_unannounced(unsigned process)
{
	toy_count_alone(alone[process], ALONE_STORES);
	flags.reaped[process] = 1;
}

static void mark_dead_in_two_steps(unsigned process)
{
	explorer_will_write(&flags.dead[process], sizeof flags.dead[process]);
	flags.dead[process] = 2;
	mark_dead(process);
}

static bool may_die_when_idle(unsigned process)
{
	return explorer_status(process) == EXPLORER_IDLE;
}

static void test_callbacks(void)
{
	struct explorer_scenario scenario = {
		.name = "checks that store",
		.process_count = 2,
		.body = count_alone,
		.check_state = scribble,
		.check_final = scribble,
		.check_truth = scribble,
		.switches = EXPLORER_AT_EVERY_ACCESS,
	};

	explorer_track("alone", alone, sizeof alone, EXPLORER_TRUTH);
	explorer_track("flags", &flags, sizeof flags, EXPLORER_SHARED);

	struct explorer_result result = explore(&scenario);

	expect(result.complete && result.states == 36 && result.terminal_images == 1,
		"stores of checks must be taken back", scenario.name);
	expect(result.truth_images == 25, "each image once", scenario.name);

	scenario = (struct explorer_scenario){
		.name = "a store past the hooks",
		.process_count = 2,
		.body = write_unannounced,
	};
	expect_violation(&scenario, "flags+0x20 was written past the hooks");
	flags = (struct flags){ 0 };

	scenario = (struct explorer_scenario){
		.name = "death of idle processes",
		.process_count = 2,
		.body = count_alone,
		.death_limit = 2,
		.may_die = may_die_when_idle,
		.on_death = mark_dead_in_two_steps,
	};
	expect_agreement(&scenario);
	result = explore(&scenario);
	expect(result.terminal_images == 4, "each of two processes dead or not", scenario.name);

	scenario.name = "a search that ends early";
	scenario.state_limit = 5;
	result = explore(&scenario);
	expect(!result.complete && !result.violated && result.states == 5, "must end at the limit",
		scenario.name);
	explorer_untrack_all();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	unsetenv("EXPLORER_SWITCHES");
	unsetenv("EXPLORER_SEED");
	test_operations();
	test_counters();
	test_locks();
	test_broken_guards();
	test_waits();
	test_records();
	test_replace();
	test_counterexample();
	test_independent();
	test_truth();
	test_last_death();
	test_orders();
	test_faults();
	test_stacks();
	test_callbacks();
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
