/* measure.h -- what a run is measured by: counts, latencies, processor time, bytes on disk
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_MEASURE_H
#define SPANHEAP_BENCH_KV_MEASURE_H

#include "common.h"

/* A histogram whose buckets are linear within each power of two: a figure from it is off by less than
 * two percent. Up to 2^40 ns, which is 18 minutes. */
#define HISTOGRAM_STEP_BITS 6u
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_POWERS 35u
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * HISTOGRAM_POWERS)

struct histogram {
	uint64_t total;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* What `part` of the values are not above, in nanoseconds; NAN when there are none. */
double histogram_quantile(const struct histogram *histogram, double part);

enum operation { WRITE, READ, OPERATIONS };

/* What one worker did. Shared mapping; on cache lines of its own. */
struct tally {
	_Alignas(128) uint64_t start_ns;
	uint64_t end_ns;
	uint64_t entries[OPERATIONS];
	struct histogram latency[OPERATIONS];
};

enum percentile { P50, P99, P999, PERCENTILES };

/* What a run came to. NAN: not measured, or nothing to measure. */
struct result {
	double rate[OPERATIONS]; /* thousands of entries in a second */
	double latency_us[OPERATIONS][PERCENTILES];
	double cpu_us; /* of all its processes, for an entry */
	double disk_mib;
};

struct result result_of(const struct tally *tallies, unsigned count, uint64_t processor_ns);

/* Processor time of this process up to now, user's and kernel's. */
uint64_t process_cpu_ns(void);

/* What the files of a folder take on the disk. */
uint64_t folder_bytes(const char *folder);

#endif
