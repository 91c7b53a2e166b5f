/* report.h -- what the runs came to, as tables
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_REPORT_H
#define SPANHEAP_BENCH_KV_REPORT_H

#include "plan.h"

/* Which engines there are and what each promises at which crash. */
void report_promises(const struct subjects *subjects);

/* A table for each of the runs `first` to `end - 1`. */
void report_runs(const struct plan *plan, unsigned first, unsigned end);

#endif
