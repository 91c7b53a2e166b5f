/* call.c -- the calls that the library makes of the C library and the kernel, and how they fail
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/faults/call.h"

#include "shm/byte_lock.h"
#include "stress/common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

const struct call_kind calls[CALLS] = {
	[CALL_OPEN] = { "open", NULL, { EMFILE, EIO, EACCES, EINTR }, EINTR },
	[CALL_CREATE] = { "create", NULL, { ENOSPC, EMFILE, EINTR }, EINTR },
	[CALL_CLOSE] = { "close", NULL, { EIO }, 0 },
	[CALL_READ] = { "read", NULL, { EIO }, 0 },
	[CALL_LOCK] = { "lock", NULL, { ENOLCK, EAGAIN }, EAGAIN },
	[CALL_LOCK_SHARED] = { "lock-shared", NULL, { ENOLCK, EINVAL }, 0 },
	[CALL_LOCK_WAIT] = { "lock-wait", NULL, { ENOLCK, EINTR, EINVAL }, EINTR },
	[CALL_LOCK_TEST] = { "lock-test", NULL, { ENOLCK, EINVAL }, 0 },
	[CALL_UNLOCK] = { "unlock", "after a race for a process slot that is lost", { ENOLCK }, 0 },
	[CALL_DUPLICATE] = { "duplicate", NULL, { EMFILE }, 0 },
	[CALL_FSTAT] = { "fstat", NULL, { EIO }, 0 },
	[CALL_STAT] = { "stat", NULL, { EACCES }, 0 },
	[CALL_LSTAT] = { "lstat", "for a link that leads nowhere", { EACCES }, 0 },
	[CALL_ACCESS] = { "access", NULL, { EACCES }, 0 },
	[CALL_REALPATH] = { "realpath", NULL, { ENOMEM, EACCES }, 0 },
	[CALL_FSTATFS] = { "fstatfs", NULL, { EIO }, 0 },
	[CALL_IOCTL] = { "ioctl", NULL, { ENOTTY }, 0 },
	[CALL_LSEEK] = { "lseek", NULL, { EINVAL }, 0 },
	[CALL_PREAD] = { "pread", NULL, { EIO, EINTR }, EINTR },
	[CALL_PWRITE] = { "pwrite", NULL, { ENOSPC, EIO, EINTR }, EINTR },
	[CALL_FALLOCATE] = { "fallocate", NULL, { ENOSPC, EIO, EINTR, EOPNOTSUPP }, EINTR },
	[CALL_PUNCH] = { "punch",
		"of runs longer than an arena, given back after a death or a full disk",
		{ EOPNOTSUPP, EIO, EINTR }, EINTR },
	[CALL_FTRUNCATE] = { "ftruncate", NULL, { EFBIG, EIO, EINTR }, EINTR },
	[CALL_FSYNC] = { "fsync", NULL, { EIO, ENOSPC, EINTR }, EINTR },
	[CALL_MSYNC] = { "msync", NULL, { EIO, ENOMEM }, 0 },
	[CALL_FCHMOD] = { "fchmod", NULL, { EPERM }, 0 },
	[CALL_FCHOWN] = { "fchown", NULL, { EPERM }, 0 },
	[CALL_LINK] = { "link", NULL, { ENOSPC, EIO }, 0 },
	[CALL_LINKAT] = { "linkat", NULL, { ENOSPC, EIO, ENOENT }, ENOENT },
	[CALL_RENAME] = { "rename", NULL, { EIO, ENOSPC }, 0 },
	[CALL_UNLINK] = { "unlink", NULL, { EIO }, 0 },
	[CALL_MMAP] = { "mmap", NULL, { ENOMEM, ENODEV }, 0 },
	[CALL_MUNMAP] = { "munmap", NULL, { ENOMEM }, 0 },
	[CALL_MPROTECT] = { "mprotect",
		"in a child that could not attach; of whole mappings, which splits none",
		{ ENOMEM }, 0 },
	[CALL_MADVISE] = { "madvise", NULL, { EINVAL, ENOMEM }, 0 },
	[CALL_FUTEX_WAIT] = { "futex-wait", NULL, { EINTR, EAGAIN }, 0 },
	[CALL_FUTEX_WAKE] = { "futex-wake", NULL, { EFAULT }, 0 },
	[CALL_MEMBARRIER] = { "membarrier", NULL, { EPERM, ENOSYS }, 0 },
	[CALL_CLOSE_RANGE] = { "close-range", NULL, { ENOSYS, EMFILE }, 0 },
	[CALL_MALLOC] = { "malloc", NULL, { ENOMEM }, 0 },
	[CALL_CALLOC] = { "calloc", NULL, { ENOMEM }, 0 },
	[CALL_STRDUP] = { "strdup", NULL, { ENOMEM }, 0 },
	[CALL_STRNDUP] = { "strndup", NULL, { ENOMEM }, 0 },
	[CALL_ASPRINTF] = { "asprintf", NULL, { ENOMEM }, 0 },
	[CALL_THREAD_CREATE] = { "thread-create", NULL, { EAGAIN }, 0 },
	[CALL_ATTRIBUTES] = { "thread-attributes", NULL, { ENOMEM }, 0 },
	[CALL_MUTEX_ATTRIBUTES] = { "mutex-attributes", NULL, { ENOMEM }, 0 },
	[CALL_MUTEX_INIT] = { "mutex-init", NULL, { ENOMEM }, 0 },
	[CALL_KEY_CREATE] = { "key-create", NULL, { EAGAIN }, 0 },
	[CALL_SET_SPECIFIC] = { "set-specific", NULL, { ENOMEM }, 0 },
	[CALL_ATFORK] = { "atfork", NULL, { ENOMEM }, 0 },
	[CALL_SEMAPHORE_WAIT] = { "semaphore-wait", NULL, { EINTR }, EINTR },
	[CALL_RESOURCE_LIMIT] = { "resource-limit", NULL, { EPERM }, 0 },
};

enum call call_named(const char *name)
{
	enum call call = 0;

	while (call < CALLS && strcmp(calls[call].name, name) != 0)
		call++;
	return call;
}

#define NAME(error)           \
	{                     \
		error, #error \
	}
static const struct {
	int error;
	const char *name;
} names[] = { NAME(EACCES), NAME(EAGAIN), NAME(EFAULT), NAME(EFBIG), NAME(EINTR), NAME(EINVAL),
	NAME(EIO), NAME(EMFILE), NAME(ENODEV), NAME(ENOENT), NAME(ENOLCK), NAME(ENOMEM),
	NAME(ENOSPC), NAME(ENOSYS), NAME(ENOTTY), NAME(EOPNOTSUPP), NAME(EPERM) };

const char *error_name(int error)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	return NULL;
}

int error_named(const char *name)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].error;
	return 0;
}

/* --- the fault ----------------------------------------------------------------------------- */

bool file_system_names_all;
bool file_system_pins_nothing;
bool file_system_is_full;

static struct fault armed;
static bool has_fault;
static struct tally *_Atomic tally_here;
static _Atomic long allocated;

void fault_arm(const struct fault *fault, struct tally *tally)
{
	has_fault = fault != NULL;
	if (has_fault)
		armed = *fault;
	atomic_store(&tally_here, tally);
}

void fault_disarm(void)
{
	atomic_store(&tally_here, NULL);
}

long calls_allocated(void)
{
	return atomic_load(&allocated);
}

/* Whether a condition that began then is there still. */
static bool is_lasting(struct tally *tally)
{
	uint64_t none = 0;
	uint64_t now = now_ns();

	if (atomic_compare_exchange_strong(&tally->failed_ns, &none, now))
		return true;
	return armed.lasts && now - none < LAST_MS * UINT64_C(1000000);
}

/* Counts the call; whether it is one that fails. Does not touch errno. */
static bool is_chosen(enum call call)
{
	struct tally *tally = atomic_load(&tally_here);
	unsigned number;

	if (tally == NULL)
		return false;
	number = atomic_fetch_add(&tally->made[call], 1) + 1;
	if (!has_fault || armed.call != call || number < armed.number ||
		(number > armed.number && !armed.lasts) || !is_lasting(tally))
		return false;
	atomic_fetch_add(&tally->failed, 1);
	return true;
}

/* The same; sets errno. */
static bool fails(enum call call)
{
	bool chosen = is_chosen(call);

	if (chosen)
		errno = armed.error;
	return chosen;
}

static void *count(void *block)
{
	if (block != NULL)
		atomic_fetch_add(&allocated, 1);
	return block;
}

/* --- the wrappers -------------------------------------------------------------------------- */

/* Wraps a function whose result -1 is an error. */
#define WRAP(type, name, call, parameters, arguments)                    \
	type __real_##name parameters;                                   \
	type __wrap_##name parameters;                                   \
	type __wrap_##name parameters                                    \
	{                                                                \
		return fails(call) ? (type)-1 : __real_##name arguments; \
	}

/* One that returns the error. */
#define WRAP_RETURNS(name, call, parameters, arguments)                         \
	int __real_##name parameters;                                           \
	int __wrap_##name parameters;                                           \
	int __wrap_##name parameters                                            \
	{                                                                       \
		return is_chosen(call) ? armed.error : __real_##name arguments; \
	}

/* One that allocates. */
#define WRAP_ALLOCATES(type, name, call, parameters, arguments)             \
	type __real_##name parameters;                                      \
	type __wrap_##name parameters;                                      \
	type __wrap_##name parameters                                       \
	{                                                                   \
		return fails(call) ? NULL : count(__real_##name arguments); \
	}

WRAP(ssize_t, read, CALL_READ, (int fd, void *to, size_t bytes), (fd, to, bytes))
WRAP(int, fstat, CALL_FSTAT, (int fd, struct stat *status), (fd, status))
WRAP(int, stat, CALL_STAT, (const char *path, struct stat *status), (path, status))
WRAP(int, lstat, CALL_LSTAT, (const char *path, struct stat *status), (path, status))
WRAP(int, access, CALL_ACCESS, (const char *path, int mode), (path, mode))
WRAP(int, fstatfs, CALL_FSTATFS, (int fd, struct statfs *status), (fd, status))
WRAP(off_t, lseek, CALL_LSEEK, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(ssize_t, pread, CALL_PREAD, (int fd, void *to, size_t bytes, off_t offset),
	(fd, to, bytes, offset))
WRAP(ssize_t, pwrite, CALL_PWRITE, (int fd, const void *from, size_t bytes, off_t offset),
	(fd, from, bytes, offset))
WRAP(int, ftruncate, CALL_FTRUNCATE, (int fd, off_t bytes), (fd, bytes))
WRAP(int, fsync, CALL_FSYNC, (int fd), (fd))
WRAP(int, msync, CALL_MSYNC, (void *start, size_t bytes, int flags), (start, bytes, flags))
WRAP(int, fchmod, CALL_FCHMOD, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchown, CALL_FCHOWN, (int fd, uid_t user, gid_t group), (fd, user, group))
WRAP(int, link, CALL_LINK, (const char *from, const char *to), (from, to))
WRAP(int, linkat, CALL_LINKAT, (int fd, const char *from, int to_fd, const char *to, int flags),
	(fd, from, to_fd, to, flags))
WRAP(int, rename, CALL_RENAME, (const char *from, const char *to), (from, to))
WRAP(int, unlink, CALL_UNLINK, (const char *path), (path))
WRAP(int, mprotect, CALL_MPROTECT, (void *start, size_t bytes, int protection),
	(start, bytes, protection))
WRAP(int, madvise, CALL_MADVISE, (void *start, size_t bytes, int advice), (start, bytes, advice))
WRAP(int, sem_wait, CALL_SEMAPHORE_WAIT, (sem_t * semaphore), (semaphore))
WRAP(int, getrlimit, CALL_RESOURCE_LIMIT, (int resource, struct rlimit *limit), (resource, limit))

WRAP_RETURNS(pthread_create, CALL_THREAD_CREATE,
	(pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *),
		void *argument),
	(thread, attributes, body, argument))
WRAP_RETURNS(pthread_attr_init, CALL_ATTRIBUTES, (pthread_attr_t * attributes), (attributes))
WRAP_RETURNS(pthread_mutexattr_init, CALL_MUTEX_ATTRIBUTES, (pthread_mutexattr_t * attributes),
	(attributes))
WRAP_RETURNS(pthread_mutex_init, CALL_MUTEX_INIT,
	(pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes), (mutex, attributes))
WRAP_RETURNS(pthread_key_create, CALL_KEY_CREATE, (pthread_key_t * key, void (*end)(void *)),
	(key, end))
WRAP_RETURNS(pthread_setspecific, CALL_SET_SPECIFIC, (pthread_key_t key, const void *value),
	(key, value))
WRAP_RETURNS(pthread_atfork, CALL_ATFORK,
	(void (*before)(void), void (*parent)(void), void (*child)(void)), (before, parent, child))

WRAP_ALLOCATES(void *, malloc, CALL_MALLOC, (size_t bytes), (bytes))
WRAP_ALLOCATES(void *, calloc, CALL_CALLOC, (size_t number, size_t bytes), (number, bytes))
WRAP_ALLOCATES(char *, strdup, CALL_STRDUP, (const char *text), (text))
WRAP_ALLOCATES(char *, strndup, CALL_STRNDUP, (const char *text, size_t bytes), (text, bytes))

/* Mappings as they were made: whoever unmaps all of one splits nothing, and cannot fail. */
static struct {
	void *start;
	size_t bytes;
} whole[256];
static _Atomic unsigned next_whole;

void *__real_mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	unsigned place = atomic_fetch_add(&next_whole, 1) % (sizeof(whole) / sizeof(whole[0]));
	void *made;

	if (fails(CALL_MMAP))
		return MAP_FAILED;
	made = __real_mmap(start, bytes, protection, flags, fd, offset);
	whole[place].start = made;
	whole[place].bytes = bytes;
	return made;
}

static bool is_whole(const void *start, size_t bytes)
{
	for (unsigned i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (whole[i].start == start && whole[i].bytes == bytes)
			return true;
	return false;
}

int __real_munmap(void *start, size_t bytes);
int __wrap_munmap(void *start, size_t bytes);
int __wrap_munmap(void *start, size_t bytes)
{
	return !is_whole(start, bytes) && fails(CALL_MUNMAP) ? -1 : __real_munmap(start, bytes);
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
	if (block != NULL)
		atomic_fetch_sub(&allocated, 1);
	__real_free(block);
}

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved)
{
	if (fails(CALL_REALPATH))
		return NULL;
	return count(__real_realpath(path, resolved));
}

int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list arguments;
	int length;

	if (fails(CALL_ASPRINTF))
		return -1;
	va_start(arguments, format);
	length = vasprintf(text, format, arguments);
	va_end(arguments);
	if (length >= 0)
		count(*text);
	return length;
}

int __real_close(int fd);
int __wrap_close(int fd);
/* Linux has closed the descriptor when it reports an error. */
int __wrap_close(int fd)
{
	int result = __real_close(fd);

	return fails(CALL_CLOSE) ? -1 : result;
}

/* Who may not see the kernel's boot id goes without, knowingly. */
static bool is_hidden(const char *path)
{
	return has_fault && armed.error == EACCES && strncmp(path, "/proc/", 6) == 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = creates ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (!is_hidden(path) && fails(creates ? CALL_CREATE : CALL_OPEN))
		return -1;
	if (file_system_names_all && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_open(path, flags, mode);
}

static enum call call_of_lock(int command, const struct flock *lock)
{
	if (command == F_OFD_GETLK)
		return CALL_LOCK_TEST;
	if (command == F_OFD_SETLKW)
		return CALL_LOCK_WAIT;
	if (lock->l_type == F_UNLCK)
		return CALL_UNLOCK;
	return lock->l_type == F_WRLCK ? CALL_LOCK : CALL_LOCK_SHARED;
}

static bool is_lock(int command)
{
	return command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
/* Of its commands some take a pointer, others an int, which is passed the same way. */
int __wrap_fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;
	int result;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fails(is_lock(command) ? call_of_lock(command, argument) : CALL_DUPLICATE))
		return -1;
	result = __real_fcntl(fd, command, argument);
	if (file_system_pins_nothing && result == 0 && command == F_OFD_GETLK) {
		struct flock *lock = argument;

		if (lock->l_start == (off_t)BYTE_PROBE)
			lock->l_type = F_UNLCK;
	}
	return result;
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return fails(CALL_IOCTL) ? -1 : __real_ioctl(fd, request, argument);
}

int __real_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	struct stat status;

	if (fails(mode == 0 ? CALL_FALLOCATE : CALL_PUNCH))
		return -1;
	if (file_system_is_full && __real_fstat(fd, &status) == 0 && status.st_blocks == 0) {
		errno = ENOSPC;
		return -1;
	}
	return __real_fallocate(fd, mode, offset, bytes);
}

static enum call call_of_number(long number, long operation)
{
	if (number == SYS_futex)
		return operation == FUTEX_WAIT ? CALL_FUTEX_WAIT : CALL_FUTEX_WAKE;
	return number == SYS_membarrier ? CALL_MEMBARRIER : CALL_CLOSE_RANGE;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	va_list arguments;
	long a[6];

	va_start(arguments, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	/* What closes descriptors, once the table is the thread's own, cannot fail. */
	if ((number != SYS_close_range || (unsigned)a[2] != 0) &&
		fails(call_of_number(number, (int)a[1])))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
