/* close.h -- giving back a handle
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_CLOSE_H
#define SPANHEAP_CLOSE_H

#include "api/handle.h"

/* sh_close() for who holds table_lock_open(). */
int close_handle(struct sh_heap *heap);

#endif
