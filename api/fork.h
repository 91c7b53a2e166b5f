/* fork.h -- a fork child attaches as a process of its own
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * sh_ptr() is an addition, so a child may use the heap for hours without a call: it must be
 * attached from its first instruction on. The parent claims a process slot and the attached byte
 * for it before the fork, through descriptions that the child inherits; so at no moment does the
 * heap look deserted, and the child needs no right to open the files.
 *
 * What the child inherited of the parent's threads is forgotten, not given back: it is the
 * parent's. A child that could not attach finds the mappings inaccessible, and calls return
 * ECHILD. */
#ifndef SPANHEAP_FORK_H
#define SPANHEAP_FORK_H

/* Registers the handlers, once. 0 or an errno: not yet. Under table_lock_open(). */
int fork_module_init(void);

#endif
