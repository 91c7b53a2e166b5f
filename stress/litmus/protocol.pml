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
 *	RELAXED_EPOCH       the reader's load of the epoch is no acquire
 *
 * Other ways to the same end:
 *	TAG_BY_ADDITION     the tag is what fetch_add(epoch, 0) returns
 *	COPY_FENCED         sections copy `fenced` instead of `epoch` */
#ifdef COPY_FENCED
#define COPIED FENCED
#else
#define COPIED EPOCH
#endif

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

/* --- grace periods ------------------------------------------------------------------------- */

inline begin(thread)
{
	add_one(thread, EPOCH, mine);
#ifndef NO_BEGIN_FENCE
	fence(thread);
#endif
	load_acquire(thread, BIT, seen);
	if
	:: seen != 0 ->
		fence(thread);
#if !defined(FENCES) && !defined(NO_BARRIER)
		order_reader(thread)
#endif
	:: else
	fi;
	raise(thread, FENCED, mine)
}

/* rcu_poll() until it is over. */
inline wait(thread)
{
	do
	:: load_acquire(thread, COMPLETED, seen);
		if
		:: seen > tag -> break
		:: else
		fi;
		load_acquire(thread, FENCED, mine);
		if
		:: mine <= tag -> begin(thread)
		:: else
		fi;
		load_acquire(thread, BIT, seen);
		if
		:: seen != 0 -> load_acquire(thread, SECTION, seen)
		:: else
		fi;
		if
		:: seen == 0 || seen >= mine ->
			raise(thread, COMPLETED, mine);
			break
		:: else
		fi
	od
}

inline take_tag(thread)
{
#ifndef NO_TAG_FENCE
	fence(thread);
#endif
#ifdef TAG_BY_ADDITION
	add_nothing(thread, EPOCH, tag)
#else
	load_relaxed(thread, EPOCH, tag)
#endif
}

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

proctype waiter()
{
	byte tag;
	byte mine;
	byte seen;

	take_tag(WAITER);
	wait(WAITER)
}
