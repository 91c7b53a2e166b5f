/* toy_counter.c -- increments that get lost, and some that do not
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/toy.h"

void toy_counter_add_plain(struct toy_counter *counter)
{
	counter->plain++;
}

void toy_counter_add_atomic(struct toy_counter *counter)
{
	atomic_fetch_add_explicit(&counter->atomic, 1, memory_order_relaxed);
}

void toy_count_alone(_Atomic uint64_t *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		atomic_store_explicit(&words[i], i + 1, memory_order_relaxed);
}

bool toy_saw_store_before_death(const volatile uint64_t *dead, const _Atomic uint64_t *word)
{
	return *dead == 0 && atomic_load(word) != 0 && *dead != 0;
}
