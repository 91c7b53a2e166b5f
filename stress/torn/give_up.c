/* give_up.c -- how a run ends whose ground gave way
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/torn/give_up.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void give_up(const char *what)
{
	printf("FAILED  %s: %s\n0 passed, 1 failed\n", what, strerror(errno));
	exit(2);
}
