/* superblock.h -- the superblock and its two copies
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Copy B stands behind the slot logs, at an offset that follows from max_bytes and the slot count.
 * When copy A is damaged, copy B is looked for. */
#ifndef SPANHEAP_SUPERBLOCK_H
#define SPANHEAP_SUPERBLOCK_H

#include "heap/heap_layout.h"

#include <stdbool.h>
#include <stdint.h>

/* Reads the newest whole copy from the first `bytes` of a heap file. 0, SH_EBADHEAP (no whole copy)
 * or SH_EVERSION (whole, but of another format, geometry, class table or ABI; *superblock is filled
 * in). *copies counts the whole copies of the newest sequence: 1 means that one is damaged or that
 * a death came between the two. Reads nothing beyond `bytes`; for any content. */
int superblock_read(const char *base, uint64_t bytes, struct superblock *superblock, int *copies);

/* Fills in what never changes, and a new heap id; clean. */
void superblock_init(struct superblock *superblock, uint64_t max_bytes, uint32_t process_slots,
	uint32_t thread_slots);

/* Writes both copies under the next sequence, the one that readers rely on last. Crash: see struct
 * superblock. */
void superblock_write(char *base, struct superblock *superblock);

/* The two halves of it: the next sequence and the checksum, then both copies. */
void superblock_seal(struct superblock *superblock);
void superblock_put(char *base, const struct superblock *superblock);

/* Whether `copy` is what was written together with `superblock`, which is whole. */
bool superblock_same_writing(const struct superblock *superblock, const struct superblock *copy);

/* Why a superblock is refused, for people; NULL when it is this build's. */
const char *superblock_difference(const struct superblock *superblock);

/* Sizes and offsets of every shared structure, folded into one word. */
uint64_t superblock_abi(void);

/* Fills `bytes` with random bytes of the kernel. */
void superblock_random(void *to, size_t bytes);

/* The kernel's boot id, zero padded; all zero where the system shows none. 0, or an errno: it shows one, and
 * it could not be read now. */
int superblock_boot_id(char boot_id[BOOT_ID_BYTES]);

#endif
