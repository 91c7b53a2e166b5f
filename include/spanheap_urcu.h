/* spanheap_urcu.h -- read sections of a heap as a flavor of liburcu, for its containers
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Installed when liburcu was there when the library was built; the library is not linked with it.
 *
 * liburcu's hash tables, lists and queues cannot lie in memory that processes share: they hold pointers,
 * functions and locks of one process. A table in a process's own memory can be read in the same section as
 * the heap, though, so that an index which maps keys to offsets and the blocks that it leads to are
 * protected together:
 *
 *   #include <spanheap_urcu.h>
 *   #include <urcu/call-rcu.h>
 *   #include <urcu/flavor.h>           (these two after <urcu.h>, if there is one)
 *   #include <urcu/rculfhash.h>
 *
 *   const struct rcu_flavor_struct *flavor = sh_rcu_flavor(heap);
 *   struct cds_lfht *table = cds_lfht_new_flavor(1, 1, 0, CDS_LFHT_AUTO_RESIZE, flavor, NULL);
 *
 *   sh_read_lock(heap);                (or flavor->read_lock(): the same)
 *   cds_lfht_lookup(table, ...);
 *   sh_ptr(heap, ...);
 *   sh_read_unlock(heap); */
#ifndef SPANHEAP_URCU_H
#define SPANHEAP_URCU_H

#include <spanheap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So many heaps of a process can have one at a time. */
#define SH_RCU_FLAVORS 8

struct rcu_flavor_struct; /* of <urcu/flavor.h> */

/* The flavor of a heap: the same one at each call, until the last sh_close() of the heap. Its grace periods
 * are those of sh_synchronize(): they wait for readers of all processes.
 *
 *   read_lock, read_unlock, read_ongoing   sh_read_lock() and so on
 *   update_synchronize_rcu                 sh_synchronize()
 *   update_call_rcu, update_defer_rcu      are done by a thread of the library, one per heap and process,
 *                                          which the first call starts; in the order of the calls
 *   barrier                                returns when all that were queued before are done
 *   register_thread, unregister_thread     nest, and are not needed; the first takes the thread's slot,
 *                                          which it keeps until it ends
 *   thread_offline, thread_online, read_quiescent_state   do nothing
 *
 * None of these can report an error: where there is one (SH_ESLOTS, SH_EBARRIER, ECHILD; a grace period
 * or a barrier inside a section; a flavor whose heap is closed) the process says so on standard error and
 * aborts. Choose max_threads with liburcu's own threads in mind: one for each processor that resizes tables,
 * and one more. The thread for callbacks waits for a slot as long as there is none.
 *
 * Destroy tables on the flavor before the last sh_close() of the heap, which waits for what is queued: a
 * grace period. Called from a callback, or inside a section of another heap that has a flavor, it returns
 * EBUSY. Callbacks may call anything else but sh_open(), sh_close() and fork(2).
 *
 * A fork(2) child has the parent's tables, as far as it has the heap, and an empty queue: what the parent
 * queued the parent does, alone, because it may free blocks of the heap. Do not fork inside a section while
 * a table may be resizing.
 *
 * Returns NULL and sets errno: EROFS, ECHILD, ENOMEM, EMFILE (SH_RCU_FLAVORS heaps have one). Crash: what
 * is queued is gone with the process's memory. */
SH_API const struct rcu_flavor_struct *sh_rcu_flavor(struct sh_heap *heap);

#ifdef __cplusplus
}
#endif

#endif
