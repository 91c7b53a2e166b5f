/* numbers.c -- what a run must have reached besides holding every check
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/numbers.h"

#include "stress/kill/deaths.h"
#include "stress/kill/remains.h"
#include "stress/kill/tally.h"

#define NUMBERS 7u

/* Stack. */
struct number {
	enum check check;
	uint64_t reached;
	uint64_t least;
};

static uint64_t greater(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

static void collect(struct number numbers[NUMBERS], uint64_t kills)
{
	const struct reported *reported = &shared->reported;
	uint64_t killed = atomic_load(&shared->kills);
	const struct number all[NUMBERS] = {
		{ CHECK_KILLS, killed, kills },
		{ CHECK_INSIDE_JOURNALS, atomic_load(&shared->kills_inside),
			greater((killed + 3) / 4, shared->inside_wanted) },
		{ CHECK_INSIDE_REPORTS, atomic_load(&reported->inside), greater(killed / 10, 100) },
		{ CHECK_ROLLED_BACK, atomic_load(&reported->rolled_back),
			greater(in_proportion(1000), 1) },
		{ CHECK_ROLLED_FORWARD, atomic_load(&reported->rolled_forward),
			greater(in_proportion(50), 1) },
		{ CHECK_FINISHED, atomic_load(&reported->operations_finished),
			greater(in_proportion(50), 1) },
		{ CHECK_UNDONE, atomic_load(&reported->operations_undone),
			greater(in_proportion(50), 1) },
	};

	for (unsigned i = 0; i < NUMBERS; i++)
		numbers[i] = all[i];
}

bool numbers_enough(uint64_t kills)
{
	struct number numbers[NUMBERS];

	collect(numbers, kills);
	for (unsigned i = 0; i < NUMBERS; i++)
		if (numbers[i].reached < numbers[i].least)
			return false;
	return deaths_enough() && remains_enough();
}

void numbers_expect(uint64_t kills)
{
	struct number numbers[NUMBERS];
	bool asked = !failed();

	collect(numbers, kills);
	for (unsigned i = 0; i < NUMBERS; i++) {
		atomic_store(&shared->rounds[numbers[i].check], numbers[i].reached);
		if (asked && numbers[i].reached < numbers[i].least)
			fail(numbers[i].check, "%llu were reached, not %llu",
				(unsigned long long)numbers[i].reached,
				(unsigned long long)numbers[i].least);
	}
	if (asked) {
		deaths_expect();
		remains_expect();
	}
}
