/* machine.c -- the processes of a scenario, run one access at a time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Code of a process leaves its stack for every access that matters, and the explorer's own work is
 * done on the explorer's stack: what it would leave behind on the process's stack depends on how a
 * state was reached, and would make two states of one. */
#define _GNU_SOURCE
#include "stress/model/machine.h"

#include <execinfo.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "stress/model/coroutine.h"
#include "stress/model/symbol.h"

/* After so many accesses without a switch point a process may be in an endless loop. */
#define SUSPICIOUS_ACCESSES (1u << 22)
#define PRIVATE_LIMIT (1u << 27)
#define SIGNAL_STACK_BYTES 65536
#define BACKTRACE_LIMIT 32

enum mode {
	MODE_EXPLORER,
	MODE_BODY,
	MODE_CALLBACK, /* accesses are the process's, and last */
	MODE_GUARD,    /* accesses are the process's, stores are taken back */
	MODE_CHECK,    /* accesses are nobody's, stores are taken back */
};

static const int fault_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
#define FAULT_SIGNALS (sizeof fault_signals / sizeof fault_signals[0])

/* Process. */
static struct {
	const struct explorer_scenario *scenario;
	struct machine_process processes[EXPLORER_PROCESS_LIMIT];
	struct coroutine coroutines[EXPLORER_PROCESS_LIMIT];
	unsigned deaths;
	enum mode mode;
	unsigned current;
	enum machine_event event;
	uint32_t accesses;
	uint64_t conflicts_found;
	unsigned
		broken_locks; /* mask: taken from the living, so that nobody is known to hold them */
	unsigned active; /* mask: whose accesses may come at the same time as those of this step */
	bool look_for_starts; /* after the first access of the step */
	bool tracing;
	bool on_process_stack;
	const void *callers[EXPLORER_PROCESS_LIMIT][MACHINE_CALLERS];
	size_t caller_counts[EXPLORER_PROCESS_LIMIT];
	sigjmp_buf exit;
	bool exit_is_set;
	bool failed_in_body;
	const void *failed_caller; /* who made the access that is the failure; or NULL */
	char failure[EXPLORER_TEXT_BYTES];
	struct sigaction old_actions[FAULT_SIGNALS];
} machine;

static void on_access(void *address, size_t bytes, enum hook_kind kind, const void *caller);
static bool watches(const void *address, enum hook_kind kind);

static void set_mode(enum mode mode)
{
	static const struct hook_client client = {
		.on_access = on_access,
		.watches = watches,
		.sees_loads = true,
	};
	static const struct hook_client check_client = {
		.on_access = on_access,
		.watches = watches,
	};

	machine.mode = mode;
	hook_client = mode == MODE_EXPLORER ? NULL : mode == MODE_CHECK ? &check_client : &client;
}

/* Leads back to machine_try(), whichever stack this is. Whoever calls it has set the mode:
 * describing the failure must not be taken for what a process does. */
static _Noreturn void leave(void)
{
	machine.failed_in_body = machine.on_process_stack;
	machine.on_process_stack = false;
	siglongjmp(machine.exit, 1);
}

static void note(struct memory_region *region, const void *address, size_t bytes,
	enum hook_kind kind, unsigned locks)
{
	if (region->kind == EXPLORER_PRIVATE)
		return;
	if (kind != HOOK_STORE)
		machine.conflicts_found += memory_note(region, address, bytes, machine.current,
			false, machine.active, locks);
	if (kind != HOOK_LOAD)
		machine.conflicts_found += memory_note(region, address, bytes, machine.current,
			true, machine.active, locks);
}

unsigned machine_locks(unsigned process)
{
	if (machine.scenario->locks_held == NULL)
		return 0;
	return machine.scenario->locks_held(process) & ~machine.broken_locks;
}

void machine_break_locks(unsigned locks)
{
	machine.broken_locks |= locks;
	machine.conflicts_found++;
}

/* Keeps the callers from `caller` on outwards: what lies further in is the hook. The outermost is
 * process_main(). Not inline: every frame of a stopped process is part of the state. */
__attribute__((noinline)) static void trace_callers(const void *caller)
{
	void *frames[BACKTRACE_LIMIT];
	size_t count = (size_t)backtrace(frames, BACKTRACE_LIMIT);
	size_t first = 0;
	size_t kept = 0;

	while (first < count && frames[first] != caller)
		first++;
	for (; first + kept + 1 < count && kept < MACHINE_CALLERS; kept++)
		machine.callers[machine.current][kept] = frames[first + kept];
	if (kept == 0)
		machine.callers[machine.current][kept++] = caller;
	machine.caller_counts[machine.current] = kept;
}

/* On the stack of the process. Whether it stops here must not depend on more than the access: a
 * stop leaves other traces on the stack than none. */
static void stop_before(const struct machine_access *access)
{
	bool needs_stop = access->kind != HOOK_LOAD || access->region->kind != EXPLORER_PRIVATE;

	if (!needs_stop && !machine.tracing &&
		machine.accesses % SUSPICIOUS_ACCESSES != SUSPICIOUS_ACCESSES - 1) {
		machine.accesses++;
		return;
	}
	set_mode(MODE_EXPLORER);
	if (machine.tracing)
		trace_callers(access->caller);
	machine.processes[machine.current].pending = *access;
	machine.event = MACHINE_ACCESS;
	coroutine_suspend();
}

static bool is_on_stack(const void *address)
{
	const unsigned char *stack = machine.coroutines[machine.current].stack;

	return (uintptr_t)address - (uintptr_t)stack < COROUTINE_STACK_BYTES;
}

/* What a body keeps elsewhere would not be part of the state. */
static _Noreturn void refuse_store(const void *address, const void *caller)
{
	const struct memory_region *before = memory_before(address);

	set_mode(MODE_EXPLORER);
	machine.failed_caller = caller;
	snprintf(machine.failure, sizeof machine.failure,
		"process %u stores to %p, which is not tracked (%s+0x%" PRIxPTR ")",
		machine.current, address, before == NULL ? "" : before->name,
		before == NULL ? (uintptr_t)address : (uintptr_t)address - (uintptr_t)before->base);
	leave();
}

static void on_access(void *address, size_t bytes, enum hook_kind kind, const void *caller)
{
	struct memory_region *region;

	/* Most accesses. */
	if (machine.mode == MODE_BODY && is_on_stack(address))
		return;
	region = memory_find(address);
	if (region == NULL) {
		if (machine.mode == MODE_BODY && kind != HOOK_LOAD)
			refuse_store(address, caller);
		return;
	}
	if (region->kind == EXPLORER_IGNORED)
		return;
	if (machine.mode == MODE_BODY) {
		stop_before(&(struct machine_access){
			.region = region,
			.address = address,
			.bytes = bytes,
			.kind = kind,
			.caller = caller,
		});
		return;
	}
	if (machine.mode == MODE_CALLBACK || machine.mode == MODE_GUARD)
		note(region, address, bytes, kind, 0);
	if (kind != HOOK_LOAD)
		memory_will_write(region, address, bytes);
}

static bool watches(const void *address, enum hook_kind kind)
{
	const struct memory_region *region = memory_find(address);

	if (region == NULL)
		return machine.mode == MODE_BODY && kind == HOOK_STORE && !is_on_stack(address);
	return region->kind != EXPLORER_IGNORED;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (machine.mode == MODE_EXPLORER && !machine.on_process_stack) {
		for (size_t i = 0; i < FAULT_SIGNALS; i++)
			sigaction(fault_signals[i], &machine.old_actions[i], NULL);
		raise(signal);
		return;
	}
	set_mode(MODE_EXPLORER);
	if (signal == SIGABRT)
		snprintf(machine.failure, sizeof machine.failure, "process %u called abort()",
			machine.current);
	else
		snprintf(machine.failure, sizeof machine.failure,
			"process %u: signal %d (%s) at %p", machine.current, signal,
			strsignal(signal), info->si_addr);
	leave();
}

/* The handlers have a stack of their own: what faults may be the stack of a process. */
static void catch_faults(void)
{
	static unsigned char stack[SIGNAL_STACK_BYTES];
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
	action.sa_sigaction = on_fault;
	for (size_t i = 0; i < FAULT_SIGNALS; i++)
		sigaction(fault_signals[i], &action, &machine.old_actions[i]);
}

void machine_begin(const struct explorer_scenario *scenario)
{
	machine.scenario = scenario;
	machine.conflicts_found = 0;
	machine.broken_locks = 0;
	machine.deaths = 0;
	machine.tracing = false;
	for (unsigned i = 0; i < scenario->process_count; i++)
		coroutine_create(&machine.coroutines[i]);
	memory_begin();
	memset(machine.processes, 0, sizeof machine.processes);
	catch_faults();
}

void machine_end(void)
{
	for (size_t i = 0; i < FAULT_SIGNALS; i++)
		sigaction(fault_signals[i], &machine.old_actions[i], NULL);
	machine_reset();
	memory_end();
}

void machine_reset(void)
{
	memory_rollback(0, &(struct memory_digest){ 0 });
	memset(machine.processes, 0, sizeof machine.processes);
	machine.deaths = 0;
}

static void describe_failure(bool *in_body)
{
	size_t length = strlen(machine.failure);
	struct symbol symbol;

	*in_body = machine.failed_in_body;
	if (machine.failed_caller == NULL)
		return;
	symbol_resolve(&machine.failed_caller, 1, &symbol);
	snprintf(machine.failure + length, sizeof machine.failure - length, ": %s", symbol.text);
	machine.failed_caller = NULL;
}

bool machine_try(void (*function)(void *argument), void *argument, bool *in_body)
{
	machine.exit_is_set = true;

	bool finished = sigsetjmp(machine.exit, 0) == 0;

	if (finished)
		function(argument);
	else
		describe_failure(in_body);
	machine.exit_is_set = false;
	return finished;
}

const char *machine_failure(void)
{
	return machine.failure;
}

void explorer_fail(const char *text)
{
	if (!machine.exit_is_set) {
		fprintf(stderr, "explorer_fail() outside of explorer_run(): %s\n", text);
		abort();
	}
	set_mode(MODE_EXPLORER);
	snprintf(machine.failure, sizeof machine.failure, "%s", text);
	leave();
}

unsigned explorer_process(void)
{
	return machine.current;
}

enum explorer_status explorer_status(unsigned process)
{
	if (machine.mode == MODE_BODY)
		explorer_fail("explorer_status() called from a body: it sees what no process sees");
	return machine.processes[process].status;
}

void explorer_will_read(const volatile void *address, size_t bytes)
{
	if (hook_client != NULL)
		on_access((void *)(uintptr_t)address, bytes, HOOK_LOAD,
			__builtin_return_address(0));
}

void explorer_will_write(volatile void *address, size_t bytes)
{
	if (hook_client != NULL)
		on_access((void *)(uintptr_t)address, bytes, HOOK_STORE,
			__builtin_return_address(0));
}

void explorer_block(const volatile uint32_t *word, uint32_t expected)
{
	void *address = (void *)(uintptr_t)word;

	if (machine.mode != MODE_BODY && *word != expected)
		return;
	if (machine.mode != MODE_BODY)
		explorer_fail("explorer_block() outside of a body, where nobody can wake it");
	if (memory_find(address) == NULL)
		explorer_fail("explorer_block() on a word that is not tracked");
	on_access(address, sizeof *word, HOOK_LOAD, __builtin_return_address(0));
	if (*word != expected)
		return;

	struct machine_process *process = &machine.processes[machine.current];

	process->status = EXPLORER_BLOCKED;
	process->word = word;
	process->expected = expected;
	machine.event = MACHINE_BLOCKED;
	coroutine_suspend();
}

static bool call_guard(bool (*guard)(unsigned process), unsigned process)
{
	struct memory_digest digest = memory_digest();
	size_t mark = memory_mark();
	unsigned stepped = machine.current;

	machine.current = process;
	set_mode(MODE_GUARD);

	bool answer = guard(process);

	set_mode(MODE_EXPLORER);
	machine.current = stepped;
	memory_rollback(mark, &digest);
	return answer;
}

bool machine_may_run(unsigned process)
{
	const struct machine_process *candidate = &machine.processes[process];

	switch (candidate->status) {
	case EXPLORER_RUNNING:
		return !candidate->stopped && !candidate->frozen;
	case EXPLORER_BLOCKED:
		return candidate->woken || *candidate->word != candidate->expected;
	case EXPLORER_FRESH:
	case EXPLORER_IDLE:
		if (machine.scenario->may_start == NULL)
			return candidate->status == EXPLORER_FRESH;
		return call_guard(machine.scenario->may_start, process);
	case EXPLORER_DEAD:
		break;
	}
	return false;
}

bool machine_may_die(unsigned process)
{
	enum explorer_status status = machine.processes[process].status;

	if (status == EXPLORER_DEAD || machine.processes[process].frozen)
		return false;
	if (machine.processes[process].stopped)
		return true;
	if (machine.scenario->may_die == NULL)
		return status == EXPLORER_RUNNING || status == EXPLORER_BLOCKED;
	return call_guard(machine.scenario->may_die, process);
}

static void process_main(void)
{
	machine.scenario->body(machine.current);
	machine.event = MACHINE_RETURNING;
	coroutine_suspend();
}

void machine_wake(unsigned process)
{
	struct machine_process *woken = &machine.processes[process];

	if (woken->status == EXPLORER_FRESH || woken->status == EXPLORER_IDLE)
		coroutine_start(&machine.coroutines[process], process_main);
	woken->status = EXPLORER_RUNNING;
	woken->woken = false;
	machine.accesses = 0;
}

/* A time limit is as good as passed for whoever waits, when a process has died or returned. */
static void end_waits(void)
{
	for (unsigned i = 0; i < machine.scenario->process_count; i++)
		if (machine.processes[i].status == EXPLORER_BLOCKED)
			machine.processes[i].woken = true;
}

static void leave_stack(unsigned process, enum explorer_status status)
{
	machine.processes[process] = (struct machine_process){ .status = status };
	end_waits();
}

static void resume(unsigned process)
{
	struct machine_process *resumed = &machine.processes[process];
	struct machine_access *pending = &resumed->pending;

	if (pending->region != NULL && pending->kind != HOOK_LOAD)
		memory_will_write(pending->region, pending->address, pending->bytes);
	pending->region = NULL;
	resumed->stack_is_fingerprinted = false;
	machine.current = process;
	machine.on_process_stack = true;
	set_mode(MODE_BODY);
	coroutine_resume(&machine.coroutines[process]);
	set_mode(MODE_EXPLORER);
	machine.on_process_stack = false;
	memory_settle();
	resumed->stack_pointer = machine.coroutines[process].stack_pointer;
}

/* A loop over words that nobody else is known to use may wait for somebody who has not come to run:
 * treated as a conflict, the word lets the others in. */
static void look_for_endless_loop(const struct machine_access *pending)
{
	if (machine.accesses % SUSPICIOUS_ACCESSES != 0)
		return;
	if (pending->region->kind == EXPLORER_PRIVATE) {
		if (machine.accesses > PRIVATE_LIMIT)
			explorer_fail("a process loops without an access to shared memory");
		return;
	}
	if (!memory_is_conflict(pending->region, pending->address, pending->bytes,
		    machine.current)) {
		memory_set_conflict(pending->region, pending->address, pending->bytes);
		machine.conflicts_found++;
	}
}

/* A process that returned is active still: it may have made its last accesses later. For one that
 * waits for something in order to start, that, and for a dead one its death, puts its accesses
 * after or before those of the others. */
unsigned machine_active(unsigned startable)
{
	unsigned active = startable;

	for (unsigned i = 0; i < machine.scenario->process_count; i++)
		if (machine.processes[i].status != EXPLORER_FRESH &&
			machine.processes[i].status != EXPLORER_DEAD)
			active |= 1u << i;
	return active;
}

void machine_set_active(unsigned active)
{
	machine.active = active;
	machine.look_for_starts = true;
}

/* What a guard loads is a conflict, so that a store that lets somebody start comes first in a
 * step. */
static void look_for_starts(void)
{
	if (!machine.look_for_starts)
		return;
	machine.look_for_starts = false;
	for (unsigned i = 0; i < machine.scenario->process_count; i++)
		if (machine.processes[i].status == EXPLORER_FRESH &&
			(machine.active & 1u << i) == 0 && machine_may_run(i))
			machine.active |= 1u << i;
}

enum machine_event machine_step(unsigned process)
{
	struct machine_process *stepped = &machine.processes[process];

	if (stepped->returning) {
		leave_stack(process, EXPLORER_IDLE);
		machine.accesses++;
		return MACHINE_RETURNED;
	}
	resume(process);
	machine.accesses++;
	look_for_starts();
	if (machine.event == MACHINE_ACCESS) {
		const struct machine_access *pending = &stepped->pending;
		note(pending->region, pending->address, pending->bytes, pending->kind,
			machine_locks(process));
		look_for_endless_loop(pending);
	}
	stepped->returning = machine.event == MACHINE_RETURNING;
	return machine.event;
}

void machine_stop(unsigned process)
{
	machine.processes[process].stopped = true;
	machine.deaths++;
}

void machine_freeze(unsigned process)
{
	machine.processes[process].frozen = true;
}

bool machine_is_frozen(void)
{
	for (unsigned i = 0; i < machine.scenario->process_count; i++)
		if (machine.processes[i].frozen)
			return true;
	return false;
}

void machine_kill(unsigned process)
{
	machine.deaths += !machine.processes[process].stopped;
	leave_stack(process, EXPLORER_DEAD);
	if (machine.scenario->on_death == NULL)
		return;
	machine.current = process;
	set_mode(MODE_CALLBACK);
	machine.scenario->on_death(process);
	set_mode(MODE_EXPLORER);
	memory_settle();
}

const char *machine_check(const char *(*check)(void))
{
	if (check == NULL)
		return NULL;

	struct memory_digest digest = memory_digest();
	size_t mark = memory_mark();

	set_mode(MODE_CHECK);

	const char *text = check();

	set_mode(MODE_EXPLORER);
	memory_rollback(mark, &digest);
	return text;
}

const struct machine_process *machine_process(unsigned process)
{
	return &machine.processes[process];
}

struct coroutine *machine_coroutine(unsigned process)
{
	return &machine.coroutines[process];
}

unsigned machine_deaths(void)
{
	return machine.deaths;
}

static struct fingerprint process_fingerprint(unsigned process)
{
	struct machine_process *of = &machine.processes[process];
	uint64_t key = ~(uint64_t)process;
	uint64_t standing = (uint64_t)of->stopped << 1 | of->frozen;
	struct fingerprint sum = fingerprint_of_word(key, (uint64_t)of->status << 2 | standing);

	if (standing != 0)
		return sum;
	if (of->status != EXPLORER_RUNNING && of->status != EXPLORER_BLOCKED)
		return sum;
	if (!of->stack_is_fingerprinted) {
		of->stack_fingerprint = coroutine_fingerprint(&machine.coroutines[process], key);
		of->stack_is_fingerprinted = true;
	}
	sum = fingerprint_add(sum, of->stack_fingerprint);
	if (of->status != EXPLORER_BLOCKED)
		return sum;

	const uint64_t waits_for[] = { of->woken, (uintptr_t)of->word, of->expected };

	return fingerprint_add(sum, fingerprint_of_words(key, waits_for, 3));
}

struct fingerprint machine_fingerprint(void)
{
	struct fingerprint sum = memory_fingerprint((1u << EXPLORER_KINDS) - 1);

	for (unsigned i = 0; i < machine.scenario->process_count; i++)
		sum = fingerprint_add(sum, process_fingerprint(i));
	return sum;
}

void machine_save(struct machine_state *state)
{
	memcpy(state->processes, machine.processes, sizeof state->processes);
	state->deaths = machine.deaths;
	state->accesses = machine.accesses;
	state->active = machine.active;
	state->mark = memory_mark();
	state->digest = memory_digest();
}

void machine_load(const struct machine_state *state)
{
	memcpy(machine.processes, state->processes, sizeof machine.processes);
	for (unsigned i = 0; i < machine.scenario->process_count; i++)
		machine.coroutines[i].stack_pointer = machine.processes[i].stack_pointer;
	machine.deaths = state->deaths;
	machine.accesses = state->accesses;
	machine.active = state->active;
	memory_rollback(state->mark, &state->digest);
}

uint32_t machine_accesses(void)
{
	return machine.accesses;
}

uint64_t machine_conflicts_found(void)
{
	return machine.conflicts_found;
}

void machine_set_tracing(bool tracing)
{
	machine.tracing = tracing;
}

const void *const *machine_callers(unsigned process, size_t *count)
{
	*count = machine.caller_counts[process];
	return machine.callers[process];
}
