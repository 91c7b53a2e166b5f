/* tally.h -- checks and counts: said as they come, summed up at the end
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_TALLY_H
#define CRASHLOG_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* Process. Of one operation, or of all of a kind. */
struct tally {
	uint64_t operations;
	uint64_t stores;          /* into the heap file */
	uint64_t images;          /* distinct ones after these, recovered and judged */
	uint64_t reapings;        /* distinct ones of both files, reaped by a survivor and judged */
	uint64_t openings;        /* distinct ones of both files, opened as files and judged */
	uint64_t passed_by;       /* in the middle of long copies, not judged */
	uint64_t recoveries;      /* of these, gone through store by store */
	uint64_t recovery_images; /* distinct ones that those left */
	uint64_t bad;
};

void tally_add(struct tally *to, const struct tally *more);

/* Adds to the row of the operation's kind: what stands before the colon in its name. */
void tally_of_kind(const char *operation, const struct tally *more);
/* Prints the rows, and counts a check for each. Forgets them. */
void tally_print_kinds(const char *state);

/* Prints the line that counts the checks. Returns how many did not hold. */
unsigned tally_print(void);

#endif
