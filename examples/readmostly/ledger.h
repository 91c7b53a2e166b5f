/* ledger.h -- what must be in the table, kept outside of the heap
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A file that all processes map and that no crash of theirs undoes. Each key has one writer at a
 * time, which numbers what it does to the key: 1, 2, 3... It notes the number before it begins and
 * again when the call that did it has returned. So whoever notes the acknowledged number, looks the
 * key up, and then notes the begun one knows: what it found is not older than the first, nor newer
 * than the second, or something was lost or made up.
 *
 * The number and the key alone say whether a step puts or deletes, and what value it puts. */
#ifndef READMOSTLY_LEDGER_H
#define READMOSTLY_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "chance.h"
#include "spanheap.h"

enum { READERS_MAX = 16, WRITERS_MAX = 8, RANGE_KEYS = 2048, HOT_KEYS = 32 };
enum { KEYS_MAX = WRITERS_MAX * RANGE_KEYS };

/* What a reader can find wrong. */
enum wrong {
	RIGHT,
	WRONG_CHECKSUM, /* torn, or somebody else's bytes */
	WRONG_KEY,      /* an entry that belongs elsewhere */
	WRONG_POISON,   /* what writers fill new blocks and freed ones with */
	WRONG_LINK,     /* leads nowhere, or on for ever */
	WRONG_CHANGED,  /* not what the same section found there before */
	WRONG_OLD,      /* older than what had been acknowledged before */
	WRONG_NEW,      /* newer than what had been begun afterwards */
	WRONG_MISSING,  /* though nobody had begun to delete it */
	WRONG_KINDS,
};

/* Ledger. The steps of a key; written by who owns its range, read by all. */
struct standing {
	uint64_t begun;
	uint64_t acknowledged;
};

/* Ledger. Written by the reader in this slot, whoever that is at the time. */
struct reader_note {
	uint64_t lookups;
	uint64_t found;
	uint64_t inside; /* 1: in a read section */
};

/* Ledger. Written by the writer in this slot. */
struct writer_note {
	uint64_t steps;
	uint64_t inside;          /* 1: in a burst of steps */
	uint64_t locks_inherited; /* stripes got from a dead holder */
};

/* Ledger. Transactions of the dead, as far as sh_reap() and sh_recovery_report() tell: whoever waits
 * for a mutex of the dead is often faster, and settles them without a report. Added to by all. */
struct settled {
	uint64_t back;
	uint64_t forward;
};

/* Ledger. All of it. */
struct ledger {
	uint64_t keys; /* that are in use, from 0 on; does not change */
	uint64_t wrong[WRONG_KINDS];
	struct settled settled;
	struct reader_note reader[READERS_MAX];
	struct writer_note writer[WRITERS_MAX];
	struct standing key[KEYS_MAX]; /* writer w owns w * RANGE_KEYS and the following */
};

void ledger_create(const char *path, unsigned writers);

struct ledger *ledger_map(const char *path);

/* Any key of a writer's range; every other time one of a few that everybody wants. */
uint64_t ledger_choose(struct chance *chance, uint64_t range);

/* Whether step `number` deletes the key; it does not exist before step 1. */
bool ledger_deletes(uint64_t key, uint64_t number);

/* The next step of the key from `number` on that deletes it. */
uint64_t ledger_next_delete(uint64_t key, uint64_t number);

void ledger_begin(struct ledger *ledger, uint64_t key, uint64_t number);

void ledger_acknowledge(struct ledger *ledger, uint64_t key, uint64_t number);

/* What is certain about the key now. */
uint64_t ledger_acknowledged(const struct ledger *ledger, uint64_t key);

/* Judges what a lookup found: the number of a step that put it, or 0 for nothing. `acknowledged`
 * was read before the lookup; what was begun is read now. */
enum wrong ledger_judge(const struct ledger *ledger, uint64_t key, uint64_t acknowledged,
	uint64_t found);

/* Counts and prints what is wrong. */
void ledger_accuse(struct ledger *ledger, enum wrong wrong, uint64_t key);

/* All that was counted. */
uint64_t ledger_wrong(const struct ledger *ledger);

const char *ledger_wrong_name(enum wrong wrong);

/* Notes what this process's sh_open() did for the dead. */
void ledger_note_opening(struct ledger *ledger, struct sh_heap *heap);

/* Notes what a reap report tells. */
void ledger_note_settled(struct ledger *ledger, const struct sh_reap_report *report);

/* Adds to a counter that one process writes at a time and others read. */
static inline void note_add(uint64_t *counter, uint64_t count)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + count,
		__ATOMIC_RELAXED);
}

#endif
