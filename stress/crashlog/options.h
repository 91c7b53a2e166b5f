/* options.h -- what a run is asked for
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_OPTIONS_H
#define CRASHLOG_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Stack. */
struct options {
	const char *folder; /* where files are made; NULL: as usual */
	const char *state;  /* NULL: all */
	uint64_t seed;
	unsigned random_operations;
	unsigned depth;  /* how often a recovery dies in a row, at most */
	bool all_images; /* also those in the middle of long copies */
	bool mutants;
	uint64_t mutant_limit; /* for each kind of store */
	bool images;
	bool list;             /* a line for each operation */
	const char *operation; /* number or name; NULL: all */
	uint64_t store;        /* with an operation: the image after so many of its stores */
	bool one_store;
	const char *keep; /* where the image of the first failure, or of the one store, is left */
};

#endif
