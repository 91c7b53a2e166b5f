/* byte_lock.h -- byte locks that the kernel lets go of when the process is dead
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An OFD lock belongs to an open file description, which lives as long as a descriptor or a mapping
 * refers to it. So a lock is taken through a description of its own, a page of the file is mapped
 * (not inherited by fork), and the descriptor is closed: nothing is left to leak, to inherit or to
 * close by mistake, and the lock ends with the address space.
 *
 * On overlayfs the mapping refers to the file below, and the lock is gone at once. There the
 * descriptor is kept, out of the application's reach (keeper.h). Which of the two is found out by trying,
 * not by a list of file systems.
 *
 * The locked bytes lie far behind the end of the files. */
#ifndef SPANHEAP_BYTE_LOCK_H
#define SPANHEAP_BYTE_LOCK_H

#include "shm/file.h"
#include "shm/keeper.h"

#include <stdbool.h>
#include <stdint.h>

/* Control file, exclusive: the process of that slot lives. */
#define BYTE_OF_PROCESS(slot) ((UINT64_C(1) << 40) + (slot))
/* Heap file, shared: somebody is attached. */
#define BYTE_ATTACHED (UINT64_C(1) << 41)
/* Heap file, exclusive: somebody opens or closes. Read-only processes take it shared, and then that of the
 * control file, so that they are one at a time, too. */
#define BYTE_OPENING ((UINT64_C(1) << 41) + 1)
/* Any file, exclusive, for a moment under the opening lock. */
#define BYTE_PROBE ((UINT64_C(1) << 41) + 2)
/* Heap file, shared, beside BYTE_ATTACHED: somebody is attached who may write. */
#define BYTE_WRITING ((UINT64_C(1) << 41) + 3)

enum byte_lock_type { BYTE_LOCK_SHARED, BYTE_LOCK_EXCLUSIVE };

/* Locks a byte through the description of `fd`. 0; EBUSY when another description holds it; ENOTSUP
 * when the file system has no such locks; others of fcntl(2). */
int byte_lock_set(int fd, enum byte_lock_type type, uint64_t byte);

/* The same, but waits. */
int byte_lock_wait(int fd, enum byte_lock_type type, uint64_t byte);

/* Lets go of a byte that the description of `fd` holds. */
void byte_lock_clear(int fd, uint64_t byte);

/* Whether another description than that of `fd` holds the byte, or one of several, in any way. 0 or
 * an errno. */
int byte_lock_test(int fd, uint64_t byte, bool *held);
int byte_lock_test_range(int fd, uint64_t byte, uint64_t count, bool *held);

/* Process. A description that carries locks until it is dropped, or the process ends. */
struct lock_holder {
	void *pin;
	struct keeper
		*keeper; /* without a pin; NULL: the descriptor is kept in the process's table */
	int fd;
	struct file_identity identity;
};

/* Finds out whether a mapping pins the description of this file. Under the opening lock. 0 or an
 * errno. */
int lock_holder_probe(const char *path, const struct file_identity *identity, bool *pins);

/* Takes over `fd`, whose description carries the locks. 0, or an errno and `fd` is closed. */
int lock_holder_keep(struct lock_holder *holder, int fd, bool pins);

/* Lets go of the locks. */
void lock_holder_drop(struct lock_holder *holder);

/* In a fork child: what the parent holds stays the parent's. */
void lock_holder_forget(struct lock_holder *holder);

#endif
