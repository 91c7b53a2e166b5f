/* supervisor.h -- starts workers, kills, stops and replaces them, and compares heap and model
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_SUPERVISOR_H
#define KILL_SUPERVISOR_H

#include <stdint.h>

/* Process. */
struct options {
	uint64_t seed;
	uint64_t kills;  /* at least */
	uint64_t inside; /* the same, inside an operation */
	uint64_t seconds;
	uint64_t workers;
	uint64_t limit_seconds;
	const char *folder;
};

/* Runs until the options are met or a check failed. In a process of its own, whose children die with
 * it. */
void supervise(const struct options *options);

#endif
