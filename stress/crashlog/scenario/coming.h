/* coming.h -- how a process comes to the heap: the options of its sh_open()
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_COMING_H
#define CRASHLOG_COMING_H

#include <spanheap.h>
#include <stdint.h>

/* The heap is in `folder`, and was made to grow to so many bytes. Before all else. */
void coming_prepare(const char *folder, uint64_t max_bytes);

/* Opens it, or makes it. */
struct sh_heap *coming_open(void);

#endif
