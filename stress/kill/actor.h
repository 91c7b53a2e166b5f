/* actor.h -- a thread that works on the heap: what it picks, what it expects of calls
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_ACTOR_H
#define KILL_ACTOR_H

#include "stress/kill/model.h"
#include "stress/kill/tally.h"

/* Process. One thread in its seat. */
struct actor {
	struct sh_heap *heap;
	struct seat *seat;
	struct chance random;
};

/* --- what calls return --------------------------------------------------------------------- */

/* Complains about an error that is not for want of space. Returns the error. */
int expect_ok(const struct actor *actor, int error, const char *call);

void expect_error(const struct actor *actor, int error, int expected, const char *call);

/* The block is live and holds what its holder wrote. */
void expect_pattern(const struct actor *actor, const struct held *block);

/* Around calls that have no record, for the count of deaths inside calls. */
static inline void enter_call(struct actor *actor)
{
	atomic_store(&actor->seat->in_call, 1);
}

static inline void leave_call(struct actor *actor)
{
	atomic_store(&actor->seat->in_call, 0);
}

/* --- what to work on ----------------------------------------------------------------------- */

/* A block that is to be, by step `step` of the operation that begins next. */
struct held plan_block(struct actor *actor, uint32_t step);

/* A new value for the seat's root. Any number will do for an offset that nobody follows. */
struct step plan_root(const struct actor *actor);

/* A step about the block of an entry. */
struct step plan_entry(enum step_kind kind, uint32_t at);

/* An entry that the seat holds and that no step before `steps` uses; ENTRIES when none is found. */
uint32_t find_held(struct actor *actor, uint32_t steps);

/* One of the seat's own entries that holds nothing; ENTRIES when there is none. */
uint32_t find_empty(struct actor *actor);

/* A directory word that names a block, or none; DIRECTORY_WORDS when a few looks find no such one. */
uint32_t find_word(struct actor *actor, bool names_block);

/* --- operations ---------------------------------------------------------------------------- */

/* Begins an operation of one step, which record_end() ends. */
void begin_step(struct actor *actor, enum operation operation, struct step step);

static inline void end(struct actor *actor, enum outcome outcome)
{
	record_end(actor->heap, actor->seat, outcome);
}

/* Does one operation that chance picks. */
void operation_any(struct actor *actor);

/* sh_realloc() of a block that the seat holds, sh_realloc_to() of a directory word. */
void operation_realloc(struct actor *actor);
void operation_realloc_to(struct actor *actor);

/* Page runs of the seat: allocates one; frees one, or a part; some adjacent ones, or parts; looks for all
 * of them; tries what must be refused. */
void operation_pages_alloc(struct actor *actor);
void operation_pages_free(struct actor *actor);
void operation_pages_free_several(struct actor *actor);
void operation_pages_walk(struct actor *actor);
void operation_pages_refused(struct actor *actor);

/* A transaction: most are short, some of hundreds of log entries, one in six aborts. One in four is
 * detached, and may have been begun by a thread that has ended since. One in twelve runs beside a detached
 * one that aborts. */
void operation_transaction(struct actor *actor);

/* A transaction that takes all the space that is left, and aborts. */
void operation_fill(struct actor *actor);

#endif
