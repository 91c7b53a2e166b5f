/* goals.h -- what our engine is meant to reach against the reference, and what it reaches
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_GOALS_H
#define SPANHEAP_BENCH_KV_GOALS_H

#include "plan.h"

/* Prints those goals whose runs were made; `open_ms` is NAN when it was not measured. */
void goals_report(const struct plan *plan, double open_ms);

#endif
