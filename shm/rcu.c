/* rcu.c -- grace periods for readers in several processes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shm/rcu.h"

#include <errno.h>
#include <stddef.h>

/* Looks in a row before the waiter sleeps, and how long it sleeps: a dead reader wakes nobody. */
#define SPINS 100u
#define PATIENCE_NS UINT64_C(1000000)

void rcu_view_init(struct rcu *rcu, char *control, uint32_t process_slots)
{
	*rcu = (struct rcu){
		.words = (struct rcu_words *)(void *)(control + CONTROL_RCU_OFFSET),
		.readers = (_Atomic uint64_t *)(void *)(control + CONTROL_READERS_OFFSET),
		.slots = (struct thread_slot *)(void *)(control +
			control_thread_slots_offset(process_slots)),
		.header = (const struct control_header *)(const void *)control,
	};
}

void rcu_lay(const struct rcu *rcu, bool fences)
{
	/* 1 in the low bits: a section that copies the word is one level deep. */
	atomic_store_explicit(&rcu->words->fenced, (UINT64_C(1) << SECTION_NESTING_BITS) | 1,
		memory_order_relaxed);
	atomic_store_explicit(&rcu->words->begun, UINT64_C(1) << SECTION_NESTING_BITS,
		memory_order_relaxed);
	rcu->words->fences = fences ? 1 : 0;
}

/* --- readers ------------------------------------------------------------------------------- */

void rcu_enroll(const struct rcu *rcu, uint32_t slot)
{
	atomic_fetch_or(&rcu->readers[slot / 64], UINT64_C(1) << (slot & 63));
	/* Pairs with the fence in rcu_nobody_reads(), see F. */
	atomic_thread_fence(memory_order_seq_cst);
}

void rcu_withdraw(const struct rcu *rcu, uint32_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot & 63);

	/* release: pairs with is_holding(), see E. */
	atomic_store_explicit(&rcu->slots[slot].section, 0, memory_order_release);
	/* Crash: looked at in vain. */
	if (atomic_load_explicit(&rcu->readers[slot / 64], memory_order_relaxed) & bit)
		atomic_fetch_and_explicit(&rcu->readers[slot / 64], ~bit, memory_order_release);
}

bool rcu_is_reading(const struct rcu *rcu, uint32_t slot)
{
	return (atomic_load_explicit(&rcu->slots[slot].section, memory_order_relaxed) &
		       SECTION_NESTING) != 0;
}

/* --- grace periods ------------------------------------------------------------------------- */

static uint64_t epoch_of(uint64_t word)
{
	return word >> SECTION_NESTING_BITS;
}

/* Whether epoch a is later than b: they may wrap around. */
static bool is_later(uint64_t a, uint64_t b)
{
	return (int64_t)((a - b) << SECTION_NESTING_BITS) > 0;
}

/* Raises a word to a grace period. release: pairs with the acquire of who relies on it. */
static void raise(_Atomic uint64_t *mark, uint64_t epoch)
{
	uint64_t seen = atomic_load_explicit(mark, memory_order_relaxed);
	uint64_t word = epoch << SECTION_NESTING_BITS | (seen & SECTION_NESTING);

	while (is_later(epoch, epoch_of(seen)) &&
		!atomic_compare_exchange_weak_explicit(mark, &seen, word, memory_order_acq_rel,
			memory_order_relaxed))
		;
}

uint64_t rcu_tag(const struct rcu *rcu)
{
	/* The unlink comes before the load, see D. */
	atomic_thread_fence(memory_order_seq_cst);
	return epoch_of(atomic_load_explicit(&rcu->words->begun, memory_order_relaxed));
}

bool rcu_is_over(const struct rcu *rcu, uint64_t tag)
{
	return is_later(epoch_of(atomic_load_explicit(&rcu->words->completed,
				memory_order_acquire)),
		tag);
}

/* Words of `readers` that can have a bit set. acquire: pairs with the raise before a claim. */
static uint32_t reader_words(const struct rcu *rcu)
{
	return (atomic_load_explicit(&rcu->header->thread_high_water, memory_order_acquire) + 63) /
		64;
}

bool rcu_nobody_reads(const struct rcu *rcu)
{
	uint32_t words;

	/* Pairs with the fence in rcu_enroll(), see F. */
	atomic_thread_fence(memory_order_seq_cst);
	words = reader_words(rcu);
	for (uint32_t i = 0; i < words; i++)
		if (atomic_load(&rcu->readers[i]) != 0)
			return false;
	return true;
}

static int order_all(const struct rcu *rcu, const struct system *system)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (rcu->words->fences)
		return 0;
	return system->order_all == NULL ? ENOTSUP : system->order_all(system->context);
}

/* Begins a grace period and raises `fenced` to it. 0, or an errno of order_all(). */
static int begin(const struct rcu *rcu, const struct system *system, uint64_t *epoch)
{
	int error = 0;

	*epoch =
		epoch_of(atomic_fetch_add(&rcu->words->begun, UINT64_C(1) << SECTION_NESTING_BITS) +
			(UINT64_C(1) << SECTION_NESTING_BITS));
	/* Crash: a number that nobody waits for. */
	if (!rcu_nobody_reads(rcu))
		error = order_all(rcu, system);
	if (error == 0)
		raise(&rcu->words->fenced, *epoch);
	return error;
}

/* Whether the slot is in a section that began before the grace period. */
static bool is_holding(const struct rcu *rcu, uint32_t slot, uint64_t epoch)
{
	/* acquire: pairs with the release that ends a section, see E. */
	uint64_t section = atomic_load_explicit(&rcu->slots[slot].section, memory_order_acquire);

	return (section & SECTION_NESTING) != 0 && is_later(epoch, epoch_of(section));
}

/* The first slot from `from` on that holds up the grace period; UINT32_MAX: none. */
static uint32_t find_holder(const struct rcu *rcu, uint64_t epoch, uint32_t from)
{
	uint32_t words = reader_words(rcu);

	for (uint32_t i = from / 64; i < words; i++) {
		uint64_t bits = atomic_load_explicit(&rcu->readers[i], memory_order_acquire);

		if (i == from / 64)
			bits &= ~UINT64_C(0) << (from & 63);
		for (; bits != 0; bits &= bits - 1) {
			uint32_t slot = i * 64 + (uint32_t)__builtin_ctzll(bits);

			if (is_holding(rcu, slot, epoch))
				return slot;
		}
	}
	return UINT32_MAX;
}

/* Notes since when a section holds others up. Two that write at once leave one of their times. */
static void note_holder(struct thread_slot *slot, const struct system *system)
{
	uint64_t section = atomic_load_explicit(&slot->section, memory_order_relaxed);

	if (atomic_load_explicit(&slot->held, memory_order_relaxed) == section)
		return;
	atomic_store_explicit(&slot->held_ns, system->now_ns(system->context),
		memory_order_relaxed);
	atomic_store_explicit(&slot->held, section, memory_order_release);
}

uint64_t rcu_count(const struct rcu *rcu)
{
	uint64_t completed =
		epoch_of(atomic_load_explicit(&rcu->words->completed, memory_order_acquire));

	/* The first one that is begun has the number 2. */
	return completed > 1 ? completed - 1 : 0;
}

uint64_t rcu_held_ns(const struct rcu *rcu, const struct system *system, uint32_t slot)
{
	const struct thread_slot *words = &rcu->slots[slot];
	uint64_t held = atomic_load_explicit(&words->held, memory_order_acquire);
	uint64_t since = atomic_load_explicit(&words->held_ns, memory_order_relaxed);
	uint64_t now = system->now_ns(system->context);

	return held != 0 && now > since &&
			atomic_load_explicit(&words->section, memory_order_relaxed) == held
		? now - since
		: 0;
}

enum rcu_state rcu_poll(const struct rcu *rcu, const struct system *system, uint64_t tag,
	uint32_t *holder)
{
	uint64_t epoch;
	uint32_t held_by;

	if (rcu_is_over(rcu, tag))
		return RCU_OVER;
	/* acquire: the order_all() of whoever raised it comes before the look. */
	epoch = epoch_of(atomic_load_explicit(&rcu->words->fenced, memory_order_acquire));
	if (!is_later(epoch, tag) && begin(rcu, system, &epoch) != 0)
		return RCU_FAILED;
	held_by = find_holder(rcu, epoch, 0);
	if (holder != NULL)
		*holder = held_by;
	if (held_by != UINT32_MAX) {
		note_holder(&rcu->slots[held_by], system);
		return RCU_HELD;
	}
	raise(&rcu->words->completed, epoch);
	return RCU_OVER;
}

/* --- waiting ------------------------------------------------------------------------------- */

static bool is_dead(const struct thread_slot *slot, const struct system *system)
{
	uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);

	return owner != 0 && (owner & THREAD_CLAIM) == 0 && !system->alive(system->context, owner);
}

/* Sleeps until a section ends, or a while. 0 or an errno. */
static int sleep_once(const struct rcu *rcu, const struct system *system, uint64_t tag)
{
	_Atomic uint32_t *waiting = &rcu->words->waiting;
	int error;

	atomic_store_explicit(waiting, 1, memory_order_relaxed);
	/* A section that ends after this sees the word; one that ended before is seen below. */
	error = order_all(rcu, system);
	if (error == 0 && rcu_poll(rcu, system, tag, NULL) == RCU_HELD)
		system->futex_wait(system->context, (const uint32_t *)(const void *)waiting, 1,
			PATIENCE_NS);
	return error;
}

int rcu_wait(const struct rcu *rcu, const struct system *system, uint64_t tag,
	void (*held)(void *argument, uint32_t slot, bool dead), void *argument)
{
	enum rcu_state state;
	uint32_t holder;
	int error = 0;

	for (unsigned looks = 0; (state = rcu_poll(rcu, system, tag, &holder)) == RCU_HELD;
		looks++) {
		if (looks < SPINS)
			continue;
		if (held != NULL)
			held(argument, holder, is_dead(&rcu->slots[holder], system));
		error = sleep_once(rcu, system, tag);
		if (error != 0)
			return error;
	}
	return state == RCU_OVER ? 0 : ENOTSUP;
}

/* The first slot from `from` on that holds up the grace period, and whose thread lives; those of the dead are
 * left out. */
static uint32_t find_living(const struct rcu *rcu, const struct system *system, uint64_t epoch,
	uint32_t from)
{
	uint32_t holder = find_holder(rcu, epoch, from);

	while (holder != UINT32_MAX && is_dead(&rcu->slots[holder], system))
		holder = find_holder(rcu, epoch, holder + 1);
	return holder;
}

int rcu_wait_for_living(const struct rcu *rcu, const struct system *system, uint64_t tag,
	void (*held)(void *argument, uint32_t slot, bool dead), void *argument)
{
	uint32_t holder = 0;
	uint64_t epoch;
	enum rcu_state state = rcu_poll(rcu, system, tag, NULL);
	int error = 0;

	/* Begun by now, and fenced: what holds it up can only become less. */
	epoch = epoch_of(atomic_load_explicit(&rcu->words->fenced, memory_order_acquire));
	for (unsigned looks = 0; state == RCU_HELD && error == 0; looks++) {
		holder = looks < SPINS ? find_holder(rcu, epoch, holder)
				       : find_living(rcu, system, epoch, holder);
		if (holder == UINT32_MAX)
			return 0;
		if (looks < SPINS)
			continue;
		note_holder(&rcu->slots[holder], system);
		held(argument, holder, false);
		error = sleep_once(rcu, system, tag);
	}
	return state == RCU_FAILED ? ENOTSUP : error;
}
