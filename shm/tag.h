/* tag.h -- names of threads in shared memory
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A tag names one thread in one life of its slot: the slot, and a serial number that the heap never
 * gives out twice (it is counted in the heap file). So a tag left behind by the dead, in this run of
 * the heap or an earlier one, is recognised for ever: the slot carries another tag, or none. Pids
 * and thread ids would repeat, within a machine and between pid namespaces.
 *
 * Processes that may not write the heap file (SH_RDONLY) cannot count there. Their serials are counted in
 * the control file, and have TAG_READER set, which those of the heap file never have. So
 * - none of them equals one of a writer, whatever either counter says;
 * - none of them comes twice in one control file;
 * - that of an earlier control file may come again, but is found nowhere: such a tag stands only in words of
 *   the control file (owner, reaper, liveness_tag of thread slots, owner of process slots), which is
 *   empty when it is laid anew, and never in the heap file, not even in an sh_mutex;
 * - whoever meets one knows that its slot holds a read section and nothing else. */
#ifndef SPANHEAP_TAG_H
#define SPANHEAP_TAG_H

#include <stdbool.h>
#include <stdint.h>

/* bit 0: free for the user of the word (locks: somebody waits)
 * bits 1..15: slot + 1; bits 16..63: serial, never 0 */
#define TAG_WAITERS UINT64_C(1)
/* Hot words (heap/hot.h) have three owners above the slots. */
#define TAG_SLOT_LIMIT 32763u
/* Of serials that the heap file counts. */
#define TAG_SERIAL_LIMIT ((UINT64_C(1) << 47) - 1)
/* In a serial: of a process that only reads. */
#define TAG_READER (UINT64_C(1) << 47)

static inline uint64_t tag_make(uint32_t slot, uint64_t serial)
{
	return serial << 16 | (uint64_t)(slot + 1) << 1;
}

static inline uint32_t tag_slot(uint64_t tag)
{
	return (uint32_t)(tag >> 1 & 0x7fff) - 1;
}

static inline uint64_t tag_serial(uint64_t tag)
{
	return tag >> 16;
}

/* The serial of a counter's value; 0, which none is, of a value that must be left out. A counter in a
 * damaged file may hold anything. */
static inline uint64_t tag_writer_serial(uint64_t count)
{
	return count & TAG_SERIAL_LIMIT;
}

static inline uint64_t tag_reader_serial(uint64_t count)
{
	return TAG_READER | (count & TAG_SERIAL_LIMIT);
}

/* Whether a tag, which is no claim, is one of a process that only reads. */
static inline bool tag_is_reader(uint64_t tag)
{
	return (tag_serial(tag) & TAG_READER) != 0;
}

/* Whether the word can be a tag at all: what a corrupt file holds may be anything. */
static inline bool tag_plausible(uint64_t tag, uint32_t slot_count)
{
	return tag_serial(tag) != 0 && tag_slot(tag) < slot_count;
}

#endif
