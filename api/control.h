/* control.h -- the control file: finding it, laying it anew
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_CONTROL_H
#define SPANHEAP_CONTROL_H

#include "api/open.h"

/* The places where the control file of a run that is there may be; control_place(opening, i) makes
 * opening->control_directory that of the i-th. */
#define CONTROL_PLACES 2u
void control_place(struct opening *opening, unsigned place);

/* Makes it that of a new run. */
void control_place_new(struct opening *opening);

/* Maps the control file and takes over path and descriptor, on failure too. 0 or an errno. */
int control_map(struct sh_heap *heap, char *path, int fd);

/* Opens the control file of those who are attached. 0, SH_ECONTROL when it is not theirs, or an
 * errno. */
int control_open_theirs(struct opening *opening, char **path, int *fd);

/* Reads the header of the control file that an earlier run left. 0; SH_ECONTROL when others may write
 * it than may write the heap; SH_ETORN when there is none, or when it or the heap file is a copy; or an errno:
 * it could not be read, and may be one. */
int control_read_left(const struct opening *opening, struct control_header *header);

/* Puts a control file in place that is zero but for the proof of opening->superblock's run, and
 * maps it. 0 or an errno. */
int control_lay(struct sh_heap *heap, const struct opening *opening);

#endif
