/* symbols.h -- every function that the library calls is wrapped, or there is a reason
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAULTS_SYMBOLS_H
#define FAULTS_SYMBOLS_H

/* What the last line counts. */
struct verdict {
	unsigned passed;
	unsigned failed;
	unsigned skipped;
};

/* Compares the undefined symbols of libspanheap.a with the list: one check for each. */
void symbols_check(struct verdict *verdict);

#endif
