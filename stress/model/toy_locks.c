/* toy_locks.c -- locks that wait, that take over from the dead, and that spin
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/explorer.h"
#include "stress/model/toy.h"

static bool try_lock(_Atomic uint32_t *word, uint32_t expected, unsigned process)
{
	return atomic_compare_exchange_strong(word, &expected, process + 1);
}

void toy_lock(struct toy_locks *locks, unsigned which, unsigned process)
{
	_Atomic uint32_t *word = &locks->words[which];

	while (!try_lock(word, 0, process)) {
		uint32_t holder = atomic_load(word);
		if (holder != 0)
			explorer_block((const volatile uint32_t *)word, holder);
	}
}

void toy_lock_with_takeover(struct toy_locks *locks, unsigned which, unsigned process)
{
	_Atomic uint32_t *word = &locks->words[which];

	while (!try_lock(word, 0, process)) {
		uint32_t holder = atomic_load(word);
		if (holder == 0)
			continue;
		if (atomic_load(&locks->dead[holder - 1])) {
			if (try_lock(word, holder, process))
				return;
		} else {
			explorer_block((const volatile uint32_t *)word, holder);
		}
	}
}

void toy_lock_spinning(struct toy_locks *locks, unsigned which, unsigned process)
{
	while (!try_lock(&locks->words[which], 0, process))
		;
}

void toy_unlock(struct toy_locks *locks, unsigned which)
{
	atomic_store(&locks->words[which], 0);
}
