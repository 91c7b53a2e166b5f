/* verdict.c -- what was expected of the images, said and counted
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/torn/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Process. */
static unsigned held_count;
static unsigned failed_count;
static unsigned skipped_count;

void give_up(const char *what)
{
	printf("FAILED  %s: %s\n0 passed, 1 failed\n", what, strerror(errno));
	exit(2);
}

static void print(const char *result, const char *format, va_list arguments)
{
	printf("%-8s", result);
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
}

bool verdict(bool held, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(held ? "ok" : "FAILED", format, arguments);
	va_end(arguments);
	if (held)
		held_count++;
	else
		failed_count++;
	return held;
}

void verdict_skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print("SKIPPED", format, arguments);
	va_end(arguments);
	skipped_count++;
}

unsigned verdict_print(void)
{
	printf("%u passed, %u failed", held_count, failed_count);
	if (skipped_count > 0)
		printf(", %u skipped", skipped_count);
	putchar('\n');
	fflush(stdout);
	return failed_count;
}
