/* history.h -- what a few processes do to a few keys, call by call, with when each began and returned
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_HISTORY_H
#define KV_STRESS_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HISTORY_KEYS 5u
#define HISTORY_ACTORS 6u        /* at once */
#define HISTORY_LIVES 20u        /* with successors of the dead */
#define HISTORY_DEATHS 10u       /* at most */
#define HISTORY_EVENTS 1500u     /* of each life */
#define EVENT_PENDING UINT64_MAX /* as its end: its caller died */

enum event_kind { EVENT_GET, EVENT_PUT, EVENT_INSERT, EVENT_DELETE };

/* A call. Values are numbers that are not used twice; 0: nothing. */
struct event {
	uint64_t begun;
	_Atomic uint64_t ended; /* 0, or EVENT_PENDING: it may have happened or not */
	uint32_t value;         /* put, or found */
	uint16_t key;
	uint8_t kind;
	bool refused; /* KV_EEXIST, KV_ENOTFOUND */
};

/* Of one process. Written by it. */
struct life {
	_Atomic uint32_t count; /* the last one may be without an end */
	struct event events[HISTORY_EVENTS];
};

struct history {
	bool by_clock;         /* the stamps are of CLOCK_MONOTONIC, else of a counter */
	_Atomic unsigned go;   /* all may begin */
	_Atomic unsigned here; /* have opened the store */
	_Atomic unsigned done; /* have come to their end */
	uint32_t number;       /* of the history */
	unsigned lives;
	struct life life[HISTORY_LIVES];
};

/* Records one history of the store at `path`, and decides whether it is linearizable. */
void history_run(const char *path, uint64_t seed);

#endif
