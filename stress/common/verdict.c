/* verdict.c -- checks: said as they are made, counted at the end
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/common/verdict.h"

#include <stdarg.h>
#include <stdio.h>

/* Process. */
static unsigned held_count;
static unsigned failed_count;
static unsigned skipped_count;

static void print(const char *result, const char *format, va_list arguments)
{
	printf("%-8s", result);
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
}

void verdict_count(bool held)
{
	if (held)
		held_count++;
	else
		failed_count++;
}

bool verdict(bool held, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(held ? "ok" : "FAILED", format, arguments);
	va_end(arguments);
	verdict_count(held);
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
