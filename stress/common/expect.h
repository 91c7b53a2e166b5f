/* expect.h -- what a process of a case must find
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_EXPECT_H
#define STRESS_EXPECT_H

#include <stdint.h>

/* Notes what was found at the place in the sources, and ends the process. A harness may have its own; else it is
 * printed (expect_failed.c). */
_Noreturn void expect_failed(const char *place, const char *text);

/* It found what must not be. */
_Noreturn void fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void expect_equal(const char *file, int line, const char *what, int64_t got, int64_t wanted);

/* Macros for the sake of file, line and text. */
#define EXPECT(condition) \
	((condition) ? (void)0 : fail(__FILE__, __LINE__, "not so: %s", #condition))
#define EXPECT_EQUAL(got, wanted) \
	expect_equal(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(wanted))

#endif
