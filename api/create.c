/* create.c -- making a heap file
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/end_copy.h"
#include "api/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE_TRIES 100
#define NEW_SUFFIX ".spanheap-new"
#define LEAST_BYTES (UINT64_C(64) << 20)
#define LEAST_DATA_CHUNKS 4u
/* Spans table and journal name pages by 32 bits. */
#define LIMIT_BYTES (PAGE_BYTES << 32)

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

	/* One slot more of each: see recovery/recover.h, and ticket_slots_left(). */
	if (options->max_threads >= TAG_SLOT_LIMIT || options->max_processes >= TAG_SLOT_LIMIT)
		return EINVAL;
	if (options->max_size > limit)
		return EINVAL;
	*max_bytes = (options->max_size + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;
	return options->max_size < least_bytes(*max_bytes, options->max_threads + 1) ? EINVAL : 0;
}

/* The empty heap: a header, clean, without an arena; and the end copy of the superblock. */
static int write_header(int fd, const struct sh_options *options, uint64_t max_bytes)
{
	uint64_t bytes = heap_header_bytes(max_bytes, options->max_threads + 1);
	struct superblock superblock;
	char *base;
	int error;

	file_write_in_place(fd);
	error = file_back(fd, 0, bytes);
	if (error == 0)
		error = file_map(fd, bytes, true, &base);
	if (error != 0)
		return error;
	superblock_init(&superblock, max_bytes, options->max_processes + 1,
		options->max_threads + 1);
	superblock.end_copy = end_copy_reserve(fd, bytes);
	superblock_seal(&superblock);
	error = end_copy_write(fd, &superblock);
	superblock_put(base, &superblock);
	file_unmap(base, bytes);
	if (error == 0)
		error = fsync(fd) == 0 ? 0 : file_error();
	return error;
}

/* --- the name ------------------------------------------------------------------------------ */

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static void sync_directory_of(const char *path)
{
	char *directory = directory_of(path);
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

static int error_of_link(const char *path)
{
	int error = file_error();

	return error == EEXIST && leads_nowhere(path) ? ENOENT : error;
}

/* link, not rename: of two creators one must lose. */
static int name_by_descriptor(int fd, const char *path)
{
	char name[64];

	if (linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0)
		return 0;
	/* What only some may do by the descriptor, all may do by its name. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (errno != EEXIST && linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return error_of_link(path);
}

/* --- a file that has no name until it is whole --------------------------------------------- */

/* Crash: nothing is left. ENOTSUP when the file system has no such files, or the system no way to
 * name them. */
static int create_unnamed(const char *path, const struct sh_options *options, uint64_t max_bytes)
{
	char *directory = directory_of(path);
	int error;
	int fd;

	if (directory == NULL)
		return ENOMEM;
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, (mode_t)options->mode);
	error = fd < 0 ? file_error() : 0;
	free(directory);
	/* EISDIR: a kernel that does not know the flag. */
	if (error == EISDIR || error == EINVAL)
		error = ENOTSUP;
	if (error != 0)
		return error;
	error = write_header(fd, options, max_bytes);
	if (error == 0) {
		error = name_by_descriptor(fd, path);
		if (error != 0 && error != EEXIST && !leads_nowhere(path))
			error = ENOTSUP;
	}
	close(fd);
	return error;
}

/* --- a file under another name until it is whole ------------------------------------------- */

/* Waits for the creator that the file belongs to; removes it if that one is dead. */
static int remove_left(const char *name)
{
	struct file_identity identity;
	int again;
	int fd;
	int error = file_open(name, O_RDWR | O_NOFOLLOW, NULL, &fd);

	if (error != 0)
		return error == ENOENT ? 0 : error;
	error = file_identify(fd, &identity, NULL);
	if (error == 0)
		error = byte_lock_wait(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OPENING);
	if (error == 0 && file_open(name, O_RDONLY | O_NOFOLLOW, &identity, &again) == 0) {
		close(again);
		if (unlink(name) != 0 && errno != ENOENT)
			error = file_error();
	}
	close(fd);
	return error;
}

/* Takes the opening lock of the new file. EAGAIN when somebody took it for a dead one's. */
static int hold_name(const char *name, int fd)
{
	struct file_identity identity;
	int again;
	int error = byte_lock_set(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OPENING);

	if (error == EBUSY)
		return EAGAIN;
	if (error == 0)
		error = file_identify(fd, &identity, NULL);
	if (error == 0) {
		error = file_open(name, O_RDONLY | O_NOFOLLOW, &identity, &again);
		if (error == ENOENT || error == ESTALE || error == ELOOP)
			return EAGAIN;
	}
	if (error == 0)
		close(again);
	else
		unlink(name);
	return error;
}

static int create_temporary(const char *name, unsigned mode, int *fd)
{
	int error = EAGAIN;

	for (int i = 0; i < CREATE_TRIES && error == EAGAIN; i++) {
		*fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
		if (*fd < 0) {
			error = file_error();
			if (error != EEXIST)
				return error;
			error = remove_left(name);
			if (error == 0)
				error = EAGAIN;
			continue;
		}
		error = hold_name(name, *fd);
		if (error != 0)
			close(*fd);
	}
	return error;
}

/* Crash: a file whose opening lock is free, which the next creator removes. */
static int create_named(const char *path, const struct sh_options *options, uint64_t max_bytes)
{
	char *name;
	int fd;
	int error;

	if (asprintf(&name, "%s" NEW_SUFFIX, path) < 0)
		return ENOMEM;
	error = create_temporary(name, options->mode, &fd);
	if (error == 0) {
		error = write_header(fd, options, max_bytes);
		if (error == 0 && link(name, path) != 0)
			error = error_of_link(path);
		unlink(name);
		close(fd);
	}
	free(name);
	return error;
}

int create_heap_file(const char *path, const struct sh_options *options)
{
	uint64_t max_bytes;
	int error = check_options(options, &max_bytes);

	if (error == 0)
		error = create_unnamed(path, options, max_bytes);
	if (error == ENOTSUP)
		error = create_named(path, options, max_bytes);
	if (error == 0)
		sync_directory_of(path);
	return error;
}
