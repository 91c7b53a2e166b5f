/* keeper.h -- a descriptor that the application cannot close
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A thread of its own that does nothing, with a descriptor table of its own, in which there is
 * nothing but the descriptor: closefrom(3) and close_range(2) in the application's threads do not
 * reach it, fork children do not inherit it, and it ends with the process. */
#ifndef SPANHEAP_KEEPER_H
#define SPANHEAP_KEEPER_H

struct keeper;

/* Moves the descriptor there; NULL when the system has no such tables, or no thread to give, and then
 * it stays where it was. */
struct keeper *keeper_start(int fd);

/* Closes the descriptor, and ends the thread. */
void keeper_stop(struct keeper *keeper);

/* In a fork child, which has neither. */
void keeper_forget(struct keeper *keeper);

#endif
