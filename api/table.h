/* table.h -- the open heaps of this process, and the locks around them
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TABLE_H
#define SPANHEAP_TABLE_H

#include "api/handle.h"

/* Held through all of sh_open() and sh_close(), which may wait for other processes. */
void table_lock_open(void);
void table_unlock_open(void);

/* Held for moments: the list, reference counts, and which threads a heap has. */
void table_lock(void);
void table_unlock(void);

/* Waits, under table_lock(), for table_wake(); may return at any time. */
void table_wait(void);
void table_wake(void);

/* Waits, under table_lock(), until no thread is leaving the heap; and says that one has left. */
void table_wait_for_leaving(struct sh_heap *heap);
void table_left(struct sh_heap *heap);

/* In a fork child: threads that waited are not there. */
void table_forget_waiters(void);

/* The list, under table_lock(). */
void table_add(struct sh_heap *heap);
void table_remove(struct sh_heap *heap);
struct sh_heap *table_first(void);

/* All presences of the process, those of closed heaps too. Under table_lock(). */
void table_add_presence(struct presence *presence);
void table_hold_presence(struct presence *presence);
void table_put_presence(struct presence *presence);

/* In a fork child: the parent's are the parent's. */
void table_forget_presences(void);

/* The open handle of a heap file in the same mode; NULL when there is none. */
struct sh_heap *table_find(const struct file_identity *identity, bool read_only);

#endif
