/* call.h -- the calls that the library makes of the C library and the kernel, and how they fail
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The linker leads each of these calls (-Wl,--wrap) through a wrapper, which counts it while a fault is
 * armed, and fails the one that the fault names. A fault that lasts goes on until it is disarmed, or for
 * LAST_MS from its first failure on: a condition that passes, so that who waits for it must come back. */
#ifndef FAULTS_CALL_H
#define FAULTS_CALL_H

#include <stdbool.h>
#include <stdint.h>

#define LAST_MS 400u
#define CALL_ERRORS 4u
#define BOARD_CALLS 64u

/* clang-format off */
enum call {
	CALL_OPEN, CALL_CREATE, CALL_CLOSE, CALL_READ,
	CALL_LOCK, CALL_LOCK_SHARED, CALL_LOCK_WAIT, CALL_LOCK_TEST, CALL_UNLOCK, CALL_DUPLICATE,
	CALL_FSTAT, CALL_STAT, CALL_LSTAT, CALL_ACCESS, CALL_REALPATH, CALL_FSTATFS, CALL_IOCTL,
	CALL_LSEEK, CALL_PREAD, CALL_PWRITE, CALL_FALLOCATE, CALL_PUNCH, CALL_FTRUNCATE, CALL_FSYNC,
	CALL_MSYNC, CALL_FCHMOD, CALL_FCHOWN, CALL_LINK, CALL_LINKAT, CALL_RENAME, CALL_UNLINK,
	CALL_MMAP, CALL_MUNMAP, CALL_MPROTECT, CALL_MADVISE,
	CALL_FUTEX_WAIT, CALL_FUTEX_WAKE, CALL_MEMBARRIER, CALL_CLOSE_RANGE,
	CALL_MALLOC, CALL_CALLOC, CALL_STRDUP, CALL_STRNDUP, CALL_ASPRINTF,
	CALL_THREAD_CREATE, CALL_ATTRIBUTES, CALL_MUTEX_ATTRIBUTES, CALL_MUTEX_INIT, CALL_KEY_CREATE,
	CALL_SET_SPECIFIC, CALL_ATFORK, CALL_SEMAPHORE_WAIT, CALL_RESOURCE_LIMIT,
	CALLS
};
/* clang-format on */

struct call_kind {
	const char *name;
	/* Why no scenario makes it, but after another fault; NULL: one must. */
	const char *rare;
	int errors[CALL_ERRORS]; /* up to 0 */
	int once; /* of these: the call is made again at once, as long as it fails so. 0: none */
};

extern const struct call_kind calls[CALLS];

/* The fault number `number` (from 1 on) of the call, and all from there on if it `lasts`. */
struct fault {
	enum call call;
	unsigned number;
	int error;
	bool lasts;
};

/* In memory that the processes of a case share. */
struct tally {
	_Atomic uint32_t made[CALLS]; /* while armed */
	_Atomic uint32_t failed;
	_Atomic uint64_t failed_ns; /* when the first one failed */
};

/* From here on calls are counted in *tally; `fault` NULL: and none fails. */
void fault_arm(const struct fault *fault, struct tally *tally);
void fault_disarm(void);

/* Whether the file system of the heap is to look as if it had no files without a name; as if a mapping held
 * no lock (overlayfs); as if it had no block for a file that has none yet. While nothing is armed, too. */
extern bool file_system_names_all;
extern bool file_system_pins_nothing;
extern bool file_system_is_full;

/* "ENOSPC" and so on; NULL, and 0, for what is none of the errors above. */
const char *error_name(int error);
int error_named(const char *name);

/* What the process has allocated, and not freed, through the calls above. */
long calls_allocated(void);

enum call call_named(const char *name);

#endif
