/* fingerprint.h -- 128-bit fingerprints of states, and sets of them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The explorer remembers a state by its fingerprint only. Fingerprints of parts add up to that of
 * the whole, so a store changes a fingerprint in constant time. Two states with one fingerprint
 * would hide each other: among 10^8 states that happens with a probability of about 10^-23. */
#ifndef MODEL_FINGERPRINT_H
#define MODEL_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fingerprint {
	uint64_t low;
	uint64_t high;
};

/* Process. Open addressing; {0, 0} marks a free slot. `numbers` holds what the caller filed with
 * each fingerprint. count <= 3/4 capacity. */
struct fingerprint_set {
	struct fingerprint *slots;
	uint32_t *numbers;
	size_t capacity;
	size_t count;
};

static inline uint64_t fingerprint_mix(uint64_t bits)
{
	bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
	return bits ^ (bits >> 31);
}

/* Of `value` in the place `key`. */
static inline struct fingerprint fingerprint_of_word(uint64_t key, uint64_t value)
{
	uint64_t place = fingerprint_mix(key + UINT64_C(0x9e3779b97f4a7c15));

	return (struct fingerprint){
		.low = fingerprint_mix(place ^ value),
		.high = fingerprint_mix(~place - value * UINT64_C(0xd6e8feb86659fd93)),
	};
}

struct fingerprint fingerprint_of_words(uint64_t key, const uint64_t *words, size_t count);

static inline struct fingerprint fingerprint_add(struct fingerprint a, struct fingerprint b)
{
	return (struct fingerprint){ .low = a.low + b.low, .high = a.high + b.high };
}

static inline struct fingerprint fingerprint_subtract(struct fingerprint a, struct fingerprint b)
{
	return (struct fingerprint){ .low = a.low - b.low, .high = a.high - b.high };
}

static inline bool fingerprint_equal(struct fingerprint a, struct fingerprint b)
{
	return a.low == b.low && a.high == b.high;
}

/* True: the fingerprint was absent and is filed with *number. False: *number is what it was filed
 * with. Ends the program when memory runs out. */
bool fingerprint_set_insert(struct fingerprint_set *set, struct fingerprint fingerprint,
	uint32_t *number);

void fingerprint_set_clear(struct fingerprint_set *set);

#endif
