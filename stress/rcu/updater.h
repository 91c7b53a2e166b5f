/* updater.h -- a process that replaces an object until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef RCU_UPDATER_H
#define RCU_UPDATER_H

#include "stress/rcu/shared.h"

/* Runs in a fork child with an open heap, after the death of its predecessor. Returns what the process
 * ends with. */
int updater_main(struct sh_heap *heap, unsigned updater, uint64_t generation);

#endif
