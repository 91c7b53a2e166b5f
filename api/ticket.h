/* ticket.h -- what a process needs to be attached, claimed before it uses the heap
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Three descriptions that no other process shares, a process slot, and the attached byte, with the
 * writing byte if it may write. A process
 * claims them for itself when it opens the heap, and for a child before a fork.
 *
 * A process that may lose the right to open the files (setuid(2), chroot(2)) keeps a few sets of
 * descriptions in reserve, so that it can fork afterwards. A child closes those that it inherits:
 * they are its parent's. */
#ifndef SPANHEAP_TICKET_H
#define SPANHEAP_TICKET_H

#include <stdint.h>

struct sh_heap;

/* Sets of descriptions that are kept in reserve. */
#define TICKET_SPARES 8u

/* Process, between claiming and redeeming. A spare one: no slot, no locks. */
struct ticket {
	uint32_t process; /* SLOT_NONE: none is claimed */
	int opening_fd;   /* as sh_heap.opening_fd */
	int process_fd;   /* its description holds the byte of `process` */
	int attached_fd;  /* its description holds BYTE_ATTACHED, shared, and BYTE_WRITING */
};

/* Claims a process slot through a new description, and BYTE_ATTACHED through another; through
 * spare ones when this process may not open the files any more. 0, SH_ESLOTS or an errno. */
int ticket_claim(struct sh_heap *heap, struct ticket *ticket);

/* Makes what the ticket holds this process's own. 0 or an errno; the ticket is spent. */
int ticket_redeem(struct sh_heap *heap, struct ticket *ticket);

/* Lets go of an unused ticket. The process slot then looks like a dead process's. */
void ticket_drop(struct ticket *ticket);

/* A handle without spares; opens them if this process may lose its rights; closes them. */
void ticket_init_spares(struct sh_heap *heap);
void ticket_keep_spares(struct sh_heap *heap);
void ticket_drop_spares(struct sh_heap *heap);

/* Process slots that are free. One must be left after each open, so that whoever comes when many
 * have died has a place to reap from: the heap is created with one more than was asked for. */
uint32_t ticket_slots_left(const struct sh_heap *heap);

#endif
