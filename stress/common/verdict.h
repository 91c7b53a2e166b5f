/* verdict.h -- checks: said as they are made, counted at the end
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_VERDICT_H
#define STRESS_VERDICT_H

#include <stdbool.h>

/* Says what was checked, and whether it held. Returns that. */
__attribute__((format(printf, 2, 3))) bool verdict(bool held, const char *format, ...);

/* The same of what is said otherwise, as a row of a table. */
void verdict_count(bool held);

/* Says what could not be checked, and why. */
__attribute__((format(printf, 1, 2))) void verdict_skip(const char *format, ...);

/* Prints the line that counts them. Returns how many did not hold. */
unsigned verdict_print(void);

#endif
