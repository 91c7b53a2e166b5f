/* verdict.h -- what was checked, and how it came out
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_VERDICT_H
#define READMOSTLY_VERDICT_H

#include <stdbool.h>

/* Process. */
struct verdict {
	unsigned passed;
	unsigned failed;
};

/* Counts one check and prints it. */
__attribute__((format(printf, 3, 4))) void verdict_add(struct verdict *verdict, bool holds,
	const char *format, ...);

/* Prints "N passed, N failed"; false when one failed. */
bool verdict_close(const struct verdict *verdict);

#endif
