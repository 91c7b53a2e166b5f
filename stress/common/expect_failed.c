/* expect_failed.c -- what a process says that must find something else, of programs that have no board for it
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/expect.h"

#include <stdio.h>
#include <unistd.h>

#define STATUS_FAILED 3

void expect_failed(const char *place, const char *text)
{
	printf("    %s: %s\n", place, text);
	fflush(stdout);
	_exit(STATUS_FAILED);
}
