/* fleet.h -- the readers and writers of a run: started, stopped, killed, replaced
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_FLEET_H
#define READMOSTLY_FLEET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "chance.h"
#include "ledger.h"
#include "process.h"

enum { FLEET_MAX = READERS_MAX + WRITERS_MAX, STOP_MAX_US = 200000 };

/* Process. */
struct member {
	pid_t pid;           /* 0: none */
	uint64_t stopped_ns; /* until when it stays stopped; 0: it runs */
};

/* Process. What was done to them. */
struct fate {
	uint64_t kills;
	uint64_t stops;
	uint64_t stops_inside; /* in a read section */
	uint64_t ended;        /* by themselves, which they never should */
};

/* Process. Member i is reader i, or from `readers` on writer i - readers. */
struct fleet {
	const struct job *job;
	struct ledger *ledger;
	struct sh_heap *heap;
	unsigned readers;
	unsigned writers;
	struct member member[FLEET_MAX];
	struct chance chance;
	struct fate fate;
};

void fleet_start_readers(struct fleet *fleet);
void fleet_start_writers(struct fleet *fleet);

/* Kills all who live, the stopped ones too, and waits until the last is gone. */
void fleet_end(struct fleet *fleet);

/* One stroke: a reader is stopped, or somebody killed and replaced. Readers that were stopped long
 * enough go on. */
void fleet_harass(struct fleet *fleet);

#endif
