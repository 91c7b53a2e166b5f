/* file.c -- files that processes share: identity, descriptor, backing, mapping
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "shm/file.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RAISED_FD 512
#define EXTENTS 32u
#define MAP_ALIGN_BYTES (UINT64_C(2) << 20)

/* --- identity and descriptors -------------------------------------------------------------- */

int file_identify(int fd, struct file_identity *identity, uint64_t *bytes)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return file_error();
	if (S_ISDIR(status.st_mode))
		return EISDIR;
	if (!S_ISREG(status.st_mode))
		return ENOTSUP;
	identity->device = (uint64_t)status.st_dev;
	identity->inode = (uint64_t)status.st_ino;
	if (bytes != NULL)
		*bytes = (uint64_t)status.st_size;
	return 0;
}

int file_open(const char *path, int flags, const struct file_identity *identity, int *fd)
{
	struct file_identity found;
	int error;

	do
		/* NONBLOCK: a FIFO at the path must not stop us before it is refused. */
		*fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	while (*fd < 0 && errno == EINTR);
	if (*fd < 0)
		return file_error();
	error = file_identify(*fd, &found, NULL);
	if (error == 0 && identity != NULL && !file_same(&found, identity))
		error = ESTALE;
	if (error != 0) {
		close(*fd);
		*fd = FILE_NONE;
	}
	return error;
}

int file_raise(int fd)
{
	int raised = fcntl(fd, F_DUPFD_CLOEXEC, RAISED_FD);

	if (raised < 0)
		return fd;
	close(fd);
	return raised;
}

bool file_is(int fd, const struct file_identity *identity)
{
	struct file_identity found = { 0, 0 };

	return fd >= 0 && file_identify(fd, &found, NULL) == 0 && file_same(&found, identity);
}

void file_close_if(int fd, const struct file_identity *identity)
{
	if (file_is(fd, identity))
		close(fd);
}

int shared_file_init(struct shared_file *file, char *path, int open_flags, int fd)
{
	int error = file_identify(fd, &file->identity, NULL);

	if (error != 0)
		return error;
	file->path = path;
	file->open_flags = open_flags;
	file->fd = file_raise(fd);
	pthread_mutex_init(&file->lock, NULL);
	return 0;
}

void shared_file_destroy(struct shared_file *file)
{
	file_close_if(file->fd, &file->identity);
	file->fd = FILE_NONE;
	free(file->path);
	file->path = NULL;
	pthread_mutex_destroy(&file->lock);
}

int shared_file_use(struct shared_file *file)
{
	int result;

	pthread_mutex_lock(&file->lock);
	if (!file_is(file->fd, &file->identity)) {
		int error = file_open(file->path, file->open_flags, &file->identity, &file->fd);

		if (error == 0)
			file->fd = file_raise(file->fd);
		else
			file->fd = -error;
	}
	result = file->fd;
	pthread_mutex_unlock(&file->lock);
	return result;
}

/* By the name that the kernel gives to each open descriptor. */
static int open_by_descriptor(struct shared_file *file, int *fd)
{
	char name[64];
	int known = shared_file_use(file);

	if (known < 0)
		return -known;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", known);
	return file_open(name, file->open_flags & ~O_NOFOLLOW, &file->identity, fd);
}

int shared_file_open(struct shared_file *file, int *fd)
{
	int error = file_open(file->path, file->open_flags, &file->identity, fd);

	/* Renamed, deleted or replaced. */
	if (error != 0 && error != EACCES && open_by_descriptor(file, fd) == 0)
		return 0;
	return error;
}

void shared_file_lock(struct shared_file *file)
{
	pthread_mutex_lock(&file->lock);
}

void shared_file_unlock(struct shared_file *file)
{
	pthread_mutex_unlock(&file->lock);
}

/* --- backing ------------------------------------------------------------------------------- */

static bool is_pending(int signal_number)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, signal_number) == 1;
}

/* Takes a pending signal of the blocked set away. */
static void swallow(const sigset_t *set)
{
	struct timespec at_once = { 0, 0 };

	while (sigtimedwait(set, NULL, &at_once) < 0 && errno == EINTR)
		;
}

/* Stack. The file-size limit is an error code between begin and end, not the end of the process. */
struct limit_guard {
	sigset_t limit;
	sigset_t before;
	bool was_pending;
};

static void limit_begin(struct limit_guard *guard)
{
	sigemptyset(&guard->limit);
	sigaddset(&guard->limit, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &guard->limit, &guard->before);
	guard->was_pending = is_pending(SIGXFSZ);
}

static void limit_end(const struct limit_guard *guard, int error)
{
	if (error == EFBIG && !guard->was_pending && is_pending(SIGXFSZ))
		swallow(&guard->limit);
	pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* Whether the extents cover the range from *offset on without a hole; moves *offset to the end of what
 * they cover. A shared extent does not count: a store needs a new block. */
static bool covers(const struct fiemap *map, uint64_t *offset)
{
	for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
		const struct fiemap_extent *extent = &map->fm_extents[i];

		if (extent->fe_logical > *offset || (extent->fe_flags & FIEMAP_EXTENT_SHARED) != 0)
			return false;
		*offset = extent->fe_logical + extent->fe_length;
	}
	return map->fm_mapped_extents != 0;
}

/* Whether the range has its blocks already. XFS wants as many free ones to say so. */
static bool is_backed(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t room[(sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)) / 8];
	struct fiemap *map = (struct fiemap *)(void *)room;
	uint64_t end = offset + bytes;
	struct stat status;

	if (fstat(fd, &status) != 0 || (uint64_t)status.st_size < end)
		return false;
	while (offset < end) {
		*map = (struct fiemap){
			.fm_start = offset,
			.fm_length = end - offset,
			.fm_extent_count = EXTENTS,
		};
		if (ioctl(fd, FS_IOC_FIEMAP, map) != 0 || !covers(map, &offset))
			return false;
	}
	return true;
}

void file_write_in_place(int fd)
{
	struct statfs status;
	int flags;

	if (fstatfs(fd, &status) != 0 || status.f_type != BTRFS_SUPER_MAGIC ||
		ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		return;
	flags |= FS_NOCOW_FL;
	/* It goes without, as on a file system that was mounted so. */
	ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* fallocate(2) without a signal at the file-size limit. */
static int allocate(int fd, uint64_t offset, uint64_t bytes)
{
	struct limit_guard guard;
	int error;

	limit_begin(&guard);
	do
		error = fallocate(fd, 0, (off_t)offset, (off_t)bytes) == 0 ? 0 : file_error();
	while (error == EINTR);
	limit_end(&guard, error);
	return error;
}

int file_back(int fd, uint64_t offset, uint64_t bytes)
{
	/* A store needs all blocks of its page, and a file system's blocks may be smaller. */
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first = offset / page * page;
	uint64_t end = (offset + bytes + page - 1) / page * page;
	int error = allocate(fd, first, end - first);

	if ((error == ENOSPC || error == EDQUOT) && is_backed(fd, first, end - first))
		return 0;
	return error == ENOSYS ? ENOTSUP : error;
}

int file_set_length(int fd, uint64_t bytes)
{
	struct limit_guard guard;
	int error;

	limit_begin(&guard);
	do
		error = ftruncate(fd, (off_t)bytes) == 0 ? 0 : file_error();
	while (error == EINTR);
	limit_end(&guard, error);
	return error;
}

int shared_file_back(struct shared_file *file, uint64_t offset, uint64_t bytes)
{
	int fd = shared_file_use(file);

	return fd < 0 ? -fd : file_back(fd, offset, bytes);
}

int shared_file_punch(struct shared_file *file, uint64_t offset, uint64_t bytes)
{
	int fd = shared_file_use(file);
	int error;

	if (fd < 0)
		return -fd;
	do
		error = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)bytes) == 0
			? 0
			: file_error();
	while (error == EINTR);
	return error == ENOSYS || error == EOPNOTSUPP ? ENOTSUP : error;
}

/* --- reading and writing ------------------------------------------------------------------- */

int file_read(int fd, void *to, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));

		if (got == 0)
			return ENODATA;
		if (got < 0 && errno != EINTR)
			return file_error();
		if (got > 0)
			done += (size_t)got;
	}
	return 0;
}

int file_write(int fd, const void *from, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t put =
			pwrite(fd, (const char *)from + done, bytes - done, (off_t)(offset + done));

		if (put < 0 && errno != EINTR)
			return file_error();
		/* No progress is not to be waited for. */
		if (put == 0)
			return ENOSPC;
		if (put > 0)
			done += (size_t)put;
	}
	return 0;
}

/* --- mapping ------------------------------------------------------------------------------- */

/* Reserves address space of which one multiple of 2 MiB and `bytes` from there are kept. */
static int reserve(uint64_t bytes, char **base)
{
	uint64_t reserved = bytes + MAP_ALIGN_BYTES;
	char *start =
		mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before;

	*base = NULL;
	if (start == MAP_FAILED)
		return file_error();
	before = -(uintptr_t)start & (MAP_ALIGN_BYTES - 1);
	if (before != 0)
		munmap(start, before);
	munmap(start + before + bytes, MAP_ALIGN_BYTES - before);
	*base = start + before;
	return 0;
}

int file_map(int fd, uint64_t bytes, bool writable, char **base)
{
	int error = reserve(bytes, base);

	if (error != 0)
		return error;
	if (mmap(*base, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) == MAP_FAILED) {
		error = errno;
		munmap(*base, bytes);
		*base = NULL;
	}
	return error;
}

void file_expect_holes(char *base, uint64_t bytes)
{
	madvise(base, bytes, MADV_RANDOM);
}

void file_unmap(char *base, uint64_t bytes)
{
	munmap(base, bytes);
}
