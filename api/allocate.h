/* allocate.h -- what the calls that free or move a block ask first
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_ALLOCATE_H
#define SPANHEAP_ALLOCATE_H

#include "api/thread.h"

/* Why the open transaction of the thread forbids freeing the block: EBUSY, it allocated it;
 * SH_EDOUBLEFREE, it frees it. 0 when it does not. */
int allocate_refuses_free(const struct thread_state *state, sh_off off);

#endif
