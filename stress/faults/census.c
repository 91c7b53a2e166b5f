/* census.c -- what a process has: descriptors, mappings, memory
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/faults/census.h"

#include "stress/faults/call.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* Reserved: more than any stack guard. */
#define RESERVED_BYTES (1ul << 20)

static unsigned count_descriptors(void)
{
	DIR *entries = opendir("/proc/self/fd");
	unsigned count = 0;

	if (entries == NULL)
		return 0;
	while (readdir(entries) != NULL)
		count++;
	closedir(entries);
	return count;
}

/* A sanitizer reserves address space for itself all the time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEES_RESERVED false
#else
#define SEES_RESERVED true
#endif

static bool is_counted(const char *line, const char *folder)
{
	unsigned long start;
	unsigned long end;
	char rights[5];

	if (strstr(line, folder) != NULL)
		return true;
	return SEES_RESERVED && sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 &&
		strcmp(rights, "---p") == 0 && end - start >= RESERVED_BYTES &&
		strchr(line, '/') == NULL;
}

static unsigned count_mappings(const char *folder)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];
	unsigned count = 0;

	if (maps == NULL)
		return 0;
	while (fgets(line, sizeof(line), maps) != NULL)
		count += is_counted(line, folder);
	fclose(maps);
	return count;
}

void census_take(struct census *census, const char *folder)
{
	census->allocated = calls_allocated();
	census->descriptors = count_descriptors();
	census->mappings = count_mappings(folder);
}

bool census_leaks(const struct census *before, const struct census *after, char *text,
	size_t text_bytes)
{
	snprintf(text, text_bytes, "%+d descriptors, %+d mappings, %+ld blocks of memory",
		(int)after->descriptors - (int)before->descriptors,
		(int)after->mappings - (int)before->mappings, after->allocated - before->allocated);
	return after->descriptors != before->descriptors || after->mappings != before->mappings ||
		after->allocated != before->allocated;
}
