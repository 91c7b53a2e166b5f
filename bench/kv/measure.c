/* measure.c -- counts, latencies, processor time, bytes on disk
 * SPDX-License-Identifier: BSD-3-Clause */
#include "measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- histograms ------------------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < HISTOGRAM_STEPS)
		return (unsigned)ns;
	power = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
	if (power + 1 >= HISTOGRAM_POWERS)
		return HISTOGRAM_BUCKETS - 1;
	/* The topmost bit is known from the power. */
	return (power + 1) * HISTOGRAM_STEPS + (unsigned)((ns >> power) - HISTOGRAM_STEPS);
}

/* The middle of the bucket. */
static double bucket_ns(unsigned bucket)
{
	unsigned step = bucket % HISTOGRAM_STEPS;
	unsigned power = bucket / HISTOGRAM_STEPS;

	if (power == 0)
		return step;
	return ldexp(HISTOGRAM_STEPS + step + 0.5, (int)power - 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->total++;
	histogram->buckets[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->total += from->total;
	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
		into->buckets[b] += from->buckets[b];
}

double histogram_quantile(const struct histogram *histogram, double part)
{
	double wanted = ceil(part * (double)histogram->total);
	uint64_t seen = 0;

	if (histogram->total == 0)
		return NAN;
	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
		seen += histogram->buckets[b];
		if ((double)seen >= wanted)
			return bucket_ns(b);
	}
	return bucket_ns(HISTOGRAM_BUCKETS - 1);
}

/* --- results ---------------------------------------------------------------------------------- */

static void latency_of(const struct tally *tallies, unsigned count, enum operation operation,
	double us[PERCENTILES])
{
	static const double parts[PERCENTILES] = { [P50] = 0.5, [P99] = 0.99, [P999] = 0.999 };
	struct histogram sum = { .total = 0 };

	for (unsigned t = 0; t < count; t++)
		histogram_merge(&sum, &tallies[t].latency[operation]);
	for (unsigned p = 0; p < PERCENTILES; p++)
		us[p] = histogram_quantile(&sum, parts[p]) / 1e3;
}

struct result result_of(const struct tally *tallies, unsigned count, uint64_t processor_ns)
{
	struct result result = { .disk_mib = NAN };
	uint64_t start = UINT64_MAX;
	uint64_t end = 0;
	uint64_t entries[OPERATIONS] = { 0 };

	for (unsigned t = 0; t < count; t++) {
		start = tallies[t].start_ns < start ? tallies[t].start_ns : start;
		end = tallies[t].end_ns > end ? tallies[t].end_ns : end;
		entries[WRITE] += tallies[t].entries[WRITE];
		entries[READ] += tallies[t].entries[READ];
	}
	for (unsigned o = 0; o < OPERATIONS; o++) {
		result.rate[o] =
			entries[o] == 0 ? NAN : (double)entries[o] / ((double)(end - start) / 1e6);
		latency_of(tallies, count, o, result.latency_us[o]);
	}
	result.cpu_us = (double)processor_ns / 1e3 / (double)(entries[WRITE] + entries[READ]);
	return result;
}

/* --- the process, the folder ------------------------------------------------------------------ */

static uint64_t time_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_usec * 1000;
}

uint64_t process_cpu_ns(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		die("getrusage: %s", strerror(errno));
	return time_ns(usage.ru_utime) + time_ns(usage.ru_stime);
}

uint64_t folder_bytes(const char *folder)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;
	struct stat status;
	uint64_t bytes = 0;

	if (directory == NULL)
		die("%s: %s", folder, strerror(errno));
	while ((entry = readdir(directory)) != NULL)
		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(status.st_mode))
			bytes += (uint64_t)status.st_blocks * 512;
	closedir(directory);
	return bytes;
}
