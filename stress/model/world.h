/* world.h -- a small heap for the model checker, and what must be true of it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The heap file and the control file are buffers; each model process has a thread slot. Processes 0
 * and 1, of a triple 2 as well, carry out one operation each; the others are reapers: they start when somebody
 * is dead.
 * Truth is recovered in place (P2) after every store to it, and what it shows is compared with what
 * the operations promise. */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "heap/transaction.h"
#include "recovery/image.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_WORKERS 3u   /* at most */
#define WORLD_PROCESSES 4u /* two workers and two reapers, or three and one */
/* One for an operation that comes and goes, one to check with, recovery's. */
#define WORLD_THREAD_SLOTS (WORLD_PROCESSES + 3u)
#define WORLD_CHECK_SLOT (WORLD_PROCESSES + 1u)
#define WORLD_KEPT 4u

enum progress { NOT_STARTED, RUNNING, DONE };

/* What one process has done: what is promised of the truth depends on it, so it is tracked as truth. */
struct ghost {
	uint64_t progress;         /* enum progress */
	uint64_t result;           /* of the operation: an offset or a code */
	uint64_t kept[WORLD_KEPT]; /* what prepare left for run and promise */
};

struct world {
	unsigned workers;
	struct image image;
	struct thread threads[WORLD_PROCESSES];
	struct transaction transactions[WORLD_PROCESSES];
	struct ghost *ghosts;
	const uint64_t *dead; /* by process: what the kernel knows */
	uint64_t *lives;      /* by process: its tag, known before its slot shows it */
	struct thread detached[WORLD_WORKERS]; /* by process: its detached transaction's state */
	uint64_t *detached_lives;              /* by process: the tag of that */
	uint64_t bystanders;                   /* live blocks that no operation touches */
	uint64_t buffer_bytes;                 /* of the heap file's buffer */
};

/* How many blocks are live because of an operation, at least and at most, and how many pages are in
 * manual runs. */
struct contribution {
	uint64_t least;
	uint64_t most;
	uint64_t least_pages;
	uint64_t most_pages;
};

#define SETTING_GROWTH 1u  /* nothing is free, and one more chunk can be backed */
#define SETTING_RESTART 2u /* everybody died and the heap was opened again before it begins */
#define SETTING_ARENAS 4u  /* two arenas, and one chunk is left of the first */
/* A thread is dead before its process, and before its detached transactions; in between the last
 * process, as the kernel, lets go of the dead one's byte. */
#define SETTING_DETACHED 8u

/* Beside which others an operation is explored when not all pairs are. */
enum role {
	ORDINARY, /* beside all that are ordinary */
	CORE,     /* the same, and in triples */
	VARIANT,  /* beside none: another way into an operation that is ordinary */
	TWIN,     /* beside itself: the two have one block */
	COUPLE,   /* beside itself, and beside others never: what those do is an error to it */
	/* With one of these: has so many steps that it is beside another such one only when there is time. */
	LONG = 8,
	/* With one of these: has so few that two deaths are tried beside itself. */
	SHORT = 16,
};

/* One operation of the library. Everything is told by the process's number. */
struct operation {
	const char *name;
	unsigned setting; /* SETTING_... */
	enum role role;   /* LONG, SHORT or neither */
	/* Before exploration: what the operation needs. May be NULL. */
	void (*prepare)(struct world *world, unsigned process);
	/* The operation itself, as a coroutine. Its result is kept in the ghost. */
	uint64_t (*run)(struct world *world, unsigned process);
	/* What it promises of a settled heap (recovered, or everybody done or reaped), wherever the
	 * operation stopped: NULL or what is broken. */
	const char *(*promise)(const struct world *world, unsigned process, const struct heap *heap,
		struct contribution *blocks);
};

extern const struct operation operations[];
extern const unsigned operation_count;

/* Sizes of the scenarios' blocks: a class of four pages with four blocks. */
#define BLOCK_BYTES 1024u

/* Formats and opens the heap. SETTING_... */
void world_make_heap(struct world *world, unsigned setting);

/* Each process gets its thread slot. */
void world_attach_all(struct world *world);

/* Backs the first chunks, so that no operation but growth grows. */
#define CHUNKS_BACKED 3u
void world_grow_first(struct world *world);

/* What processes remember of chunks that hold data from the start. */
void world_remember_chunks(struct world *world);

/* Whether the slot's words are the process's: its own, or those of one that it reaps. */
bool world_holds_slot(const struct world *world, unsigned process, unsigned slot);

/* Whether somebody is dead and not reaped. */
bool world_has_dead(const struct world *world);

/* Helpers for prepare. What cannot be prepared ends the program. */
void world_must(bool done, unsigned process);
uint64_t world_allocate(struct world *world, unsigned process, uint64_t bytes);
uint64_t world_allocate_large(struct world *world, unsigned process, uint64_t bytes);
/* Whether a block starts at `off` and is live. */
bool world_live(const struct heap *heap, uint64_t off);
/* The state of the operation: NOT_STARTED, RUNNING (also when it died inside) or DONE. */
enum progress world_progress(const struct world *world, unsigned process);

#endif
