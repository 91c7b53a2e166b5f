/* page_bits.h -- runs and ranges of bits in bitmaps of 64-bit words
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Bit i of a bitmap is bit i % 64 of word i / 64. Loads and stores are plain: the caller keeps
 * everybody else from the words it passes. No function loops over single bits. */
#ifndef SPANHEAP_PAGE_BITS_H
#define SPANHEAP_PAGE_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/geometry.h"

/* page_bits_mask -- `count` bits from bit `first` on, all inside one word
 *
 * 1 <= count, first + count <= 64. */
static inline uint64_t page_bits_mask(uint64_t first, uint64_t count)
{
	return (UINT64_MAX >> (WORD_PAGES - count)) << first;
}

/* page_bits_lowest -- number of the lowest set bit, 64 when there is none */
static inline uint64_t page_bits_lowest(uint64_t word)
{
	return word == 0 ? WORD_PAGES : (uint64_t)__builtin_ctzll(word);
}

/* page_bits_run_at_start -- length of the run of ones that begins at bit 0 */
static inline uint64_t page_bits_run_at_start(uint64_t word)
{
	return page_bits_lowest(~word);
}

/* page_bits_run_at_end -- length of the run of ones that ends at bit 63 */
static inline uint64_t page_bits_run_at_end(uint64_t word)
{
	return word == UINT64_MAX ? WORD_PAGES : (uint64_t)__builtin_clzll(~word);
}

/* page_bits_lowest_run -- first bit of the lowest run of `count` ones, 64 when there is none
 *
 * 1 <= count; more than 64 are never found. Each step keeps a bit where a run of twice the length
 * begins, so it takes log2(count) steps. */
static inline uint64_t page_bits_lowest_run(uint64_t word, uint64_t count)
{
	uint64_t length = 1;

	if (count > WORD_PAGES)
		return WORD_PAGES;
	while (length < count) {
		uint64_t step = count - length < length ? count - length : length;

		word &= word >> step;
		length += step;
	}
	return page_bits_lowest(word);
}

/* page_bits_narrow -- to[i] = from[i] & by[i] >> shift for each word of a chunk; is a bit left?
 *
 * Where a run that begins in `from` goes on, `shift` bits later, as one that begins in `by`, the
 * joined run begins in `to`. `to` is neither of the others. */
static inline bool page_bits_narrow(uint64_t *restrict to, const uint64_t *from, const uint64_t *by,
	uint64_t shift)
{
	uint64_t left = 0;

	for (uint64_t i = 0; i < CHUNK_WORDS; i++) {
		to[i] = from[i] & by[i] >> shift;
		left |= to[i];
	}
	return left != 0;
}

/* page_bits_longest_run -- length of the longest run of ones that lies inside one word of a chunk
 *
 * Looks at the CHUNK_WORDS words side by side. Doubles the length while some run is that long, then
 * adds the powers of two below it, greatest first, each if some run is still that much longer. */
static inline uint64_t page_bits_longest_run(const uint64_t *words)
{
	uint64_t begins[7][CHUNK_WORDS]; /* begins[k]: bits where a run of 2^k ones begins */
	uint64_t spare[CHUNK_WORDS];
	uint64_t *longest;
	uint64_t *longer = spare;
	uint64_t length;
	unsigned k = 0;

	if (!page_bits_narrow(begins[0], words, words, 0))
		return 0;
	while (k < 6 && page_bits_narrow(begins[k + 1], begins[k], begins[k], UINT64_C(1) << k))
		k++;
	if (k == 6)
		return WORD_PAGES;
	longest = begins[k];
	length = UINT64_C(1) << k;
	while (k-- > 0) {
		uint64_t *narrowed = longer;

		if (!page_bits_narrow(narrowed, longest, begins[k], length))
			continue;
		longer = longest;
		longest = narrowed;
		length += UINT64_C(1) << k;
	}
	return length;
}

/* page_bits_count -- how many bits are set
 *
 * Written out because the builtin is a call into the compiler's library wherever the baseline has
 * no such instruction; where it has one, compilers know this form. */
static inline uint64_t page_bits_count(uint64_t word)
{
	word -= (word >> 1) & UINT64_C(0x5555555555555555);
	word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
	word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (word * UINT64_C(0x0101010101010101)) >> 56;
}

/* page_bits_add -- add `a` and `b` to `sum`, each of 64 bit positions on its own; the carries */
static inline uint64_t page_bits_add(uint64_t *sum, uint64_t a, uint64_t b)
{
	uint64_t half = *sum ^ a;
	uint64_t carry = (*sum & a) | (half & b);

	*sum = half ^ b;
	return carry;
}

/* page_bits_count_words -- how many bits are set in `word_count` words
 *
 * Carry-save addition: eight words are added up in each bit position before the bits of the sum
 * are counted, which takes half the time of counting each word. */
static inline uint64_t page_bits_count_words(const uint64_t *words, uint64_t word_count)
{
	uint64_t ones = 0;
	uint64_t twos = 0;
	uint64_t fours = 0;
	uint64_t total = 0; /* eights, until the loop is over */
	uint64_t i = 0;

	for (; i + 8 <= word_count; i += 8) {
		const uint64_t *w = &words[i];
		uint64_t twos_a = page_bits_add(&ones, w[0], w[1]);
		uint64_t twos_b = page_bits_add(&ones, w[2], w[3]);
		uint64_t twos_c = page_bits_add(&ones, w[4], w[5]);
		uint64_t twos_d = page_bits_add(&ones, w[6], w[7]);
		uint64_t fours_a = page_bits_add(&twos, twos_a, twos_b);
		uint64_t fours_b = page_bits_add(&twos, twos_c, twos_d);

		total += page_bits_count(page_bits_add(&fours, fours_a, fours_b));
	}
	total = 8 * total + 4 * page_bits_count(fours) + 2 * page_bits_count(twos) +
		page_bits_count(ones);
	for (; i < word_count; i++)
		total += page_bits_count(words[i]);
	return total;
}

/* Stack. The words that a range of bits touches.
 * first_word == last_word implies head == tail: the range inside that one word. */
struct page_bits_range {
	uint64_t first_word;
	uint64_t last_word;
	uint64_t head; /* the range's bits in the first word */
	uint64_t tail; /* the range's bits in the last word */
};

/* page_bits_range -- the words of bits [first, first + count), 1 <= count */
static inline struct page_bits_range page_bits_range(uint64_t first, uint64_t count)
{
	uint64_t last = first + count - 1;
	struct page_bits_range range = {
		.first_word = first / WORD_PAGES,
		.last_word = last / WORD_PAGES,
		.head = UINT64_MAX << first % WORD_PAGES,
		.tail = UINT64_MAX >> (WORD_PAGES - 1 - last % WORD_PAGES),
	};

	if (range.first_word == range.last_word)
		range.head = range.tail = range.head & range.tail;
	return range;
}

/* page_bits_set_range -- set bits [first, first + count), 1 <= count */
static inline void page_bits_set_range(uint64_t *words, uint64_t first, uint64_t count)
{
	struct page_bits_range range = page_bits_range(first, count);

	words[range.first_word] |= range.head;
	for (uint64_t i = range.first_word + 1; i < range.last_word; i++)
		words[i] = UINT64_MAX;
	words[range.last_word] |= range.tail;
}

/* page_bits_clear_range -- clear bits [first, first + count), 1 <= count */
static inline void page_bits_clear_range(uint64_t *words, uint64_t first, uint64_t count)
{
	struct page_bits_range range = page_bits_range(first, count);

	words[range.first_word] &= ~range.head;
	for (uint64_t i = range.first_word + 1; i < range.last_word; i++)
		words[i] = 0;
	words[range.last_word] &= ~range.tail;
}

/* page_bits_range_is_set -- whether all of bits [first, first + count) are set, 1 <= count */
static inline bool page_bits_range_is_set(const uint64_t *words, uint64_t first, uint64_t count)
{
	struct page_bits_range range = page_bits_range(first, count);

	for (uint64_t i = range.first_word + 1; i < range.last_word; i++) {
		if (words[i] != UINT64_MAX)
			return false;
	}
	return (words[range.first_word] & range.head) == range.head &&
		(words[range.last_word] & range.tail) == range.tail;
}

/* page_bits_range_is_clear -- whether none of bits [first, first + count) is set, 1 <= count */
static inline bool page_bits_range_is_clear(const uint64_t *words, uint64_t first, uint64_t count)
{
	struct page_bits_range range = page_bits_range(first, count);

	for (uint64_t i = range.first_word + 1; i < range.last_word; i++) {
		if (words[i] != 0)
			return false;
	}
	return (words[range.first_word] & range.head) == 0 &&
		(words[range.last_word] & range.tail) == 0;
}

/* page_bits_count_range -- how many of bits [first, first + count) are set, 1 <= count */
static inline uint64_t page_bits_count_range(const uint64_t *words, uint64_t first, uint64_t count)
{
	struct page_bits_range range = page_bits_range(first, count);
	uint64_t total = page_bits_count(words[range.first_word] & range.head);

	if (range.first_word == range.last_word)
		return total;
	return total + page_bits_count(words[range.last_word] & range.tail) +
		page_bits_count_words(&words[range.first_word + 1],
			range.last_word - range.first_word - 1);
}

/* page_bits_find_run -- first bit of the lowest run of `count` ones in `word_count` words
 *
 * 1 <= count. 64 * word_count when there is none. Runs may cross words. */
static inline uint64_t page_bits_find_run(const uint64_t *words, uint64_t word_count,
	uint64_t count)
{
	uint64_t run = 0; /* ones right below words[i] */

	for (uint64_t i = 0; i < word_count; i++) {
		uint64_t bit;

		if (run + page_bits_run_at_start(words[i]) >= count)
			return i * WORD_PAGES - run;
		bit = page_bits_lowest_run(words[i], count);
		if (bit < WORD_PAGES)
			return i * WORD_PAGES + bit;
		run = words[i] == UINT64_MAX ? run + WORD_PAGES : page_bits_run_at_end(words[i]);
	}
	return word_count * WORD_PAGES;
}

#endif
