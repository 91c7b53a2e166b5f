/* tso.pml -- memory as x86 has it: each thread's stores wait in a buffer, loads do not
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * No thread here loads what it has stored just before, so buffers need not be searched. */
#include "places.pml"

#define ROUNDS 2
#define BUFFER 4

byte memory[PLACES];
chan buffers[THREADS] = [BUFFER] of { byte, byte };

hidden byte place_out;
hidden byte value_out;

/* One store reaches memory. */
inline drain_one(thread)
{
	buffers[thread] ? place_out, value_out;
	memory[place_out] = value_out;
	printf("... and that of thread %d is in memory: %d in %d\n", thread, value_out, place_out);
	place_out = 0;
	value_out = 0
}

inline store(thread, place, value)
{
	atomic {
		buffers[thread] ! place, value;
		printf("thread %d stores %d in %d\n", thread, value, place)
	}
}

#define store_release store

inline load_relaxed(thread, place, into)
{
	d_step {
		into = memory[place];
		printf("thread %d loads %d from %d\n", thread, into, place)
	}
}

#define load_acquire load_relaxed

/* A fence ends when the buffer is empty; other threads go on meanwhile. */
inline fence(thread)
{
	d_step {
		empty(buffers[thread]);
		printf("thread %d: a fence\n", thread)
	}
}

inline set_bit(thread, place)
{
	atomic {
		empty(buffers[thread]);
		memory[place] = 1;
		printf("thread %d: the bit\n", thread)
	}
}

inline add_one(thread, place, into)
{
	atomic {
		empty(buffers[thread]);
		memory[place] = memory[place] + 1;
		into = memory[place];
		printf("thread %d adds 1 to %d: %d\n", thread, place, into)
	}
}

inline raise(thread, place, value)
{
	atomic {
		empty(buffers[thread]);
		if
		:: memory[place] < value ->
			memory[place] = value;
			printf("thread %d raises %d to %d\n", thread, place, value)
		:: else
		fi
	}
}

/* At some moment of the call all that the reader stored so far is in memory. */
inline order_reader(thread)
{
	d_step {
		empty(buffers[READER]);
		printf("thread %d: a fence for the reader\n", thread)
	}
}

#include "protocol.pml"

proctype drain(byte thread)
{
end:
	do
	:: d_step { nempty(buffers[thread]) -> drain_one(thread) }
	od
}

init {
	atomic {
		memory[EPOCH] = FIRST_EPOCH;
#ifdef COPY_FENCED
		memory[FENCED] = FIRST_EPOCH;
#endif
		run drain(READER);
		run drain(UPDATER);
		run drain(WAITER);
		run reader();
		run updater();
		run waiter()
	}
}
