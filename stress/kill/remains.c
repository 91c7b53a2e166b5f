/* remains.c -- what dead processes leave in the middle of
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/remains.h"

#include "api/handle.h"
#include "heap/log.h"
#include "stress/kill/numbers.h"
#include "stress/kill/tally.h"

/* How often each must have been left when 20,000 died inside operations; of fewer, in proportion. */
static const struct {
	uint64_t least;
	const char *name;
} kinds[REMAINS] = {
	[REMAINS_OPEN] = { 1000, "a log that is open" },
	[REMAINS_COMMITTED] = { 10, "one whose stores are made" },
	[REMAINS_FREEING] = { 10, "one whose blocks are freed" },
	[REMAINS_ABORTING] = { 10, "one whose ranges are put back" },
	[REMAINS_ROLLBACK] = { 10, "one whose new blocks are freed" },
	[REMAINS_APPLYING] = { 15, "a block that a log is freeing" },
	[REMAINS_ALLOC] = { 40, "pages on their way to a head bit" },
	[REMAINS_FREE] = { 2, "pages on their way from one" },
	[REMAINS_LOG_FREE] = { 0, "the same for a log" },
	[REMAINS_PAGE_LOCK] = { 10, "the page lock" },
	[REMAINS_GROWTH_LOCK] = { 20, "the growth lock" },
	[REMAINS_ROOT_LOCK] = { 1, "the root lock" },
	[REMAINS_DRAIN_LOCK] = { 30, "the drain lock" },
	[REMAINS_TOUCHING] = { 4, "a span that is being listed or noted" },
	[REMAINS_SEARCHING] = { 0, "a chunk whose class bit is being cleared" },
	[REMAINS_SECTION] = { 8, "a read section" },
	[REMAINS_REAPING] = { 2, "another dead one, being reaped" },
};

static uint64_t least_of(enum remains what)
{
	return in_proportion(kinds[what].least);
}

static void count(enum remains what)
{
	atomic_fetch_add(&shared->remains[what], 1);
}

/* --- of a slot ----------------------------------------------------------------------------- */

static void count_log(const struct slot_log *log)
{
	static const enum remains of_state[] = {
		[LOG_OPEN] = REMAINS_OPEN,
		[LOG_COMMITTED] = REMAINS_COMMITTED,
		[LOG_FREEING] = REMAINS_FREEING,
		[LOG_ABORTING] = REMAINS_ABORTING,
		[LOG_ROLLBACK] = REMAINS_ROLLBACK,
	};
	enum log_state state = log_read(log).state;

	if (state != LOG_EMPTY && state <= LOG_ROLLBACK)
		count(of_state[state]);
	if (atomic_load(&log->applying) != 0)
		count(REMAINS_APPLYING);
}

static void count_intents(const struct slot_log *log)
{
	uint64_t own = atomic_load(&log->intent[0]);

	if (run_operation(own) == RUN_ALLOC)
		count(REMAINS_ALLOC);
	if (run_operation(own) == RUN_FREE)
		count(REMAINS_FREE);
	if (atomic_load(&log->intent[1]) != 0)
		count(REMAINS_LOG_FREE);
}

static void count_words(const struct heap *heap, uint32_t slot)
{
	const struct slot_words *words = heap_slot_words(heap, slot);

	if (atomic_load(&words->touching) != 0)
		count(REMAINS_TOUCHING);
	if (atomic_load(&words->searching) != 0)
		count(REMAINS_SEARCHING);
	if (rcu_is_reading(&heap->rcu, slot))
		count(REMAINS_SECTION);
}

/* A lock word whose holder has this tag. */
static void count_lock(const _Atomic uint64_t *lock, uint64_t tag, enum remains what)
{
	if ((atomic_load(lock) & ~TAG_WAITERS) == tag)
		count(what);
}

static void count_locks(const struct heap *heap, uint64_t tag)
{
	const struct derived_header *derived = heap->derived;

	count_lock(&derived->page_lock, tag, REMAINS_PAGE_LOCK);
	count_lock(&derived->growth_lock, tag, REMAINS_GROWTH_LOCK);
	count_lock(&derived->root_lock, tag, REMAINS_ROOT_LOCK);
	count_lock(&derived->drain.lock, tag, REMAINS_DRAIN_LOCK);
	for (uint32_t slot = 0; slot < heap_slot_high_water(heap); slot++)
		count_lock(&heap->thread_slot[slot].reaper, tag, REMAINS_REAPING);
}

static void count_slot(const struct heap *heap, uint32_t slot, uint64_t tag)
{
	count_log(&heap->logs[slot]);
	count_intents(&heap->logs[slot]);
	count_words(heap, slot);
	count_locks(heap, tag);
}

/* --- of a process -------------------------------------------------------------------------- */

/* Its place among the processes, or as many as there are. */
static uint32_t find_process(const struct heap *heap, pid_t pid)
{
	uint32_t process = 0;

	while (process < heap->process_slots &&
		(atomic_load(&heap->process_slot[process].owner) == 0 ||
			atomic_load(&heap->process_slot[process].pid) != (uint64_t)pid))
		process++;
	return process;
}

void remains_count(const struct sh_heap *handle, pid_t pid)
{
	const struct heap *heap = &handle->heap;
	uint32_t process = find_process(heap, pid);

	for (uint32_t slot = 0; slot < heap_slot_high_water(heap); slot++) {
		uint64_t owner = atomic_load(&heap->thread_slot[slot].owner);

		if (owner != 0 && (owner & THREAD_CLAIM) == 0 &&
			atomic_load(&heap->thread_slot[slot].process) == process)
			count_slot(heap, slot, owner);
	}
}

/* --- results ------------------------------------------------------------------------------- */

bool remains_enough(void)
{
	for (unsigned what = 0; what < REMAINS; what++)
		if (atomic_load(&shared->remains[what]) < least_of(what))
			return false;
	return true;
}

void remains_expect(void)
{
	for (unsigned what = 0; what < REMAINS; what++) {
		uint64_t found = atomic_load(&shared->remains[what]);

		if (found < least_of(what))
			fail(CHECK_REMAINS, "the dead left %s %llu times, not %llu",
				kinds[what].name, (unsigned long long)found,
				(unsigned long long)least_of(what));
		else
			tally(CHECK_REMAINS);
	}
}

void remains_print(void)
{
	say("the dead left");
	for (unsigned what = 0; what < REMAINS; what++)
		say("%15llu  %s", (unsigned long long)atomic_load(&shared->remains[what]),
			kinds[what].name);
}
