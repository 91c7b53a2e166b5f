/* end_copy.c -- the copy of a clean superblock behind everything that the heap holds
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/end_copy.h"

#include "recovery/superblock.h"
#include "shm/file.h"

#include <string.h>
#include <unistd.h>

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
	if (pwrite(fd, superblock, sizeof(*superblock), (off_t)superblock->end_copy) !=
		(ssize_t)sizeof(*superblock))
		return file_error();
	return 0;
}

bool end_copy_agrees(int fd, const struct superblock *superblock, uint64_t end)
{
	struct superblock copy;

	if (superblock->end_copy == 0)
		return true;
	return superblock->end_copy == end &&
		pread(fd, &copy, sizeof(copy), (off_t)end) == (ssize_t)sizeof(copy) &&
		superblock_same_writing(superblock, &copy);
}

int end_copy_cut(int fd, const struct superblock *superblock, uint64_t end, uint64_t bytes)
{
	uint64_t limit = superblock->end_copy == 0 ? end : end + END_BYTES;

	return bytes <= limit ? 0 : file_set_length(fd, limit);
}

int end_copy_wipe(int fd, uint64_t end)
{
	static const struct superblock zeros;
	struct superblock found = zeros;

	if (pread(fd, &found, sizeof(found), (off_t)end) <= 0 ||
		memcmp(&found, &zeros, sizeof(zeros)) == 0)
		return 0;
	return pwrite(fd, &zeros, sizeof(zeros), (off_t)end) == (ssize_t)sizeof(zeros)
		? 0
		: file_error();
}
