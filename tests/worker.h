/* worker.h -- a process that works on the heap until it is killed
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TESTS_WORKER_H
#define SPANHEAP_TESTS_WORKER_H

#include "tests/fixture.h"

#include <spanheap.h>
#include <stdint.h>
#include <sys/types.h>

/* Heap, at the beginning of the block "words". A mutex and two numbers that are equal outside of it:
 * what transactions under it change. */
struct account {
	struct sh_mutex mutex;
	uint64_t left;
	uint64_t right;
};

struct account *account_of(struct sh_heap *heap);

/* Starts a process that allocates, frees, and changes the account and the roots "r0" to "r3" in
 * transactions, in one thread or two, with another seed each time. The heap of the suite has its words
 * (files_new_words). */
pid_t worker_start(struct random *random);

#endif
