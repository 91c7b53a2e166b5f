/* verdict.c -- what was checked, and how it came out
 * SPDX-License-Identifier: BSD-3-Clause */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>

void verdict_add(struct verdict *verdict, bool holds, const char *format, ...)
{
	va_list arguments;

	*(holds ? &verdict->passed : &verdict->failed) += 1;
	printf("  %s: ", holds ? "ok" : "NOT ok");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

bool verdict_close(const struct verdict *verdict)
{
	printf("%u passed, %u failed\n", verdict->passed, verdict->failed);
	return verdict->failed == 0;
}
