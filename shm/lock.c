/* lock.c -- the one lock: a 64-bit word that names its holder
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shm/lock.h"

#include <assert.h>
#include <stddef.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the low half of the word");

/* One attempt; `mark` is TAG_WAITERS when others may sleep, whom our unlock must then wake. */
static bool take(_Atomic uint64_t *word, uint64_t *seen, uint64_t tag, uint64_t mark)
{
	/* acquire: pairs with the release of lock_release, or with nothing (the dead holder's
	 * stores are ordered before its death by the kernel). */
	return atomic_compare_exchange_strong_explicit(word, seen, tag | mark, memory_order_acquire,
		memory_order_relaxed);
}

static bool holder_dead(uint64_t seen, const struct system *system)
{
	return !system->alive(system->context, seen & ~TAG_WAITERS);
}

enum lock_result lock_try(_Atomic uint64_t *word, uint64_t tag, const struct system *system)
{
	return lock_try_settled(word, tag, system, NULL, NULL);
}

enum lock_result lock_try_settled(_Atomic uint64_t *word, uint64_t tag, const struct system *system,
	void (*settle)(void *argument, uint64_t dead), void *argument)
{
	uint64_t seen = 0;

	if (take(word, &seen, tag, 0))
		return LOCK_TAKEN;
	/* Tried again when only the mark changed: the holder is still the dead one, or 0. */
	while (seen == 0 || holder_dead(seen, system)) {
		bool vacant = seen == 0;

		if (!vacant && settle != NULL)
			settle(argument, seen & ~TAG_WAITERS);
		if (take(word, &seen, tag, seen & TAG_WAITERS))
			return vacant ? LOCK_TAKEN : LOCK_TAKEN_OVER;
	}
	return LOCK_BUSY;
}

enum lock_result lock_acquire(_Atomic uint64_t *word, uint64_t tag, const struct system *system)
{
	return lock_acquire_settled(word, tag, system, NULL, NULL);
}

enum lock_result lock_acquire_settled(_Atomic uint64_t *word, uint64_t tag,
	const struct system *system, void (*settle)(void *argument, uint64_t dead), void *argument)
{
	return lock_acquire_until(word, tag, system, settle, argument, LOCK_NO_DEADLINE);
}

/* How long a waiter may sleep now; 0: its time is over. */
static uint64_t patience(const struct system *system, uint64_t deadline_ns)
{
	uint64_t now;

	if (deadline_ns == LOCK_NO_DEADLINE)
		return LOCK_PATIENCE_NS;
	now = system->now_ns(system->context);
	if (now >= deadline_ns)
		return 0;
	return deadline_ns - now < LOCK_PATIENCE_NS ? deadline_ns - now : LOCK_PATIENCE_NS;
}

enum lock_result lock_acquire_until(_Atomic uint64_t *word, uint64_t tag,
	const struct system *system, void (*settle)(void *argument, uint64_t dead), void *argument,
	uint64_t deadline_ns)
{
	uint64_t mark = 0;
	uint64_t waited_for = 0;

	for (;;) {
		uint64_t seen = 0;
		uint64_t limit_ns;

		if (take(word, &seen, tag, mark))
			return LOCK_TAKEN;
		assert((seen & ~TAG_WAITERS) != tag);
		limit_ns = patience(system, deadline_ns);
		if ((seen == waited_for || limit_ns == 0) && holder_dead(seen, system)) {
			if (settle != NULL)
				settle(argument, seen & ~TAG_WAITERS);
			if (take(word, &seen, tag, mark))
				return LOCK_TAKEN_OVER;
			continue;
		}
		/* The mark stays: it costs the holder one wake that nobody hears. */
		if (limit_ns == 0)
			return LOCK_BUSY;
		if (!(seen & TAG_WAITERS) &&
			!atomic_compare_exchange_strong_explicit(word, &seen, seen | TAG_WAITERS,
				memory_order_relaxed, memory_order_relaxed))
			continue;
		/* From here on others may sleep beside us: whoever gets the word keeps the mark. */
		mark = TAG_WAITERS;
		waited_for = seen | TAG_WAITERS;
		system->futex_wait(system->context, lock_futex(word), (uint32_t)waited_for,
			limit_ns);
	}
}

void lock_release(_Atomic uint64_t *word, const struct system *system)
{
	/* release: pairs with the acquire in take(). */
	uint64_t held = atomic_exchange_explicit(word, 0, memory_order_release);

	/* Crash: free, and nobody is woken; the sleepers' limits cover it. */
	if (held & TAG_WAITERS)
		system->futex_wake(system->context, lock_futex(word), 1);
}
