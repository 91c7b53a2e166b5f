/* root.h -- named roots
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An entry's value is value[sequence & 1]: a change writes the other value and then the sequence, so
 * it is one store, and a log can tell whether its own change was made: the sequence has moved.
 *
 * An entry is never used (sequence 0), set (value not 0) or removed (value 0); a removed entry may
 * get another name, unless a slot's root_pins name it. A name is looked for from its hash on, up to
 * an entry that was never used. */
#ifndef SPANHEAP_ROOT_H
#define SPANHEAP_ROOT_H

#include "heap/heap.h"

/* Fills `name` words, zero padded. False when the name is empty or longer than 63 bytes. */
bool root_name(const char *text, uint64_t name[ROOT_NAME_BYTES / 8]);

/* Reads a root without a lock. False when it is not set. */
bool root_get(const struct heap *heap, const uint64_t name[ROOT_NAME_BYTES / 8], uint64_t *value);

/* Sets a root. 0 or SH_EFULL. */
int root_set(struct thread *thread, const uint64_t name[ROOT_NAME_BYTES / 8], uint64_t value);

/* Reserves an entry for the thread's transaction, until root_unpin_all. 0 or SH_EFULL. */
int root_pin(struct thread *thread, const uint64_t name[ROOT_NAME_BYTES / 8], uint64_t *index);
void root_unpin_all(struct heap *heap, uint32_t slot);

/* Applies the LOG_ROOT entry of a committed log whose one writer the caller is, once: the entry
 * notes the sequence before the change; `retire` is called under the root lock, after it. */
void root_apply(struct thread *thread, struct log_entry *entry, void (*retire)(void *argument),
	void *argument);

#endif
