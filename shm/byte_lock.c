/* byte_lock.c -- byte locks that the kernel lets go of when the process is dead
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "shm/byte_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIN_BYTES 4096u

static struct flock range(enum byte_lock_type type, uint64_t byte)
{
	return (struct flock){
		.l_type = type == BYTE_LOCK_SHARED ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)byte,
		.l_len = 1,
	};
}

static int error_of_lock(int error)
{
	switch (error) {
	case EAGAIN:
	case EACCES:
		return EBUSY;
	case EINVAL:
	case ENOSYS:
	case ENOLCK: /* a network file system whose server has no locks */
		return ENOTSUP;
	default:
		return error;
	}
}

int byte_lock_set(int fd, enum byte_lock_type type, uint64_t byte)
{
	struct flock lock = range(type, byte);

	return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : error_of_lock(errno);
}

int byte_lock_wait(int fd, enum byte_lock_type type, uint64_t byte)
{
	struct flock lock = range(type, byte);

	while (fcntl(fd, F_OFD_SETLKW, &lock) != 0)
		if (errno != EINTR)
			return error_of_lock(errno);
	return 0;
}

void byte_lock_clear(int fd, uint64_t byte)
{
	struct flock lock = range(BYTE_LOCK_EXCLUSIVE, byte);

	lock.l_type = F_UNLCK;
	fcntl(fd, F_OFD_SETLK, &lock);
}

int byte_lock_test_range(int fd, uint64_t byte, uint64_t count, bool *held)
{
	struct flock lock = range(BYTE_LOCK_EXCLUSIVE, byte);

	lock.l_len = (off_t)count;
	if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
		return error_of_lock(errno);
	*held = lock.l_type != F_UNLCK;
	return 0;
}

int byte_lock_test(int fd, uint64_t byte, bool *held)
{
	return byte_lock_test_range(fd, byte, 1, held);
}

static int pin(struct lock_holder *holder, int fd)
{
	holder->pin = mmap(NULL, PIN_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	holder->fd = FILE_NONE;
	if (holder->pin == MAP_FAILED) {
		holder->pin = NULL;
		return file_error();
	}
	/* A child that inherited it would keep the dead parent alive. */
	if (madvise(holder->pin, PIN_BYTES, MADV_DONTFORK) != 0) {
		int error = file_error();

		munmap(holder->pin, PIN_BYTES);
		holder->pin = NULL;
		return error;
	}
	return 0;
}

int lock_holder_keep(struct lock_holder *holder, int fd, bool pins)
{
	int error = file_identify(fd, &holder->identity, NULL);

	holder->pin = NULL;
	holder->keeper = NULL;
	holder->fd = FILE_NONE;
	if (error == 0 && !pins) {
		holder->keeper = keeper_start(fd);
		if (holder->keeper == NULL)
			holder->fd = file_raise(fd);
		return 0;
	}
	if (error == 0)
		error = pin(holder, fd);
	close(fd);
	return error;
}

void lock_holder_drop(struct lock_holder *holder)
{
	if (holder->pin != NULL)
		munmap(holder->pin, PIN_BYTES);
	else if (holder->keeper != NULL)
		keeper_stop(holder->keeper);
	else
		file_close_if(holder->fd, &holder->identity);
	holder->pin = NULL;
	holder->keeper = NULL;
	holder->fd = FILE_NONE;
}

void lock_holder_forget(struct lock_holder *holder)
{
	/* The mapping was not inherited; its addresses may be anything here. Nor was the thread. */
	holder->pin = NULL;
	if (holder->keeper != NULL)
		keeper_forget(holder->keeper);
	holder->keeper = NULL;
	file_close_if(holder->fd, &holder->identity);
	holder->fd = FILE_NONE;
}

/* Locks the probe byte, pins, closes; leaves the holder to be looked at. */
static int hold_probe(const char *path, const struct file_identity *identity,
	struct lock_holder *holder)
{
	int fd;
	int error = file_open(path, O_RDWR, identity, &fd);

	if (error != 0)
		return error;
	/* The last one to probe may be dead, and its mappings on their way out still. */
	error = byte_lock_wait(fd, BYTE_LOCK_EXCLUSIVE, BYTE_PROBE);
	if (error != 0) {
		close(fd);
		return error;
	}
	return lock_holder_keep(holder, fd, true);
}

int lock_holder_probe(const char *path, const struct file_identity *identity, bool *pins)
{
	struct lock_holder holder;
	int fd;
	int error = file_open(path, O_RDWR, identity, &fd);

	if (error != 0)
		return error;
	error = hold_probe(path, identity, &holder);
	if (error == 0) {
		error = byte_lock_test(fd, BYTE_PROBE, pins);
		lock_holder_drop(&holder);
	}
	close(fd);
	return error;
}
