/* slot.h -- thread slots: claim, release, and the right to act for a dead one
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A. thread_high_water is raised before a slot is claimed, so who reads it after that claim scans
 *    the slot.
 * B. A slot's words are written by its thread, or by the holder of its reaper word, never by both:
 *    the reaper word is taken only when the thread is dead, and death is for ever.
 * C. The owner word goes back to 0 by CAS from the tag, last but for the reaper word: a reaper that
 *    comes late cannot free the slot of a new thread.
 * D. A claim in the making names its process, so a death in it is noticed; nothing else was
 *    written. */
#ifndef SPANHEAP_SLOT_H
#define SPANHEAP_SLOT_H

#include "shm/control_layout.h"
#include "shm/system.h"
#include "shm/tag.h"

#include <stdbool.h>
#include <stdint.h>

#define SLOT_NONE UINT32_MAX

/* Claims a free thread slot for `process`, marked as being claimed. SLOT_NONE when all are in use.
 * Crash: the claim names the process; slot_drop_dead_claim frees it. */
uint32_t slot_claim(struct control_header *header, struct thread_slot *slots, uint32_t process);

/* Claims this very slot; false when it is in use. */
bool slot_claim_at(struct control_header *header, struct thread_slot *slots, uint32_t slot,
	uint32_t process);

/* Makes the claim the thread's: the slot is scanned as live from here on. */
void slot_confirm(struct thread_slot *slot, uint64_t tag, uint32_t process, bool liveness_word);

/* Gives the slot back by its own thread; all its words are clear. */
void slot_release(struct thread_slot *slot, uint64_t tag);

/* Takes the right to act for the dead thread of a slot. False when it lives, when the slot is free,
 * or when another live thread acts for it. *tag is the dead one's. */
bool slot_begin_reaping(struct thread_slot *slot, uint64_t reaper, const struct system *system,
	uint64_t *tag);

/* Frees the slot whose words are all clear, and lets go of the right. */
void slot_end_reaping(struct thread_slot *slot, uint64_t tag);

/* Ends it without an end: the slot stays the dead one's, for the next reaper. */
void slot_stop_reaping(struct thread_slot *slot);

/* Frees a claim whose process died in the middle of it. */
bool slot_drop_dead_claim(struct thread_slot *slot, const struct system *system);

/* Tells a claim in the making from a tag. */
static inline bool slot_is_claim(uint64_t owner)
{
	return (owner & THREAD_CLAIM) != 0;
}

#endif
