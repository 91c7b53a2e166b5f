/* deferred.h -- blocks that are freed when no reader can find them any more
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Heap file: a bit in `limbo` of the block's span is the free; it needs no memory and no list, belongs to
 * nobody, and survives its caller. From then on the block is free to everybody but allocation.
 * Control file: `noted` has a bit for each span that has limbo bits: a hint. One drainer at a time
 * copies limbo words of noted spans into the batch, waits, without waiting, for a grace period, and
 * then moves the copied bits from limbo to freed, where the span's owner collects them.
 *
 * A. Collect reads freed, then the hazards, then limbo, and leaves out both: a block whose bit stands in
 *    limbo is not given out. So the drainer sets freed first and clears limbo then, and any part of
 *    that may be repeated.
 * B. Whoever takes the drain lock over from a dead holder discards the batch: of what that one did not
 *    get to, bits may have been drained, given out and deferred again. A reaper never opens the lock.
 * C. `touching` names a span whose note may be missing: from before the limbo bit is set until after
 *    the note is; and from before a note is cleared until after limbo was looked at once more. Its reaper
 *    looks.
 * D. Checks look at limbo, freed, allocated, in this order. A deferred free checks and sets its bit in
 *    one read section: a drain between the two would let a second free of the block pass.
 * E. The drainer copies in a read section, and applies an entry in one, to the same life of the span only
 *    (generation), and only bits that still stand in limbo: otherwise what an error of the user's left, or
 *    a large block that the reaper of a dead drainer freed, would hit the next holder's block.
 * F. Large blocks have their bit in the first word. The drainer frees them as anybody would, by the hot
 *    word, so once; it leaves those alone that an open log names (`applying`): the log may set the bit
 *    again.
 * G. After a restart there are no readers: large blocks in limbo are free, and spans of small ones are
 *    noted when somebody first touches them. */
#ifndef SPANHEAP_DEFERRED_H
#define SPANHEAP_DEFERRED_H

#include "heap/object.h"

/* Frees a block after a grace period. 0 or an SH_E... code, and nothing is changed.
 * Crash: freed or not. */
int deferred_free(struct thread *thread, uint64_t off);

/* Sets the limbo bit of a live block for `slot`, whose one writer the caller is. False when it was set.
 * For a log: `applying` names the block. */
bool deferred_set(struct thread *thread, uint32_t slot, const struct block *block);

/* Notes that `bytes` were deferred by the thread, and drains when it has deferred much. No intent is
 * open. */
void deferred_settle(struct thread *thread, uint64_t bytes);

/* Frees what has waited long enough, and begins to wait for what has not. Never waits itself; does nothing
 * while another thread drains. Whether it came any further. No intent is open. */
bool deferred_drain(struct thread *thread);

/* The same until nothing more can be done now: when memory is short. */
void deferred_drain_all(struct thread *thread);

/* Of the blocks that wait for the grace period that was begun last. */
uint64_t deferred_held_bytes(const struct heap *heap);

/* Whether the span at `head` has blocks in limbo. For any data page. */
bool deferred_is_pending(const struct heap *heap, uint64_t head);

/* Whether the span is noted; notes it. */
bool deferred_is_noted(const struct heap *heap, uint64_t head);
void deferred_note(const struct heap *heap, uint64_t head);

#endif
