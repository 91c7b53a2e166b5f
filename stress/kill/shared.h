/* shared.h -- what supervisor, workers and watchdog share, outside of the heap
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One anonymous shared mapping, made before the first fork, so that no death touches it. It holds the
 * model: who owns what, as the workers recorded it, with nothing derived from the heap under test.
 *
 * A seat is the identity of a thread; when its occupant dies, the next one takes over what the dead
 * one owned. Seat w is the main thread of worker w, seat WORKERS + w the second one that it starts
 * now and then. Only its occupant writes a seat, so nothing here needs a lock.
 *
 * Every operation on the heap is recorded before it begins (`intent`), when its result is known
 * (`outcome`), and when the model says the same (`applied`); each of them is one store. So the record
 * of a dead occupant tells what may have happened, and applying it a second time changes nothing. */
#ifndef KILL_SHARED_H
#define KILL_SHARED_H

#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKERS 8u /* at most */
#define SEATS (2 * WORKERS)
#define ENTRIES_PER_SEAT 64u
#define ENTRIES (SEATS * ENTRIES_PER_SEAT)
#define DIRECTORY_WORDS 64u
#define DATA_WORDS 64u
#define SPREAD_WORDS 1024u
#define PAIRS 3u
#define STEPS (2 * DIRECTORY_WORDS)
#define LEAKS 64u
#define RUNS_PER_SEAT 24u

/* --- in the heap --------------------------------------------------------------------------- */

/* Heap. What a seat publishes. Written by its occupant, who holds the mutex for life: the next one
 * gets it from the dead, and so after the transaction of the dead is settled. */
struct directory {
	struct sh_mutex mutex;
	uint64_t stored;  /* sequence of the last committed transaction, by sh_txn_store() */
	uint64_t written; /* the same, by sh_txn_write() */
	uint64_t scratch; /* 0; edited by detached transactions that abort */
	uint64_t data[DATA_WORDS];
	sh_off block[DIRECTORY_WORDS];
	uint64_t spread[SPREAD_WORDS]; /* all the same */
};

/* Heap. Edited by everybody, under its mutex: left == right == its root == the sum of what the
 * seats recorded. */
struct pair {
	struct sh_mutex mutex;
	uint64_t left;
	uint64_t right;
};

/* --- the model ----------------------------------------------------------------------------- */

/* Model. A live block; its content follows from `id`, which is never used twice. 0: no pattern. */
struct held {
	sh_off off;
	uint64_t size;
	uint64_t id;
	unsigned kind; /* SH_NOSCAN or 0 */
};

/* Model. A page run, as sh_pages_walk() must show it; off 0: none. Its content follows from `id` and
 * `first`, which counts its first page within the run as it was allocated. Written by the occupant of the
 * seat that holds it.
 *
 * freed_by: 0, or the sequence of the sh_pages_free() in which its holder died, and which may have freed
 * some of its pages, cut it, or joined it with others of the same sequence. Nobody touches it before the
 * next round has found out. */
struct run {
	sh_off off;
	uint64_t npages;
	unsigned flags; /* SH_IO, SH_HUGE */
	uint64_t id;
	uint64_t first;
	uint64_t freed_by;
};

/* The holder of an entry: a generation and a seat. */
#define HOLDER_NOBODY UINT64_C(0)
#define HOLDER_DOUBT UINT64_C(255) /* freed or not: its holder died in a free */

static inline uint64_t holder_seat(uint64_t holder)
{
	return (holder & 255) - 1;
}

static inline uint64_t holder_make(uint64_t generation_of, uint64_t who)
{
	return (generation_of & ~UINT64_C(255)) | who;
}

static inline uint64_t holder_of_seat(uint64_t generation_of, uint64_t seat)
{
	return holder_make(generation_of, seat + 1);
}

/* The next life of an entry that nobody holds. */
static inline uint64_t holder_next(uint64_t holder, uint64_t seat)
{
	return holder_of_seat(holder + 256, seat);
}

/* Model. A block whose offset is in no word of the heap. The entries of a seat are numbered
 * ENTRIES_PER_SEAT * seat on; it alone fills them, but the holder passes the block on, and clears the
 * entry when the block is gone. One store of `holder` does each. */
struct entry {
	_Atomic uint64_t holder;
	struct held block;
};

enum operation {
	OPERATION_NONE,
	OPERATION_ALLOC,
	OPERATION_FREE,
	OPERATION_FREE_DEFERRED,
	OPERATION_REALLOC,
	OPERATION_ALLOC_TO,
	OPERATION_FREE_FROM,
	OPERATION_REALLOC_TO,
	OPERATION_CHURN, /* allocates and frees `steps[0].block` again and again */
	OPERATION_ROOT,
	OPERATION_TRANSACTION,
	OPERATION_PAGES_ALLOC,
	OPERATION_PAGES_FREE, /* of record.freed; a step for each run that it changes */
};

enum step_kind {
	STEP_ALLOC,     /* a new block, published in word `at` */
	STEP_FREE,      /* the block of word `at` */
	STEP_REPLACE,   /* the block of word `at`, by a new one */
	STEP_ADOPT,     /* `block` of entry `at`, published in word `word` */
	STEP_DROP,      /* `block` of entry `at` is freed */
	STEP_RESIZE,    /* `before` of entry `at` becomes `block` */
	STEP_RESIZE_TO, /* `before` of word `at` becomes `block` */
	STEP_TEMPORARY, /* a new block, freed by the same transaction */
	STEP_FILL,      /* new blocks until there is no space */
	STEP_ADD,   /* data words from `at` on, `count` of them: sh_txn_add(), edited in place */
	STEP_WRITE, /* the same by sh_txn_write() */
	STEP_SPREAD, /* all words of the spread become the sequence, by sh_txn_store(): many stores at a commit */
	STEP_PAIR, /* pair `at` becomes one more; `count` is what the seat has added then */
	STEP_ROOT, /* the seat's root becomes `count` */
	STEP_RUN,  /* run `at` of the seat becomes `run` */
};

/* Model. */
struct step {
	enum step_kind kind;
	uint32_t at;
	uint32_t word;
	uint64_t count;
	uint64_t holder; /* of the entry, when the step was planned */
	uint64_t align;  /* that sh_alloc_ex() was asked for; 0: none */
	struct held block;
	struct held before;
	struct run run;
};

/* Model. Pages that one call frees. */
struct range {
	sh_off off;
	uint64_t npages;
};

enum outcome { OUTCOME_NOTHING = 0, OUTCOME_DONE = 1, OUTCOME_DOUBT = 2 };

/* Model. The operation that a seat is at. Sequence numbers count up, by one for each operation.
 *
 * intent: the operation begins; everything below but `result` was written before.
 * outcome: sequence << 2 | enum outcome.
 * applied: the model says what the outcome says.
 * result: of a call that returns an offset to nobody but its caller, stored as soon as it returned; 0
 * before. */
struct record {
	_Atomic uint64_t intent;
	_Atomic uint64_t outcome;
	_Atomic uint64_t applied;
	_Atomic uint64_t result;
	enum operation operation;
	bool aborts;
	bool detached; /* the transaction is one of no thread */
	bool defers;   /* what it frees is freed after a grace period */
	uint32_t step_count;
	struct range freed;
	struct step steps[STEPS];
};

#define NO_ENTRY UINT32_MAX

/* Model. A block that a death inside sh_alloc() may have leaked. Or inside sh_realloc() of the block of
 * `entry`: this one, that one or both are there. */
struct leak {
	uint64_t sequence;
	uint64_t size;
	uint64_t align;
	unsigned kind;
	uint32_t entry; /* NO_ENTRY: none */
	uint64_t id;    /* of the block that sh_realloc() was to make */
};

/* Model. Page runs of a death: one that sh_pages_alloc() may have left (off 0), or a range that
 * sh_pages_free() has freed or not. */
struct run_doubt {
	uint64_t sequence;
	struct range range;
	unsigned flags; /* that sh_pages_alloc() was asked for */
};

enum activity { ACTIVITY_NONE, ACTIVITY_RUNNING, ACTIVITY_PARKED };

/* Model. Written by the occupant; by the supervisor when nobody occupies it. */
struct seat {
	_Atomic uint32_t activity; /* enum activity */
	_Atomic uint32_t in_call;  /* inside a call that has no record: open, close, reap, lock */
	_Atomic uint64_t progress; /* counts what the occupant did */
	struct record record;
	uint64_t leak_count;
	struct leak leaks[LEAKS];
	uint64_t run_doubt_count;
	struct run_doubt run_doubts[LEAKS];
	/* --- what the heap must say */
	sh_off directory;
	uint64_t version; /* of directory.stored and directory.written */
	uint64_t root;
	uint64_t data[DATA_WORDS];
	uint64_t spread;
	struct held published[DIRECTORY_WORDS];
	uint64_t added[PAIRS];
	struct run runs[RUNS_PER_SEAT];
};

/* What the reports of reaping and recovery add up to. */
struct reported {
	_Atomic uint64_t threads;
	_Atomic uint64_t rolled_back;
	_Atomic uint64_t rolled_forward;
	_Atomic uint64_t operations_finished;
	_Atomic uint64_t operations_undone;
	_Atomic uint64_t
		inside; /* deaths for which a report shows that there was something to do */
};

/* What a thread dies in, as far as it counts by itself. */
enum death {
	DEATH_NONE,
	DEATH_ALLOC,
	DEATH_ALLOC_ALIGNED,
	DEATH_FREE,
	DEATH_FREE_DEFERRED,
	DEATH_REALLOC_SMALL, /* from small to small */
	DEATH_REALLOC_LARGE,
	DEATH_ALLOC_TO,
	DEATH_FREE_FROM,
	DEATH_REALLOC_TO_SMALL,
	DEATH_REALLOC_TO_LARGE,
	DEATH_CHURN,
	DEATH_CHURN_DEFERRED,
	DEATH_ROOT,
	DEATH_TRANSACTION,
	DEATH_TRANSACTION_DEFERRED,
	DEATH_DETACHED,
	DEATH_DETACHED_DEFERRED,
	DEATH_PAGES_ALLOC,
	DEATH_PAGES_FREE_ALL, /* of one run */
	DEATH_PAGES_FREE_PART,
	DEATH_PAGES_FREE_SEVERAL, /* or parts of several */
	DEATHS,
};

/* What a dead process may have left in the middle of: states of its logs, intents, locks. */
enum remains {
	REMAINS_OPEN,
	REMAINS_COMMITTED,
	REMAINS_FREEING,
	REMAINS_ABORTING,
	REMAINS_ROLLBACK,
	REMAINS_APPLYING,
	REMAINS_ALLOC,
	REMAINS_FREE,
	REMAINS_LOG_FREE,
	REMAINS_PAGE_LOCK,
	REMAINS_GROWTH_LOCK,
	REMAINS_ROOT_LOCK,
	REMAINS_DRAIN_LOCK,
	REMAINS_TOUCHING,
	REMAINS_SEARCHING,
	REMAINS_SECTION,
	REMAINS_REAPING,
	REMAINS,
};

enum check {
	CHECK_KILLS,
	CHECK_INSIDE_JOURNALS,
	CHECK_INSIDE_REPORTS,
	CHECK_ROLLED_BACK,
	CHECK_ROLLED_FORWARD,
	CHECK_FINISHED,
	CHECK_UNDONE,
	CHECK_DEATHS,
	CHECK_REMAINS,
	CHECK_CALLS,
	CHECK_TAKE_OVERS,
	CHECK_MODEL,
	CHECK_RUNS,
	CHECK_DEFERRED,
	CHECK_HEAP_QUIET,
	CHECK_HEAP_BUSY,
	CHECK_REOPENS,
	CHECK_CREATIONS,
	CHECK_STOPS,
	CHECK_PROGRESS,
	CHECK_CLEAN_END,
	CHECKS,
};

/* Model. All of it. */
struct shared {
	uint64_t seed;
	unsigned workers; /* processes at once */
	_Atomic uint64_t failures;
	_Atomic uint64_t rounds[CHECKS]; /* how often each check was made */
	_Atomic uint64_t failed[CHECKS];
	_Atomic uint32_t stop;    /* workers leave in order */
	_Atomic uint32_t pause;   /* workers park between operations */
	_Atomic uint32_t opening; /* one who opens, and nothing else, is inside sh_open() */
	_Atomic uint64_t steps;   /* of the supervisor: its progress */
	_Atomic int64_t pids[WORKERS];
	_Atomic uint64_t generations[WORKERS];
	_Atomic uint64_t kills;
	_Atomic uint64_t kills_inside;
	uint64_t inside_wanted;            /* of these; fixed */
	_Atomic uint64_t doubts;           /* deaths whose outcome the heap had to tell */
	_Atomic uint64_t deaths[DEATHS];   /* of threads; supervisor */
	_Atomic uint64_t remains[REMAINS]; /* supervisor */
	_Atomic uint64_t leaks;
	_Atomic uint64_t resizes_old; /* deaths in sh_realloc() that left the old block */
	_Atomic uint64_t resizes_new; /* and those that left the new one alone */
	_Atomic uint64_t leaked_runs;
	_Atomic uint64_t freed_runs; /* doubtful frees of runs that had been done */
	_Atomic uint64_t whole_runs; /* and those that had not */
	_Atomic uint64_t reopens;
	_Atomic uint64_t operations;
	_Atomic uint64_t out_of_memory;
	struct reported reported;
	/* --- of the heap */
	bool few_sizes; /* see pick_size() */
	sh_off pairs[PAIRS];
	struct seat seats[SEATS];
	struct entry entries[ENTRIES];
};

extern struct shared *shared;

#endif
