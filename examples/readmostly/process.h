/* process.h -- errors, and processes that start one another
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_PROCESS_H
#define READMOSTLY_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "spanheap.h"

/* Prints "readmostly: " and the message to the error output, and exits with 1. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);

/* Fails with the text of a spanheap result that is not 0. */
void must(int error, const char *what);

/* Passes an allocated offset through; fails when there is none. */
sh_off must_allocate(sh_off off);

/* Process. What every process of a run works on. */
struct job {
	const char *heap_path;
	const char *ledger_path;
	bool careless; /* writers free at commit what readers may still read */
};

/* Starts this program again with `readmostly ROLE PARENT HEAP LEDGER CARELESS SLOT SEED`.
 *
 * The program is executed, not only forked: an attached process cannot share its handle. */
pid_t process_start(const struct job *job, const char *role, unsigned slot, uint64_t seed);

/* Makes the calling process die when `parent` does, so that an interrupted run leaves nobody. */
void process_follow(pid_t parent);

uint64_t now_ns(void);

void sleep_us(uint64_t us);

#endif
