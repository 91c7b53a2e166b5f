/* system.c -- futex and clock of the kernel
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shm/system.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

void system_futex_wait(void *context, const uint32_t *word, uint32_t expected, uint64_t limit_ns)
{
	struct timespec limit = {
		.tv_sec = (time_t)(limit_ns / NS_PER_S),
		.tv_nsec = (long)(limit_ns % NS_PER_S),
	};
	int saved = errno;

	(void)context;
	syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, NULL, 0);
	errno = saved;
}

void system_futex_wake(void *context, const uint32_t *word, int count)
{
	int saved = errno;

	(void)context;
	syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
	errno = saved;
}

uint64_t system_now_ns(void *context)
{
	struct timespec now;

	(void)context;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int membarrier(int command)
{
	int saved = errno;
	int error = syscall(SYS_membarrier, command, 0, 0) == 0 ? 0 : errno;

	errno = saved;
	return error;
}

int system_order_all(void *context)
{
	(void)context;
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

int system_order_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}
