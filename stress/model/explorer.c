/* explorer.c -- the search over all states of a scenario
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Depth first. A frame on the path is either a state, from which each process may run or die, or a
 * kill point in the middle of a step, where one process dies or goes on. Nothing of a state is
 * copied but the stack of the process that leaves it: tracked memory comes back by undo.
 *
 * One process may also freeze at a kill point. What the others do beside it shows no more than the
 * truth, which is checked as if all died there: with two of them between two switch points, too.
 *
 * A search consists of passes. A pass that finds words in conflict which it did not know of is void
 * as a proof, since it did not stop before them everywhere; the next pass does.
 *
 * A component (component.h) that nothing leads out of, and that is not a terminal state, is a hang.
 * Before it is called one, the time limits of those who are blocked pass. A death that leads out
 * hides a hang, but not from the earlier passes in which no death was left there. */
#define _POSIX_C_SOURCE 200809L
#include "stress/model/explorer.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stress/model/component.h"
#include "stress/model/coroutine.h"
#include "stress/model/fingerprint.h"
#include "stress/model/machine.h"
#include "stress/model/memory.h"
#include "stress/model/site.h"
#include "stress/model/stack.h"
#include "stress/model/trace.h"

#define NO_LIMIT UINT_MAX
#define NOBODY 0xffu
#define NO_IMAGE ((struct fingerprint){ .low = 1 })
#define SEEN_BY_OTHERS (1u << EXPLORER_SHARED | 1u << EXPLORER_TRUTH)

/* A pass that has found a new conflict goes on for an eighth of what it took to find it, and this many
 * transitions, to find more of them at once. */
#define VOID_PASS_TRANSITIONS 1000

/* Before a pass: schedules at random, until so many in a row have found no conflict: as many as take
 * about a tenth of the pass before, and at least these. */
#define QUIET_WALKS 64
#define TRANSITIONS_PER_QUIET_WALK 1500
#define WALK_ACCESSES (UINT64_C(1) << 17) /* who goes in circles ends, too */
#define WALK_PATIENCE 8u /* one access in so many interrupts, on average, or in a multiple */
#define WALK_MULTIPLES 8
#define WALK_DEATHS 4 /* one interruption in so many */

/* Counterexamples are searched again with 0, 1, ... preemptions, up to this many. */
#define PREEMPTION_LIMIT 8
#define SIMPLIFY_FACTOR 4

/* Process. */
struct frame {
	bool is_state;
	bool was_left;
	bool limits_passed; /* those who are blocked here had their turn */
	uint8_t process;    /* of a kill point */
	bool may_stop;      /* there */
	bool may_freeze;
	uint8_t run_mask; /* of a state: who may run, who may die */
	uint8_t die_mask;
	uint8_t active_mask;            /* of a state: for machine_set_active() */
	uint8_t next;                   /* choice to try next */
	uint8_t last;                   /* who ran last */
	uint8_t preemptions;            /* on the path to here */
	uint32_t number;                /* of a state: states before it in this pass */
	struct fingerprint fingerprint; /* of a state: of the machine */
	struct trace_choice taken;
	struct machine_state machine;
	struct fingerprint offered;
	struct fingerprint offered_frost;
	uint8_t stack_process; /* who last ran from here, and where its stack is saved */
	size_t stack_offset;
	size_t stack_bytes;
};

enum outcome { PASS_COMPLETE, PASS_VOID, PASS_LIMIT, PASS_VIOLATION };

/* Process. */
static struct {
	const struct explorer_scenario *scenario;
	struct explorer_result *result;
	enum explorer_switches switches;
	uint64_t seed;
	unsigned death_limit;
	unsigned preemption_limit;
	bool count_sites;

	bool over;
	enum outcome outcome;
	uint64_t conflicts_before; /* machine_conflicts_found() at the start of the pass */
	uint64_t void_after;       /* transitions */
	uint64_t verify_after;     /* transitions */
	uint64_t transition_limit; /* of all passes */
	/* Memory when the running process could last die, and truth when it could last freeze or the
	 * others run: not here, if nothing has been stored since. */
	struct fingerprint offered;
	struct fingerprint offered_frost;
	struct fingerprint truth_checked;
	bool hang_suspected;
	bool hang_found;
	bool hang_is_goal;       /* a search for a shorter path to the hang that was found */
	struct fingerprint hang; /* the state from which on it hangs */
	char hang_text[EXPLORER_TEXT_BYTES];

	struct fingerprint_set states;
	struct fingerprint_set truth_images;
	struct fingerprint_set terminal_images;
	struct stack frames;
	struct stack saved_stacks;
	struct stack violation_path;
	struct stack hang_path;
} search;

static struct frame *top_frame(void)
{
	return stack_top(&search.frames);
}

/* The actions from the start to here. */
static void keep_path(struct stack *path)
{
	path->count = 0;
	for (size_t i = 0; i < search.frames.count; i++) {
		const struct frame *frame = stack_at(&search.frames, i);
		*(struct trace_choice *)stack_push(path, 1) = frame->taken;
	}
}

static void end_pass(enum outcome outcome)
{
	search.over = true;
	search.outcome = outcome;
}

static void violate(const char *text)
{
	snprintf(search.result->violation, sizeof search.result->violation, "%s", text);
	search.result->violated = true;
	end_pass(PASS_VIOLATION);
}

/* What the top frame's choice has come to, for a path that ends here. */
static void note_accesses(void)
{
	if (search.frames.count > 0)
		top_frame()->taken.accesses = machine_accesses();
}

static void violate_here(const char *text)
{
	note_accesses();
	keep_path(&search.violation_path);
	violate(text);
}

static bool check(const char *(*function)(void))
{
	const char *text = machine_check(function);

	if (text != NULL)
		violate_here(text);
	return text == NULL;
}

static bool check_truth(void)
{
	struct fingerprint truth = memory_fingerprint(1u << EXPLORER_TRUTH);
	uint32_t number = 0;

	if (search.scenario->check_truth == NULL || fingerprint_equal(truth, search.truth_checked))
		return true;
	search.truth_checked = truth;
	if (!fingerprint_set_insert(&search.truth_images, truth, &number))
		return true;
	return check(search.scenario->check_truth);
}

static void check_hooks(void)
{
	const char *text = memory_verify();

	if (text != NULL)
		violate_here(text);
}

static bool is_void(void)
{
	return search.switches != EXPLORER_AT_EVERY_ACCESS &&
		machine_conflicts_found() != search.conflicts_before;
}

static void count_transition(bool by_death)
{
	struct explorer_result *result = search.result;

	result->transitions++;
	result->all_transitions++;
	result->deaths += by_death;
	if (result->transitions == search.verify_after) {
		search.verify_after *= 2;
		check_hooks();
	}
	if (result->all_transitions >= search.transition_limit)
		end_pass(PASS_LIMIT);
	if (!is_void())
		search.void_after =
			result->transitions + result->transitions / 8 + VOID_PASS_TRANSITIONS;
	else if (result->transitions >= search.void_after)
		end_pass(PASS_VOID);
}

/* The path leads to the state of the top frame, which is the first of its component. */
static void suspect_hang(const struct frame *frame, const struct component *component)
{
	if (search.hang_suspected || search.preemption_limit != NO_LIMIT)
		return;
	search.hang_suspected = true;
	search.hang = frame->fingerprint;
	keep_path(&search.hang_path);
	search.hang_path.count--;
	snprintf(search.hang_text, sizeof search.hang_text,
		"%s: after this schedule nobody comes to an end; %zu states go round and round",
		component->limits_passed ? "deadlock" : "livelock", component->states);
}

static unsigned blocked_mask(const struct frame *frame)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < search.scenario->process_count; i++)
		if (frame->machine.processes[i].status == EXPLORER_BLOCKED)
			mask |= 1u << i;
	return mask & ~(unsigned)frame->run_mask;
}

/* All choices from the state have been made. False: there are more, since otherwise it would
 * hang. */
static bool leave_state(struct frame *frame)
{
	if (!component_begins_with(frame->number))
		return true;
	if (!component_escapes() && !frame->limits_passed && blocked_mask(frame) != 0) {
		frame->limits_passed = true;
		frame->next = 0;
		component_let_limits_pass();
		return false;
	}

	struct component component = component_close();

	if (!component.escapes)
		suspect_hang(frame, &component);
	return true;
}

static void push_frame(const struct frame *frame)
{
	note_accesses();

	struct frame *pushed = stack_push(&search.frames, 1);

	*pushed = *frame;
	pushed->offered = search.offered;
	pushed->offered_frost = search.offered_frost;
	pushed->stack_offset = search.saved_stacks.count;
	machine_save(&pushed->machine);
}

/* Nobody runs or may start. */
static void check_end(void)
{
	struct fingerprint image = memory_fingerprint(SEEN_BY_OTHERS);
	uint32_t number = 0;

	search.result->terminal_states++;
	if (fingerprint_set_insert(&search.terminal_images, image, &number))
		search.result->terminal_digest += fingerprint_mix(image.low ^ image.high);
	check(search.scenario->check_final);
}

static bool may_die(unsigned process)
{
	bool death_is_due = machine_process(process)->stopped;

	return (death_is_due || machine_deaths() < search.death_limit) && machine_may_die(process);
}

/* Whether nobody else has anything left to do. */
static bool is_alone(unsigned process)
{
	for (unsigned i = 0; i < search.scenario->process_count; i++)
		if (i != process &&
			(machine_may_run(i) || machine_process(i)->stopped ||
				machine_process(i)->status == EXPLORER_BLOCKED))
			return false;
	return true;
}

static bool may_freeze(unsigned process)
{
	return search.scenario->check_truth != NULL && !machine_process(process)->stopped &&
		!machine_is_frozen() && !is_alone(process);
}

/* Returns whether the state is an end. */
static bool find_choices(struct frame *frame)
{
	bool is_end = true;

	for (unsigned i = 0; i < search.scenario->process_count; i++) {
		unsigned bit = 1u << i;
		if (machine_may_run(i))
			frame->run_mask |= (uint8_t)bit;
		if (may_die(i))
			frame->die_mask |= (uint8_t)bit;
		is_end = is_end && machine_process(i)->status != EXPLORER_BLOCKED &&
			!machine_process(i)->stopped;
	}
	frame->active_mask = (uint8_t)machine_active(frame->run_mask);
	return is_end && frame->run_mask == 0;
}

/* A bounded search comes to one state with different means left. */
static struct fingerprint visit_fingerprint(const struct frame *frame)
{
	if (search.preemption_limit == NO_LIMIT)
		return frame->fingerprint;
	return fingerprint_add(frame->fingerprint,
		fingerprint_of_word(UINT64_MAX / 2, frame->last * 256u + frame->preemptions));
}

static void enter_state(struct frame *frame)
{
	bool is_end = find_choices(frame);
	bool frozen = machine_is_frozen();

	if (is_end && !frozen)
		check_end();
	if (search.over)
		return;
	push_frame(frame);
	/* Whoever waits for the frozen does not hang. */
	component_open(frame->number, is_end || frozen);
}

/* A step has ended in a state. */
static void arrive(unsigned last, unsigned preemptions)
{
	struct frame frame = {
		.is_state = true,
		.last = (uint8_t)last,
		.preemptions = (uint8_t)preemptions,
		.number = (uint32_t)search.states.count,
		.fingerprint = machine_fingerprint(),
	};
	uint32_t number = frame.number;

	if (search.over)
		return;
	if (!fingerprint_set_insert(&search.states, visit_fingerprint(&frame), &number)) {
		component_join(number);
		return;
	}
	search.result->states++;
	if (search.states.count == search.scenario->state_limit)
		end_pass(PASS_LIMIT);
	if (search.hang_is_goal && fingerprint_equal(frame.fingerprint, search.hang))
		violate_here(search.hang_text);
	if (check(search.scenario->check_state) && !search.over)
		enter_state(&frame);
}

static bool is_switch_point(const struct machine_access *access, unsigned process)
{
	if (access->region->kind == EXPLORER_PRIVATE)
		return false;
	if (search.switches == EXPLORER_AT_EVERY_ACCESS)
		return true;
	if (search.switches == EXPLORER_AT_STORES && access->kind != HOOK_LOAD)
		return true;
	return memory_is_conflict(access->region, access->address, access->bytes, process);
}

/* Before a store between switch points. */
static bool may_stop_here(unsigned process)
{
	return may_die(process) &&
		!fingerprint_equal(memory_fingerprint(SEEN_BY_OTHERS), search.offered);
}

/* Once for each truth, as late as it stands. */
static bool may_freeze_here(unsigned process)
{
	return machine_process(process)->pending.region->kind == EXPLORER_TRUTH &&
		may_freeze(process) &&
		!fingerprint_equal(memory_fingerprint(1u << EXPLORER_TRUTH), search.offered_frost);
}

static bool is_kill_point(unsigned process)
{
	const struct machine_access *pending = &machine_process(process)->pending;

	return pending->kind != HOOK_LOAD && pending->region->kind != EXPLORER_PRIVATE &&
		(may_stop_here(process) || may_freeze_here(process));
}

static void push_kill_point(unsigned process, unsigned preemptions)
{
	struct frame frame = {
		.process = (uint8_t)process,
		.may_stop = may_stop_here(process),
		.may_freeze = may_freeze_here(process),
		.last = (uint8_t)process,
		.preemptions = (uint8_t)preemptions,
	};

	search.offered = memory_fingerprint(SEEN_BY_OTHERS);
	if (frame.may_freeze)
		search.offered_frost = memory_fingerprint(1u << EXPLORER_TRUTH);
	push_frame(&frame);
}

static bool ends_step(enum machine_event event, unsigned process)
{
	switch (event) {
	case MACHINE_ACCESS:
		return is_switch_point(&machine_process(process)->pending, process);
	case MACHINE_RETURNING:
		return may_die(process);
	case MACHINE_BLOCKED:
	case MACHINE_RETURNED:
		break;
	}
	return true;
}

/* Steps the process up to the next state or kill point. */
static void run(unsigned process, unsigned preemptions)
{
	for (;;) {
		enum machine_event event = machine_step(process);
		if (!check_truth())
			return;
		if (ends_step(event, process))
			break;
		if (event == MACHINE_ACCESS && is_kill_point(process)) {
			push_kill_point(process, preemptions);
			return;
		}
	}
	count_transition(false);
	if (search.count_sites)
		site_note(&machine_process(process)->pending);
	arrive(process, preemptions);
}

static void die(unsigned process, unsigned preemptions)
{
	machine_kill(process);
	if (!check_truth())
		return;
	count_transition(true);
	arrive(NOBODY, preemptions);
}

static void stop(unsigned process, unsigned preemptions, enum trace_action action)
{
	if (action == TRACE_STOP)
		machine_stop(process);
	else
		machine_freeze(process);
	count_transition(false);
	arrive(NOBODY, preemptions);
}

/* The stack of whoever runs from a state is needed again for the choices that follow. */
static void save_stack(struct frame *frame, unsigned process)
{
	const struct coroutine *coroutine = machine_coroutine(process);

	frame->stack_process = (uint8_t)process;
	frame->stack_bytes = coroutine_bytes(coroutine);
	coroutine_save(coroutine, stack_push(&search.saved_stacks, frame->stack_bytes));
}

/* Every frame does this when its subtree is done, so that a frame further up finds the stacks of
 * all others as they were. */
static void load_stack(struct frame *frame)
{
	unsigned process = frame->stack_process;

	search.saved_stacks.count = frame->stack_offset;
	if (frame->stack_bytes == 0)
		return;
	coroutine_load(machine_coroutine(process), frame->machine.processes[process].stack_pointer,
		stack_at(&search.saved_stacks, frame->stack_offset));
	frame->stack_bytes = 0;
}

static void return_to(const struct frame *frame)
{
	machine_load(&frame->machine);
	search.offered = frame->offered;
	search.offered_frost = frame->offered_frost;
}

static unsigned preemptions_of(const struct frame *frame, unsigned process)
{
	bool preempts = frame->last != NOBODY && frame->last != process &&
		(frame->run_mask & 1u << frame->last) != 0;

	return frame->preemptions + preempts;
}

static bool may_choose(const struct frame *frame, unsigned process, enum trace_action action)
{
	unsigned runs = frame->limits_passed ? blocked_mask(frame) : frame->run_mask;

	if (action == TRACE_DIE)
		return !frame->limits_passed && (frame->die_mask & 1u << process) != 0;
	return (runs & 1u << process) != 0 &&
		preemptions_of(frame, process) <= search.preemption_limit;
}

/* Going on is last, since the stack is then still there to go on with. */
static bool choose_at_kill_point(struct frame *frame)
{
	static const enum trace_action actions[] = { TRACE_STOP, TRACE_FREEZE, TRACE_CONTINUE };
	const bool allowed[] = { frame->may_stop, frame->may_freeze, true };

	frame->taken.process = frame->process;
	while (frame->next < sizeof actions / sizeof actions[0]) {
		unsigned choice = frame->next++;
		frame->taken.action = (uint8_t)actions[choice];
		if (allowed[choice])
			return true;
	}
	return false;
}

/* Choices of a state: 0 .. n-1 kill a process, n .. 2n-1 run one, in an order that depends on the
 * seed. */
static bool choose(struct frame *frame)
{
	unsigned processes = search.scenario->process_count;
	unsigned choices = processes * 2;
	unsigned first = 0;

	if (!frame->is_state)
		return choose_at_kill_point(frame);
	if (search.seed != 0)
		first = (unsigned)(fingerprint_mix(search.seed + frame->number) % choices);
	while (frame->next < choices) {
		unsigned choice = (first + frame->next++) % choices;
		/* NOLINTNEXTLINE(clang-analyzer-*): there is a choice, so there are processes */
		frame->taken.process = (uint8_t)(choice % processes);
		frame->taken.action = choice < processes ? TRACE_DIE : TRACE_RUN;
		if (may_choose(frame, choice % processes, frame->taken.action))
			return true;
	}
	return false;
}

/* Process. Who else holds which locks. */
struct holders {
	unsigned locks[EXPLORER_PROCESS_LIMIT];
};

static struct holders find_holders(unsigned but)
{
	struct holders holders = { .locks = { 0 } };

	for (unsigned i = 0; i < search.scenario->process_count; i++) {
		enum explorer_status status = machine_process(i)->status;
		if (i != but && (status == EXPLORER_RUNNING || status == EXPLORER_BLOCKED))
			holders.locks[i] = machine_locks(i);
	}
	return holders;
}

/* A lock that its living holder has lost by the step of another is none. */
static void break_robbed_locks(const struct holders *before, unsigned robber)
{
	struct holders after = find_holders(robber);
	unsigned lost = 0;

	for (unsigned i = 0; i < search.scenario->process_count; i++)
		lost |= before->locks[i] & ~after.locks[i];
	if (lost != 0)
		machine_break_locks(lost);
}

/* The frame moves when others are pushed. */
static void take(struct frame *frame)
{
	unsigned process = frame->taken.process;

	if (frame->is_state)
		machine_set_active(frame->active_mask);
	if (frame->taken.action == TRACE_DIE) {
		die(process, frame->preemptions);
		return;
	}
	if (frame->taken.action == TRACE_STOP || frame->taken.action == TRACE_FREEZE) {
		stop(process, frame->preemptions, frame->taken.action);
		return;
	}
	if (frame->taken.action == TRACE_CONTINUE) {
		run(process, frame->preemptions);
		return;
	}

	unsigned preemptions = preemptions_of(frame, process);
	const struct machine_access *pending = &machine_process(process)->pending;
	enum explorer_status status = machine_process(process)->status;

	if (status == EXPLORER_RUNNING || status == EXPLORER_BLOCKED)
		save_stack(frame, process);
	search.offered = (frame->die_mask & 1u << process) != 0 ? memory_fingerprint(SEEN_BY_OTHERS)
								: NO_IMAGE;
	/* What others see of a step is its first access: in this state they run beside the same truth,
	 * but do not see the store; and a lock is stored to there, or nobody else uses it. */
	bool stores = pending->region != NULL && pending->kind != HOOK_LOAD;
	struct holders holders = { .locks = { 0 } };

	if (stores)
		holders = find_holders(process);
	search.offered_frost = stores ? NO_IMAGE : memory_fingerprint(1u << EXPLORER_TRUTH);
	machine_wake(process);
	run(process, preemptions);
	if (stores)
		break_robbed_locks(&holders, process);
}

static void visit_all(void *argument)
{
	(void)argument;
	if (!check_truth())
		return;
	arrive(NOBODY, 0);
	while (!search.over && search.frames.count > 0) {
		struct frame *frame = top_frame();
		load_stack(frame);
		if (choose(frame)) {
			if (frame->was_left)
				return_to(frame);
			frame->was_left = true;
			take(frame);
		} else if (!frame->is_state || leave_state(frame)) {
			search.frames.count--;
		}
	}
	if (!search.over)
		check_hooks();
}

static void reset_pass(void)
{
	struct explorer_result *result = search.result;

	machine_reset();
	fingerprint_set_clear(&search.states);
	fingerprint_set_clear(&search.terminal_images);
	/* An image that was well in one pass is well in all, but a violation is to be found
	 * again. */
	if (search.preemption_limit != NO_LIMIT)
		fingerprint_set_clear(&search.truth_images);
	search.frames.count = 0;
	search.saved_stacks.count = 0;
	site_reset();
	component_reset();
	search.over = false;
	search.outcome = PASS_COMPLETE;
	search.conflicts_before = machine_conflicts_found();
	search.void_after = 0;
	search.verify_after = 16;
	search.hang_suspected = false;
	search.offered = NO_IMAGE;
	search.offered_frost = NO_IMAGE;
	search.truth_checked = NO_IMAGE;
	result->states = 0;
	result->transitions = 0;
	result->deaths = 0;
	result->terminal_states = 0;
	result->terminal_digest = 0;
	result->passes++;
}

/* A hang, unlike all else that a pass finds, is one only if the pass left no schedule out. */
static void judge_hang(void)
{
	if (search.outcome == PASS_VIOLATION || is_void() || !search.hang_suspected)
		return;
	search.violation_path.count = 0;
	memcpy(stack_push(&search.violation_path, search.hang_path.count), search.hang_path.records,
		search.hang_path.count * search.hang_path.record_bytes);
	violate(search.hang_text);
	search.hang_found = true;
}

static enum outcome pass(void)
{
	bool in_body = false;

	reset_pass();
	if (!machine_try(visit_all, NULL, &in_body)) {
		violate_here(machine_failure());
		if (in_body && search.violation_path.count > 0) {
			struct trace_choice *last = stack_top(&search.violation_path);
			last->accesses = TRACE_TO_FAILURE;
		}
	}
	judge_hang();
	if (!search.over && is_void())
		end_pass(PASS_VOID);
	search.result->truth_images = search.truth_images.count;
	search.result->terminal_images = search.terminal_images.count;
	return search.outcome;
}

/* --- walks ----------------------------------------------------------------------------------- */

static unsigned roll(uint64_t *dice, unsigned sides)
{
	*dice += UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(fingerprint_mix(*dice) % sides);
}

/* The process of the mask, which is not empty, with the highest rank. */
static unsigned first_of(const uint32_t *ranks, unsigned mask)
{
	unsigned first = EXPLORER_PROCESS_LIMIT;

	for (unsigned i = 0; i < EXPLORER_PROCESS_LIMIT; i++)
		if ((mask & 1u << i) != 0 &&
			(first == EXPLORER_PROCESS_LIMIT || ranks[i] > ranks[first]))
			first = i;
	return first;
}

static void walk_on(uint64_t *dice, unsigned process, unsigned patience)
{
	enum machine_event event;

	machine_wake(process);
	do {
		event = machine_step(process);
	} while (event == MACHINE_RETURNING ||
		(event == MACHINE_ACCESS && roll(dice, patience) != 0));
}

/* One schedule from the start, for the sake of the conflicts that machine_step() notes: whoever ranks
 * highest runs, and now and then dies, or goes to the end of the row. So few interruptions come at
 * places that are far apart. */
static void walk(uint64_t *dice)
{
	unsigned patience = WALK_PATIENCE << roll(dice, WALK_MULTIPLES);
	uint32_t ranks[EXPLORER_PROCESS_LIMIT];
	uint32_t lowest = UINT32_MAX / 2;

	machine_reset();
	for (unsigned i = 0; i < EXPLORER_PROCESS_LIMIT; i++)
		ranks[i] = UINT32_MAX / 2 + roll(dice, UINT16_MAX);
	for (uint64_t accesses = 0; accesses < WALK_ACCESSES;) {
		struct frame frame = { .is_state = true };

		find_choices(&frame);
		if (frame.run_mask == 0)
			return;
		machine_set_active(frame.active_mask);

		unsigned process = first_of(ranks, frame.run_mask);

		walk_on(dice, process, patience);
		accesses += machine_accesses();
		if (may_die(process) && roll(dice, WALK_DEATHS) == 0)
			machine_kill(process);
		else
			ranks[process] = lowest--;
	}
}

/* Process. */
struct walks {
	uint64_t dice;
	uint64_t quiet;
};

static void walk_about(void *argument)
{
	struct walks *walks = argument;

	for (uint64_t quiet = 0; quiet < walks->quiet; quiet++) {
		uint64_t before = machine_conflicts_found();

		walk(&walks->dice);
		if (machine_conflicts_found() != before)
			quiet = 0;
	}
}

/* What is broken here the passes find again, and report. The search for a shorter way to a violation knows the conflicts
 * of the search that found it. */
static void find_conflicts(void)
{
	uint64_t quiet = search.result->transitions / TRANSITIONS_PER_QUIET_WALK;
	struct walks walks = {
		.dice = search.result->passes,
		.quiet = quiet > QUIET_WALKS ? quiet : QUIET_WALKS,
	};
	bool in_body = false;

	if (search.switches != EXPLORER_AT_EVERY_ACCESS && search.preemption_limit == NO_LIMIT)
		machine_try(walk_about, &walks, &in_body);
}

/* --- passes ---------------------------------------------------------------------------------- */

/* Passes until one is valid. */
static enum outcome explore(void)
{
	enum outcome outcome;

	do {
		find_conflicts();
		outcome = pass();
	} while (outcome == PASS_VOID);
	return outcome;
}

/* Looks for a schedule to a violation with fewer interruptions, for a few times as long as it took
 * to find the first one. The counts stay those of the pass that found it. */
static void simplify(void)
{
	struct explorer_result *found = search.result;
	struct explorer_result again = { 0 };
	struct stack path = search.violation_path;

	search.violation_path = (struct stack){ .record_bytes = path.record_bytes };
	search.result = &again;
	search.hang_is_goal = search.hang_found;
	search.transition_limit = found->all_transitions * SIMPLIFY_FACTOR + VOID_PASS_TRANSITIONS;
	for (unsigned limit = 0; limit < PREEMPTION_LIMIT && !again.violated; limit++) {
		search.preemption_limit = limit;
		explore();
	}
	search.preemption_limit = NO_LIMIT;
	search.result = found;
	if (again.violated) {
		memcpy(found->violation, again.violation, sizeof found->violation);
		stack_release(&path);
	} else {
		stack_release(&search.violation_path);
		search.violation_path = path;
	}
}

static void report(FILE *file)
{
	fprintf(file, "scenario \"%s\" violated: %s\n", search.scenario->name,
		search.result->violation);
	trace_print(file, stack_at(&search.violation_path, 0), search.violation_path.count);
	fflush(file);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static enum explorer_switches choose_switches(const struct explorer_scenario *scenario)
{
	static const char *const names[] = {
		[EXPLORER_AT_CONFLICTS] = "conflicts",
		[EXPLORER_AT_STORES] = "stores",
		[EXPLORER_AT_EVERY_ACCESS] = "all",
	};
	const char *wanted = getenv("EXPLORER_SWITCHES");

	if (wanted == NULL)
		return scenario->switches;
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(wanted, names[i]) == 0)
			return (enum explorer_switches)i;
	fprintf(stderr, "EXPLORER_SWITCHES=%s: must be conflicts, stores or all\n", wanted);
	exit(2);
}

static void begin(const struct explorer_scenario *scenario, struct explorer_result *result)
{
	const char *seed = getenv("EXPLORER_SEED");

	if (scenario->process_count == 0 || scenario->process_count > EXPLORER_PROCESS_LIMIT) {
		fprintf(stderr, "scenario \"%s\": process_count is %u, must be 1 to %d\n",
			scenario->name, scenario->process_count, EXPLORER_PROCESS_LIMIT);
		exit(2);
	}
	memset(&search, 0, sizeof search);
	*result = (struct explorer_result){ 0 };
	search.scenario = scenario;
	search.result = result;
	search.switches = choose_switches(scenario);
	search.seed = seed == NULL ? scenario->seed : strtoull(seed, NULL, 0);
	search.preemption_limit = NO_LIMIT;
	search.count_sites = getenv("EXPLORER_SITES") != NULL;
	search.transition_limit = UINT64_MAX;
	search.frames.record_bytes = sizeof(struct frame);
	search.saved_stacks.record_bytes = 1;
	search.violation_path.record_bytes = sizeof(struct trace_choice);
	search.hang_path.record_bytes = sizeof(struct trace_choice);
	machine_begin(scenario);
}

static void end(void)
{
	fingerprint_set_clear(&search.states);
	fingerprint_set_clear(&search.truth_images);
	fingerprint_set_clear(&search.terminal_images);
	stack_release(&search.frames);
	stack_release(&search.saved_stacks);
	component_release();
	stack_release(&search.violation_path);
	stack_release(&search.hang_path);
	machine_end();
}

void explorer_run(const struct explorer_scenario *scenario, struct explorer_result *result)
{
	double start = seconds_now();
	enum outcome outcome = PASS_COMPLETE;

	begin(scenario, result);
	for (unsigned limit = 0; limit <= scenario->death_limit; limit++) {
		search.death_limit = limit;
		outcome = explore();
		if (outcome == PASS_VIOLATION)
			break;
	}
	result->complete = outcome == PASS_COMPLETE;
	if (search.count_sites)
		site_print(stdout);
	result->conflict_words = memory_conflict_count();
	result->seconds = seconds_now() - start;
	if (outcome == PASS_VIOLATION && scenario->report != NULL) {
		simplify();
		report(scenario->report);
	}
	end();
}

void explorer_track(const char *name, void *base, size_t bytes, enum explorer_kind kind)
{
	memory_track(name, base, bytes, kind);
}

void explorer_untrack_all(void)
{
	memory_untrack_all();
}

void explorer_print_result(FILE *file, const struct explorer_scenario *scenario,
	const struct explorer_result *result)
{
	const char *verdict = "limit reached, no violation so far";

	if (result->violated)
		verdict = result->violation;
	else if (result->complete)
		verdict = "complete";
	fprintf(file,
		"%s, %u deaths: %s; %" PRIu64 " states, %" PRIu64 " transitions (%" PRIu64
		" deaths), %" PRIu64 " terminal states, %" PRIu64 " terminal images, %" PRIu64
		" truth images, %" PRIu64 " words in conflict, %u passes, %.2f s, %.0f "
		"transitions/s\n",
		scenario->name, scenario->death_limit, verdict, result->states, result->transitions,
		result->deaths, result->terminal_states, result->terminal_images,
		result->truth_images, result->conflict_words, result->passes, result->seconds,
		(double)result->all_transitions / (result->seconds + 1e-9));
}
