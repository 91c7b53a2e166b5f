/* shared.h -- what survives every kill: what was begun and acknowledged, what was counted, what failed
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Shared memory outside of the store, made before the first process and never read from the store. */
#ifndef KV_STRESS_SHARED_H
#define KV_STRESS_SHARED_H

#include "stress/common/chance.h"
#include "stress/kv/history.h"

#include "kv.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WRITERS 4u
#define READERS 2u
#define WORKERS (WRITERS + READERS) /* processes; writers come first */

/* Places: keys with one owner each. Those of the two tables that everybody writes to, in which neighbours have
 * different owners; then those of the tables that their owner alone writes to, and drops. */
#define BOTH_KEYS (WRITERS * 1024u) /* in each of the two */
#define PRIVATE_KEYS 192u           /* of each writer */
#define PLACES (2 * BOTH_KEYS + WRITERS * PRIVATE_KEYS)

#define ITEMS 200u     /* of one operation, at most */
#define LOCKS 6u       /* keys that are had by who inserts them */
#define GROUP_KEYS 24u /* that are always put together, by anybody */

/* What is left out for a control run, which must fail. */
enum fault {
	FAULT_NONE,
	FAULT_STALE, /* a reader gives what it read some time ago */
	FAULT_LOST,  /* a write is acknowledged that was not made */
	FAULT_HALF,  /* a batch is committed as two */
	FAULT_GAP,   /* a key that is to stay is away for a moment */
	FAULTS,
};

/* Versions of a key: 2 * number + 1: put; 2 * number: deleted; 0: never there. The owner's numbers grow. Whoever reads
 * `acknowledged`, looks the key up, and reads `begun` has seen a version from the first to the second. */
struct standing {
	_Atomic uint64_t begun;
	_Atomic uint64_t acknowledged;
};

/* What an operation does to one key. */
struct item {
	uint32_t place;
	uint64_t before;
	uint64_t after;
};

enum phase {
	PHASE_IDLE,
	PHASE_BEGUN,    /* it happens or not, as a whole */
	PHASE_RETURNED, /* it has happened */
};

/* Of the operation under way. Written by who has the seat. */
struct journal {
	_Atomic unsigned phase;
	unsigned count;
	struct item items[ITEMS];
	_Atomic unsigned lock; /* 1 + the lock that is taken, held or given back; 0: none */
	uint64_t ticket;       /* of that, never the same again */
};

/* Puts of the whole group by one seat. A stamp is of when a call began, or had returned. */
struct group_note {
	_Atomic uint64_t begun;
	_Atomic uint64_t acknowledged;
	_Atomic uint64_t begun_at; /* of the acknowledged one, both */
	_Atomic uint64_t ended_at;
};

/* Of one worker. */
struct seat {
	_Atomic unsigned inside;  /* 1: in a call that writes */
	_Atomic uint64_t call_ns; /* when that began; 0: in none */
	_Atomic unsigned ready;   /* it works: what it took over is settled */
	_Atomic uint64_t done;    /* operations */
	pid_t pid;                /* the supervisor's; 0: nobody */
	uint64_t generation;      /* the supervisor's */
	struct journal journal;
	struct group_note group;
};

/* Checks, by what they say; counted each time one was made. */
enum check {
	CHECK_CALLS,
	CHECK_ACKNOWLEDGED,
	CHECK_READERS,
	CHECK_TAKEN_OVER,
	CHECK_BATCHES,
	CHECK_DROPS,
	CHECK_GROUP,
	CHECK_LOCKS,
	CHECK_TEMPORARY,
	CHECK_SCANS,
	CHECK_HISTORIES,
	CHECK_STORE,
	CHECK_REOPENED,
	CHECK_PROGRESS,
	CHECKS,
};

struct counts {
	_Atomic uint64_t made[CHECKS];
	_Atomic uint64_t failed[CHECKS];
	_Atomic uint64_t operations;
	_Atomic uint64_t kills;
	_Atomic uint64_t kills_inside;
	_Atomic uint64_t stops;
	_Atomic uint64_t batches_whole; /* of the dead: made, ... */
	_Atomic uint64_t batches_none;  /* ... or not */
	_Atomic uint64_t tables_dropped;
	_Atomic uint64_t scanned_keys;
	_Atomic uint64_t gets;
	_Atomic uint64_t rolled_back; /* transactions of the dead, by who reports them */
	_Atomic uint64_t rolled_forward;
	_Atomic uint64_t history_operations;
	_Atomic uint64_t history_deaths;
	_Atomic uint64_t histories_undecided;
};

struct shared {
	struct seat seats[WORKERS];
	uint64_t seed;
	enum fault fault;
	_Atomic unsigned stop;
	_Atomic unsigned failures;
	_Atomic uint64_t clock;              /* of stamps */
	_Atomic unsigned hot;                /* the number of the scanned table that many are at */
	_Atomic unsigned lock_holder[LOCKS]; /* 1 + seat */
	struct counts counts;
	struct standing standing[PLACES];
	struct history history;
};

extern struct shared *shared;

static inline bool told_to_stop(void)
{
	return atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0;
}

static inline uint64_t stamp(void)
{
	return atomic_fetch_add(&shared->clock, 1) + 1;
}

static inline bool is_put(uint64_t version)
{
	return (version & 1) != 0;
}

/* The version that follows. */
static inline uint64_t next_version(uint64_t version, bool put)
{
	return ((version >> 1) + 1) << 1 | put;
}

#endif
