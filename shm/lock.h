/* lock.h -- the one lock: a 64-bit word that names its holder
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The word is 0 (free) or the holder's tag; TAG_WAITERS says that somebody may sleep on the low
 * half, which is the futex. All-zero memory is a free lock. A dead thread wakes nobody, so every
 * wait has a limit, and after it the waiter asks whether the holder lives. Whoever finds it dead
 * takes the word over by CAS; the tag never returns, so the CAS cannot hit another holder.
 *
 * A. Mutual exclusion: the word changes from 0 or from a dead thread's tag by CAS only, and only
 *    its holder stores 0.
 * B. Nobody waits for ever on the dead: see above. A stopped holder is waited for.
 * C. A killed waiter may have swallowed a wake: the others' limits cover that.
 *
 * Robust pthread mutexes are not used for this: across pid namespaces a killed waiter with the
 * holder's thread id marks a live holder dead. */
#ifndef SPANHEAP_LOCK_H
#define SPANHEAP_LOCK_H

#include "shm/system.h"
#include "shm/tag.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How long a waiter sleeps before it asks whether the holder lives. */
#define LOCK_PATIENCE_NS UINT64_C(500000)

enum lock_result {
	LOCK_TAKEN,      /* from a live holder's unlock */
	LOCK_TAKEN_OVER, /* the last holder died inside: repair first */
	LOCK_BUSY, /* a live thread holds it: lock_try, and lock_acquire_until at its deadline */
};

/* Takes the lock if it is free or its holder is dead; never waits. */
enum lock_result lock_try(_Atomic uint64_t *word, uint64_t tag, const struct system *system);

/* The same; calls `settle` with a dead holder's tag before it takes the lock over. */
enum lock_result lock_try_settled(_Atomic uint64_t *word, uint64_t tag, const struct system *system,
	void (*settle)(void *argument, uint64_t dead), void *argument);

/* Takes the lock. Not recursive. Crash while waiting: nothing is held. */
enum lock_result lock_acquire(_Atomic uint64_t *word, uint64_t tag, const struct system *system);

/* Takes the lock; calls `settle` with a dead holder's tag before it takes the lock over: when it
 * returns, the dead one's work is finished or undone. */
enum lock_result lock_acquire_settled(_Atomic uint64_t *word, uint64_t tag,
	const struct system *system, void (*settle)(void *argument, uint64_t dead), void *argument);

#define LOCK_NO_DEADLINE UINT64_MAX

/* The same, until system->now_ns() says `deadline_ns`; the holder is asked for once more then. What
 * `settle` takes is not counted. */
enum lock_result lock_acquire_until(_Atomic uint64_t *word, uint64_t tag,
	const struct system *system, void (*settle)(void *argument, uint64_t dead), void *argument,
	uint64_t deadline_ns);

/* Gives the lock back; the caller holds it. Crash before the store: held by the dead. */
void lock_release(_Atomic uint64_t *word, const struct system *system);

/* Whether `tag` holds the lock. */
static inline bool lock_held_by(_Atomic uint64_t *word, uint64_t tag)
{
	return (atomic_load_explicit(word, memory_order_relaxed) & ~TAG_WAITERS) == tag;
}

/* Takes the lock if nobody holds it and nobody died with it, which is most often so. */
static inline bool lock_take_vacant(_Atomic uint64_t *word, uint64_t tag)
{
	uint64_t vacant = 0;

	/* acquire: pairs with the release of lock_release(). */
	return atomic_compare_exchange_strong_explicit(word, &vacant, tag, memory_order_acquire,
		memory_order_relaxed);
}

/* The futex of a lock word: its low half. */
static inline const uint32_t *lock_futex(const _Atomic uint64_t *word)
{
	return (const uint32_t *)(const void *)word;
}

#endif
