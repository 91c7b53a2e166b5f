/* process.h -- errors, and processes that start and end one another
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORDINDEX_PROCESS_H
#define WORDINDEX_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "spanheap.h"

/* Prints "wordindex: " and the message to the error output, and exits with 1. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);

/* Fails with the text of a spanheap result that is not 0. */
void must(int error, const char *what);

/* Passes an allocated offset through; fails when there is none. */
sh_off must_allocate(sh_off off);

/* Process. What every process of a run works on. */
struct job {
	const char *heap_path;
	char *const *text_names;
	size_t text_count;
};

/* Starts this program again with `wordindex COMMAND PARENT HEAP NUMBER LIMIT TEXT...`; the child
 * writes its reports to `report_fd`. With `own_group` the child leads a process group, so that it
 * can be killed with all its descendants at once.
 *
 * The program is executed, not only forked: an attached process cannot share its handle. */
pid_t process_start(const struct job *job, const char *command, uint64_t number, uint64_t limit,
	int report_fd, bool own_group);

/* Makes the calling process die when `parent` does, so that an interrupted run leaves nobody. */
void process_follow(pid_t parent);

/* Ends with a message unless the process was ended by `signal`, or by exit(0) if that is 0. */
void process_expect_end(int status, int signal, const char *name);

/* A pipe that executed programs do not inherit. */
void pipe_open(int fds[2]);

/* Writes one report, as a whole. */
void report_write(int fd, const void *report, size_t length_bytes);

uint64_t now_ns(void);

void sleep_us(uint64_t us);

#endif
