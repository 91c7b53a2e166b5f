/* weak.pml -- grace periods in weak memory
 * SPDX-License-Identifier: BSD-3-Clause */
#include "places.pml"

#define ROUNDS 1
#define MESSAGES 6

#include "weak_memory.pml"

#include "protocol.pml"

init {
	atomic {
		VALUE(BEGUN, 0) = FIRST_EPOCH;
		VALUE(FENCED, 0) = FIRST_EPOCH;
		run reader();
		run updater();
		run waiter()
	}
}
