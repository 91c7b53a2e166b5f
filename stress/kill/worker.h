/* worker.h -- a process that works on the heap until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_WORKER_H
#define KILL_WORKER_H

#include "stress/kill/shared.h"

/* Runs in a fork child that inherited the open heap, and does not return. The worker's number and its
 * generation determine its decisions. */
__attribute__((noreturn)) void worker_main(struct sh_heap *heap, const char *path, unsigned worker,
	uint64_t generation);

#endif
