/* proof.h -- what an opener, a tool and a test ask of a heap file before they trust it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Nothing here locks, writes or trusts what it reads. */
#ifndef SPANHEAP_PROOF_H
#define SPANHEAP_PROOF_H

#include "heap/heap.h"

#include <stdbool.h>
#include <stdint.h>

/* Where the backed part of an arena ends. One that was made, and has no chunk yet, is backed to the
 * end of its zone's head only. */
uint64_t proof_arena_end(const struct heap *heap, uint64_t arena);

/* Where everything ends that the heap holds. */
uint64_t proof_end(const struct heap *heap);

/* Whether the arena's entry can be one of a directory. For any word. */
bool proof_entry_sane(const struct heap *heap, uint64_t arena);

/* Whether the arena directory leads nowhere outside a file of `bytes`. */
bool proof_directory_inside(const struct heap *heap, uint64_t bytes);

/* Whether `header` is of a run that had only begun: its opener died while it wrote the superblock without the
 * clean mark, so that the other copy, of the run before, is the only one of the `copies` that is whole. */
bool proof_only_began(const struct superblock *superblock, int copies,
	const struct control_header *header);

/* Why `header`, of the control file beside the heap file, does not prove P2: that all users died in
 * this boot, whose id is `boot_id`, and nothing else happened to the heap file, of whose superblock so many
 * `copies` are whole and whose mutation stamp is `stamp`. NULL when it does. */
const char *proof_gap(const struct superblock *superblock, int copies, uint64_t stamp,
	const struct control_header *header, const char boot_id[BOOT_ID_BYTES]);

#endif
