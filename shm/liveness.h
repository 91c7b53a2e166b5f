/* liveness.h -- who is alive: a process's place in the control file, its threads' words
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A. A process is alive while the kernel holds the byte lock of its slot: through zombies, stops
 *    and pid namespaces, and not beyond. Never a pid.
 * B. A thread is dead when the kernel marked its liveness word, or when its process is dead. The
 *    word is a robust mutex that the thread locks for life, so that the mark comes before the
 *    address space is torn down, which takes 1000 times as long.
 * C. Only its own thread ever makes a pthread call on a word; everybody else reads it. (A killed
 *    waiter with the same thread id, in another pid namespace, would mark a live holder dead.)
 * D. A word is laid and locked after its slot was claimed and before the claim is confirmed; it is
 *    unlocked before the slot is released. So it is nobody's list entry when its next owner lays
 *    it.
 * E. The words are linked with the application's own robust mutexes, by addresses in this process.
 *    They stay mapped while any thread has one locked, whatever was closed meanwhile. */
#ifndef SPANHEAP_LIVENESS_H
#define SPANHEAP_LIVENESS_H

#include "shm/byte_lock.h"
#include "shm/control_layout.h"
#include "shm/file.h"

#include <stdbool.h>
#include <stdint.h>

/* Process. This process's place in one control file: process slot, byte lock, and a small mapping
 * of the slots and liveness words. Outlives the heap's handle while a thread has a word locked.
 *
 * references: the handle's, and one for each thread with a slot. Under the lock of whoever
 * counts. */
struct presence {
	char *base;
	uint64_t bytes;
	struct control_header *header;
	struct process_slot *process_slots;
	struct thread_slot *thread_slots;
	char *words;
	uint32_t process;
	unsigned references;
	struct lock_holder byte;
	struct presence *next; /* in the list of whoever counts */
};

/* Takes a free process slot: locks its byte through `fd`, a description of the control file that
 * carries nothing else. Returns the slot; SLOT_NONE with *error EBUSY when none is free, or an
 * errno. Crash: a slot in use whose byte is free: a dead process; a reaper frees it. */
uint32_t presence_claim(struct control_header *header, struct process_slot *slots, int fd,
	uint64_t serial, int *error);

/* Maps slots and words through `fd`, which stays the caller's; the counts are those of `header`.
 * `byte` holds the byte of `process` and is taken over. 0 or an errno, with nothing taken over. */
int presence_create(struct presence **presence, const struct control_header *header, int fd,
	uint32_t process, const struct lock_holder *byte);

/* Drops one reference; the last one frees the process slot and lets go of the byte, in this order:
 * a slot with a free byte and an owner is a dead process. */
void presence_put(struct presence *presence);

/* In a fork child: forgets it, gives nothing back. */
void presence_forget(struct presence *presence);

/* Lays the calling thread's word and locks it. 0; ENOTSUP when the C library's mutex is not laid out
 * as this build expects; or an errno. */
int presence_lock_word(struct presence *presence, uint32_t slot);

/* Unlocks it; the caller is the thread that locked it. */
void presence_unlock_word(struct presence *presence, uint32_t slot);

/* Turns the slot of a live thread, all of whose words are clear, back into a claim: its tag is dead
 * from here on, and nobody else gets the slot while this process lives. */
void presence_park(struct presence *presence, uint32_t slot);

/* Frees a claimed slot whose word is unlocked. */
void presence_drop_claim(struct presence *presence, uint32_t slot);

/* Process. What is needed to tell who is alive. */
struct liveness {
	const struct thread_slot *thread_slots;
	const char *words;
	uint32_t thread_slot_count;
	uint32_t process_slot_count;
	uint32_t own_process;
	struct shared_file *control;
};

/* How this build's C library lays out a word. Processes that share a control file agree on it. */
uint64_t liveness_layout(void);

/* See struct system. Alive when it cannot be found out: nobody is reaped on a guess. */
bool liveness_thread_alive(struct liveness *liveness, uint64_t tag);
bool liveness_process_alive(struct liveness *liveness, uint32_t process);

#endif
