/* replay.h -- the files as they are after each store, and a private copy to recover in
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * `now` is what stands in the files; stores are applied to it and taken back. `work` shows the same
 * bytes, but what is stored there is gone at the next work_reset(). */
#ifndef CRASHLOG_REPLAY_H
#define CRASHLOG_REPLAY_H

#include "heap/heap.h"
#include "stress/crashlog/log.h"

/* The heap file's buffer, in which the heap may grow. */
#define REPLAY_BYTES (UINT64_C(256) << 20)

/* Process. Adds up over the words of a file, so that a store changes it by what the store changes. */
struct image_hash {
	uint64_t half[2];
};

/* Process. One of the two files. */
struct replayed_file {
	char *now;
	char *work;
	uint64_t bytes;
};

/* Process. */
struct replay {
	struct replayed_file files[LOGGED_FILES];
	char *blank;               /* a control file without content; reset with the others */
	struct heap view;          /* of `now`: where things stand */
	struct image_hash exact;   /* of the heap file, less what it was at first */
	struct image_hash control; /* the same of the control file */
	struct image_hash truth;   /* of the heap file without what an opener takes no notice of */
	unsigned char *undo;       /* what applied stores have overwritten */
	uint64_t undo_bytes;
	uint64_t undo_limit;
};

/* Loads both files of a scenario's folder. */
void replay_open(struct replay *replay, const char *folder);
void replay_close(struct replay *replay);

/* Whether the heap file, as it is now, equals the one in the folder; says where not. */
bool replay_equals(const struct replay *replay, const char *path);

/* Of both files. */
struct image_hash replay_both(const struct replay *replay);

/* Makes a store. replay_take_back() undoes the last one that was not undone, which it is handed again. */
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
