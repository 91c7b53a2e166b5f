/* edits.h -- what an input says: a valid heap, and what is wrong with it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * byte 0: which heap. byte 1: flags. Then edits of 12 bytes: kind of field, operation in the low 3 bits and the word
 * of the field above, index (2 bytes), value (8 bytes), all little-endian. */
#ifndef FUZZ_EDITS_H
#define FUZZ_EDITS_H

#include "stress/common/chance.h"

#define EDITS_HEADER_BYTES 2u
#define EDIT_BYTES 12u
#define EDITS_MOST 64u
#define EDITS_BYTES_MOST (EDITS_HEADER_BYTES + EDITS_MOST * EDIT_BYTES)

#define EDITS_TRUSTED 1u /* opened as a file that is proved to be whole */
#define EDITS_MENDED 2u  /* the superblock's checksum is made right, and copy B equal to it */

/* Places the heap that the input names and edits it. Returns the flags. */
unsigned edits_apply(const uint8_t *data, size_t size);

/* Changes an input, in place; returns its size. */
size_t edits_mutate(uint8_t *data, size_t size, size_t limit, struct chance *chance);

#endif
