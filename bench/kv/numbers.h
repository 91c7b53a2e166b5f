/* numbers.h -- which entries are written and read, and how their keys and values look
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything is made from fixed seeds, before anybody is timed: each engine meets the same keys in the
 * same order, with the same values. */
#ifndef SPANHEAP_BENCH_KV_NUMBERS_H
#define SPANHEAP_BENCH_KV_NUMBERS_H

#include "common.h"

#define KEY_BYTES 16u
/* Numbers from Zipf's distribution, which workers go through again and again. */
#define DRAWS (UINT32_C(1) << 22)
/* Values are taken from anywhere in this many random bytes. */
#define POOL_BYTES (UINT64_C(1) << 20)
#define VALUE_BYTES_MAX (UINT64_C(1) << 16)

struct numbers {
	uint64_t entries;
	uint32_t *shuffled; /* 0 ... entries - 1, each once, in a random order */
	uint32_t *draws;    /* ranks below `entries`, the small ones often; NULL unless asked for */
	unsigned char *pool;
};

struct numbers numbers_make(uint64_t entries, bool zipf);
void numbers_release(struct numbers *numbers);

/* Writes a number as 16 decimal digits, as dbbench does. */
static inline void key_make(char key[KEY_BYTES], uint64_t number)
{
	for (unsigned at = KEY_BYTES; at-- > 0; number /= 10)
		key[at] = (char)('0' + number % 10);
}

/* A number whose bits all depend on all bits of `number`. */
static inline uint64_t scatter(uint64_t number)
{
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

/* The number whose key YCSB's record number `record` has: its records have no order. */
static inline uint64_t record_number(uint64_t record)
{
	return scatter(record + SEED) % UINT64_C(10000000000000000);
}

/* Where a value lies in the pool. */
static inline const unsigned char *value_at(const struct numbers *numbers, uint64_t random)
{
	return numbers->pool + (random & (POOL_BYTES - 1));
}

#endif
