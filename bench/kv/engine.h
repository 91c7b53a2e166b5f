/* engine.h -- a key-value store that is measured: what it is called, promises and can do
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each engine lies in a file of its own (lmdb.c, sqlite.c, ...). Its functions give up with die() when
 * the library fails: a benchmark has nobody to report to. */
#ifndef SPANHEAP_BENCH_KV_ENGINE_H
#define SPANHEAP_BENCH_KV_ENGINE_H

#include "common.h"

/* Keys and values, wherever they lie. */
struct bytes {
	const void *data;
	size_t size;
};

/* What readers do to a value: they look at it where it lies, one byte of each cache line and the
 * first word. No engine pays for a copy that it would not make for itself. */
struct look {
	uint64_t sum;   /* keeps the compiler from leaving it out */
	uint64_t first; /* word of the value that was looked at last */
};

#define LOOK_LINE_BYTES 64u

static inline void look_at(struct look *look, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t at = 0; at < size; at += LOOK_LINE_BYTES)
		look->sum += bytes[at];
	if (size >= sizeof(look->first)) {
		look->sum += bytes[size - 1];
		memcpy(&look->first, data, sizeof(look->first));
	}
}

/* How much a store will hold: maps and caches are made large enough for all of it. */
struct extent {
	uint64_t entries;
	uint64_t bytes; /* keys and values */
};

struct engine;

/* What the variants of an engine share. */
struct engine_calls {
	const char *(*version)(void);

	/* Opens the store in an existing folder that holds nothing else, or makes it. By each process
	 * for itself. */
	void *(*open)(const struct engine *engine, const char *folder, const struct extent *extent);
	void (*close)(void *store);

	/* What one worker uses: a thread of the process that opened the store. */
	void *(*session_open)(void *store);
	void (*session_close)(void *session);

	/* A transaction of one put. `append`: the key is behind all others. */
	void (*put)(void *session, const struct bytes *key, const struct bytes *value, bool append);

	/* A transaction of several puts. */
	void (*group_begin)(void *session);
	void (*group_put)(void *session, const struct bytes *key, const struct bytes *value);
	void (*group_commit)(void *session);

	/* Around calls of get(): a read transaction, or what comes nearest to one, in which so many
	 * follow. */
	void (*read_begin)(void *session, unsigned calls);
	void (*read_end)(void *session);
	/* Looks at the key's value; false when there is none. */
	bool (*get)(void *session, const struct bytes *key, struct look *look);
	/* In a read transaction of its own: looks at up to `count` entries from the first one that is not before `from` (backward: not
	 * behind it), or from the end of the store when `from` is NULL. Returns how many there were. */
	uint64_t (*scan)(void *session, const struct bytes *from, bool backward, uint64_t count,
		struct look *look);
};

struct engine {
	const char *name; /* library-variant */
	const char *setup;
	const char *process_death; /* what it promises when processes are killed */
	const char *power_failure; /* and when the kernel or the power fails */
	unsigned variant;          /* the engine's own */
	bool one_process;          /* its library locks others out: workers are threads */
	bool syncs;                /* a transaction waits for the disk; says little on tmpfs */
	bool outside_mark;         /* measured in the first folder only unless asked for */
	const struct engine_calls *calls;
};

/* The engine that all others are compared with. */
#define REFERENCE_ENGINE "lmdb-nosync"
/* The one whose goals are looked at. */
#define OWN_ENGINE "spankv"

/* Lists that end with an engine without a name; those of libraries that were not installed are not there
 * (engines.c). */
extern const struct engine lmdb_engines[];
extern const struct engine sqlite_engines[];
extern const struct engine rocksdb_engines[];
extern const struct engine spankv_engines[];

/* The engine number `index`, NULL behind the last one. */
const struct engine *engine_number(unsigned index);

/* Says loudly which engines were not built, and what would bring them. */
void engines_note_missing(void);

#endif
