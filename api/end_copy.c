/* end_copy.c -- the copy of a clean superblock behind everything that the heap holds
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/end_copy.h"

#include "recovery/superblock.h"
#include "shm/file.h"

#include <errno.h>
#include <string.h>

/* A chunk begins there some day, so it ends with a page of the machine. */
#define END_BYTES 4096u

uint64_t end_copy_reserve(int fd, uint64_t end)
{
	return file_back(fd, end, END_BYTES) == 0 ? end : 0;
}

int end_copy_write(int fd, const struct superblock *superblock)
{
	if (superblock->end_copy == 0)
		return 0;
	return file_write(fd, superblock, sizeof(*superblock), superblock->end_copy);
}

int end_copy_agrees(int fd, const struct superblock *superblock, uint64_t end, bool *agrees)
{
	struct superblock copy;
	int error;

	*agrees = superblock->end_copy == 0;
	if (superblock->end_copy != end)
		return 0;
	error = file_read(fd, &copy, sizeof(copy), end);
	*agrees = error == 0 && superblock_same_writing(superblock, &copy);
	return error == ENODATA ? 0 : error;
}

int end_copy_cut(int fd, const struct superblock *superblock, uint64_t end, uint64_t bytes)
{
	uint64_t limit = superblock->end_copy == 0 ? end : end + END_BYTES;

	return bytes <= limit ? 0 : file_set_length(fd, limit);
}

int end_copy_wipe(int fd, uint64_t end)
{
	static const struct superblock zeros;
	struct superblock found;
	int error = file_read(fd, &found, sizeof(found), end);

	if (error != 0)
		return error == ENODATA ? 0 : error;
	return memcmp(&found, &zeros, sizeof(zeros)) == 0
		? 0
		: file_write(fd, &zeros, sizeof(zeros), end);
}
