/* test_rcu.c -- grace periods: what they wait for, what they do not, who is dead
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A made-up system answers who is alive and what order_all() returns, and a wait runs a script of what
 * the readers do meanwhile. */
#include "shm/rcu.h"
#include "shm/tag.h"
#include "tests/fixture.h"

#include <errno.h>

#define PROCESSES 1u
#define SLOTS 130u /* three words of readers */
#define FIRST 0u
#define MIDDLE 70u
#define LAST 129u

/* Process. */
struct world {
	_Alignas(64) char control[CONTROL_HEADER_BYTES + 64 + SLOTS * sizeof(struct thread_slot)];
	struct control_header *header;
	struct heap heap; /* nothing of it but `rcu` is laid */
	struct system system;
	int order_error;
	unsigned orders;
	unsigned waits;
	unsigned settled;
	uint64_t dead; /* a tag */
	uint64_t now_ns;
	void (*meanwhile)(struct world *world); /* called by each wait */
};

static bool alive(void *context, uint64_t tag)
{
	return tag != ((struct world *)context)->dead;
}

static int order_all(void *context)
{
	struct world *world = context;

	world->orders++;
	return world->order_error;
}

static void futex_wait(void *context, const uint32_t *word, uint32_t expected, uint64_t limit_ns)
{
	struct world *world = context;

	CU_ASSERT_PTR_EQUAL(word, (const void *)&world->heap.rcu.words->waiting);
	CU_ASSERT_EQUAL(expected, 1);
	CU_ASSERT_TRUE(limit_ns > 0);
	world->now_ns += limit_ns;
	if (++world->waits > 1000)
		CU_FAIL_FATAL("waits for ever");
	if (world->meanwhile != NULL)
		world->meanwhile(world);
}

static uint64_t now_ns(void *context)
{
	return ((struct world *)context)->now_ns;
}

static struct world *world_of(bool fences)
{
	static struct world world;

	memset(&world, 0, sizeof(world));
	world.header = (struct control_header *)(void *)world.control;
	atomic_store(&world.header->thread_high_water, SLOTS);
	world.now_ns = 5;
	world.system = (struct system){
		.context = &world,
		.alive = alive,
		.futex_wait = futex_wait,
		.now_ns = now_ns,
		.order_all = order_all,
	};
	rcu_view_init(&world.heap.rcu, world.control, PROCESSES);
	rcu_lay(&world.heap.rcu, fences);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		atomic_store(&world.heap.rcu.slots[slot].owner, tag_make(slot, 1));
	return &world;
}

static struct sh_section enrolled(struct world *world, uint32_t slot)
{
	rcu_enroll(&world->heap.rcu, slot);
	return heap_section(&world->heap, slot);
}

static enum rcu_state poll(struct world *world, uint64_t tag)
{
	return rcu_poll(&world->heap.rcu, &world->system, tag, NULL);
}

static void test_nobody_reads(void)
{
	struct world *world = world_of(false);
	uint64_t tag = rcu_tag(&world->heap.rcu);

	CU_ASSERT_FALSE(rcu_is_over(&world->heap.rcu, tag));
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
	CU_ASSERT_TRUE(rcu_is_over(&world->heap.rcu, tag));
	/* Nothing to order: no reader was there. */
	CU_ASSERT_EQUAL(world->orders, 0);
}

static void test_section_holds(uint32_t slot)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, slot);
	uint32_t holder = UINT32_MAX;
	uint64_t tag;

	sh_section_enter(&section);
	tag = rcu_tag(&world->heap.rcu);
	CU_ASSERT_TRUE(rcu_is_reading(&world->heap.rcu, slot));
	CU_ASSERT_EQUAL(rcu_poll(&world->heap.rcu, &world->system, tag, &holder), RCU_HELD);
	CU_ASSERT_EQUAL(holder, slot);
	CU_ASSERT_EQUAL(world->orders, 1);
	/* One order_all() is enough, however often one looks. */
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	CU_ASSERT_EQUAL(world->orders, 1);
	sh_section_leave(&section);
	CU_ASSERT_FALSE(rcu_is_reading(&world->heap.rcu, slot));
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
	CU_ASSERT_EQUAL(world->orders, 1);
}

static void test_every_slot_holds(void)
{
	test_section_holds(FIRST);
	test_section_holds(MIDDLE);
	test_section_holds(LAST);
}

static void test_later_section_does_not_hold(void)
{
	struct world *world = world_of(false);
	struct sh_section old = enrolled(world, FIRST);
	struct sh_section later = enrolled(world, LAST);
	uint64_t tag;

	sh_section_enter(&old);
	tag = rcu_tag(&world->heap.rcu);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	sh_section_enter(&later);
	sh_section_leave(&old);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
	/* What is unlinked now, the later one may have found. */
	CU_ASSERT_EQUAL(poll(world, rcu_tag(&world->heap.rcu)), RCU_HELD);
	sh_section_leave(&later);
}

static void test_nesting(void)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, FIRST);
	uint64_t tag;

	sh_section_enter(&section);
	sh_section_enter(&section);
	tag = rcu_tag(&world->heap.rcu);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	sh_section_leave(&section);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	/* Begun again inside of the outer one: the outer one counts. */
	sh_section_enter(&section);
	sh_section_leave(&section);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	sh_section_leave(&section);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
}

static void test_tag_after_grace_period(void)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, FIRST);
	uint64_t before = rcu_tag(&world->heap.rcu);
	uint64_t after;

	CU_ASSERT_EQUAL(poll(world, before), RCU_OVER);
	after = rcu_tag(&world->heap.rcu);
	CU_ASSERT_FALSE(rcu_is_over(&world->heap.rcu, after));
	sh_section_enter(&section);
	CU_ASSERT_EQUAL(poll(world, before), RCU_OVER);
	CU_ASSERT_EQUAL(poll(world, after), RCU_HELD);
	sh_section_leave(&section);
}

static void test_withdrawn(void)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, LAST);
	uint64_t tag;

	sh_section_enter(&section);
	tag = rcu_tag(&world->heap.rcu);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	rcu_withdraw(&world->heap.rcu, LAST);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
	CU_ASSERT_EQUAL(atomic_load(&world->heap.rcu.readers[LAST / 64]), 0);
}

static void test_fences(void)
{
	struct world *world = world_of(true);
	struct sh_section section = enrolled(world, FIRST);
	uint64_t tag;

	CU_ASSERT_EQUAL(section.fences, 1);
	sh_section_enter(&section);
	tag = rcu_tag(&world->heap.rcu);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	sh_section_leave(&section);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
	CU_ASSERT_EQUAL(world->orders, 0);
}

static void test_order_fails(void)
{
	struct world *world = world_of(false);
	uint64_t tag = rcu_tag(&world->heap.rcu);

	enrolled(world, FIRST);
	world->order_error = EPERM;
	CU_ASSERT_EQUAL(poll(world, tag), RCU_FAILED);
	CU_ASSERT_FALSE(rcu_is_over(&world->heap.rcu, tag));
	CU_ASSERT_NOT_EQUAL(rcu_wait(&world->heap.rcu, &world->system, tag, NULL, NULL), 0);
	CU_ASSERT_FALSE(rcu_is_over(&world->heap.rcu, tag));
	/* It did not count as begun. */
	world->order_error = 0;
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
}

/* A section of before and the wrap is an old one, one of after it a new one. */
static void test_wrap(void)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, FIRST);
	uint64_t last = UINT64_C(0xffffffffffff);
	uint64_t tag;

	atomic_store(&world->heap.rcu.words->begun, last << SECTION_NESTING_BITS);
	atomic_store(&world->heap.rcu.words->fenced, last << SECTION_NESTING_BITS | 1);
	atomic_store(&world->heap.rcu.words->completed, last << SECTION_NESTING_BITS);
	sh_section_enter(&section);
	tag = rcu_tag(&world->heap.rcu);
	CU_ASSERT_EQUAL(tag, last);
	CU_ASSERT_EQUAL(poll(world, tag), RCU_HELD);
	sh_section_leave(&section);
	sh_section_enter(&section);
	CU_ASSERT_TRUE(rcu_is_reading(&world->heap.rcu, FIRST));
	CU_ASSERT_EQUAL(poll(world, tag), RCU_OVER);
	sh_section_leave(&section);
}

static struct sh_section waited_for;

static void leave_at_third(struct world *world)
{
	if (world->waits == 3)
		sh_section_leave(&waited_for);
}

static void test_wait(void)
{
	struct world *world = world_of(false);

	waited_for = enrolled(world, MIDDLE);
	sh_section_enter(&waited_for);
	world->meanwhile = leave_at_third;
	CU_ASSERT_EQUAL(rcu_wait(&world->heap.rcu, &world->system, rcu_tag(&world->heap.rcu), NULL,
				NULL),
		0);
	CU_ASSERT_EQUAL(world->waits, 3);
	/* Since when it held the others up is known. */
	CU_ASSERT_EQUAL(atomic_load(&world->heap.rcu.slots[MIDDLE].held_ns), 5);
	CU_ASSERT_EQUAL(rcu_held_ns(&world->heap.rcu, &world->system, MIDDLE), 0);
}

static void settle(void *argument, uint32_t slot, bool dead)
{
	struct world *world = argument;

	CU_ASSERT_EQUAL(slot, MIDDLE);
	if (!dead)
		return;
	world->settled++;
	rcu_withdraw(&world->heap.rcu, slot);
}

static void test_dead_reader(void)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, MIDDLE);

	sh_section_enter(&section);
	world->dead = tag_make(MIDDLE, 1);
	CU_ASSERT_EQUAL(rcu_wait(&world->heap.rcu, &world->system, rcu_tag(&world->heap.rcu),
				settle, world),
		0);
	CU_ASSERT_EQUAL(world->settled, 1);
}

static void kill_at_third(struct world *world)
{
	if (world->waits == 3)
		world->dead = tag_make(MIDDLE, 1);
}

/* A stopped reader is waited for, until it dies. */
static void test_reader_dies(void)
{
	struct world *world = world_of(false);
	struct sh_section section = enrolled(world, MIDDLE);

	sh_section_enter(&section);
	world->meanwhile = kill_at_third;
	CU_ASSERT_EQUAL(rcu_wait(&world->heap.rcu, &world->system, rcu_tag(&world->heap.rcu),
				settle, world),
		0);
	CU_ASSERT_EQUAL(world->settled, 1);
	CU_ASSERT_EQUAL(world->waits, 3);
}

static CU_TestInfo tests[] = {
	{ "nobody reads", test_nobody_reads },
	{ "a section holds it up, in every slot", test_every_slot_holds },
	{ "a later section does not", test_later_section_does_not_hold },
	{ "nesting", test_nesting },
	{ "a tag is for one grace period", test_tag_after_grace_period },
	{ "a slot that is given up", test_withdrawn },
	{ "readers with fences", test_fences },
	{ "order_all fails", test_order_fails },
	{ "epochs wrap around", test_wrap },
	{ "wait", test_wait },
	{ "a dead reader is settled", test_dead_reader },
	{ "a reader dies while it is waited for", test_reader_dies },
	CU_TEST_INFO_NULL,
};

int test_rcu_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "rcu", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
