/* subject.h -- what is compared: an engine, and the folder that its store lies in
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_SUBJECT_H
#define SPANHEAP_BENCH_KV_SUBJECT_H

#include "engine.h"

#define SUBJECTS_MAX 16u

struct subject {
	const struct engine *engine;
	char folder[PATH_BYTES];
	char label[48]; /* engine and file system */
	bool on_tmpfs;
};

struct subjects {
	struct subject of[SUBJECTS_MAX];
	unsigned count;
};

/* Picks those that `list` names, separated by commas: NAME is that engine in all folders, NAME@tmpfs in
 * those on such a file system only. NULL: all, but those in the first folder only that are outside
 * marks, and none that syncs where that means nothing. */
void subjects_pick(struct subjects *subjects, const char *list, const char *const *folders,
	unsigned folder_count);

/* The number of the one that all others are compared with, or SUBJECTS_MAX: the reference on tmpfs if
 * there is one, wherever else it is otherwise. */
unsigned subjects_reference(const struct subjects *subjects);

/* The number of our own on the file system of the reference, or SUBJECTS_MAX. */
unsigned subjects_own(const struct subjects *subjects);

/* Makes an empty folder for its store. */
void subject_reset(const struct subject *subject);

/* Removes the store and its folder. */
void subject_remove(const struct subject *subject);

/* Those whose file system has room for a store of so many bytes, with what engines need beside it. Says
 * loudly which are left out. */
struct subjects subjects_with_room(const struct subjects *subjects, uint64_t bytes);

#endif
