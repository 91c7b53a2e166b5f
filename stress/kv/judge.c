/* judge.c -- the whole store against all that is known of it
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/judge.h"

#include "stress/kv/content.h"
#include "stress/kv/group.h"
#include "stress/kv/scan.h"
#include "stress/kv/tally.h"
#include "stress/kv/temporary.h"

/* The tables of all writers, as far as they are there. */
static void open_private_tables(struct desk *desk)
{
	char text[KEY_BYTES];

	for (unsigned i = 2; i < 2 + WRITERS; i++) {
		int error = kv_table_open(desk->store, table_name(text, i), 0, &desk->tables[i]);

		if (error != KV_ENOTFOUND)
			expect_ok(error, "kv_table_open");
	}
}

/* Each key is what was acknowledged; counts those of each table that are there. */
static void judge_places(struct desk *desk, uint64_t there[2 + WRITERS])
{
	for (uint32_t place = 0; place < PLACES && !failed(); place++) {
		uint64_t version = atomic_load(&shared->standing[place].acknowledged);
		struct finding finding = look_up(desk, place);

		finding_judge(&finding, place, version, CHECK_ACKNOWLEDGED);
		there[table_of_place(place)] += finding.there;
	}
}

/* There is nothing else. Of the group half the keys are in table 0, all or none. */
static void judge_numbers(struct desk *desk, const uint64_t there[2 + WRITERS])
{
	for (unsigned i = 0; i < 2 + WRITERS && !failed(); i++) {
		struct kv_stats stats;
		uint64_t extra;

		if (desk->tables[i] == NULL ||
			expect_ok(kv_stats(desk->tables[i], &stats), "kv_stats") != 0)
			continue;
		extra = stats.entries - there[i];
		if (extra != 0 && !(i == 0 && extra == GROUP_KEYS / 2))
			fail(CHECK_ACKNOWLEDGED,
				"table %u has %llu entries, of which %llu are known", i,
				(unsigned long long)stats.entries, (unsigned long long)there[i]);
	}
}

static int say_problem(const char *text, void *argument)
{
	(void)argument;
	fail(CHECK_STORE, "kv_check: %s", text);
	return 0;
}

static int say_heap_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	fail(CHECK_STORE, "sh_check: %#llx: %s", (unsigned long long)problem->off, problem->text);
	return 0;
}

static void judge_blocks(struct kv *store)
{
	uint64_t problems;

	expect_ok(sh_synchronize(kv_heap(store)), "sh_synchronize");
	expect_ok(kv_check(store, say_problem, NULL, &problems), "kv_check");
	expect_ok(sh_check(kv_heap(store), 0, say_heap_problem, NULL, &problems), "sh_check");
	tally(CHECK_STORE);
}

void judge_store(struct kv *store)
{
	uint64_t there[2 + WRITERS] = { 0 };
	struct desk desk;

	if (desk_open(&desk, store, WRITERS) != 0)
		return;
	open_private_tables(&desk);
	for (unsigned i = 0; i < WRITERS; i++)
		writer_take_over(&desk, i);
	judge_places(&desk, there);
	judge_numbers(&desk, there);
	group_judge(&desk);
	temporary_judge(store);
	scan_judge(&desk);
	judge_blocks(store);
}
