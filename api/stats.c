/* stats.c -- what the heap holds and who uses it
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/stats.h"

#include "api/handle.h"
#include "api/read.h"
#include "api/reap.h"
#include "heap/parked.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int fill_file(struct shared_file *file, uint64_t *bytes, uint64_t *disk_bytes)
{
	int fd = shared_file_use(file);
	struct stat status;

	if (fd < 0)
		return -fd;
	if (fstat(fd, &status) != 0)
		return file_error();
	*bytes = (uint64_t)status.st_size;
	*disk_bytes = (uint64_t)status.st_blocks * 512;
	return 0;
}

static int fill_files(struct sh_heap *heap, struct sh_stats *stats)
{
	uint64_t address_space;
	int error = fill_file(&heap->heap_file, &stats->file_bytes, &stats->disk_bytes);

	if (error != 0 || !heap->in_run)
		return error;
	return fill_file(&heap->control_file, &address_space, &stats->control_disk_bytes);
}

static void count_processes(const struct heap *heap, struct sh_stats *stats)
{
	uint32_t high_water =
		atomic_load_explicit(&heap->header->process_high_water, memory_order_acquire);

	for (uint32_t i = 0; i < high_water; i++)
		if (atomic_load_explicit(&heap->process_slot[i].owner, memory_order_acquire) != 0)
			stats->processes++;
}

static void count_threads(const struct heap *heap, struct sh_stats *stats)
{
	uint32_t high_water = heap_slot_high_water(heap);

	for (uint32_t i = 0; i < high_water; i++) {
		const struct thread_slot *slot = &heap->thread_slot[i];
		uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);

		if (owner == 0)
			continue;
		if (owner & THREAD_CLAIM ||
			atomic_load_explicit(&slot->liveness_tag, memory_order_relaxed) == owner)
			stats->threads++;
		else
			stats->detached_slots++;
	}
}

static void fill_users(const struct heap *heap, struct sh_stats *stats)
{
	const struct recovery_record *recovery = &heap->derived->recovery;
	static const struct reap_counts nothing;
	struct reap_counts counts;

	static_assert(sizeof(counts) == sizeof(recovery->counts), "the record holds the counts");
	memcpy(&counts, recovery->counts, sizeof(counts));
	count_processes(heap, stats);
	count_threads(heap, stats);
	stats->parked_bytes = parked_count(heap) * PAGE_BYTES;
	stats->grace_periods = rcu_count(&heap->rcu);
	stats->recovered = recovery->recovered;
	stats->recovery_ns = recovery->nanoseconds;
	reap_report(&stats->recovery, &counts, &nothing);
}

int sh_stats(struct sh_heap *heap, struct sh_stats *stats)
{
	struct sh_stats all = SH_STATS_INIT;
	size_t bytes = stats->struct_bytes;
	struct thread_state *state;
	int error;

	if (bytes < sizeof(bytes))
		return EINVAL;
	error = read_begin_looking(heap, &state);
	if (error != 0)
		return error;
	error = fill_files(heap, &all);
	if (error == 0)
		stats_count(&heap->heap, read_looker(state), &all);
	read_end_looking(state);
	if (error != 0)
		return error;
	all.incarnation = heap->heap.incarnation;
	if (heap->in_run)
		fill_users(&heap->heap, &all);
	/* A caller of another version knows less of the structure, or more. */
	all.struct_bytes = bytes;
	if (bytes > sizeof(all))
		memset((char *)stats + sizeof(all), 0, bytes - sizeof(all));
	memcpy(stats, &all, bytes < sizeof(all) ? bytes : sizeof(all));
	return 0;
}
