/* rcu.h -- grace periods for readers in several processes
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A reader is in a section from sh_section_enter() to sh_section_leave() (spanheap.h): it copies
 * `fenced` into the `section` word of its slot, and stores 0 at the end. Whoever unlinked something asks
 * for a tag (rcu_tag), and may reuse it when the grace period of that tag is over: then every section
 * that could have found it has ended. There is no lock and no queue, so nothing is left of a process
 * that dies while it waits, and any number may wait at a time.
 *
 *   A grace period E: begun = E (an increment), order_all(), fenced = E, then a look at every reader:
 *   over when each is outside of a section, or in one that copied E or a later one.
 *
 * U: the unlink. S: a reader's store to its section word. R: its loads inside. M: the moment at which
 * order_all() acts on the reader's thread.
 * A. The look misses S: were S before M, the look, which is after M, would see it. So R comes after M,
 *    and U before: R sees the unlink. With fences: U, fence, look; S, fence, R: not both miss.
 * B. The look sees E or a later one: the reader's acquire load read what was stored after order_all(), and
 *    U comes before that. (It is not `begun` that is copied: whoever increments it next need not know the
 *    U of a tag that was loaded meanwhile, where stores reach some processors before others.)
 * C. The look sees an older one: waited for. A store of an old one that comes late holds up later
 *    grace periods, and never lets one pass.
 * D. Who unlinked is not who begins: the tag t is loaded after U, so the increment to t + 1 comes after
 *    U, too. A tag that is taken before the unlink is no tag.
 * E. Reuse: a reader's release store of 0, the look's acquire, `completed` by release, acquire.
 * F. Nobody reads: a reader sets its bit by a full fence before its first section. Who begins a grace
 *    period and finds no bit set after a full fence of its own knows that every reader's first section
 *    comes after U: there is nobody to wait for, and no order_all() is needed.
 * G. A dead reader reads nothing. Its word counts all the same until its slot is reaped, because the log
 *    that the reaper settles may still name what the section protected.
 *
 * Read sections nest. Numbers have 48 bits: nine years of a million grace periods a second. */
#ifndef SPANHEAP_RCU_H
#define SPANHEAP_RCU_H

#include "shm/control_layout.h"
#include "shm/system.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Process. One heap's readers and grace periods. */
struct rcu {
	struct rcu_words *words;
	_Atomic uint64_t *readers; /* one bit per slot */
	struct thread_slot *slots;
	const struct control_header *header;
};

enum rcu_state {
	RCU_OVER,
	RCU_HELD,   /* a section that began before is not at its end */
	RCU_FAILED, /* order_all() did: nothing may be reused */
};

/* Finds everything in the control file at `control`. */
void rcu_view_init(struct rcu *rcu, char *control, uint32_t process_slots);

/* Lays the words in a control file that nobody uses; `fences` as in struct rcu_words. */
void rcu_lay(const struct rcu *rcu, bool fences);

/* Makes the slot one that is looked at: by its thread, before its first section. */
void rcu_enroll(const struct rcu *rcu, uint32_t slot);

/* Ends the slot's section, if it is in one, and the looks: before the slot is given up, by its thread or
 * by whoever acts for the dead one. */
void rcu_withdraw(const struct rcu *rcu, uint32_t slot);

/* Whether the slot's thread is in a section. */
bool rcu_is_reading(const struct rcu *rcu, uint32_t slot);

/* Whether nobody has ever read, but for those who gave their slots up: then whatever the caller unlinked
 * so far is nobody's. A full fence. */
bool rcu_nobody_reads(const struct rcu *rcu);

/* The tag of everything that the caller unlinked so far. A full fence. */
uint64_t rcu_tag(const struct rcu *rcu);

/* Whether the grace period of a tag is over, without a look. */
bool rcu_is_over(const struct rcu *rcu, uint64_t tag);

/* The same; begins a grace period if there is none for the tag, and looks once. Never waits. `holder`,
 * which may be NULL, gets the slot that holds it up. */
enum rcu_state rcu_poll(const struct rcu *rcu, const struct system *system, uint64_t tag,
	uint32_t *holder);

/* How many grace periods are over since the file was laid. */
uint64_t rcu_count(const struct rcu *rcu);

/* For how long the slot's section has been known to hold others up; 0 when it does not. */
uint64_t rcu_held_ns(const struct rcu *rcu, const struct system *system, uint32_t slot);

/* Waits until the grace period of a tag is over. Before each sleep calls `held` with a slot that holds it
 * up, and whether its thread is dead: then the slot should be reaped when that returns. 0, or an
 * errno of order_all(). The caller is in no section. Crash: nothing is left to do. */
int rcu_wait(const struct rcu *rcu, const struct system *system, uint64_t tag,
	void (*held)(void *argument, uint32_t slot, bool dead), void *argument);

/* The same for a caller who reuses nothing that others protect: waits for the sections of the living only,
 * so that nobody need be reaped. When a dead reader holds the grace period up, it is not over for the
 * others (G). */
int rcu_wait_for_living(const struct rcu *rcu, const struct system *system, uint64_t tag,
	void (*held)(void *argument, uint32_t slot, bool dead), void *argument);

#endif
