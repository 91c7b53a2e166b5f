/* verdict.h -- what was expected of the images, said and counted
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_VERDICT_H
#define TORN_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* Ends the program: the machine does not do what the test stands on. */
_Noreturn void give_up(const char *what);

/* A named check that held, or did not; printed and counted. */
__attribute__((format(printf, 2, 3))) bool verdict(bool held, const char *format, ...);
__attribute__((format(printf, 1, 2))) void verdict_skip(const char *format, ...);

/* The line that counts them. Returns how many failed. */
unsigned verdict_print(void);

#endif
