/* file.h -- files that processes share: identity, descriptor, backing, mapping
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The library keeps a descriptor of each of its files, to grow it and to ask for locks. The number
 * is not ours alone: after closefrom(3) it may be the application's log. So it is compared with the
 * file's identity before every use, and the file is opened again by its path when it differs. */
#ifndef SPANHEAP_FILE_H
#define SPANHEAP_FILE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define FILE_NONE (-1)

/* Process. Tells one file of the system from all others. */
struct file_identity {
	uint64_t device;
	uint64_t inode;
};

/* Process. A file and the descriptor through which the library uses it.
 *
 * fd: under `lock`; FILE_NONE when it must be opened again. The others are constant. */
struct shared_file {
	char *path; /* absolute */
	struct file_identity identity;
	int open_flags;
	int fd;
	pthread_mutex_t lock;
};

/* errno after a call that failed: not success, whatever it says. */
static inline int file_error(void)
{
	int error = errno;

	return error != 0 ? error : EIO;
}

static inline bool file_same(const struct file_identity *a, const struct file_identity *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* Identity and length of an open file; `bytes` may be NULL. 0; EISDIR; ENOTSUP when it is neither a
 * regular file nor a directory; other errors of fstat(2). */
int file_identify(int fd, struct file_identity *identity, uint64_t *bytes);

/* Opens `path` by a new description, close-on-exec. 0; ESTALE when it is another file than
 * `identity` (unless that is NULL); errors of open(2). */
int file_open(const char *path, int flags, const struct file_identity *identity, int *fd);

/* Moves a descriptor to a high number, out of the way of programs that count on low ones. */
int file_raise(int fd);

/* Whether the descriptor still is one of the file. */
bool file_is(int fd, const struct file_identity *identity);

/* Closes the descriptor if it still is one of the file. */
void file_close_if(int fd, const struct file_identity *identity);

/* Takes over `path` (from malloc) and `fd`. 0 or an errno, with nothing taken over. */
int shared_file_init(struct shared_file *file, char *path, int open_flags, int fd);
void shared_file_destroy(struct shared_file *file);

/* The descriptor, opened again if need be; a negative errno when the path leads elsewhere. */
int shared_file_use(struct shared_file *file);

/* Opens the file by a new description, which no other process shares: by its path, or, when that
 * leads elsewhere, through the descriptor that is still open. 0; EACCES when this process may not
 * open it any more; ESTALE; others of open(2). */
int shared_file_open(struct shared_file *file, int *fd);

/* Around fork: the child must not inherit a lock that another thread holds. */
void shared_file_lock(struct shared_file *file);
void shared_file_unlock(struct shared_file *file);

/* Asks a copy-on-write file system (btrfs) to write the blocks of a new, empty file in place: else a
 * store to a page that was backed long ago may find the disk full, which is a signal. */
void file_write_in_place(int fd);

/* Backs the pages of a range with disk blocks, and lengthens the file if need be. 0; ENOSPC, EFBIG (resource
 * limit; no signal is raised), ENOTSUP and others of fallocate(2). */
int shared_file_back(struct shared_file *file, uint64_t offset, uint64_t bytes);

/* The same for a file that is only open. */
int file_back(int fd, uint64_t offset, uint64_t bytes);

/* Makes a range of the file read as zeros and gives its disk blocks back; the length stays. 0; ENOTSUP
 * (the file system cannot) and others of fallocate(2). */
int shared_file_punch(struct shared_file *file, uint64_t offset, uint64_t bytes);

/* Sets the length of a file, without a signal at the file-size limit. 0 or an errno. */
int file_set_length(int fd, uint64_t bytes);

/* Reads and writes all of a range. 0; ENODATA when the file ends before; errors of pread(2), pwrite(2). */
int file_read(int fd, void *to, size_t bytes, uint64_t offset);
int file_write(int fd, const void *from, size_t bytes, uint64_t offset);

/* Maps the file from its start on, at a multiple of 2 MiB, so that the kernel may use huge pages.
 * The mapping may be longer than the file. 0 or an errno. */
int file_map(int fd, uint64_t bytes, bool writable, char **base);
/* For the mapping of a file that is new and full of holes: the kernel is not to read ahead there,
 * which fills memory with zeros, and made nine tenths of a recovery on ext4. */
void file_expect_holes(char *base, uint64_t bytes);
void file_unmap(char *base, uint64_t bytes);

#endif
