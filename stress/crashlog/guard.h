/* guard.h -- code that may abort, fault or hang
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_GUARD_H
#define CRASHLOG_GUARD_H

/* From the first guarded_run() on, failed assertions are kept to ourselves: the controls make many. */
void guard_quietly(void);

/* Runs function(argument). NULL, or how it ended: it left what it was at as it was. Not nested. */
const char *guarded_run(void (*function)(void *argument), void *argument);

#endif
