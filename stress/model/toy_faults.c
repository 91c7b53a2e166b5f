/* toy_faults.c -- code that does not come to an end, or to a bad one
 * SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

void toy_store_for_ever(_Atomic uint64_t *word)
{
	for (;;)
		atomic_fetch_xor(word, 1);
}

void toy_wait_for_ever(const _Atomic uint64_t *word)
{
	while (atomic_load_explicit(word, memory_order_acquire) == 0)
		;
}

void toy_fault(_Atomic uint64_t *word)
{
	volatile uint64_t *nowhere = NULL;

	atomic_fetch_add(word, 1);
	*nowhere = 1;
}

void toy_recurse(_Atomic uint64_t *word)
{
	volatile unsigned char frame[1024];

	frame[0] = (unsigned char)atomic_fetch_add(word, 1);
	if (atomic_load(word) != 0)
		toy_recurse(word);
	frame[1] = frame[0];
}
