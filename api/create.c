/* create.c -- making a heap file
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE_TRIES 100
#define LEAST_BYTES (UINT64_C(64) << 20)
#define LEAST_DATA_CHUNKS 4u
/* Spans table and journal name pages by 32 bits. */
#define LIMIT_BYTES (PAGE_BYTES << 32)

int create_temporary(const char *path, unsigned mode, char **name, int *fd)
{
	for (int i = 0; i < CREATE_TRIES; i++) {
		uint64_t number;
		int error;

		superblock_random(&number, sizeof(number));
		if (asprintf(name, "%s.new.%06llx", path, (unsigned long long)(number & 0xffffff)) <
			0)
			return ENOMEM;
		*fd = open(*name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
		if (*fd >= 0)
			return 0;
		error = file_error();
		free(*name);
		if (error != EEXIST)
			return error;
	}
	return EEXIST;
}

/* Bytes up to where the first arena has room for a few chunks of data. */
static uint64_t least_bytes(uint64_t max_bytes, uint32_t thread_slots)
{
	uint64_t head = heap_header_bytes(max_bytes, thread_slots) + ZONE_BYTES;
	uint64_t chunks = (head + CHUNK_BYTES - 1) / CHUNK_BYTES + 1 + LEAST_DATA_CHUNKS;
	uint64_t least = chunks * CHUNK_BYTES;

	return PAGE_SHIFT >= 13 && least < LEAST_BYTES ? LEAST_BYTES : least;
}

static int check_options(const struct sh_options *options, uint64_t *max_bytes)
{
	uint64_t limit = LIMIT_BYTES < UINT64_C(1) << 46 ? LIMIT_BYTES : UINT64_C(1) << 45;

	/* One slot more of each: see recovery/recover.h, and attach_slots_left(). */
	if (options->max_threads >= TAG_SLOT_LIMIT || options->max_processes >= TAG_SLOT_LIMIT)
		return EINVAL;
	if (options->max_size > limit)
		return EINVAL;
	*max_bytes = (options->max_size + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;
	return options->max_size < least_bytes(*max_bytes, options->max_threads + 1) ? EINVAL : 0;
}

/* The empty heap: a header, clean, without an arena. */
static int write_header(int fd, const struct sh_options *options, uint64_t max_bytes)
{
	uint64_t bytes = heap_header_bytes(max_bytes, options->max_threads + 1);
	struct superblock superblock;
	char *base;
	int error = file_back(fd, 0, bytes);

	if (error == 0)
		error = file_map(fd, bytes, true, &base);
	if (error != 0)
		return error;
	superblock_init(&superblock, max_bytes, options->max_processes + 1,
		options->max_threads + 1);
	superblock_write(base, &superblock);
	file_unmap(base, bytes);
	return fsync(fd) == 0 ? 0 : errno;
}

static void sync_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd;

	if (directory == NULL)
		return;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	/* A directory that may be written but not read cannot be synced; the file is there. */
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* A symbolic link to a missing file: it exists, and cannot be opened. */
static bool leads_nowhere(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

int create_heap_file(const char *path, const struct sh_options *options)
{
	uint64_t max_bytes;
	char *name;
	int fd;
	int error = check_options(options, &max_bytes);

	if (error == 0)
		error = create_temporary(path, options->mode, &name, &fd);
	if (error != 0)
		return error;
	error = write_header(fd, options, max_bytes);
	/* Crash before: a temporary file that nobody opens. link, not rename: of two creators one
	 * must lose. */
	if (error == 0 && link(name, path) != 0)
		error = errno;
	if (error == EEXIST && leads_nowhere(path))
		error = ENOENT;
	unlink(name);
	close(fd);
	free(name);
	if (error == 0)
		sync_directory_of(path);
	return error;
}
