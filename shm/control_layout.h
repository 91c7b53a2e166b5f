/* control_layout.h -- the head of the control file: who is attached
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Control file. Everything here is derived or volatile: it is laid anew by the first process of an
 * incarnation. Behind it follows what heap/derived_layout.h describes.
 *
 *   control header        CONTROL_HEADER_BYTES; in it, from CONTROL_RCU_OFFSET on, the RCU words, and
 *                         from CONTROL_READERS_OFFSET on one bit per thread slot that has ever read
 *   process slots         process_slot_count * sizeof(struct process_slot)
 *   thread slots          thread_slot_count * sizeof(struct thread_slot)
 *   liveness words        thread_slot_count * LIVENESS_WORD_BYTES, from a 64 KiB boundary, because
 *                         each process maps them a second time, for longer
 *   derived state         from the next 64 KiB boundary */
#ifndef SPANHEAP_CONTROL_LAYOUT_H
#define SPANHEAP_CONTROL_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_MAGIC UINT64_C(0x6c74632d70616873) /* "shap-ctl" */
#define CONTROL_HEADER_BYTES 8192u
#define CONTROL_RCU_OFFSET 1024u
#define CONTROL_READERS_OFFSET 4096u
#define CONTROL_ALIGN_BYTES UINT64_C(65536)
#define LIVENESS_WORD_BYTES 128u
#define BOOT_ID_BYTES 40u

/* Control file, offset 0. Written under the opening lock but where a field says otherwise. */
struct control_header {
	/* --- identity: written once, before the file gets its name */
	uint64_t magic;
	uint64_t format;      /* the ABI word of the build that laid it */
	uint64_t heap_id[2];  /* of the heap file */
	uint64_t nonce[2];    /* of this run of the heap, from its clean open to its clean close */
	uint64_t incarnation; /* of the heap file when this was laid */
	uint32_t process_slot_count;
	uint32_t thread_slot_count;
	/* --- */
	uint64_t control_bytes; /* of address space, at the heap's maximum size */
	char boot_id[BOOT_ID_BYTES];
	uint64_t heap_inode;    /* of the heap file, ... */
	uint64_t control_inode; /* ... and of this one: a copy of either is another file */
	/* --- written while processes run */
	/* Follows the heap file's mutation stamp; never more than one behind it. */
	_Atomic uint64_t stamp;
	/* All slots in use are below these. Raised before a slot is claimed, never lowered. */
	_Atomic uint32_t process_high_water;
	_Atomic uint32_t thread_high_water;
	/* Serials given out to processes that may not write the heap file (shm/tag.h). */
	_Atomic uint64_t next_reader_serial;
	/* --- written before the file gets its name */
	/* Of the run that closed the file with which this one began; else this one's. Who dies while it takes
	 * the clean mark away leaves that run's superblock alone (recovery/proof.h). */
	uint64_t nonce_before[2];
};

static_assert(offsetof(struct control_header, nonce) == 32, "format");
static_assert(offsetof(struct control_header, boot_id) == 72, "format");
static_assert(offsetof(struct control_header, stamp) == 128, "format");
static_assert(sizeof(struct control_header) <= CONTROL_RCU_OFFSET, "format");

/* Control file. Grace periods (shm/rcu.h). Their numbers stand above SECTION_NESTING_BITS.
 *
 * fenced: the last grace period that was begun and for which all readers' accesses are ordered, and 1
 *	below it: a section that begins copies the word. Raised by anybody.
 * waiting: futex; 1 while somebody may sleep until a section ends.
 * fences: 1: readers order their own stores and loads; 0: who begins a grace period does that for
 *	them. Written when the file is laid.
 * begun: the last one that was begun. Incremented by whoever begins one.
 * completed: the last one that is over. Raised by anybody. */
struct rcu_words {
	/* --- read by every section that begins */
	_Atomic uint64_t fenced;
	_Atomic uint32_t waiting;
	uint32_t fences;
	uint64_t reserved0[6];
	/* --- */
	_Atomic uint64_t begun;
	_Atomic uint64_t completed;
	uint64_t reserved1[6];
};

static_assert(sizeof(struct rcu_words) == 128, "format");
static_assert(offsetof(struct rcu_words, begun) == 64, "another line than the readers'");

#define SECTION_NESTING_BITS 16
#define SECTION_NESTING UINT64_C(0xffff)

/* One bit per thread slot: set by its thread before its first section, cleared when the slot is given
 * up, by whoever does that. */
#define CONTROL_READER_WORDS 512u

static_assert(CONTROL_READERS_OFFSET + CONTROL_READER_WORDS * sizeof(uint64_t) <=
		CONTROL_HEADER_BYTES,
	"format");

/* Control file. One attached process. Alive as long as the kernel holds its byte lock.
 *
 * owner: 0 free; else a serial, with TAG_READER of a process that only reads. Set by the process after it locked the byte, cleared before it lets
 * go of the byte, or by the reaper after all thread slots of the process are free. */
struct process_slot {
	_Atomic uint64_t owner;
	_Atomic uint64_t pid; /* for people to read, never an identity */
	uint64_t reserved[6];
};

static_assert(sizeof(struct process_slot) == 64, "format");

/* A thread slot that is being claimed: names the process, in case that dies in the middle. */
#define THREAD_CLAIM UINT64_C(1) /* bit 0; bits 1..31: process slot */

/* Control file. One thread that uses the heap.
 *
 * owner: 0 free -> THREAD_CLAIM|process -> the thread's tag -> 0. By CAS; the way back by the
 *	thread itself or by the slot's reaper.
 * process, liveness_tag: written by the thread before it stores its tag in owner.
 * section: `fenced` when the thread's read section began, and how deep it is nested in the low
 *	SECTION_NESTING_BITS; 0 outside. Plain stores by the thread.
 * held, held_ns: for people to read: a value of `section` that held up a grace period, and when that
 *	was first seen. Written by whoever waits.
 * thread_id: for people to read, never an identity.
 * reaper: 0, or the tag of the thread that acts for the dead one. By CAS from 0 or from a dead
 *	reaper's tag. Whoever holds it is the one writer of everything that belongs to the slot. */
struct thread_slot {
	_Atomic uint64_t owner;
	_Atomic uint64_t reaper;
	_Atomic uint64_t
		liveness_tag; /* == owner: the liveness word tells of this thread's death */
	_Atomic uint32_t process;
	_Atomic uint32_t thread_id;
	_Atomic uint64_t section;
	_Atomic uint64_t held;
	_Atomic uint64_t held_ns;
	uint64_t reserved[1];
};

static_assert(sizeof(struct thread_slot) == 64, "format");

static inline uint64_t control_align(uint64_t bytes)
{
	return (bytes + CONTROL_ALIGN_BYTES - 1) & ~(CONTROL_ALIGN_BYTES - 1);
}

static inline uint64_t control_process_slots_offset(void)
{
	return CONTROL_HEADER_BYTES;
}

static inline uint64_t control_thread_slots_offset(uint32_t process_slots)
{
	return control_process_slots_offset() + process_slots * sizeof(struct process_slot);
}

static inline uint64_t control_liveness_offset(uint32_t process_slots, uint32_t thread_slots)
{
	return control_align(control_thread_slots_offset(process_slots) +
		thread_slots * sizeof(struct thread_slot));
}

static inline uint64_t control_liveness_bytes(uint32_t thread_slots)
{
	return control_align((uint64_t)thread_slots * LIVENESS_WORD_BYTES);
}

/* Where the derived state of the heap begins. */
static inline uint64_t control_derived_offset(uint32_t process_slots, uint32_t thread_slots)
{
	return control_liveness_offset(process_slots, thread_slots) +
		control_liveness_bytes(thread_slots);
}

#endif
