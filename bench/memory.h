/* memory.h -- what an allocator has taken from the system
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_MEMORY_H
#define SPANHEAP_BENCH_MEMORY_H

#include "subjects.h"

#include <sys/stat.h>

/* Resident memory of the process. */
static inline uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (file == NULL || fscanf(file, "%*s %llu", &pages) != 1)
		die("/proc/self/statm: %s", strerror(errno));
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What a file takes on the disk. */
static inline uint64_t disk_bytes(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		die("%s: %s", path, strerror(errno));
	return (uint64_t)status.st_blocks * 512;
}

/* Bytes on disk of both of spanheap's files; of the others, resident memory beyond `before`. */
static inline uint64_t subject_memory_bytes(const struct subject *subject, uint64_t before)
{
	char path[PATH_BYTES];
	char control[PATH_BYTES + 8];

	if (subject->kind != ALLOCATOR_SPANHEAP)
		return resident_bytes() - before;
	heap_path(subject->folder, path);
	snprintf(control, sizeof(control), "%s-shm", path);
	return disk_bytes(path) + disk_bytes(control);
}

#endif
