/* other.h -- another process, which has the heap open, or is killed in the middle of something
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Nobody logs its stores: it makes them before logging begins. */
#ifndef CRASHLOG_OTHER_H
#define CRASHLOG_OTHER_H

#include <spanheap.h>

/* The name by which this program is started again. */
void other_prepare(const char *program, const char *folder);

/* Roles of such a process. */
#define OTHER_ATTENDS "attends"
#define OTHER_DIES "dies"

/* Starts one that opens the heap and is idle from then on; ends it. */
void other_attend(void);
void other_leave(void);

/* Has one open the heap, and die in a transaction that frees `block` and stores into `word`. */
void other_die(sh_off block, sh_off word);

/* What that one does. */
_Noreturn void other_main(const char *role, sh_off block, sh_off word);

#endif
