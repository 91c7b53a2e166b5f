/* case.h -- one scenario: what it expects, what it says, the processes that it starts
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each scenario runs in a process of its own, which leads a session and has its own mounts. The first
 * failure of any of its processes ends it. When it is over everything that it left running is killed
 * with its process group. */
#ifndef HOSTILE_CASE_H
#define HOSTILE_CASE_H

#include "stress/common/expect.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum outcome { OUTCOME_PASSED, OUTCOME_FAILED, OUTCOME_SKIPPED };

#define TEXT_BYTES 1024u
#define STEPS 16u

/* Memory that all processes of a scenario share. */
struct board {
	_Atomic unsigned outcome;
	_Atomic unsigned writers; /* of `text`: the first one to fail writes it */
	char text[TEXT_BYTES];
	_Atomic uint32_t step[STEPS];
	_Atomic uint64_t value[STEPS];
};

extern struct board *board;

/* The scenario's empty folder; removed afterwards. */
extern char folder[512];

/* Adds to what the scenario says about what happened. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the scenario: the machine lacks something. */
_Noreturn void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Skips unless the scenario runs as root. */
void need_root(void);

/* --- processes ----------------------------------------------------------------------------- */

typedef void body_fn(void *argument);

/* Starts a process that ends with status 0 when `body` returns, and dies with its parent. */
pid_t start(body_fn *body, void *argument);

/* Waits for its end; its wait status. */
int finish(pid_t child);

/* The same; fails unless it ended well, or by SIGKILL. */
void finish_well(pid_t child);
void finish_killed(pid_t child);

/* start(), then finish_well(). */
void run(body_fn *body, void *argument);

/* Signposts: what one process does before another one goes on. Fails after 20 seconds. */
void reach(unsigned post, uint32_t step);
void wait_for(unsigned post, uint32_t step);

/* Whether a signpost is not reached within so many milliseconds. */
bool stays_below(unsigned post, uint32_t step, unsigned milliseconds);

void sleep_ms(unsigned milliseconds);
uint64_t now_us(void);

/* Runs a shell command quietly; its exit status. */
int command(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Waits until the process is stopped. */
void stop_process(pid_t child);

/* --- scenarios ----------------------------------------------------------------------------- */

struct scenario {
	const char *name;
	void (*run)(void);
};

#endif
