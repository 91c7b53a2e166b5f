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

static unsigned worker_of(pid_t pid)
{
	unsigned worker = 0;

	while (worker < WORKERS && (pid == 0 || atomic_load(&shared->pids[worker]) != pid))
		worker++;
	return worker;
}

/* One whose seat is in a call in which too few died. */
static unsigned find_in_call(void)
{
	unsigned worker = 0;

	while (worker < WORKERS && !deaths_wanted(&shared->seats[worker]) &&
		!deaths_wanted(&shared->seats[WORKERS + worker]))
		worker++;
	return worker;
}

unsigned ambush(const struct sh_heap *heap)
{
	uint64_t end = now_ns() + PATIENCE_NS;
	unsigned worker;

	do {
		worker = worker_of(remains_wanted(heap));
		if (worker == WORKERS)
			worker = find_in_call();
	} while (worker == WORKERS && now_ns() < end);
	return worker;
}
