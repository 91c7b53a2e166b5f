/* expect.c -- what a process of a case must find
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/common/expect.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLACE_BYTES 128
#define TEXT_BYTES 1024

void fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	char place[PLACE_BYTES];
	char text[TEXT_BYTES];
	va_list arguments;

	snprintf(place, sizeof(place), "%s:%d: ", name == NULL ? file : name + 1, line);
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	expect_failed(place, text);
}

void expect_equal(const char *file, int line, const char *what, int64_t got, int64_t wanted)
{
	if (got != wanted)
		fail(file, line, "%s is %lld, not %lld", what, (long long)got, (long long)wanted);
}
