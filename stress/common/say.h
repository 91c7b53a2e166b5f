/* say.h -- lines of several processes that do not mix
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_SAY_H
#define STRESS_SAY_H

#include <stdarg.h>

/* Prints a line on standard output, at once and as a whole. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* The same, with `before` in front. */
__attribute__((format(printf, 2, 0))) void say_list(const char *before, const char *format,
	va_list arguments);

#endif
