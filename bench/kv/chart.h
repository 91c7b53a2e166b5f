/* chart.h -- figures of several engines side by side, as an SVG picture
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_CHART_H
#define SPANHEAP_BENCH_KV_CHART_H

#include "plan.h"

/* Draws PREFIX-SET-ENTRIESxBYTES.svg for each set of workloads that was measured: throughput on a
 * logarithmic scale. */
void charts_draw(const struct plan *plan, const char *prefix);

#endif
