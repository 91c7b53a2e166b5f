/* touch.h -- which pages of the heap's files the calling process stores to
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_TOUCH_H
#define KILLK_TOUCH_H

/* From here on each first store to a page of 4 KiB of the heap file or of its control file is noted in
 * board->touched. */
void touch_begin(void);
void touch_end(void);

#endif
