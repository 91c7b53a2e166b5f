/* crew.h -- the processes of a run: started, killed, stopped, replaced, watched
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef RCU_CREW_H
#define RCU_CREW_H

#include "stress/rcu/delay.h"
#include "stress/rcu/shared.h"

#define CREW_PATH_BYTES 512u

/* Process. The heap of a run, and who works on it. Made by the one process that is never killed, which is
 * attached, too, so that the heap is never without a living process. */
struct crew {
	struct sh_heap *heap;
	char folder[CREW_PATH_BYTES];
	char path[CREW_PATH_BYTES + 8];
	struct chance chance;
	pid_t pids[WORKERS]; /* 0: none */
	/* When a seat was last seen at work. */
	uint64_t seen[SEATS];
	uint64_t seen_ns[SEATS];
};

/* Lays `shared` anew, and makes a heap in a new folder in `parent`. False: says why not. */
bool crew_make(struct crew *crew, const char *parent, unsigned barrier, enum fault fault,
	uint64_t seed);

/* Starts all workers that are missing. */
bool crew_start(struct crew *crew);

/* Kills one and waits for its end. Whether it was inside of a section or a wait. */
bool crew_kill(struct crew *crew, unsigned worker);

/* Stops one and waits until it is, and has it go on. */
void crew_stop(const struct crew *crew, unsigned worker);
void crew_continue(const struct crew *crew, unsigned worker);

/* Whether a thread of the worker was inside of a section or a wait; it does not run. */
bool crew_is_inside(unsigned worker);

/* The first seat whose living worker got nothing done for so long; SEATS: none. */
unsigned crew_hung(struct crew *crew, uint64_t limit_ns);

/* The first worker that ended although nobody killed it; WORKERS: none. */
unsigned crew_deserter(const struct crew *crew);

/* Tells all to end. Whether each did so within the limit, without an error; kills those that did not. */
bool crew_dismiss(struct crew *crew, uint64_t limit_ns);

/* Kills all. */
void crew_kill_all(struct crew *crew);

/* Closes the heap and removes its folder. 0 or what sh_close() returned. */
int crew_end(struct crew *crew);

#endif
