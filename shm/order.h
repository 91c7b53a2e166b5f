/* order.h -- the order in which a killed process leaves its stores
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_ORDER_H
#define SPANHEAP_ORDER_H

#include <stdatomic.h>

/* Program order is crash order: a killed process leaves a prefix of its own stores, as the compiler
 * ordered them. Keeps the compiler from moving stores across; costs no instruction. What other
 * running processes see needs its own release or acquire. */
static inline void crash_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

#endif
