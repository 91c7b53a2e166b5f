/* limbo.pml -- bits of a span that several threads look at in an order, in weak memory
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What deferred frees need besides grace periods (heap/deferred.c, heap/span.c). One of:
 *	NOTE       a limbo bit is set while another clears the span's note. Bad: a bit without a note
 *	LISTING    blocks are freed while the owner lets the span go. Bad: free blocks, unowned, not listed
 *	COLLECT    the owner collects while a bit is moved from limbo to freed. Bad: collected, in limbo still
 *	HAZARD     the same, and a log sets the bit once more, because a thread died. Bad: collected, and then set
 *
 * One of these, defined, leaves a rule out:
 *	NO_ORDER            NOTE, LISTING: the load behind the read-modify-write or store is no more than an acquire
 *	EARLY_LOOK          NOTE: limbo is looked at before the note is cleared
 *	RELAXED_FREED       COLLECT: the load of freed is no acquire
 *	LIMBO_FIRST         COLLECT, HAZARD: limbo is loaded before freed, or before the hazard
 *	RELAXED_HAZARD      HAZARD: the load of the hazard is no acquire
 *	NO_HAZARD           HAZARD: the log names nothing */
#define DEFERRER 0
#define DRAINER 1
#define OWNER 2
#define THREADS 3
#define READER DEFERRER /* no barrier is used here */

#define LIMBO 0
#define FREED 1
#define NOTED 2
#define UNOWNED 3
#define LISTED 4
#define HAZARDOUS 5
#define PLACES 6
#define MESSAGES 5

#include "weak_memory.pml"

byte done;
bit collected;

#define NEWEST(place) VALUE(place, last[place])

/* Of a seq_cst load behind a seq_cst store: between the two, wherever compilers put it, stands a fence. */
inline load_seq_cst(thread, place, into)
{
#ifndef NO_ORDER
	fence(thread);
#endif
	load_acquire(thread, place, into)
}

inline verdict(bad)
{
	done == THREADS;
	seen = (bad -> 1 : 0);
	assert(seen == 0)
}

/* --- notes --------------------------------------------------------------------------------- */

#ifdef NOTE
proctype deferrer()
{
	byte seen;

	set_bit(DEFERRER, LIMBO);
	load_seq_cst(DEFERRER, NOTED, seen);
	if
	:: seen == 0 -> set_bit(DEFERRER, NOTED)
	:: else
	fi;
	done++
}

/* It found nothing in limbo. */
proctype drainer()
{
	byte seen;

#ifdef EARLY_LOOK
	load_seq_cst(DRAINER, LIMBO, seen);
	exchange(DRAINER, NOTED, 0, at);
	at = 0;
#else
	exchange(DRAINER, NOTED, 0, seen);
	load_seq_cst(DRAINER, LIMBO, seen);
#endif
	if
	:: seen != 0 -> set_bit(DRAINER, NOTED)
	:: else
	fi;
	done++
}

proctype owner()
{
	byte seen;

	done++;
	verdict(NEWEST(LIMBO) == 1 && NEWEST(NOTED) == 0)
}
#endif

/* --- listing ------------------------------------------------------------------------------- */

#ifdef LISTING
proctype deferrer()
{
	done++
}

proctype drainer()
{
	byte seen;

	set_bit(DRAINER, FREED);
	load_seq_cst(DRAINER, UNOWNED, seen);
	if
	:: seen == 1 -> store(DRAINER, LISTED, 1)
	:: else
	fi;
	done++
}

proctype owner()
{
	byte seen;

	store_release(OWNER, UNOWNED, 1);
	load_seq_cst(OWNER, FREED, seen);
	if
	:: seen == 1 -> store(OWNER, LISTED, 1)
	:: else
	fi;
	done++;
	verdict(NEWEST(FREED) == 1 && NEWEST(LISTED) == 0)
}
#endif

/* --- collecting ---------------------------------------------------------------------------- */

#if defined(COLLECT) || defined(HAZARD)
proctype deferrer()
{
#ifdef HAZARD
#ifndef NO_HAZARD
	store_release(DEFERRER, HAZARDOUS, 1);
#endif
	set_bit(DEFERRER, LIMBO);
	/* A death, and the log is carried out again, by one who knows what the dead knew. */
	set_bit(DEFERRER, LIMBO);
	store_release(DEFERRER, HAZARDOUS, 0);
#else
	set_bit(DEFERRER, LIMBO);
#endif
	done++
}

/* That the grace period is over is no part of this. */
proctype drainer()
{
	byte seen;

	load_acquire(DRAINER, LIMBO, seen);
	if
	:: seen == 1 ->
		set_bit(DRAINER, FREED);
		exchange(DRAINER, LIMBO, 0, seen)
	:: else
	fi;
	done++
}

inline load_freed()
{
#ifdef RELAXED_FREED
	load_relaxed(OWNER, FREED, freed)
#else
	load_acquire(OWNER, FREED, freed)
#endif
}

inline load_hazard()
{
#ifdef RELAXED_HAZARD
	load_relaxed(OWNER, HAZARDOUS, hazard)
#else
	load_acquire(OWNER, HAZARDOUS, hazard)
#endif
}

proctype owner()
{
	byte freed;
	byte hazard;
	byte limbo;
	byte seen;

#ifdef LIMBO_FIRST
#ifdef HAZARD
	load_freed();
	load_acquire(OWNER, LIMBO, limbo);
	load_hazard();
#else
	load_acquire(OWNER, LIMBO, limbo);
	load_freed();
	load_hazard();
#endif
#else
	load_freed();
	load_hazard();
	load_acquire(OWNER, LIMBO, limbo);
#endif
	collected = freed == 1 && hazard == 0 && limbo == 0;
#ifdef COLLECT
	/* Right now: who is given the block may defer it again. */
	seen = (collected && NEWEST(LIMBO) == 1 -> 1 : 0);
	assert(seen == 0);
#endif
	done++;
	verdict(collected && NEWEST(LIMBO) == 1)
}
#endif

init {
	atomic {
		VALUE(NOTED, 0) = 1;
		run deferrer();
		run drainer();
		run owner()
	}
}
