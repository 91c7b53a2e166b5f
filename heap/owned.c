/* owned.c -- the spans that a thread owns
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/owned.h"

#include "shm/order.h"

#define LOOKS_MOST_SHIFT 4u /* 16 */

/* --- places -------------------------------------------------------------------------------- */

static bool back(struct thread *thread, unsigned place)
{
	struct owned_set *set = &thread->owned;

	return place <= OWNED_INLINE || place <= set->backed ||
		heap_back_owned(thread->heap, thread->slot, place, &set->backed) == 0;
}

/* A place that was never used in this life of the slot: owned_ready() backed it. */
static unsigned first_use(struct thread *thread)
{
	struct owned_set *set = &thread->owned;
	unsigned place = set->limit + 1u;

	set->limit = (uint16_t)place;
	/* Before the word is: a reaper looks at words below the limit. */
	if (atomic_load_explicit(&thread->words->owned_limit, memory_order_relaxed) < place)
		atomic_store_explicit(&thread->words->owned_limit, place, memory_order_release);
	crash_order();
	return place;
}

bool owned_ready(struct thread *thread)
{
	const struct owned_set *set = &thread->owned;

	return set->unused != 0 || (set->limit < OWNED_COUNT && back(thread, set->limit + 1u));
}

unsigned owned_take(struct thread *thread, uint64_t head)
{
	struct owned_set *set = &thread->owned;
	unsigned place;

	if (!owned_ready(thread))
		return 0;
	place = set->unused;
	if (place != 0)
		set->unused = set->next[place];
	else
		place = first_use(thread);
	set->next[place] = 0;
	atomic_store_explicit(heap_owned(thread->heap, thread->slot, place), head,
		memory_order_release);
	return place;
}

void owned_drop(struct thread *thread, unsigned place)
{
	struct owned_set *set = &thread->owned;

	assert(set->before[place] == 0);
	atomic_store_explicit(heap_owned(thread->heap, thread->slot, place), 0,
		memory_order_release);
	set->next[place] = set->unused;
	set->unused = (uint16_t)place;
}

/* --- rings --------------------------------------------------------------------------------- */

void owned_link(struct thread *thread, unsigned span_class, unsigned place, uint32_t pages)
{
	struct owned_set *set = &thread->owned;
	uint16_t self = (uint16_t)place;
	uint16_t position = set->position[span_class];
	uint16_t before = position != 0 ? position : self;
	uint16_t next = position != 0 ? set->next[position] : self;

	set->before[self] = before;
	set->next[self] = next;
	set->next[before] = self;
	set->before[next] = self;
	set->position[span_class] = self;
	set->count++;
	set->pages += pages;
}

void owned_unlink(struct thread *thread, unsigned span_class, unsigned place, uint32_t pages)
{
	struct owned_set *set = &thread->owned;
	uint16_t before = set->before[place];
	uint16_t next = set->next[place];

	if (before == 0)
		return;
	set->next[before] = next;
	set->before[next] = before;
	if (set->position[span_class] == place)
		set->position[span_class] = before != place ? before : 0;
	set->before[place] = 0;
	set->next[place] = 0;
	set->count--;
	set->pages -= pages;
	owned_forget_empty(thread, place, pages);
}

unsigned owned_looks(const struct thread *thread, unsigned span_class)
{
	return 1u << (LOOKS_MOST_SHIFT - thread->owned.vain[span_class]);
}

void owned_looked(struct thread *thread, unsigned span_class, bool found)
{
	uint8_t *vain = &thread->owned.vain[span_class];

	if (found)
		*vain = 0;
	else if (*vain < LOOKS_MOST_SHIFT)
		(*vain)++;
}

/* --- empty spans --------------------------------------------------------------------------- */

bool owned_keep_empty(struct thread *thread, unsigned place, uint32_t pages)
{
	struct owned_set *set = &thread->owned;

	if (set->empty_pages + pages > RETAINED_EMPTY_PAGES)
		return false;
	set->empty[place / 64] |= UINT64_C(1) << (place % 64);
	set->empty_pages += pages;
	return true;
}

void owned_forget_empty(struct thread *thread, unsigned place, uint32_t pages)
{
	struct owned_set *set = &thread->owned;

	if (!owned_is_empty(thread, place))
		return;
	set->empty[place / 64] &= ~(UINT64_C(1) << (place % 64));
	set->empty_pages -= pages;
}
