/* error.h -- from results of the layers below to those of the API
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_ERROR_H
#define SPANHEAP_ERROR_H

#include <spanheap.h>

/* What errno becomes when a call that returns an offset fails with `error`. */
int error_to_errno(int error);

/* Sets errno and returns the null offset. */
sh_off error_no_block(int error);

#endif
