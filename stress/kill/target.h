/* target.h -- the heap under test: its files, what stands in it from the start
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_TARGET_H
#define KILL_TARGET_H

#include "stress/kill/shared.h"
#include "stress/kill/tally.h"

#define FOLDER_BYTES 256
#define PATH_BYTES (FOLDER_BYTES + 16)

/* Process. As the supervisor sees it. */
struct target {
	char folder[FOLDER_BYTES]; /* of this run */
	char path[PATH_BYTES];
	uint64_t bytes;
	struct sh_heap *heap; /* NULL while all may die */
};

/* Makes a folder of its own in `parent`; false when it cannot. */
bool target_make_folder(struct target *target, const char *parent);

/* Removes it, with what killed creators left there. */
void target_remove_folder(const struct target *target);

/* The path of another heap there. */
void target_path(const struct target *target, char path[PATH_BYTES], const char *name);

/* Makes a heap, in place of the one that nobody uses any more, and lays out directories and pairs: small
 * enough to grow again, and to be full at times. False when it failed. */
bool target_make(struct target *target, struct chance *random);

/* Complains under `check` when it fails. */
bool target_open(struct target *target, unsigned flags, enum check check);
void target_close(struct target *target);

/* Everything is found again by its name. */
void target_expect_layout(struct target *target);

#endif
