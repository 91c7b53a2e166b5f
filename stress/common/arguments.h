/* arguments.h -- the options of a program
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_ARGUMENTS_H
#define STRESS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Process. An option, and where it goes: one of the three. A flag has no value behind it. */
struct argument {
	const char *name;
	const char **text;
	uint64_t *number;
	bool *flag;
};

/* False: one of them is unknown, or lacks its value, or that is no number; says which. */
bool arguments_read(int argc, char **argv, const struct argument *known, size_t count);

/* The seed when nothing is said: the environment's SH_SEED, else a random one. False: that is no number. */
bool arguments_seed(uint64_t *seed);

/* Where heaps are made if nothing is said: on tmpfs, if it can be. */
const char *arguments_folder(void);

#endif
