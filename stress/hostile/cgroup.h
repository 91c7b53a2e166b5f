/* cgroup.h -- a control group of the scenario's own
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * In version 1 or 2, whichever has the controller. Named after the scenario's folder; removed after the
 * scenario, when its processes are gone. */
#ifndef HOSTILE_CGROUP_H
#define HOSTILE_CGROUP_H

/* Makes it, with one limit: the file of version 1, that of version 2, and what is written there.
 * Skips when the machine has neither. */
struct cgroup_limit {
	const char *controller; /* of version 1, where it is mounted */
	const char *file;
	const char *text;
	const char *unified_file;
	const char *unified_text;
};

void cgroup_make(const struct cgroup_limit *limit);

/* The calling process becomes a member. */
void cgroup_join(void);

/* Removes what the scenario whose folder this is has made. */
void cgroup_remove(const char *of_folder);

#endif
