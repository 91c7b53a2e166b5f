/* fingerprint.h -- fingerprints of states, and sets of them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The explorer remembers a state by its fingerprint only. Fingerprints of parts add up to that of
 * the whole, so a store changes a fingerprint in constant time. Two states with one fingerprint
 * would hide each other: among 10^8 states that happens with a probability of about 10^-13. */
#ifndef MODEL_FINGERPRINT_H
#define MODEL_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fingerprint {
	uint64_t low;
	uint64_t high;
};

/* Process. Of a fingerprint the set keeps 96 bits, and 4 slots share a cache line; all zero marks a
 * free slot. */
struct fingerprint_slot {
	uint64_t low;
	uint32_t high;
	uint32_t number; /* what the caller filed with it */
};

/* Process. Open addressing. count <= 3/4 capacity. */
struct fingerprint_set {
	struct fingerprint_slot *slots;
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
