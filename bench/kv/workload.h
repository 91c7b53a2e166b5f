/* workload.h -- what workers do with a store: dbbench's set, YCSB, and a mix of writers and readers
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_WORKLOAD_H
#define SPANHEAP_BENCH_KV_WORKLOAD_H

#include "engine.h"
#include "measure.h"
#include "numbers.h"

#include <stdatomic.h>

/* What a store holds before a workload and after it. */
enum filling {
	EMPTY,  /* nothing */
	FILLED, /* the keys of all numbers below `entries` */
	LOADED, /* those of all of YCSB's records */
	SPOILED /* something else */
};

/* What YCSB's clients do, in percent of their operations. */
struct mix {
	unsigned reads;
	unsigned updates;
	unsigned inserts;
	unsigned scans;
	unsigned modifications; /* a read and an update of what was read */
	bool latest;            /* what was inserted last is wanted most */
};

struct worker;

/* One operation, or one transaction of several. Returns how many entries it was about. */
typedef uint64_t step_fn(struct worker *worker, enum operation *operation);

struct workload {
	const char *name;
	const char *set;  /* workloads that are asked for together */
	const char *what; /* for the title */
	enum filling before;
	enum filling after;
	unsigned group;  /* puts or gets of a transaction */
	bool by_time;    /* runs for some seconds, and latencies are taken while it is measured */
	unsigned rounds; /* how often all entries are gone through; 0: once */
	bool uneven;     /* values of half to one and a half of the size, instead of one size */
	step_fn *write;  /* what writers do; NULL: there are none */
	step_fn *read;   /* what readers do */
	const struct mix *mix;
};

/* What a run is told. */
struct task {
	const struct workload *workload;
	const struct numbers *numbers;
	uint64_t value_bytes;
	uint64_t
		operations; /* entries that each worker works on; UINT64_MAX: until it is stopped */
	unsigned writers;
	unsigned readers;
	double seconds;
	unsigned stride; /* one step of so many is timed; 0: none */
};

/* Process. A worker at work. */
struct worker {
	const struct engine *engine;
	void *session;
	const struct task *task;
	struct tally *tally;
	_Atomic bool *stop;
	_Atomic uint64_t *inserted; /* YCSB's records that there are, of all processes */
	unsigned index;
	bool writes;
	uint64_t operations; /* entries that it is to work on */
	uint64_t done;       /* and has worked on */
	uint64_t random;
	uint32_t draw; /* where it is in the numbers' draws */
	struct look look;
	char key[KEY_BYTES];
};

/* Looks at all entries once, unless there are none yet: maps, caches and page tables are filled. */
void worker_warm_up(struct worker *worker);

/* Works until it is done or stopped. */
void worker_run(struct worker *worker);

/* The workload number `index`, NULL behind the last one. */
const struct workload *workload_number(unsigned index);

/* Fills a store with all entries, for workloads that begin with that: FILLED or LOADED. `syncs`: the
 * engine waits for the disk. */
const struct workload *workload_filling(enum filling filling, bool syncs);

/* The one that writers and readers in any numbers do. */
const struct workload *workload_mixed(void);

#endif
