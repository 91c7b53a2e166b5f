/* system.h -- the one table through which the library touches the system
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything that a test must be able to answer differently goes through here: who is alive, waiting
 * and waking, the clock, backing a file with disk blocks. What happens once at open and close
 * (mapping, locking, syncing) is in shm/file.h and shm/liveness.h. */
#ifndef SPANHEAP_SYSTEM_H
#define SPANHEAP_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* Process. `context` is the one handed to the table's user. */
struct system {
	void *context;
	/* Whether the thread named by `tag` may still store: false only when the kernel said so, or
	 * when its slot carries another tag. A stopped process is alive. */
	bool (*alive)(void *context, uint64_t tag);
	/* Whether the process in a process slot may still store. */
	bool (*process_alive)(void *context, uint32_t process_slot);
	/* Waits until *word != expected, a wake, or `limit_ns`; may return at any time. */
	void (*futex_wait)(void *context, const uint32_t *word, uint32_t expected,
		uint64_t limit_ns);
	/* Wakes at most `count` waiters. */
	void (*futex_wake)(void *context, const uint32_t *word, int count);
	uint64_t (*now_ns)(void *context);
	/* For every thread of every attached process: what it did before this call comes before what it
	 * does after it, as if it had a full fence in between. 0 or an errno. NULL: there is no such
	 * thing here, and readers must have fences of their own. */
	int (*order_all)(void *context);
	/* Backs a range of the heap file or of the control file; 0 or an errno. */
	int (*back_heap)(void *context, uint64_t offset, uint64_t bytes);
	int (*back_control)(void *context, uint64_t offset, uint64_t bytes);
	/* Makes this process's mapping of a backed range of the heap file present, content unchanged,
	 * as far as that goes. NULL: left out. */
	void (*populate_heap)(void *context, uint64_t offset, uint64_t bytes);
	/* Makes a backed range of the heap file read as zeros, and gives its disk blocks back; 0 or an
	 * errno, and then nothing is known of its content. NULL: as if it returned ENOTSUP. */
	int (*zero_heap)(void *context, uint64_t offset, uint64_t bytes);
};

/* The kernel's futex and clock: what every table but a model's uses. */
void system_futex_wait(void *context, const uint32_t *word, uint32_t expected, uint64_t limit_ns);
void system_futex_wake(void *context, const uint32_t *word, int count);
uint64_t system_now_ns(void *context);

/* By membarrier(2): that of the process must have been registered by system_order_register(), as must
 * that of every reader's process. 0 or an errno. The second is lost by exec(2), kept by fork(2). */
int system_order_all(void *context);
int system_order_register(void);

#endif
