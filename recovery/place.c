/* place.c -- where the control file of a heap is
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "recovery/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_SUFFIX "-shm"

void place_read(int fd, struct control_place *place)
{
	ssize_t got = pread(fd, place, sizeof(*place), (off_t)CONTROL_PLACE_OFFSET);

	if (got != (ssize_t)sizeof(*place) || place->directory[0] != '/' ||
		memchr(place->directory, '\0', sizeof(place->directory)) == NULL)
		place->directory[0] = '\0';
}

void place_write(char *base, const char *directory)
{
	struct control_place *place = (struct control_place *)(void *)(base + CONTROL_PLACE_OFFSET);

	memset(place, 0, sizeof(*place));
	memcpy(place->directory, directory, strlen(directory));
}

char *place_path(const char *directory, const char *heap_path, const uint64_t heap_id[2],
	uint64_t inode)
{
	char *path;
	int length = directory[0] == '\0'
		? asprintf(&path, "%s" CONTROL_SUFFIX, heap_path)
		: asprintf(&path,
			  "%s/spanheap-%016" PRIx64 "%016" PRIx64 "-%" PRIx64 CONTROL_SUFFIX,
			  directory, heap_id[0], heap_id[1], inode);

	return length < 0 ? NULL : path;
}
