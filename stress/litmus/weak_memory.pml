/* weak_memory.pml -- memory in which a load may be stale until something says what its thread knows
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each place has a history of messages. A thread has a view: the oldest message of each place that it may
 * still load. Some messages tell of others: an acquire takes that over into the view.
 *
 * Without C11: as on ARMv8 and RISC-V there is one memory for all, and a load is stale because the processor
 * did it early. What is done after a fence is not stale; what is done after an acquire is not older than the
 * message that that loaded. membarrier(2) is a fence of the reader, at a moment that it does not choose.
 *
 * With C11: a thread knows no more than others tell it. A release tells what its thread knows, an addition
 * goes on with what the message before it told, and of two fences the later one knows what the earlier one
 * knew. seq_cst accesses are taken for acquire and release.
 *
 * Left out of both: loads that see what is stored after them, and stores that come early. A section begins with
 * an acquire and ends with a release, which rules them out.
 *
 * Who includes this defines THREADS, PLACES, MESSAGES (for each place), and READER, whom barriers act on. */

/* By thread and place; by place and message; by place, message and the place of which it tells. */
byte view[THREADS * PLACES];
byte common[PLACES]; /* what fences know */
byte last[PLACES];
byte value[PLACES * MESSAGES];
byte told[PLACES * MESSAGES * PLACES];

hidden byte at;
hidden byte q;

#define VIEW(thread, place) view[(thread) * PLACES + (place)]
#define VALUE(place, message) value[(place) * MESSAGES + (message)]
#define TOLD(place, message, of) told[((place) * MESSAGES + (message)) * PLACES + (of)]

inline load_relaxed(thread, place, into)
{
	atomic {
		at = VIEW(thread, place);
		do
		:: at < last[place] -> at++
		:: break
		od;
		VIEW(thread, place) = at;
		into = VALUE(place, at);
		printf("thread %d loads %d from %d, message %d of %d\n", thread, into, place,
			at, last[place]);
		at = 0
	}
}

/* From here on the thread knows what the message tells. */
inline learn(thread, place, message)
{
	q = 0;
	do
	:: q < PLACES ->
		if
		:: TOLD(place, message, q) > VIEW(thread, q) ->
			VIEW(thread, q) = TOLD(place, message, q)
		:: else
		fi;
		q++
	:: else -> break
	od;
	q = 0
}

inline load_acquire(thread, place, into)
{
	atomic {
		at = VIEW(thread, place);
		do
		:: at < last[place] -> at++
		:: break
		od;
		VIEW(thread, place) = at;
		into = VALUE(place, at);
		printf("thread %d loads %d from %d, message %d of %d\n", thread, into, place,
			at, last[place]);
		learn(thread, place, at);
		at = 0
	}
}

inline append(thread, place, what)
{
	assert(last[place] + 1 < MESSAGES);
	last[place]++;
	VALUE(place, last[place]) = what;
	VIEW(thread, place) = last[place];
	printf("thread %d stores %d in %d\n", thread, what, place)
}

#ifdef C11
#define KNOWN(thread, place) VIEW(thread, place)
#else
#define KNOWN(thread, place) last[place]
#endif

/* What the newest message tells. */
inline tell(thread, place)
{
	q = 0;
	do
	:: q < PLACES ->
		TOLD(place, last[place], q) = KNOWN(thread, q);
		q++
	:: else -> break
	od;
	q = 0
}

inline store(thread, place, what)
{
	d_step {
		append(thread, place, what)
#ifndef C11
		;
		tell(thread, place)
#endif
	}
}

inline store_release(thread, place, what)
{
	d_step {
		append(thread, place, what);
		tell(thread, place)
	}
}

/* Stores `what`; what was there before goes into `before`. */
inline exchange(thread, place, what, before)
{
	d_step {
		learn(thread, place, last[place]);
		before = VALUE(place, last[place]);
		append(thread, place, what);
		tell(thread, place)
	}
}

inline set_bit(thread, place)
{
	d_step {
		learn(thread, place, last[place]);
		append(thread, place, 1);
		tell(thread, place)
	}
}

inline add_one(thread, place, into)
{
	d_step {
		learn(thread, place, last[place]);
		into = VALUE(place, last[place]) + 1;
		append(thread, place, into);
		tell(thread, place)
	}
}

/* What fetch_add(place, 0) is. */
inline add_nothing(thread, place, into)
{
	d_step {
		learn(thread, place, last[place]);
		into = VALUE(place, last[place]);
		append(thread, place, into);
		tell(thread, place)
	}
}

inline raise(thread, place, what)
{
	d_step {
		if
		:: VALUE(place, last[place]) < what ->
			learn(thread, place, last[place]);
			append(thread, place, what);
			tell(thread, place)
		:: else ->
			/* It saw one that is as high. */
			do
			:: VALUE(place, VIEW(thread, place)) < what ->
				VIEW(thread, place) = VIEW(thread, place) + 1
			:: else -> break
			od
		fi
	}
}

#ifdef C11
#define KNOW(thread, place) \
	if \
	:: VIEW(thread, place) > common[place] -> common[place] = VIEW(thread, place) \
	:: else -> VIEW(thread, place) = common[place] \
	fi
#else
#define KNOW(thread, place) VIEW(thread, place) = last[place]
#endif

inline join(thread)
{
	q = 0;
	do
	:: q < PLACES ->
		KNOW(thread, q);
		q++
	:: else -> break
	od;
	q = 0
}

inline fence(thread)
{
	d_step {
		join(thread);
		printf("thread %d: a fence\n", thread)
	}
}

inline order_reader(thread)
{
	d_step {
		join(thread);
		join(READER);
		join(thread);
		printf("thread %d: a fence for the reader\n", thread)
	}
}
