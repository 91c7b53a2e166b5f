/* actors.c -- the processes of a case: who is killed, and who judges
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/actors.h"

#include "stress/common/single_step.h"
#include "stress/killk/target.h"
#include "stress/killk/tool.h"
#include "stress/killk/touch.h"
#include "stress/killk/work.h"

#include <errno.h>

#define PATIENCE_MS 20000u
#define BLINK_NS UINT64_C(2000000)

const struct operation *acting;
enum acting_way acting_way;
cpu_set_t actor_elsewhere;

/* --- the victim ---------------------------------------------------------------------------- */

/* Who is stopped finds everything as it left it. */
static void leave(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_mutex_unlock(heap, &field_of(heap)->held), 0);
	EXPECT_EQUAL(sh_close(heap), 0);
}

/* The tool knows operations by their number, from 1 on. */
static uint32_t acting_number(void)
{
	return (uint32_t)(acting - operations) + 1;
}

static void begin_operation(void)
{
	if (acting_way == ACTING_STEPPED)
		step_begin_mark();
	else if (acting_way == ACTING_LOGGED)
		tool_begin(acting_number());
	else
		touch_begin();
}

static void end_operation(void)
{
	step_end_mark();
	if (acting_way == ACTING_LOGGED)
		tool_end(acting_number());
	else if (acting_way == ACTING_ALONE)
		touch_end();
}

void actor_victim(void)
{
	struct sh_heap *heap;

	if (acting_way == ACTING_LOGGED)
		tool_start(board->path);
	heap = target_open();
	EXPECT_EQUAL(sh_mutex_lock(heap, &field_of(heap)->held), 0);
	if (acting->prepare != NULL)
		acting->prepare(heap);
	begin_operation();
	board->result = acting->act(heap);
	atomic_store(&board->returned, 1);
	end_operation();
	leave(heap);
}

/* --- judging ------------------------------------------------------------------------------- */

static int first_problem(const struct sh_problem *problem, void *unused)
{
	(void)unused;
	fail(__FILE__, __LINE__, "sh_check: at %llx: %s", (unsigned long long)problem->off,
		problem->text);
}

static void check(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_check(heap, 0, first_problem, NULL, NULL), 0);
}

/* Cleans up after the victim, in one of two ways, and gets its mutex. */
static void settle(struct sh_heap *heap)
{
	struct sh_mutex *held = &field_of(heap)->held;
	struct sh_reap_report report;

	if (board->survivor == SURVIVOR_WATCH) {
		EXPECT_EQUAL(sh_mutex_lock(heap, held), 0);
		return;
	}
	if (board->survivor == SURVIVOR_IDLE && board->step % 2 == 1) {
		EXPECT_EQUAL(sh_reap(heap, &report), 0);
		EXPECT_EQUAL(report.processes, 1);
		EXPECT_EQUAL(report.threads, acting->detached ? 2 : 1);
	}
	EXPECT_EQUAL(sh_mutex_lock(heap, held), SH_EOWNERDIED);
}

/* A clean heap, with the same content. */
static void judge_reopened(const struct sight *before)
{
	struct sh_heap *heap = target_open();
	struct sh_stats stats = SH_STATS_INIT;
	struct sight now;

	EXPECT_EQUAL(sh_stats(heap, &stats), 0);
	EXPECT_EQUAL(stats.recovered, 0);
	sight_take(heap, &now);
	sight_expect_same(before, &now);
	sight_verify_content(heap, before);
	check(heap);
	EXPECT_EQUAL(sh_close(heap), 0);
}

static void judge(struct sh_heap *heap)
{
	struct sight sight;
	struct sight later;
	bool happened;

	settle(heap);
	sight_take(heap, &sight);
	happened = acting->judge(heap, &sight);
	if (atomic_load(&board->returned) != 0 && !happened)
		fail(__FILE__, __LINE__, "the call returned, and nothing happened");
	sight_compare(heap, &sight);
	sight_verify_content(heap, &sight);
	check(heap);
	work_all(heap, true);
	sight_take(heap, &later);
	sight_expect_same(&sight, &later);
	sight_verify_content(heap, &sight);
	check(heap);
	/* Until the kernel has removed it the victim counts as attached: who closes is not the last one. */
	EXPECT(await(&board->gone, 1, PATIENCE_MS));
	leave(heap);
	judge_reopened(&sight);
}

void actor_judge(void)
{
	struct sh_heap *heap = target_open();
	struct sh_stats stats = SH_STATS_INIT;

	EXPECT_EQUAL(sh_stats(heap, &stats), 0);
	EXPECT_EQUAL(stats.recovered, 1);
	judge(heap);
}

/* --- the survivor -------------------------------------------------------------------------- */

/* The victim is stopped. It is alive: its mutex is not passed on, nobody cleans up after it. */
static void watch(struct sh_heap *heap)
{
	struct sh_mutex *held = &field_of(heap)->held;
	struct sh_reap_report report;

	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes + report.threads, 0);
	EXPECT_EQUAL(sh_mutex_trylock(heap, held), EBUSY);
	EXPECT_EQUAL(sh_mutex_timedlock(heap, held, BLINK_NS), ETIMEDOUT);
	work_light(heap);
	if (board->unlocked) {
		work_all(heap, false);
		check(heap);
	}
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes + report.threads, 0);
}

static void await_order(enum order order)
{
	if (!await(&board->order, order, PATIENCE_MS))
		fail(__FILE__, __LINE__, "the survivor waited in vain");
}

void actor_survivor(void)
{
	struct sh_heap *heap = target_open();

	if (acting->survive != NULL)
		acting->survive(heap);
	if (board->survivor != SURVIVOR_IDLE)
		work_warm_up(heap);
	post(&board->ready, 1);
	if (board->survivor == SURVIVOR_WATCH) {
		await_order(ORDER_WATCH);
		watch(heap);
		post(&board->watched, 1);
	}
	if (board->survivor == SURVIVOR_BUSY) {
		sched_setaffinity(0, sizeof(actor_elsewhere), &actor_elsewhere);
		work_until_ordered(heap);
	}
	await_order(ORDER_JUDGE);
	judge(heap);
}
