/* explorer.h -- runs real code under every interleaving of a few processes and every death of them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A model process is a coroutine in this program, shared memory is tracked memory, and a state is
 * the content of tracked memory with the stacks of all processes. The explorer visits each state
 * once, depth first, and prints the schedule that leads to the first violation. README.md has the
 * mechanism, the argument why it is exhaustive, and the flags to compile with.
 *
 * A scenario keeps everything that changes in tracked memory: globals and static variables of the
 * code under test, too. It calls neither malloc() nor the system from a body. */
#ifndef MODEL_EXPLORER_H
#define MODEL_EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPLORER_PROCESS_LIMIT 4
#define EXPLORER_LOCK_LIMIT 15
#define EXPLORER_TEXT_BYTES 256

enum explorer_kind {
	EXPLORER_SHARED,  /* the others see it: accesses are switch points, stores kill points */
	EXPLORER_TRUTH,   /* the same; check_truth is called for each content of it */
	EXPLORER_PRIVATE, /* of one process: part of the state, no switch and no kill points */
	EXPLORER_IGNORED, /* not part of the state, and bodies may store to it all the same */
	EXPLORER_KINDS,
};

enum explorer_status {
	EXPLORER_FRESH, /* never started */
	EXPLORER_IDLE,  /* its body returned */
	EXPLORER_RUNNING,
	EXPLORER_BLOCKED, /* in explorer_block() */
	EXPLORER_DEAD,
};

/* Where other processes may come in. The first is the fastest; README.md says what it leaves
 * out. */
enum explorer_switches {
	EXPLORER_AT_CONFLICTS, /* before an access to a word that others use, too */
	EXPLORER_AT_STORES,    /* and before every store */
	EXPLORER_AT_EVERY_ACCESS,
};

/* Process. Callbacks run outside of all processes. What they load and store counts as an access if
 * their file is compiled with the hook, or if they say so with explorer_will_read() and
 * explorer_will_write(). A callback that finds a rule broken calls explorer_fail(), a check may
 * return the text instead; NULL is well. */
struct explorer_scenario {
	const char *name;
	unsigned process_count;
	unsigned death_limit;
	uint64_t state_limit; /* 0: none */
	enum explorer_switches switches;
	uint64_t seed; /* 0: fixed order of search; else another order for each */
	FILE *report;  /* for the counterexample; may be NULL */

	/* What a process does. When it returns, the process is idle. */
	void (*body)(unsigned process);

	/* Asked of a fresh or idle process, in every state: may its body be started? Must depend on
	 * nothing but statuses, who is dead, and tracked memory. NULL: when it is fresh. */
	bool (*may_start)(unsigned process);

	/* Asked of a process that is not dead, idle ones included: may it die here? NULL: when it
	 * runs or is blocked. */
	bool (*may_die)(unsigned process);

	/* Mask of the locks, of EXPLORER_LOCK_LIMIT, that the process holds: what the words of the
	 * locks say, and nothing else. A lock is held from the store of its holder's name until the
	 * holder's next store to it, or its death. Words that are only used under a lock are no
	 * conflicts. May be NULL. */
	unsigned (*locks_held)(unsigned process);

	/* What the kernel does at a death: stores of its own to tracked memory. May be NULL. */
	void (*on_death)(unsigned process);

	/* Once for each distinct content of the TRUTH regions, between any two stores. May run
	 * recovery right there: tracked memory is put back afterwards. May be NULL. */
	const char *(*check_truth)(void);

	/* Once for each state (at switch points only). Tracked memory is put back. May be NULL. */
	const char *(*check_state)(void);

	/* In each state where every process is fresh, idle or dead and none may start. Tracked
	 * memory is put back. May be NULL. */
	const char *(*check_final)(void);
};

/* Process. All counts are those of the last pass, except where it says so. */
struct explorer_result {
	uint64_t states;
	uint64_t transitions;
	uint64_t deaths;
	uint64_t terminal_states;
	uint64_t terminal_images; /* distinct contents of SHARED and TRUTH memory in them */
	uint64_t terminal_digest; /* the same for the same set of images, in one program run */
	uint64_t truth_images;    /* of all passes */
	uint64_t conflict_words;
	uint64_t all_transitions; /* of all passes */
	unsigned passes;
	double seconds; /* of all passes */
	bool complete;  /* nothing was left out: neither state_limit nor a violation */
	bool violated;
	char violation[EXPLORER_TEXT_BYTES];
};

/* Before explorer_run(): base and bytes are multiples of 8. The content at the time of
 * explorer_run() is where every schedule starts from, and what is there again when it returns. A
 * body that stores to anything but tracked memory and its stack is a violation. */
void explorer_track(const char *name, void *base, size_t bytes, enum explorer_kind kind);
void explorer_untrack_all(void);

/* Explores with 0, 1, ... death_limit deaths, so that a counterexample has no death too many. The
 * environment can override the scenario: EXPLORER_SWITCHES=conflicts|stores|all,
 * EXPLORER_SEED=n. */
void explorer_run(const struct explorer_scenario *scenario, struct explorer_result *result);

/* One line. */
void explorer_print_result(FILE *file, const struct explorer_scenario *scenario,
	const struct explorer_result *result);

/* From a body: a futex wait with a time limit. Returns at once if *word, which is tracked, is not
 * `expected`; else when it is not, when another process has died or returned from its body since,
 * or when the others can do nothing more without it. */
void explorer_block(const volatile uint32_t *word, uint32_t expected);

/* From a body, a callback or a check: the schedule so far breaks a rule. */
_Noreturn void explorer_fail(const char *text);

/* The process whose body, or whose callback, is running. */
unsigned explorer_process(void);

/* From callbacks and checks only: a body sees of another process what is in shared memory. */
enum explorer_status explorer_status(unsigned process);

/* For code compiled without the hook, before it loads or stores tracked memory itself. The range is
 * one access. */
void explorer_will_read(const volatile void *address, size_t bytes);
void explorer_will_write(volatile void *address, size_t bytes);

#endif
