/* agreement.h -- do single steps and logged stores show the same?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each operation is carried out twice beside nobody, from a heap file of the same bytes: stepped, as for a death, and
 * under crashlog's tool, which logs its stores (stress/crashlog/tool/). The contents of the heap file between two
 * instructions must be the same set. Both processes have one setting of libc: under valgrind there are no
 * vectors of 64 bytes. */
#ifndef KILLK_AGREEMENT_H
#define KILLK_AGREEMENT_H

#include "stress/killk/campaign.h"

/* Compares in a process of its own, and prints a table. How many operations do not agree is added to *failed; returns
 * how many do. `program`: this one. Without the tool: 0, and says why. */
unsigned agreement_run(const struct campaign_options *options, const char *program,
	unsigned *failed);

/* By these arguments the program knows the two processes that it takes. */
#define AGREEMENT_COMPARES "--compares"
#define AGREEMENT_LOGGED "--logged"

/* main() of who compares, for one operation or for ALL, with a heap below `parent`. Its result is the number of
 * those that do not agree. */
int agreement_compare(const char *program, const char *operation, const char *parent);

/* main() of who is logged, with the heap in `folder`. */
int agreement_be_logged(const char *operation, const char *folder);

#endif
