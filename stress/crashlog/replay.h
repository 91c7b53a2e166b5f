/* replay.h -- the files as they are after each store, and a private copy to recover in
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * `now` is what stands in the files; stores are applied to it and taken back. `work` shows the same
 * bytes, but what is stored there is gone at the next work_reset(). */
#ifndef CRASHLOG_REPLAY_H
#define CRASHLOG_REPLAY_H

#include "heap/heap.h"
#include "stress/crashlog/log.h"

/* Process. Adds up over the words of a file, so that a store changes it by what the store changes. */
struct image_hash {
	uint64_t half[2];
};

/* Process. One of the files. The heap file's buffers have the size to which it may grow. */
struct replayed_file {
	char *now;
	char *work;
	uint64_t bytes;
	int fd; /* of `now` */
	/* --- of the file itself, which may be shorter; 0: it is not there */
	uint64_t length;
	uint64_t inode;
};

/* Process. */
struct replay {
	struct replayed_file files[LOGGED_FILES];
	char *blank;               /* a control file without content; reset with the others */
	struct heap view;          /* of `now`: where things stand */
	struct image_hash exact;   /* of the heap file, less what it was at first */
	struct image_hash control; /* the same of the control file */
	struct image_hash
		header; /* of the control file's header, which is all that an opener reads of it */
	struct image_hash truth; /* of the heap file without what an opener takes no notice of */
	unsigned char *undo;     /* what applied stores have overwritten */
	uint64_t undo_bytes;
	uint64_t undo_limit;
};

/* Loads both files of a scenario's folder. */
void replay_open(struct replay *replay, const char *folder);
void replay_close(struct replay *replay);

/* Whether the heap file, as it is now, equals the one at `path`, and is as long; says where not. */
bool replay_equals(const struct replay *replay, const char *path);

/* Calls `page` for each page of 4096 bytes of a file that may hold something. */
void replay_each_page(const struct replayed_file *file,
	void (*page)(const struct replayed_file *file, uint64_t offset, void *argument),
	void *argument);
/* The same of those that begin in a part of it. */
void replay_each_page_of(const struct replayed_file *file, uint64_t from, uint64_t to,
	void (*page)(const struct replayed_file *file, uint64_t offset, void *argument),
	void *argument);

/* Of the heap file as it is now. */
uint64_t replay_incarnation(const struct replay *replay);

/* Of both files. */
struct image_hash replay_both(const struct replay *replay);

/* Of what an opener sees when nobody has the heap open. */
struct image_hash replay_for_opener(const struct replay *replay);

/* Makes a store. replay_take_back() undoes the last one that was not undone, which it is handed again; of a
 * renaming it cannot. */
void replay_apply(struct replay *replay, const struct store *store);
void replay_take_back(struct replay *replay, const struct store *store);
/* What was applied so far stays. */
void replay_settle(struct replay *replay);

/* What stands in memory from `where` on becomes `content`: by how much the hash of the truth changes. */
void hash_change(const struct heap *view, struct image_hash *hash, bool truth_only,
	const char *file, uint64_t where, const void *content, uint64_t bytes);

/* Makes `work` of both files equal to `now`, and the blank control file blank. */
void work_reset(struct replay *replay);
/* The blank control file only. */
void work_reset_blank(struct replay *replay);

#endif
