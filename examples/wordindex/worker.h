/* worker.h -- a process that reads its share of the texts into the index
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORDINDEX_WORKER_H
#define WORDINDEX_WORKER_H

#include <stdint.h>

#include "process.h"

/* Works as worker `number` until `passes` passes over its share are done, from where the index
 * says that it stands. Writes a struct sh_reap_report to the standard output when its sh_open()
 * cleaned up after somebody. */
void worker_run(const struct job *job, unsigned number, uint64_t passes);

#endif
