/* numbers.c -- keys in random order, Zipf's distribution, random bytes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "numbers.h"

#include <math.h>

/* YCSB's constant: how much more often the first is wanted than the next ones. */
#define ZIPF_THETA 0.99

static void *memory(uint64_t bytes)
{
	void *pointer = malloc(bytes);

	if (pointer == NULL)
		die("no %llu bytes of memory", (unsigned long long)bytes);
	return pointer;
}

static uint32_t *shuffled_numbers(uint64_t count)
{
	uint32_t *numbers = memory(count * sizeof(numbers[0]));
	uint64_t random = SEED;

	for (uint64_t i = 0; i < count; i++)
		numbers[i] = (uint32_t)i;
	for (uint64_t i = count - 1; i > 0; i--) {
		uint64_t other = random_below(random_next(&random), i + 1);
		uint32_t number = numbers[i];

		numbers[i] = numbers[other];
		numbers[other] = number;
	}
	return numbers;
}

static double zeta(uint64_t count)
{
	double sum = 0;

	for (uint64_t i = 1; i <= count; i++)
		sum += pow((double)i, -ZIPF_THETA);
	return sum;
}

/* Gray and others, "Quickly generating billion-record synthetic databases" (1994): the ranks below
 * `count` by the inverse of an approximation of their distribution. */
static uint32_t *zipf_draws(uint64_t count)
{
	uint32_t *draws = memory(DRAWS * sizeof(draws[0]));
	double all = zeta(count);
	double first_two = 1 + pow(0.5, ZIPF_THETA);
	double eta = (1 - pow(2.0 / (double)count, 1 - ZIPF_THETA)) / (1 - first_two / all);
	uint64_t random = SEED;

	for (uint32_t i = 0; i < DRAWS; i++) {
		double uniform = (double)(random_next(&random) >> 11) * 0x1p-53;
		double rank = (double)count * pow(eta * uniform - eta + 1, 1 / (1 - ZIPF_THETA));

		if (uniform * all < 1)
			rank = 0;
		else if (uniform * all < first_two)
			rank = 1;
		draws[i] = rank < (double)count ? (uint32_t)rank : (uint32_t)(count - 1);
	}
	return draws;
}

struct numbers numbers_make(uint64_t entries, bool zipf)
{
	struct numbers numbers = { .entries = entries };
	uint64_t random = SEED;

	if (entries < 2 || entries > UINT32_MAX)
		die("there must be 2 to 2^32 - 1 entries");
	numbers.shuffled = shuffled_numbers(entries);
	numbers.draws = zipf ? zipf_draws(entries) : NULL;
	numbers.pool = memory(POOL_BYTES + VALUE_BYTES_MAX);
	for (uint64_t at = 0; at < POOL_BYTES + VALUE_BYTES_MAX; at += sizeof(random)) {
		random_next(&random);
		memcpy(numbers.pool + at, &random, sizeof(random));
	}
	return numbers;
}

void numbers_release(struct numbers *numbers)
{
	free(numbers->shuffled);
	free(numbers->draws);
	free(numbers->pool);
}
