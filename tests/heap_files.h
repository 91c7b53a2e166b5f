/* heap_files.h -- heaps on files, and processes that use them and die
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For tests of public functions. The files of a suite lie in a directory of its own below /dev/shm. */
#ifndef SPANHEAP_TESTS_HEAP_FILES_H
#define SPANHEAP_TESTS_HEAP_FILES_H

#include <limits.h>
#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES_MAX_BYTES (UINT64_C(1) << 30)

/* CUnit init and cleanup functions. */
int files_enter(void);
int files_leave(void);

extern char files_directory[PATH_MAX - 64];
extern char files_path[PATH_MAX]; /* of the suite's heap */

/* The path of another file of the directory. */
void files_beside(char path[PATH_MAX], const char *name);

/* Options of a heap of FILES_MAX_BYTES. */
struct sh_options files_options(void);

/* A new heap in an empty directory; opens it again; closes it. They expect to succeed. */
struct sh_heap *files_new_with(const struct sh_options *options);
struct sh_heap *files_new(void);
struct sh_heap *files_open(unsigned flags);
void files_close(struct sh_heap *heap);

/* Asserts that sh_check() finds nothing, and shows what it finds. */
void files_expect_good(struct sh_heap *heap);

/* Live blocks, by sh_walk(). */
uint64_t files_live_blocks(struct sh_heap *heap);

/* --- children, where CUnit's assertions do not reach ---------------------------------------- */

#define REQUIRE(condition)                                                                       \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "\n%s:%d: child: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                                \
		}                                                                                \
	} while (0)

/* Runs `body` in a fork child; its status is that of waitpid(2). */
pid_t files_start(void (*body)(void *argument), void *argument);
int files_finish(pid_t child);
int files_finish_killed(pid_t child);
int files_run(void (*body)(void *argument), void *argument);

/* In a child: opens the heap as a process that has nothing to do with the parent's handle. */
struct sh_heap *files_child_open(unsigned flags);

/* Ends the process as a kill at this instruction. */
void files_die(void);

/* A word that parent and children share, to wait for. */
void files_reset_steps(void);
void files_reach(uint32_t step);
void files_wait_for(uint32_t step);
bool files_has_reached(uint32_t step);

#endif
