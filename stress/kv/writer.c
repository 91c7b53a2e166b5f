/* writer.c -- a process that writes until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/writer.h"

#include "stress/kv/scan.h"
#include "stress/kv/tally.h"

#define MOOD_OPERATIONS 800u

void call_begin(struct writer *writer)
{
	atomic_store(&writer->seat->call_ns, now_ns());
	atomic_store(&writer->seat->inside, 1);
}

void call_end(struct writer *writer)
{
	atomic_store(&writer->seat->inside, 0);
	atomic_store(&writer->seat->call_ns, 0);
}

void writer_take_over(struct desk *desk, unsigned number)
{
	operation_take_over(&shared->seats[number].journal, desk, number);
	common_take_over_lock(desk, number);
}

/* Tables grow and shrink, again and again: nodes are split and joined. */
static void change_mood(struct writer *writer)
{
	static const unsigned char percents[] = { 90, 50, 10, 75, 25, 2 };

	if (writer->until_mood > 0) {
		writer->until_mood--;
		return;
	}
	writer->puts_percent = percents[chance_below(&writer->random, sizeof(percents))];
	writer->until_mood = (unsigned)chance_below(&writer->random, MOOD_OPERATIONS);
}

static void act(struct writer *writer)
{
	uint64_t percent = chance_below(&writer->random, 100);

	change_mood(writer);
	if (percent < 50)
		own_any(writer);
	else if (percent < 70)
		scan_disturb(writer);
	else if (percent < 85)
		temporary_any(writer);
	else if (percent < 95)
		common_lock(writer);
	else
		common_group(writer);
	atomic_fetch_add_explicit(&writer->seat->done, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&shared->counts.operations, 1, memory_order_relaxed);
}

void writer_run(struct kv *store, unsigned number, uint64_t seed)
{
	struct writer writer = {
		.number = number,
		.seat = &shared->seats[number],
		.random = chance_of(seed, number),
	};

	if (desk_open(&writer.desk, store, number) != 0)
		return;
	writer_take_over(&writer.desk, number);
	atomic_store(&writer.seat->ready, 1);
	while (!told_to_stop())
		act(&writer);
	expect_ok(kv_close(store), "kv_close");
}
