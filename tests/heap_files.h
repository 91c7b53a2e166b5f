/* heap_files.h -- heaps on files, and processes that use them and die
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For tests of public functions. The files of a suite lie in a directory of its own. */
#ifndef SPANHEAP_TESTS_HEAP_FILES_H
#define SPANHEAP_TESTS_HEAP_FILES_H

#include "heap/geometry.h"

#include <CUnit/CUnit.h>
#include <limits.h>
#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

struct superblock;

#define FILES_MAX_BYTES (UINT64_C(1) << 30)

/* CUnit init functions, which make the directory below /dev/shm or on the disk, and the cleanup
 * function of all. */
int files_enter(void);
int files_enter_disk(void);
int files_leave(void);

/* The same below any folder; the folder on the disk: TMPDIR, or /tmp. */
int files_enter_below(const char *parent);
const char *files_disk(void);

extern char files_directory[PATH_MAX - 64];
extern char files_path[PATH_MAX];    /* of the suite's heap */
extern char files_control[PATH_MAX]; /* of its control file */

/* The path of another file of the directory. */
void files_beside(char path[PATH_MAX], const char *name);

/* Removes what is in a directory; counts what is in the suite's. */
void files_empty(const char *directory);
unsigned files_count(void);

/* Options of a heap of FILES_MAX_BYTES. */
struct sh_options files_options(void);

/* sh_open() with them. */
int files_open_at(const char *path, unsigned flags, struct sh_heap **heap);

/* A new heap in an empty directory; opens it again; closes it. They expect to succeed. */
struct sh_heap *files_new_with(const struct sh_options *options);
struct sh_heap *files_new(void);
struct sh_heap *files_new_of(unsigned processes, unsigned threads); /* slots; 0: as usual */
struct sh_heap *files_open(unsigned flags);
void files_close(struct sh_heap *heap);

/* Asserts that sh_check() finds nothing, and shows what it finds. */
void files_expect_good(struct sh_heap *heap);
int files_show_problem(const struct sh_problem *problem, void *argument);

/* Whether the heap file says that it is clean, and may be opened without writing. */
bool files_is_clean(void);

/* Live blocks, by sh_walk(). */
uint64_t files_live_blocks(struct sh_heap *heap);

/* --- what a heap holds ---------------------------------------------------------------------- */

/* A block, filled with 0x5a. */
sh_off files_block(struct sh_heap *heap, size_t size);

/* A block of 4096 zeros, named by the root "words"; finds it again. */
uint64_t *files_new_words(struct sh_heap *heap);
uint64_t *files_find_words(struct sh_heap *heap);

/* For those that ask for no certain size. */
#define FILES_BLOCK_BYTES (3 * PAGE_BYTES)

/* Makes a heap whose root "a" names a block of that size, and closes it; expects that it opens with
 * this block, is good, and is clean afterwards. */
void files_make_closed(size_t size);
void files_expect_opens(size_t size);

/* sh_txn_begin(), expected to succeed. */
struct sh_txn *files_begin(struct sh_heap *heap, unsigned flags);

/* Changes the superblock of the closed heap, as a sound one with its checksum. */
void files_rewrite_superblock(void (*change)(struct superblock *superblock));
uint64_t files_copy_b_offset(void);

/* Runs `body` in a thread of its own; its result. */
void *files_run_thread(void *(*body)(void *argument), void *argument);

/* --- children, where CUnit's assertions do not reach ---------------------------------------- */

#define REQUIRE(condition)                                                                       \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "\n%s:%d: child: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                                \
		}                                                                                \
	} while (0)

/* Runs `body` in a fork child; its status is that of waitpid(2).
 * No other thread may start, end, allocate or free meanwhile: a lock that it holds in AddressSanitizer's
 * allocator stays locked in the child for ever. (glibc's allocator has its own fork handlers.) */
pid_t files_start(void (*body)(void *argument), void *argument);

/* The same of one who goes on when who started it is gone; others are killed then, so that of a test that is stopped
 * nothing stays. */
pid_t files_start_orphan(void (*body)(void *argument), void *argument);
int files_finish(pid_t child);
int files_finish_killed(pid_t child);
int files_run(void (*body)(void *argument), void *argument);

/* In a child: opens the heap as a process that has nothing to do with the parent's handle. */
struct sh_heap *files_child_open(unsigned flags);

/* The first half of it: closes the handle that the child inherited. */
void files_drop_inherited(void);

/* Becomes a user without rights, who has nothing that was inherited. */
void files_become_nobody(void);

/* Ends the process as a kill at this instruction. */
void files_die(void);

/* A body: opens the heap, sets the root "died", and dies. */
void files_die_inside(void *unused);

/* Frees the block in a process of its own, where a second free is refused. */
void files_free_elsewhere(sh_off off);

/* The exit status of a child that the machine does not let do its work; says so, with the reason, if
 * `status` is that one. */
#define FILES_SKIP 77
bool files_skipped(int status, const char *why);

/* A word that parent and children share, to wait for. */
void files_reset_steps(void);
void files_reach(uint32_t step);
void files_reach_next(void);
void files_wait_for(uint32_t step);
bool files_has_reached(uint32_t step);

#endif
