/* trial.h -- a call that dies behind a certain store, and what is found then
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_DEATH_TRIAL_H
#define KV_DEATH_TRIAL_H

#include "stress/kv_death/calls.h"

#include <stdbool.h>

/* Who looks at what the dead left. */
enum survivor {
	SURVIVOR_NONE, /* who opens the store next: everybody was dead */
	SURVIVOR_IDLE, /* a process that was there before */
};

/* What became of all deaths of a call. */
struct outcome {
	uint64_t stores; /* of the call */
	uint64_t deaths;
	uint64_t before; /* found as before the call */
	uint64_t after;
	uint64_t bad;
};

/* Where stores are made. */
void trial_folder(const char *folder);

/* Kills the call behind each store, or, where there are more than `limit`, behind so many of them; `only` not 0:
 * behind that one. Says what is wrong. */
struct outcome trial_run(const struct call *call, enum survivor survivor, uint64_t limit,
	uint64_t only);

#endif
