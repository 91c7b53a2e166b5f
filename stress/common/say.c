/* say.c -- one write(2) for each line
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/say.h"

#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 512

void say_list(const char *before, const char *format, va_list arguments)
{
	char line[LINE_BYTES];
	int length = snprintf(line, sizeof(line), "%s", before);
	int more = vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, arguments);

	length += more;
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)length) < 0)
		return; /* nobody listens */
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_list("", format, arguments);
	va_end(arguments);
}
