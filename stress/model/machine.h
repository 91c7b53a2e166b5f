/* machine.h -- the processes of a scenario, run one access at a time
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A process stops before each access to shared memory. The access, and what follows up to the next
 * one, takes place in the next step: so a process that dies where it stopped has not made it. */
#ifndef MODEL_MACHINE_H
#define MODEL_MACHINE_H

#include "stress/model/explorer.h"
#include "stress/model/fingerprint.h"
#include "stress/model/hook.h"
#include "stress/model/memory.h"

#define MACHINE_CALLERS 6

enum machine_event {
	MACHINE_ACCESS,    /* stopped before an access */
	MACHINE_BLOCKED,   /* stopped in explorer_block() */
	MACHINE_RETURNING, /* stopped after the last access, its body about to return */
	MACHINE_RETURNED,  /* idle */
};

/* Process. region is NULL when nothing is pending. */
struct machine_access {
	struct memory_region *region;
	void *address;
	size_t bytes;
	enum hook_kind kind;
	const void *caller;
};

/* Process. */
struct machine_process {
	enum explorer_status status;
	bool woken; /* blocked, and somebody has died or returned since */
	bool returning;
	bool stopped; /* going to die */
	bool frozen;  /* never runs again, and does not die before all do */
	bool stack_is_fingerprinted;
	struct machine_access pending;
	const volatile uint32_t *word; /* blocked while *word == expected */
	uint32_t expected;
	void *stack_pointer;
	struct fingerprint stack_fingerprint;
};

/* Process. A state, except the bytes on the stacks, which who runs a process saves and loads. */
struct machine_state {
	struct machine_process processes[EXPLORER_PROCESS_LIMIT];
	unsigned deaths;
	uint32_t accesses;
	unsigned active;
	size_t mark;
	struct memory_digest digest;
};

/* From machine_begin() to machine_end() faults and failed checks lead back to machine_try(). */
void machine_begin(const struct explorer_scenario *scenario);
void machine_end(void);

/* All processes fresh, tracked memory as at the start. */
void machine_reset(void);

/* Runs function. False: it was left because the code under test faulted or explorer_fail() was
 * called; machine_failure() has the text, and *in_body whether a body was running. */
bool machine_try(void (*function)(void *argument), void *argument, bool *in_body);
const char *machine_failure(void);

bool machine_may_run(unsigned process);
bool machine_may_die(unsigned process);

/* Mask of those whose accesses may come at the same time as accesses that are made in this state:
 * who is not dead, except who waits for something in order to start. `startable` is the mask of
 * those who may run. */
unsigned machine_active(unsigned startable);

/* Before a process is stepped from a state, or dies there. */
void machine_set_active(unsigned active);

/* Makes a process that may run, or is blocked, ready for machine_step(), which must follow. */
void machine_wake(unsigned process);
enum machine_event machine_step(unsigned process);
void machine_kill(unsigned process);

/* A process that is going to die, or to wait for the death of all, does not run any more. The others
 * take it for running. */
void machine_stop(unsigned process);
void machine_freeze(unsigned process);
bool machine_is_frozen(void); /* whether one is */

/* Calls the check and puts tracked memory back. */
const char *machine_check(const char *(*check)(void));

const struct machine_process *machine_process(unsigned process);
struct coroutine *machine_coroutine(unsigned process);

/* Mask of the locks that the process holds. */
unsigned machine_locks(unsigned process);

/* Somebody took these from a living holder: they are no locks, and the pass is void. */
void machine_break_locks(unsigned locks);

/* Processes that are dead or stopped. */
unsigned machine_deaths(void);
struct fingerprint machine_fingerprint(void);
void machine_save(struct machine_state *state);
void machine_load(const struct machine_state *state);

/* Accesses and other events since machine_wake(), loads of private memory included: says how far
 * the process has come, whether or not the machine is tracing. */
uint32_t machine_accesses(void);

/* Words found in conflict since machine_begin(). */
uint64_t machine_conflicts_found(void);

/* A tracing machine stops before loads of private memory, too, and machine_callers() says who makes
 * it, innermost first. */
void machine_set_tracing(bool tracing);
const void *const *machine_callers(unsigned process, size_t *count);

#endif
