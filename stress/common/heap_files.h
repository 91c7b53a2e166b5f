/* heap_files.h -- a heap file and its control file
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_HEAP_FILES_H
#define STRESS_HEAP_FILES_H

/* Removes both, as far as they are there. */
void heap_files_remove(const char *path);

#endif
