/* heap_files.c -- a heap file and its control file
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/heap_files.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

void heap_files_remove(const char *path)
{
	char control[PATH_MAX];

	snprintf(control, sizeof(control), "%s-shm", path);
	unlink(path);
	unlink(control);
}
