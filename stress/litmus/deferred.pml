/* deferred.pml -- deferred frees and grace periods together, in weak memory
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One who defers, one who drains, a reader, and another who waits at the same time. One of:
 *	COPY     the reader uses what was unlinked and deferred. Bad: it was freed under him
 *	TWICE    the reader defers the same block, checks first, in a section. Bad: both frees are accepted
 *
 * One of these, defined, leaves a rule out:
 *	NO_BARRIER, NO_TAG_FENCE, EARLY_TAG, FENCES with NO_READER_FENCE: as in protocol.pml; the tag is early when
 *	                    it is taken before the copy of limbo
 *	FREED_FIRST         TWICE: freed is looked at before limbo
 *	NO_SECTION          TWICE: the check is in no section
 *	CLEARED_FIRST       TWICE: the drainer clears limbo before it sets freed
 *
 * With ALONE nobody else waits: most is seen without him, at a hundredth of the states. */
#define READER 0
#define DEFERRER 1
#define DRAINER 2
#define WAITER 3
#define THREADS 4

#define LINK 0
#define OBJECT 1
#define SECTION 2
#define BIT 3
#define BEGUN 4
#define FENCED 5
#define COMPLETED 6
#define LIMBO 7
#define FREED 8
#define PLACES 9
#define MESSAGES 6

#define FIRST_EPOCH 1

#include "weak_memory.pml"

#include "grace.pml"

bit accepted; /* the first free */

/* --- the reader ---------------------------------------------------------------------------- */

#ifdef COPY
inline read()
{
	load_acquire(READER, LINK, seen);
	if
	:: seen == 0 ->
		load_relaxed(READER, OBJECT, seen);
		assert(seen == 0)
	:: else
	fi
}
#else
inline read()
{
#ifdef FREED_FIRST
	load_acquire(READER, FREED, freed);
	load_acquire(READER, LIMBO, seen);
#else
	load_acquire(READER, LIMBO, seen);
	load_acquire(READER, FREED, freed);
#endif
	if
	:: seen == 0 && freed == 0 ->
		exchange(READER, LIMBO, 1, seen);
		/* One that is accepted before the other one's is not this one's fault. */
		seen = (seen == 0 && accepted -> 1 : 0);
		assert(seen == 0)
	:: else
	fi
}
#endif

proctype reader()
{
	byte seen;
	byte freed;

	set_bit(READER, BIT);
	fence(READER);
#ifndef NO_SECTION
	load_acquire(READER, FENCED, seen);
	store(READER, SECTION, seen);
#endif
#if defined(FENCES) && !defined(NO_READER_FENCE)
	fence(READER);
#endif
	read();
	store_release(READER, SECTION, 0)
}

/* --- the others ---------------------------------------------------------------------------- */

proctype deferrer()
{
	byte seen;

	store_release(DEFERRER, LINK, 1);
	atomic {
		exchange(DEFERRER, LIMBO, 1, seen);
		accepted = (seen == 0 -> 1 : 0)
	}
}

proctype drainer()
{
	byte tag;
	byte mine;
	byte seen;

#ifdef EARLY_TAG
	take_tag(DRAINER);
#endif
	load_acquire(DRAINER, LIMBO, seen);
	if
	:: seen == 1 ->
#ifndef EARLY_TAG
		take_tag(DRAINER);
#endif
		wait(DRAINER);
		store(DRAINER, OBJECT, 1);
#ifdef CLEARED_FIRST
		exchange(DRAINER, LIMBO, 0, seen);
		set_bit(DRAINER, FREED)
#else
		set_bit(DRAINER, FREED);
		exchange(DRAINER, LIMBO, 0, seen)
#endif
	:: else
	fi
}

init {
	atomic {
		VALUE(BEGUN, 0) = FIRST_EPOCH;
		VALUE(FENCED, 0) = FIRST_EPOCH;
		run reader();
		run deferrer();
#ifndef ALONE
		run waiter();
#endif
		run drainer()
	}
}
