/* place.h -- where the control file of a heap is
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Beside the heap file, as PATH-shm, or in a directory of the user's choice, under a name that no
 * other heap file has: the heap's id, and the inode, which tells a heap from its copies. Who begins
 * a run chooses; the heap file says where it was (struct control_place), so everybody finds it. */
#ifndef SPANHEAP_PLACE_H
#define SPANHEAP_PLACE_H

#include "heap/heap_layout.h"

#include <stdint.h>

/* Reads what the heap file says; "" (beside it) when that is no absolute path. For any bytes. 0, or an errno:
 * it could not be read. */
int place_read(int fd, struct control_place *place);

/* Stores it in the mapped heap file. The file is clean, or torn: nobody relies on what it said. */
void place_write(char *base, const char *directory);

/* The path of the control file; malloc'd, NULL: no memory. `directory` "": beside `heap_path`. */
char *place_path(const char *directory, const char *heap_path, const uint64_t heap_id[2],
	uint64_t inode);

#endif
