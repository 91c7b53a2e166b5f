/* place.c -- where the control file of a heap is
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "recovery/place.h"

#include "shm/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONTROL_SUFFIX "-shm"

int place_read(int fd, struct control_place *place)
{
	int error = file_read(fd, place, sizeof(*place), CONTROL_PLACE_OFFSET);

	if (error != 0 || place->directory[0] != '/' ||
		memchr(place->directory, '\0', sizeof(place->directory)) == NULL)
		place->directory[0] = '\0';
	return error == ENODATA ? 0 : error;
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
