/* toy_operations.c -- all that the hook stands in for, with results that are known
 * SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "stress/model/toy.h"

#define USE_ATOMIC(type, name)                                                                    \
	static bool use_##name(_Atomic type *place)                                               \
	{                                                                                         \
		type expected = 7;                                                                \
		atomic_store(place, 5);                                                           \
		bool right = atomic_load(place) == 5;                                             \
		right &= atomic_fetch_add(place, 9) == 5;                                         \
		right &= atomic_fetch_sub(place, 2) == 14;                                        \
		right &= atomic_fetch_or(place, 3) == 12;                                         \
		right &= atomic_fetch_and(place, 6) == 15;                                        \
		right &= atomic_fetch_xor(place, 5) == 6;                                         \
		right &= atomic_exchange(place, 4) == 3;                                          \
		right &= !atomic_compare_exchange_strong(place, &expected, 1) && expected == 4;   \
		right &= atomic_compare_exchange_strong(place, &expected, 0x55) && expected == 4; \
		while (!atomic_compare_exchange_weak(place, &expected, 0xaa))                     \
			;                                                                         \
		return right && expected == 0x55 && atomic_load(place) == 0xaa;                   \
	}

USE_ATOMIC(uint8_t, byte)
USE_ATOMIC(uint16_t, half)
USE_ATOMIC(uint32_t, word)
USE_ATOMIC(uint64_t, longword)

/* The bytes become 0, 1, .. and are moved over each other in both directions. */
static bool use_copies(unsigned char *bytes, size_t count)
{
	unsigned char expected[40];

	for (size_t i = 0; i < count; i++)
		expected[i] = (unsigned char)i;
	/* cppcheck-suppress uninitvar ; count is the length of the array */
	memcpy(bytes, expected, count);
	memmove(bytes + 3, bytes, 30);
	memmove(expected + 3, expected, 30);
	memmove(bytes + 1, bytes + 6, 29);
	memmove(expected + 1, expected + 6, 29);
	memset(bytes + 5, 0x77, 19);
	memset(expected + 5, 0x77, 19);
	return memcmp(bytes, expected, count) == 0;
}

static bool use_words(uint64_t *words)
{
	const uint64_t pair[4] = { 1, 2, 3, 4 };

	memcpy(words, pair, sizeof pair);
	words[0] += words[3];
	words[1]++;
	return words[0] == 5 && words[1] == 3;
}

bool toy_mixture_use(struct toy_mixture *mixture)
{
	atomic_thread_fence(memory_order_seq_cst);
	atomic_signal_fence(memory_order_release);
	bool right = !atomic_exchange(&mixture->flag, true);

	right &= use_byte(&mixture->byte);
	right &= use_half(&mixture->half);
	right &= use_word(&mixture->word);
	right &= use_longword(&mixture->longword);
	right &= use_copies(mixture->bytes, sizeof mixture->bytes);
	return use_words(mixture->words) && right;
}
