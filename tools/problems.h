/* problems.h -- what was found wrong, kept until it is printed
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_PROBLEMS_H
#define SPANHEAP_PROBLEMS_H

#include "tools/print.h"

#include <spanheap.h>
#include <stddef.h>
#include <stdint.h>

struct problem {
	uint64_t off;
	char *text;
};

/* Process. Problems in the order in which they were found. All zero: none.
 *
 *   kept <= count, and less when there are more than anybody reads */
struct problems {
	struct problem *list;
	size_t kept;
	uint64_t count;
};

/* A sh_problem_fn: `problems` is a struct problems. Never stops. */
int problems_add(const struct sh_problem *problem, void *problems);

__attribute__((format(printf, 3, 4))) void problems_note(struct problems *problems, uint64_t off,
	const char *format, ...);

/* Moves all of `more` to the end. */
void problems_join(struct problems *problems, struct problems *more);

/* Drops those that `other` does not have, unless either has more than were kept. Sorts both. */
void problems_keep_common(struct problems *problems, struct problems *other);

/* A table under `key` and `title`. */
void problems_print(const struct problems *problems, struct printer *printer, const char *key,
	const char *title);

void problems_free(struct problems *problems);

#endif
