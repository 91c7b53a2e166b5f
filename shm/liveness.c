/* liveness.c -- who is alive: a process's place in the control file, its threads' words
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "shm/liveness.h"

#include "shm/slot.h"
#include "shm/tag.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static_assert(sizeof(pthread_mutex_t) <= LIVENESS_WORD_BYTES, "a word holds a mutex");

/* Where the kernel finds the owner in a mutex: the futex that the robust list names. The C library
 * does not tell; a thread that locks its word looks whether it is there. */
#ifdef __GLIBC__
#define FUTEX_OFFSET offsetof(pthread_mutex_t, __data.__lock)
#else
#define FUTEX_OFFSET sizeof(int) /* musl: behind the type */
#endif

uint64_t liveness_layout(void)
{
	return (uint64_t)sizeof(pthread_mutex_t) << 8 | FUTEX_OFFSET;
}

/* --- the process's place ------------------------------------------------------------------- */

static void raise_high_water(struct control_header *header, uint32_t mark)
{
	uint32_t seen = atomic_load_explicit(&header->process_high_water, memory_order_relaxed);

	while (seen < mark &&
		!atomic_compare_exchange_weak_explicit(&header->process_high_water, &seen, mark,
			memory_order_acq_rel, memory_order_relaxed))
		;
}

/* Locks the byte, then takes the slot. 0, EBUSY when somebody else has it, or an errno. */
static int claim_slot(struct process_slot *slot, int fd, uint32_t process, uint64_t serial)
{
	uint64_t vacant = 0;
	int error;

	/* A slot that is not free may be a dead process's: a locked byte would bring it to life. */
	if (atomic_load_explicit(&slot->owner, memory_order_acquire) != 0)
		return EBUSY;
	error = byte_lock_set(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OF_PROCESS(process));
	if (error != 0)
		return error;
	/* Crash: a free slot, and the byte is free, too. */
	if (!atomic_compare_exchange_strong_explicit(&slot->owner, &vacant, serial,
		    memory_order_acq_rel, memory_order_relaxed)) {
		byte_lock_clear(fd, BYTE_OF_PROCESS(process));
		return EBUSY;
	}
	atomic_store_explicit(&slot->pid, (uint64_t)getpid(), memory_order_relaxed);
	return 0;
}

uint32_t presence_claim(struct control_header *header, struct process_slot *slots, int fd,
	uint64_t serial, int *error)
{
	for (uint32_t process = 0; process < header->process_slot_count; process++) {
		raise_high_water(header, process + 1);
		*error = claim_slot(&slots[process], fd, process, serial);
		if (*error == 0)
			return process;
		if (*error != EBUSY)
			return SLOT_NONE;
	}
	return SLOT_NONE;
}

static void find_parts(struct presence *presence, uint32_t processes, uint32_t threads)
{
	char *base = presence->base;

	presence->process_slots =
		(struct process_slot *)(void *)(base + control_process_slots_offset());
	presence->thread_slots =
		(struct thread_slot *)(void *)(base + control_thread_slots_offset(processes));
	presence->words = base + control_liveness_offset(processes, threads);
}

int presence_create(struct presence **presence, const struct control_header *header, int fd,
	uint32_t process, const struct lock_holder *byte)
{
	struct presence *made = calloc(1, sizeof(*made));
	uint32_t processes = header->process_slot_count;
	/* The last slot is recovery's: it has a place, but does not count. */
	uint32_t threads = header->thread_slot_count + 1;
	int error;

	if (made == NULL)
		return ENOMEM;
	made->bytes = control_derived_offset(processes, threads);
	error = file_map(fd, made->bytes, true, &made->base);
	if (error != 0) {
		free(made);
		return error;
	}
	file_expect_holes(made->base, made->bytes);
	find_parts(made, processes, threads);
	made->process = process;
	made->references = 1;
	made->byte = *byte;
	*presence = made;
	return 0;
}

void presence_put(struct presence *presence)
{
	if (--presence->references != 0)
		return;
	atomic_store_explicit(&presence->process_slots[presence->process].owner, 0,
		memory_order_release);
	/* Crash: a free slot whose byte ends with us. */
	lock_holder_drop(&presence->byte);
	file_unmap(presence->base, presence->bytes);
	free(presence);
}

void presence_forget(struct presence *presence)
{
	lock_holder_forget(&presence->byte);
	file_unmap(presence->base, presence->bytes);
	free(presence);
}

/* --- a thread's word ----------------------------------------------------------------------- */

static pthread_mutex_t *word_of(const struct presence *presence, uint32_t slot)
{
	return (pthread_mutex_t *)(void *)(presence->words + slot * LIVENESS_WORD_BYTES);
}

static unsigned futex_of(const char *word)
{
	const _Atomic unsigned *futex =
		(const _Atomic unsigned *)(const void *)(word + FUTEX_OFFSET);

	/* acquire: the stores of the dead come before the mark. */
	return atomic_load_explicit(futex, memory_order_acquire);
}

static int lay_word(pthread_mutex_t *word)
{
	pthread_mutexattr_t attributes;
	int error = pthread_mutexattr_init(&attributes);

	if (error != 0)
		return error;
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	error = pthread_mutex_init(word, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return error;
}

int presence_lock_word(struct presence *presence, uint32_t slot)
{
	pthread_mutex_t *word = word_of(presence, slot);
	int error = lay_word(word);

	/* Nobody else locks it, so nothing is waited for: it has no place in any lock order. */
	if (error == 0)
		error = pthread_mutex_trylock(word);
	if (error != 0)
		return error;
	if ((futex_of((const char *)word) & FUTEX_TID_MASK) == (unsigned)gettid())
		return 0;
	pthread_mutex_unlock(word);
	return ENOTSUP;
}

void presence_unlock_word(struct presence *presence, uint32_t slot)
{
	pthread_mutex_unlock(word_of(presence, slot));
}

static uint64_t claim_of(const struct presence *presence)
{
	return (uint64_t)presence->process << 1 | THREAD_CLAIM;
}

void presence_park(struct presence *presence, uint32_t slot)
{
	struct thread_slot *thread = &presence->thread_slots[slot];

	/* Crash: a claim of a dead process, with nothing behind it. release: who sees the claim
	 * sees the words clear. */
	atomic_store_explicit(&thread->owner, claim_of(presence), memory_order_release);
}

void presence_drop_claim(struct presence *presence, uint32_t slot)
{
	uint64_t seen = claim_of(presence);

	atomic_compare_exchange_strong_explicit(&presence->thread_slots[slot].owner, &seen, 0,
		memory_order_release, memory_order_relaxed);
}

/* --- who is alive -------------------------------------------------------------------------- */

/* Whether the kernel marked the word of a thread that ended. */
static bool is_marked(const struct liveness *liveness, uint32_t slot)
{
	const char *word = liveness->words + slot * LIVENESS_WORD_BYTES;

	return (futex_of(word) & FUTEX_OWNER_DIED) != 0;
}

bool liveness_process_alive(struct liveness *liveness, uint32_t process)
{
	bool held;
	int fd;

	if (process == liveness->own_process)
		return true;
	if (process >= liveness->process_slot_count)
		return false;
	fd = shared_file_use(liveness->control);
	return fd < 0 || byte_lock_test(fd, BYTE_OF_PROCESS(process), &held) != 0 || held;
}

bool liveness_thread_alive(struct liveness *liveness, uint64_t tag)
{
	const struct thread_slot *slot;

	if (!tag_plausible(tag, liveness->thread_slot_count))
		return false;
	slot = &liveness->thread_slots[tag_slot(tag)];
	/* acquire: pairs with slot_confirm(). */
	if (atomic_load_explicit(&slot->owner, memory_order_acquire) != tag)
		return false;
	if (atomic_load_explicit(&slot->liveness_tag, memory_order_relaxed) == tag &&
		is_marked(liveness, tag_slot(tag)))
		return false;
	return liveness_process_alive(liveness,
		atomic_load_explicit(&slot->process, memory_order_relaxed));
}
