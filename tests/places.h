/* places.h -- the file systems on which tests of public functions run
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TESTS_PLACES_H
#define SPANHEAP_TESTS_PLACES_H

#include <CUnit/CUnit.h>
#include <stdbool.h>

/* Registers the tests as the suites "NAME, on disk" and "NAME, in memory"; and `overlay_tests`, those
 * that are worth it where pinned locks do not hold, as "NAME, on overlayfs", unless they are NULL or
 * the machine has none. What a CUnit register function returns here: 0, or -1. */
int places_register(const char *name, CU_TestInfo *tests, CU_TestInfo *overlay_tests);

/* Gives the process mounts of its own: what is mounted from here on is seen by it and its children
 * only, and is gone with them. False: it may not. */
bool mounts_own(void);

#endif
