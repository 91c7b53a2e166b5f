/* names.h -- which operations a command line means
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_NAMES_H
#define STRESS_NAMES_H

#include <stdbool.h>

/* Stack. The names of operations 0 to count - 1. */
struct names {
	unsigned count;
	const char *(*of)(unsigned operation);
};

/* Whether the operation is one that is meant: a whole name means that operation and no other, a part of names all that have
 * it, NULL all. */
bool name_is_meant(const struct names *names, unsigned operation, const char *part);

/* The same of a pair, in one order or the other. */
bool name_pair_is_meant(const struct names *names, unsigned i, unsigned j, const char *first,
	const char *second);

#endif
