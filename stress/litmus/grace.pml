/* grace.pml -- a grace period, as shm/rcu.h has it: begun, waited for
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Needs `mine` and `seen` and `tag` of the proctype that uses it. What may be left out: protocol.pml. */

inline begin(thread)
{
	add_one(thread, BEGUN, mine);
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
	add_nothing(thread, BEGUN, tag)
#else
	load_relaxed(thread, BEGUN, tag)
#endif
}

/* Another one, on whose grace period the first may rely. */
proctype waiter()
{
	byte tag;
	byte mine;
	byte seen;

	take_tag(WAITER);
	wait(WAITER)
}
