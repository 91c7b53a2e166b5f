/* tool_runner.h -- runs the built tool, and makes heap files for it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The tool is SPANHEAP_TOOL of the environment, or ../tools/spanheap beside the test program. Heap
 * files are images of a fixture's heap, so that a test decides what its processes left behind. */
#ifndef SPANHEAP_TESTS_TOOL_RUNNER_H
#define SPANHEAP_TESTS_TOOL_RUNNER_H

#include "tests/fixture.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Process. How the tool ended, and what it said; texts end with NUL. */
struct run {
	int status; /* of exit; 256 + the signal that killed it */
	char *out;
	char *err;
};

/* Runs the tool with up to eight arguments, the last one NULL. */
#define RUN(...) run_tool((const char *const[]){ __VA_ARGS__, NULL })
struct run run_tool(const char *const *arguments);
void run_free(struct run *run);

/* Starts it with these descriptors as its standard output and error; waits for its end, and returns
 * its exit status as in struct run. */
pid_t start_tool(int out, int err, const char *const *arguments);
int wait_for_tool(pid_t child);

/* Runs it, and asserts its exit status; a text that it said otherwise is shown. */
#define EXPECT(status, ...) run_expect(status, (const char *const[]){ __VA_ARGS__, NULL })
void run_expect(int status, const char *const *arguments);

/* Whether the text is one JSON document and nothing else. */
bool json_valid(const char *text);

/* How often a text occurs. */
uint64_t count_text(const char *text, const char *wanted);

/* The first number behind `"key": `; UINT64_MAX when there is none. */
uint64_t json_number_of(const char *text, const char *key);

/* --- heap files ---------------------------------------------------------------------------- */

/* A directory for the files of a suite; a CUnit init and cleanup function. */
int runner_enter(void);
int runner_leave(void);

/* The heap file of the suite, and its control file. */
extern char runner_path[PATH_MAX];
extern char runner_shm_path[PATH_MAX];

/* What an image says about its last run. */
enum left_behind {
	LEFT_CLEAN,
	LEFT_RECOVERABLE, /* killed, with a control file that proves it */
	LEFT_TORN,        /* killed, and no control file */
};

/* Writes the fixture's heap file, sparsely, to runner_path. Returns its length. */
uint64_t write_image(struct fixture *f, enum left_behind left);

#endif
