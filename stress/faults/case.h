/* case.h -- one case: a heap, a fault, a process that meets it, and what all of them must show afterwards
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * prepare -> neighbour -> casualty -> change -> the subject, which meets the fault -> the neighbour ends -> an opener
 * that looks at what is left. Each is a process of its own; the first one that finds what must not be says
 * so, and the case is bad. */
#ifndef FAULTS_CASE_H
#define FAULTS_CASE_H

#include "stress/faults/call.h"
#include "stress/faults/census.h"

#include <spanheap.h>
#include <stdatomic.h>

#define TEXT_BYTES 512u
#define HELD 1024u
#define HEAP_BYTES (UINT64_C(1) << 28)

/* Memory that all processes of a case share. */
struct board {
	struct tally tally;
	_Atomic int result;       /* of what the subject did */
	_Atomic unsigned writers; /* of `text`: the first one to fail writes it */
	char text[TEXT_BYTES];
	_Atomic uint32_t step;   /* what the neighbour waits for, and tells */
	_Atomic uint64_t blocks; /* that the subject holds: they are live when it is dead */
	_Atomic uint64_t pages;  /* of runs, the same */
	_Atomic bool has_acted;
};

extern struct board *board;

enum step { STEP_NONE, STEP_READY, STEP_ACTING, STEP_LEAVE };

/* How the subject ends when the call succeeded in spite. */
enum ending { ENDING_CLOSE, ENDING_KILL };

/* The process under faults. */
struct subject {
	const struct scenario *scenario;
	struct sh_heap *heap; /* NULL: not open */
	struct census begin;  /* before anything */
	sh_off held[HELD];
	unsigned held_count;
	sh_off run;
	size_t run_pages;
	const struct fault *fault;
	enum ending ending;
};

struct scenario {
	const char *name;
	/* Errors that the function's comment in spanheap.h names, up to 0; and whether it passes those of the
	 * system on. */
	const int *documented;
	bool passes_on;
	unsigned flags;         /* of the subject's sh_open() */
	bool in_control_folder; /* the control file is elsewhere, ... */
	bool forgets_folder;    /* ... and the subject does not say where */
	bool names_all;         /* see call.h */
	bool pins_nothing;
	bool is_full;    /* the same, of the subject only */
	bool is_new;     /* there is no heap before the subject makes it */
	bool opens;      /* what is done under faults is sh_open() */
	bool closes;     /* it is sh_close() */
	bool may_abort;  /* of membarrier(2): it says so, and ends the process */
	bool is_torn;    /* it must never be opened */
	bool grows;      /* the heap is another one afterwards: the next case gets a new one */
	bool has_spares; /* the process may have many descriptors, and keeps some for its children */
	int expected;    /* the result without a fault */
	void (*neighbour)(void);
	void (*casualty)(void);
	void (*change)(void); /* of the files, after all that */
	void (*before)(struct subject *subject);
	int (*act)(struct subject *subject);
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

/* What the machine or the build lacks for the scenario; NULL: nothing. */
const char *scenario_lacks(const struct scenario *scenario);

/* The paths of the case. */
extern char folder[400];
extern char heap_path[420];
extern char control_folder[420];

/* Ends the process: the case is bad. */
_Noreturn void bad(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPECT(condition) \
	((condition) ? (void)0 : bad("not so: %s (line %d)", #condition, __LINE__))

/* sh_open() with the options of all heaps here. */
int open_heap(unsigned flags, struct sh_heap **heap);

/* From here on with the control file in control_folder, or without. */
void case_say_control_folder(bool says);

/* The same, and sh_close(), expected to succeed. */
struct sh_heap *must_open(unsigned flags, const char *who);
void must_close(struct sh_heap *heap, const char *who);

void reach(enum step step);
void wait_for(enum step step);

/* Runs the case in a folder below `parent`, whose heap the next case finds again if it can. False when it was bad: board->text says why. */
void case_clean_up(void);
bool case_run(const struct scenario *scenario, const struct fault *fault, enum ending ending,
	const char *parent);

#endif
