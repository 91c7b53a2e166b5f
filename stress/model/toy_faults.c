/* toy_faults.c -- code that does not come to an end, or to a bad one, or leaves a mess
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/toy.h"

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
	const volatile uint64_t *nowhere = NULL;

	atomic_fetch_add(word, 1);
	/* cppcheck-suppress nullPointer ; the fault is the test */
	/* NOLINTNEXTLINE(clang-analyzer-*): the fault is the test */
	atomic_fetch_add(word, *nowhere);
}

void toy_recurse(_Atomic uint64_t *word)
{
	volatile unsigned char frame[1024];

	frame[0] = (unsigned char)atomic_fetch_add(word, 1);
	if (atomic_load(word) != 0)
		toy_recurse(word);
	frame[1] = frame[0];
}

__attribute__((noinline)) static void fill(volatile uint64_t *frame, uint64_t value)
{
	for (size_t i = 0; i < 16; i++)
		frame[i] = value;
}

__attribute__((noinline)) static void use_filled_frame(_Atomic uint64_t *word)
{
	volatile uint64_t frame[16];

	fill(frame, atomic_fetch_add(word, 1));
}

__attribute__((noinline)) static void use_unfilled_frame(_Atomic uint64_t *word)
{
	volatile uint64_t frame[16];

	if (atomic_load(word) == UINT64_MAX)
		fill(frame, 0);
}

void toy_dirty_stack(_Atomic uint64_t *word)
{
	use_filled_frame(word);
	if (atomic_load(word) != 0)
		use_unfilled_frame(word);
}

void toy_store_untracked(void)
{
	static uint64_t hidden;

	hidden++;
}
