/* crew.h -- workers that are started together and measured together
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each worker is a fresh process that opens the store for itself; threads of one fresh process where
 * the engine allows one process only. They count in a mapping that they share. */
#ifndef SPANHEAP_BENCH_KV_CREW_H
#define SPANHEAP_BENCH_KV_CREW_H

#include "subject.h"
#include "workload.h"

#define WORKERS_MAX 16u

/* The store's size in a task. */
struct extent task_extent(const struct task *task);

/* Makes an empty store, in a process of its own. */
void store_make(const struct subject *subject, const struct extent *extent);

/* Runs a task. Bytes on disk are those after all workers have closed the store. */
struct result crew_run(const struct subject *subject, const struct task *task);

#endif
