/* reader.h -- a process that reads in sections until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef RCU_READER_H
#define RCU_READER_H

#include "stress/rcu/shared.h"

/* Runs in a fork child with an open heap: two threads, each with sections of its own and those of a
 * reader that no thread owns. Returns what the process ends with. */
int reader_main(struct sh_heap *heap, unsigned reader, uint64_t generation);

#endif
