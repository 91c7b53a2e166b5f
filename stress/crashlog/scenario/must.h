/* must.h -- what the scenario cannot go on without
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_MUST_H
#define CRASHLOG_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition) ((condition) ? (void)0 : must_fail(__FILE__, __LINE__, #condition))

_Noreturn static inline void must_fail(const char *file, int line, const char *condition)
{
	fprintf(stderr, "crashlog_scenario: %s:%d: not so: %s\n", file, line, condition);
	exit(1);
}

#endif
