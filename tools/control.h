/* control.h -- the control file of a view's heap, looked at
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * It is opened for reading only, and mapped as it is: others go on writing. Its header is compared with the
 * heap file's superblock, and its length with what follows from that, so that every place that heap/ finds
 * in it lies inside. What stands there may be anything. */
#ifndef SPANHEAP_TOOL_CONTROL_H
#define SPANHEAP_TOOL_CONTROL_H

#include "shm/liveness.h"
#include "tools/view.h"

/* Process. Who uses, or used, the heap of a view. */
struct control {
	struct heap heap; /* the view's, with the control file */
	uint64_t bytes;
	struct shared_file file;
	struct liveness liveness;
};

/* Opens the control file of the run that the superblock names. 0; ESTALE when it is another run's, or a
 * copy; or an errno. */
int control_open(struct control *control, const struct view *view);
void control_close(struct control *control);

#endif
