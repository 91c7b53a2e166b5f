/* test_slot.c -- thread slots: claim, release, and the right to act for a dead one
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shm/slot.h"
#include "tests/fixture.h"

#define SLOTS 4u
#define LIVE tag_make(1, 10)
#define DEAD tag_make(1, 11)
#define REAPER tag_make(2, 12)
#define DEAD_REAPER tag_make(3, 13)

/* Process. */
struct world {
	struct control_header header;
	struct thread_slot slots[SLOTS];
	struct system system;
	uint64_t replaced; /* != 0: while it is asked who lives, slot 1 gets this owner */
};

static bool alive(void *context, uint64_t tag)
{
	struct world *world = context;

	if (world->replaced != 0)
		atomic_store(&world->slots[1].owner, world->replaced);
	return tag != DEAD && tag != DEAD_REAPER;
}

static bool process_alive(void *context, uint32_t process)
{
	(void)context;
	return process != 7;
}

static void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->header.thread_slot_count = SLOTS;
	world->system = (struct system){
		.context = world,
		.alive = alive,
		.process_alive = process_alive,
	};
}

static void test_claim(void)
{
	struct world world;

	world_init(&world);
	for (uint32_t i = 0; i < SLOTS; i++) {
		CU_ASSERT_EQUAL(slot_claim(&world.header, world.slots, 5), i);
		CU_ASSERT_EQUAL(atomic_load(&world.header.thread_high_water), i + 1);
		CU_ASSERT_TRUE(slot_is_claim(atomic_load(&world.slots[i].owner)));
	}
	CU_ASSERT_EQUAL(slot_claim(&world.header, world.slots, 5), SLOT_NONE);
	CU_ASSERT_FALSE(slot_claim_at(&world.header, world.slots, 2, 5));
	slot_confirm(&world.slots[2], LIVE, 5, true);
	slot_release(&world.slots[2], LIVE);
	CU_ASSERT_EQUAL(slot_claim(&world.header, world.slots, 6), 2);
	CU_ASSERT_EQUAL(atomic_load(&world.header.thread_high_water), SLOTS);
}

static void test_claim_at(void)
{
	struct world world;

	world_init(&world);
	CU_ASSERT_TRUE(slot_claim_at(&world.header, world.slots, 3, 5));
	CU_ASSERT_EQUAL(atomic_load(&world.header.thread_high_water), 4);
	CU_ASSERT_TRUE(slot_claim_at(&world.header, world.slots, 0, 5));
	CU_ASSERT_EQUAL(atomic_load(&world.header.thread_high_water), 4);
}

static void test_confirm(void)
{
	struct world world;

	world_init(&world);
	slot_claim_at(&world.header, world.slots, 1, 5);
	slot_confirm(&world.slots[1], LIVE, 5, true);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), LIVE);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].process), 5);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].liveness_tag), LIVE);
	CU_ASSERT_FALSE(slot_is_claim(atomic_load(&world.slots[1].owner)));
	slot_release(&world.slots[1], LIVE);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), 0);
	slot_claim_at(&world.header, world.slots, 1, 6);
	slot_confirm(&world.slots[1], DEAD, 6, false);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].liveness_tag), 0);
}

static void expect_refused(struct world *world)
{
	uint64_t reaper = atomic_load(&world->slots[1].reaper);
	uint64_t tag;

	CU_ASSERT_FALSE(slot_begin_reaping(&world->slots[1], REAPER, &world->system, &tag));
	CU_ASSERT_EQUAL(atomic_load(&world->slots[1].reaper), reaper);
}

static void test_reaping_refused(void)
{
	struct world world;

	world_init(&world);
	expect_refused(&world);
	atomic_store(&world.slots[1].owner, THREAD_CLAIM | 5 << 1);
	expect_refused(&world);
	atomic_store(&world.slots[1].owner, LIVE);
	expect_refused(&world);
	atomic_store(&world.slots[1].owner, DEAD);
	atomic_store(&world.slots[1].reaper, LIVE);
	expect_refused(&world);
}

static void test_reaping(void)
{
	struct world world;
	uint64_t tag = 0;

	world_init(&world);
	atomic_store(&world.slots[1].owner, DEAD);
	CU_ASSERT_TRUE(slot_begin_reaping(&world.slots[1], REAPER, &world.system, &tag));
	CU_ASSERT_EQUAL(tag, DEAD);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].reaper), REAPER);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), DEAD);
	slot_end_reaping(&world.slots[1], tag);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), 0);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].reaper), 0);
}

static void test_reaper_died(void)
{
	struct world world;
	uint64_t tag = 0;

	world_init(&world);
	atomic_store(&world.slots[1].owner, DEAD);
	atomic_store(&world.slots[1].reaper, DEAD_REAPER);
	CU_ASSERT_TRUE(slot_begin_reaping(&world.slots[1], REAPER, &world.system, &tag));
	CU_ASSERT_EQUAL(tag, DEAD);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].reaper), REAPER);
}

/* Between the look at the owner and the reaper word the slot was reaped and claimed anew. */
static void test_too_late(void)
{
	struct world world;
	uint64_t tag = 0;

	world_init(&world);
	atomic_store(&world.slots[1].owner, DEAD);
	world.replaced = LIVE;
	CU_ASSERT_FALSE(slot_begin_reaping(&world.slots[1], REAPER, &world.system, &tag));
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].reaper), 0);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), LIVE);
	slot_end_reaping(&world.slots[1], DEAD);
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), LIVE);
}

static void test_dead_claim(void)
{
	struct world world;

	world_init(&world);
	CU_ASSERT_FALSE(slot_drop_dead_claim(&world.slots[0], &world.system));
	slot_claim_at(&world.header, world.slots, 0, 5);
	CU_ASSERT_FALSE(slot_drop_dead_claim(&world.slots[0], &world.system));
	slot_claim_at(&world.header, world.slots, 1, 7);
	CU_ASSERT_TRUE(slot_drop_dead_claim(&world.slots[1], &world.system));
	CU_ASSERT_EQUAL(atomic_load(&world.slots[1].owner), 0);
	atomic_store(&world.slots[1].owner, DEAD);
	CU_ASSERT_FALSE(slot_drop_dead_claim(&world.slots[1], &world.system));
}

static CU_TestInfo tests[] = {
	{ "claims", test_claim },
	{ "claim of one slot", test_claim_at },
	{ "confirm and release", test_confirm },
	{ "reaping is refused", test_reaping_refused },
	{ "reaping", test_reaping },
	{ "the reaper died", test_reaper_died },
	{ "the reaper comes too late", test_too_late },
	{ "claim of a dead process", test_dead_claim },
	CU_TEST_INFO_NULL,
};

int test_slot_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "slot", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
