/* ambush.c -- waits until a process is where few would die by chance
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/ambush.h"

#include "stress/common/clock.h"
#include "stress/kill/deaths.h"
#include "stress/kill/remains.h"

#define PATIENCE_NS UINT64_C(20000000)

bool ambush_wanted(void)
{
	return deaths_behind() || remains_behind();
}

bool ambush(const struct sh_heap *heap, unsigned worker)
{
	pid_t pid = (pid_t)atomic_load(&shared->pids[worker]);
	uint64_t end = now_ns() + PATIENCE_NS;

	do {
		if (remains_wanted(heap, pid) || deaths_wanted(&shared->seats[worker]) ||
			deaths_wanted(&shared->seats[WORKERS + worker]))
			return true;
	} while (now_ns() < end);
	return false;
}
