/* census.h -- what a process has: descriptors, mappings, memory
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAULTS_CENSUS_H
#define FAULTS_CENSUS_H

#include <stdbool.h>
#include <stddef.h>

struct census {
	unsigned descriptors;
	unsigned mappings; /* of files below the folder, or reserved address space */
	long allocated;    /* blocks */
};

/* Files count that lie below `folder`. */
void census_take(struct census *census, const char *folder);

/* Whether *after has more than *before; says of what in `text`. */
bool census_leaks(const struct census *before, const struct census *after, char *text,
	size_t text_bytes);

#endif
