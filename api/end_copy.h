/* end_copy.h -- the copy of a clean superblock behind everything that the heap holds
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Somebody copies a clean file from its start to its end, and meanwhile the heap is opened: the copy
 * has the clean mark of before and content of after. So a clean file ends with a copy of its
 * superblock, which the opener wipes out before it stores anything else: the reader, who comes to it
 * last, does not find the one that belongs to the mark.
 *
 * What is behind the last chunk reads as zeros while the heap is in use, because chunks are taken
 * from there. On a disk that is full to the last page the end copy is left out; the file is clean
 * without it. */
#ifndef SPANHEAP_END_COPY_H
#define SPANHEAP_END_COPY_H

#include "heap/heap_layout.h"

#include <stdbool.h>
#include <stdint.h>

/* Backs the place for one at `end`, which is what proof_end() says. Returns superblock.end_copy: 0
 * when there is no room. */
uint64_t end_copy_reserve(int fd, uint64_t end);

/* Writes a sealed superblock to the place that it names. 0 or an errno. */
int end_copy_write(int fd, const struct superblock *superblock);

/* Whether the file ends with the copy that the superblock names, or neither has one. 0 or an errno. */
int end_copy_agrees(int fd, const struct superblock *superblock, uint64_t end, bool *agrees);

/* Drops what is behind it in a clean file of `bytes`, which is nobody's and counts as zero when the heap grows: somebody
 * copied the file, and the heap was opened and grew when the copy had come to the place. 0 or an errno. */
int end_copy_cut(int fd, const struct superblock *superblock, uint64_t end, uint64_t bytes);

/* Makes the place read as zeros. 0 or an errno. */
int end_copy_wipe(int fd, uint64_t end);

#endif
