/* closure.h -- recoveries that die, and those of what they leave, to any depth
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An image is recovered store by store; what stands in the file after each store is an image as well. If it
 * differs from all before in more than what an opener takes no notice of (superblock, stamps of arenas, hot
 * words), it is judged, and recovered store by store in its turn. It ends where nothing new comes.
 *
 * A recovery begins with the superblock and the stamps, whatever the image. Its deaths there are
 * looked at where `all` is asked for; elsewhere these stores count as one. */
#ifndef CRASHLOG_CLOSURE_H
#define CRASHLOG_CLOSURE_H

#include "stress/common/stepper.h"
#include "stress/crashlog/hash_set.h"
#include "stress/crashlog/oracle.h"

/* Deaths in a row that are told. */
#define CLOSURE_DEATHS 64u

/* Process. */
struct closure {
	struct oracle *oracle;
	struct hash_set seen; /* of the operation under way */
	struct step *steps; /* a stack: those that lead to the image at hand, then its recovery's */
	unsigned depth_limit; /* 0: recoveries do not die */
	bool all_images;      /* also those in the middle of long copies */
	/* --- counts */
	uint64_t images;
	uint64_t recoveries;
	uint64_t stores;
	uint64_t cut_off; /* images that were too deep to be kept */
	unsigned deepest;
	/* --- of the image that was found bad: how many stores each recovery had made */
	uint64_t died_after[CLOSURE_DEATHS];
	unsigned deaths;
};

void closure_init(struct closure *closure, struct oracle *oracle, unsigned depth_limit);
void closure_free(struct closure *closure);
/* Before another operation. */
void closure_forget(struct closure *closure);

/* Judges all that recoveries of the image in replay->now may leave. False: the oracle says why. */
bool closure_judge(struct closure *closure, const struct operation *operation, unsigned flags,
	bool all);

#endif
