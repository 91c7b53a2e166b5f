/* remains.c -- what dead processes leave in the middle of
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/remains.h"

#include "api/handle.h"
#include "heap/log.h"
#include "stress/kill/numbers.h"
#include "stress/kill/tally.h"

/* Stack. How often each is left. */
struct findings {
	uint64_t times[REMAINS];
};

/* How often each must have been left when 20,000 died inside operations; of fewer, in proportion. */
static const struct {
	uint64_t least;
	const char *name;
} kinds[REMAINS] = {
	[REMAINS_OPEN] = { 1000, "a log that is open" },
	[REMAINS_COMMITTED] = { 50, "one whose stores are made" },
	[REMAINS_FREEING] = { 50, "one whose blocks are freed" },
	[REMAINS_ABORTING] = { 50, "one whose ranges are put back" },
	[REMAINS_ROLLBACK] = { 50, "one whose new blocks are freed" },
	[REMAINS_APPLYING] = { 50, "a block that a log is freeing" },
	[REMAINS_ALLOC] = { 50, "pages on their way to a head bit" },
	[REMAINS_FREE] = { 20, "pages on their way from one" },
	[REMAINS_LOG_FREE] = { 0, "the same for a log" },
	[REMAINS_PAGE_LOCK] = { 50, "the page lock" },
	[REMAINS_GROWTH_LOCK] = { 50, "the growth lock" },
	[REMAINS_ROOT_LOCK] = { 5, "the root lock" },
	[REMAINS_DRAIN_LOCK] = { 50, "the drain lock" },
	[REMAINS_TOUCHING] = { 50, "a span that is being listed or noted" },
	[REMAINS_SEARCHING] = { 5, "a chunk whose class bit is being cleared" },
	[REMAINS_SECTION] = { 50, "a read section" },
	[REMAINS_REAPING] = { 10, "another dead one, being reaped" },
};

static uint64_t least_of(enum remains what)
{
	return in_proportion(kinds[what].least);
}

static bool lacks(enum remains what)
{
	return atomic_load(&shared->remains[what]) < least_of(what);
}

static bool is_behind(enum remains what)
{
	return atomic_load(&shared->remains[what]) < so_far(kinds[what].least);
}

/* --- of a slot ----------------------------------------------------------------------------- */

static void look_at_log(const struct slot_log *log, struct findings *findings)
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
		findings->times[of_state[state]]++;
	if (atomic_load(&log->applying) != 0)
		findings->times[REMAINS_APPLYING]++;
}

static void look_at_intents(const struct slot_log *log, struct findings *findings)
{
	uint64_t own = atomic_load(&log->intent[0]);

	if (run_operation(own) == RUN_ALLOC)
		findings->times[REMAINS_ALLOC]++;
	if (run_operation(own) == RUN_FREE)
		findings->times[REMAINS_FREE]++;
	if (atomic_load(&log->intent[1]) != 0)
		findings->times[REMAINS_LOG_FREE]++;
}

static void look_at_words(const struct heap *heap, uint32_t slot, struct findings *findings)
{
	const struct slot_words *words = heap_slot_words(heap, slot);

	if (atomic_load(&words->touching) != 0)
		findings->times[REMAINS_TOUCHING]++;
	if (atomic_load(&words->searching) != 0)
		findings->times[REMAINS_SEARCHING]++;
	if (rcu_is_reading(&heap->rcu, slot))
		findings->times[REMAINS_SECTION]++;
}

/* A lock word whose holder has this tag. */
static void look_at_lock(const _Atomic uint64_t *lock, uint64_t tag, uint64_t *times)
{
	if ((atomic_load(lock) & ~TAG_WAITERS) == tag)
		++*times;
}

static void look_at_locks(const struct heap *heap, uint64_t tag, struct findings *findings)
{
	const struct derived_header *derived = heap->derived;

	look_at_lock(&derived->page_lock, tag, &findings->times[REMAINS_PAGE_LOCK]);
	look_at_lock(&derived->growth_lock, tag, &findings->times[REMAINS_GROWTH_LOCK]);
	look_at_lock(&derived->root_lock, tag, &findings->times[REMAINS_ROOT_LOCK]);
	look_at_lock(&derived->drain.lock, tag, &findings->times[REMAINS_DRAIN_LOCK]);
}

static void look_at_slot(const struct heap *heap, uint32_t slot, uint64_t tag,
	struct findings *findings)
{
	look_at_log(&heap->logs[slot], findings);
	look_at_intents(&heap->logs[slot], findings);
	look_at_words(heap, slot, findings);
	look_at_locks(heap, tag, findings);
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

/* Whether a tag is that of a thread of the process. */
static bool is_of(const struct heap *heap, uint64_t tag, uint32_t process)
{
	const struct thread_slot *slot = &heap->thread_slot[tag_slot(tag)];

	return atomic_load(&slot->owner) == tag && atomic_load(&slot->process) == process;
}

/* The thread in the slot; 0: none, or it is just being claimed. */
static uint64_t owner_of(const struct heap *heap, uint32_t slot)
{
	uint64_t owner = atomic_load(&heap->thread_slot[slot].owner);

	return owner & THREAD_CLAIM ? 0 : owner;
}

/* The thread that reaps its last one; 0: none. */
static uint64_t reaper_of(const struct heap *heap, uint32_t slot)
{
	return atomic_load(&heap->thread_slot[slot].reaper) & ~TAG_WAITERS;
}

static struct findings look(const struct heap *heap, pid_t pid)
{
	struct findings findings = { .times = { 0 } };
	uint32_t process = find_process(heap, pid);

	for (uint32_t slot = 0; slot < heap_slot_high_water(heap); slot++) {
		uint64_t owner = owner_of(heap, slot);
		uint64_t reaper = reaper_of(heap, slot);

		if (reaper != 0 && is_of(heap, reaper, process))
			findings.times[REMAINS_REAPING]++;
		if (owner != 0 && atomic_load(&heap->thread_slot[slot].process) == process)
			look_at_slot(heap, slot, owner, &findings);
	}
	return findings;
}

void remains_count(const struct sh_heap *handle, pid_t pid)
{
	struct findings findings = look(&handle->heap, pid);

	for (unsigned what = 0; what < REMAINS; what++)
		atomic_fetch_add(&shared->remains[what], findings.times[what]);
}

static bool is_wanted(const struct findings *findings)
{
	for (unsigned what = 0; what < REMAINS; what++)
		if (findings->times[what] != 0 && is_behind(what))
			return true;
	return false;
}

/* The pid of the process whose thread has this tag; 0: of none that is there. */
static pid_t pid_of(const struct heap *heap, uint64_t tag)
{
	uint32_t process = atomic_load(&heap->thread_slot[tag_slot(tag)].process);

	return process < heap->process_slots ? (pid_t)atomic_load(&heap->process_slot[process].pid)
					     : 0;
}

pid_t remains_wanted(const struct sh_heap *handle)
{
	const struct heap *heap = &handle->heap;

	for (uint32_t slot = 0; slot < heap_slot_high_water(heap); slot++) {
		uint64_t owner = owner_of(heap, slot);
		uint64_t reaper = reaper_of(heap, slot);
		struct findings findings = { .times = { 0 } };

		if (reaper != 0 && is_behind(REMAINS_REAPING))
			return pid_of(heap, reaper);
		if (owner == 0)
			continue;
		look_at_slot(heap, slot, owner, &findings);
		if (is_wanted(&findings))
			return pid_of(heap, owner);
	}
	return 0;
}

/* --- results ------------------------------------------------------------------------------- */

bool remains_behind(void)
{
	for (unsigned what = 0; what < REMAINS; what++)
		if (is_behind(what))
			return true;
	return false;
}

bool remains_enough(void)
{
	for (unsigned what = 0; what < REMAINS; what++)
		if (lacks(what))
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
