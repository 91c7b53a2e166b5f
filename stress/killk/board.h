/* board.h -- what the processes of one case share, and what they expect
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A case is one operation that is killed or stopped at one instruction. Its processes are the worker, which
 * steps and kills; the victim; and those that judge. All of them are forked from the worker. */
#ifndef KILLK_BOARD_H
#define KILLK_BOARD_H

#include "stress/common/clock.h"
#include "stress/common/expect.h"
#include "stress/killk/image.h"

#include <spanheap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TEXT_BYTES 512u
#define PATH_BYTES 512u
#define KNOWN_LIMIT 64u
#define TOUCHED_LIMIT 256u
#define FOUR_KIB UINT64_C(4096)

enum survivor {
	SURVIVOR_NONE, /* the next sh_open() recovers */
	SURVIVOR_IDLE, /* attached before, asleep until the death */
	SURVIVOR_BUSY, /* allocates and frees all the time */
	SURVIVOR_WATCH, /* as SURVIVOR_IDLE, but the victim is stopped and goes on later: nobody dies */
	SURVIVORS
};

enum order { ORDER_WATCH = 1, ORDER_JUDGE = 2 };

enum which_file { FILE_HEAP, FILE_CONTROL, FILES };

/* A block that is there before the operation; its words follow from `fill`. */
struct known {
	sh_off off;
	uint64_t bytes;
	uint64_t fill;
};

struct known_blocks {
	struct known at[KNOWN_LIMIT];
	unsigned count;
};

/* A page of 4 KiB of one of the files that the operation stores to. */
struct touched {
	enum which_file file;
	uint64_t offset;
};

/* Shared mapping, one for each worker. */
struct board {
	/* --- what went wrong first */
	_Atomic unsigned complaints;
	char text[TEXT_BYTES];
	/* --- the case */
	uint64_t seed;
	uint64_t step;
	enum survivor survivor;
	bool unlocked; /* the stopped victim holds none of the heap's internal locks */
	char path[PATH_BYTES];
	/* --- signposts */
	_Atomic uint32_t ready;   /* 1: the survivor is attached */
	_Atomic uint32_t order;   /* enum order: to the survivor */
	_Atomic uint32_t watched; /* 1: ORDER_WATCH was done */
	_Atomic uint32_t gone;    /* 1: the victim's process is no more */
	/* --- what the heap held when the operation began */
	struct known_blocks known;
	sh_off subject; /* the block that the operation is about; 0: none */
	/* --- what the victim says */
	_Atomic uint32_t returned; /* 1: the call returned, with... */
	uint64_t result;
	/* --- what the operation stores to */
	struct touched touched[TOUCHED_LIMIT];
	_Atomic unsigned touched_count;
};

extern struct board *board;

/* Notes the first thing that went wrong. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Forgets the last case. */
void board_clear(void);

/* Forks; the child runs `body`, ends well when that returns, and dies with the worker. */
pid_t start(void (*body)(void));

/* Waits for a child's end; its wait status, or -1 when it took more than so many milliseconds. */
int finish(pid_t child, int milliseconds);

/* Signposts: stores, and wakes who waits; waits until the word is at least `value`. False: it took too
 * long. */
void post(_Atomic uint32_t *word, uint32_t value);
bool await(_Atomic uint32_t *word, uint32_t value, unsigned milliseconds);

#endif
