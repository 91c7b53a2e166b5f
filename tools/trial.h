/* trial.h -- what recovery would do, tried on the private mapping of a view
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TRIAL_H
#define SPANHEAP_TRIAL_H

#include "tools/problems.h"
#include "tools/view.h"

/* Process. What came of it. */
struct trial {
	struct reap_counts counts;
	uint64_t spans;
	uint64_t quarantined;
	struct problems set_aside; /* why each of the quarantined spans was */
	struct problems after;     /* what check_heap() finds in the recovered heap */
};

/* Recovers and checks. Afterwards the view shows the spans, bits and logs of the recovered heap.
 * The directory is not damaged. 0 or an errno (memory); *trial is to be freed in any case. */
int trial_run(struct view *view, struct trial *trial);
void trial_free(struct trial *trial);

#endif
