/* helper.h -- a second thread, which works when it is told to
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One at a time. While it works, its caller waits: the stores of both are in one order. */
#ifndef CRASHLOG_HELPER_H
#define CRASHLOG_HELPER_H

void helper_start(void);
/* Has it done by the helper. */
void helper_do(void (*job)(void));
/* The same, then the helper ends: by returning, or without a word to anybody. */
void helper_end_after(void (*job)(void));
void helper_die_after(void (*job)(void));

#endif
