/* shared.h -- what survives every kill: who does what, what was counted, what failed
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Readers follow the pool's words (rcu/pool.h) in read sections; updaters replace what the words name,
 * wait for a grace period, and spoil what was replaced. The supervisor kills and stops both. */
#ifndef RCU_SHARED_H
#define RCU_SHARED_H

#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define UPDATERS 3u
#define READERS 3u
#define READER_THREADS 2u
#define WORKERS (UPDATERS + READERS) /* processes; updaters come first */
#define SEATS (UPDATERS + READERS * READER_THREADS)

/* What is planted for a control run: rcu/fault.h. */
enum fault {
	FAULT_NONE,
	FAULT_NO_WAIT,    /* what was replaced is spoiled at once */
	FAULT_NO_BARRIER, /* who waits has a fence of its own and leaves order_all() out */
	FAULT_NO_FENCE,   /* the same where readers have fences: they leave theirs out */
	FAULT_EARLY_TAG,  /* the tag is taken before the unlink */
	FAULT_UNENROLLED, /* a reader does not say that it is one */
	FAULT_UNREAPED,   /* a dead reader's section is left as it is */
	FAULTS,
};

/* Shared mapping. One thread that reads or updates. Written by that thread, but for the supervisor's
 * clearing after a death. */
struct seat {
	_Alignas(64) _Atomic uint64_t done; /* sections, or grace periods */
	_Atomic uint64_t longest_ns;        /* updaters: of one grace period */
	_Atomic uint32_t inside;            /* a section, or a wait for a grace period */
};

/* Shared mapping. What a run counted. */
struct counts {
	_Atomic uint64_t kills;
	_Atomic uint64_t kills_in_sections;
	_Atomic uint64_t kills_in_waits;
	_Atomic uint64_t stops;
	_Atomic uint64_t stops_in_sections;
	_Atomic uint64_t stops_passed; /* a wait that began later ended before it did */
	_Atomic uint64_t poisoned;     /* readings of what was spoiled, ... */
	_Atomic uint64_t torn;         /* ... of words that do not agree, ... */
	_Atomic uint64_t changed;      /* ... of words that changed inside a section */
};

/* Shared mapping. Laid anew for each run. */
struct shared {
	uint64_t seed;
	enum fault fault;
	_Atomic bool stop;
	_Atomic uint64_t serial;     /* of the last object that was filled */
	_Atomic uint64_t generation; /* of the last worker that was started */
	struct counts counts;
	struct seat seats[SEATS];
};

extern struct shared *shared;

static inline uint64_t errors_seen(void)
{
	return atomic_load(&shared->counts.poisoned) + atomic_load(&shared->counts.torn) +
		atomic_load(&shared->counts.changed);
}

static inline bool stopping(void)
{
	return atomic_load_explicit(&shared->stop, memory_order_relaxed);
}

static inline struct seat *reader_seat(unsigned reader, unsigned thread)
{
	return &shared->seats[UPDATERS + reader * READER_THREADS + thread];
}

#endif
