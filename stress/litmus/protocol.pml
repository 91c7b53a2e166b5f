/* protocol.pml -- grace periods (shm/rcu.h) as two models run them: who does what in which order
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A memory model defines what load, store, add and raise do (tso.pml, weak.pml). Here are one reader,
 * an updater who unlinks an object, waits and spoils it, and another who waits at the same time and
 * whose grace period the first may rely on.
 *
 * One of these, defined, leaves a rule out:
 *	NO_BARRIER          order_all() does not act on the reader
 *	NO_READER_FENCE     with FENCES: the reader has none
 *	EARLY_TAG           the tag is loaded before the unlink
 *	NO_TAG_FENCE        no fence between the unlink and the tag
 *	NO_ENROLMENT_FENCE  the reader's bit is stored as anything else
 *	NO_BEGIN_FENCE      no fence between the increment and the look at the bits
 *	RELAXED_EPOCH       the reader's load of `fenced` is no acquire
 *
 *	COPY_BEGUN          sections copy `begun` instead of `fenced`: wrong in C11 only, but for
 *	TAG_BY_ADDITION     the tag is what fetch_add(begun, 0) returns */
#ifdef COPY_BEGUN
#define COPIED BEGUN
#else
#define COPIED FENCED
#endif

#include "grace.pml"

/* --- the reader ---------------------------------------------------------------------------- */

proctype reader()
{
	byte seen;
	byte round;

#ifdef NO_ENROLMENT_FENCE
	store(READER, BIT, 1);
#else
	set_bit(READER, BIT);
	fence(READER);
#endif
	do
	:: round < ROUNDS ->
#ifdef RELAXED_EPOCH
		load_relaxed(READER, COPIED, seen);
#else
		load_acquire(READER, COPIED, seen);
#endif
		store(READER, SECTION, seen);
#if defined(FENCES) && !defined(NO_READER_FENCE)
		fence(READER);
#endif
		load_acquire(READER, LINK, seen);
		if
		:: seen == 0 ->
			/* Once more, as long as the section lasts. */
			load_relaxed(READER, OBJECT, seen);
			assert(seen == 0)
		:: else
		fi;
		store_release(READER, SECTION, 0);
		seen = 0;
		round++
	:: else -> break
	od
}

/* --- the others ---------------------------------------------------------------------------- */

proctype updater()
{
	byte tag;
	byte mine;
	byte seen;

#ifdef EARLY_TAG
	take_tag(UPDATER);
#endif
	store_release(UPDATER, LINK, 1);
#ifndef EARLY_TAG
	take_tag(UPDATER);
#endif
	wait(UPDATER);
	store(UPDATER, OBJECT, 1)
}
