/* process.h -- processes that are started, killed, stopped and replaced
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_PROCESS_H
#define KV_STRESS_PROCESS_H

#include "stress/kv/shared.h"

/* Has the calling process die when its parent does. */
void process_follow(void);

/* Adds what a report tells of the dead. */
void process_note(const struct sh_reap_report *report);

/* Process. All workers of a round, one in each seat. */
struct crew {
	const char *path;
	struct kv *
		store; /* open in this process: workers inherit it; NULL: they open it themselves */
	struct chance random;
	uint64_t seed;
};

/* Starts a worker in each empty seat. */
void crew_start(struct crew *crew);

/* Ways to die, and to stop for a while. */
void crew_kill_one(struct crew *crew);
void crew_kill_several(struct crew *crew);
void crew_kill_all(struct crew *crew);
void crew_stop_one(struct crew *crew);

/* Everybody goes, having been told to. */
void crew_dismiss(struct crew *crew);

/* Fails if one has ended by itself, or hangs. */
void crew_watch(void);

#endif
