/* watchdog.h -- sees to it that everybody makes progress
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_WATCHDOG_H
#define KILL_WATCHDOG_H

#include <stdint.h>
#include <sys/types.h>

/* Watches until the supervisor ends, and complains when it or a worker hangs, or it ends badly. Returns
 * the longest time that a worker's thread made no progress. */
uint64_t watch(pid_t supervisor);

#endif
