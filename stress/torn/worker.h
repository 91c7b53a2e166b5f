/* worker.h -- something of everything that a process does with a heap
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_WORKER_H
#define TORN_WORKER_H

#include "stress/common/chance.h"

#include <spanheap.h>
#include <stdbool.h>

#define WORKER_BLOCKS 48u
#define WORKER_RUNS 6u

/* Of the heaps under test: small, so that images are written fast. */
#define HEAP_THREADS 16u
#define HEAP_PROCESSES 8u

/* Process. */
struct worker {
	struct sh_heap *heap;
	struct chance chance;
	sh_off block[WORKER_BLOCKS];
	sh_off run[WORKER_RUNS];
	size_t run_pages[WORKER_RUNS];
	struct sh_txn *txn; /* open from one turn to the next */
};

/* sh_open() as all of this program do it. */
int heap_open(const char *path, unsigned flags, struct sh_heap **heap);

bool worker_open(struct worker *worker, const char *path, bool create);

/* Some calls. At the end a transaction may be open. */
void worker_turn(struct worker *worker);
bool worker_close(struct worker *worker);

#endif
