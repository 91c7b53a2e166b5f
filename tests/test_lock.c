/* test_lock.c -- the one lock: taking, waiting, taking over from the dead
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A made-up system answers who is alive, and a wait runs a script of what the others do meanwhile:
 * so each interleaving that matters is played in one thread. One test has real threads. */
#include "shm/lock.h"
#include "tests/fixture.h"

#include <pthread.h>

#define MINE tag_make(1, 100)
#define OTHER tag_make(2, 200)
#define THIRD tag_make(3, 300)

/* Process. */
struct world {
	struct system system;
	_Atomic uint64_t word;
	uint64_t dead; /* a tag */
	unsigned waits;
	unsigned wakes;
	unsigned settled;
	uint64_t now_ns;                        /* each wait takes its whole limit */
	void (*meanwhile)(struct world *world); /* called by each wait */
};

static bool alive(void *context, uint64_t tag)
{
	const struct world *world = context;

	return tag != world->dead;
}

static void futex_wait(void *context, const uint32_t *word, uint32_t expected, uint64_t limit_ns)
{
	struct world *world = context;

	CU_ASSERT_PTR_EQUAL(word, lock_futex(&world->word));
	CU_ASSERT_TRUE(limit_ns > 0 && limit_ns <= LOCK_PATIENCE_NS);
	if (++world->waits > 1000)
		CU_FAIL_FATAL("waits for ever");
	CU_ASSERT_TRUE(expected & TAG_WAITERS);
	world->now_ns += limit_ns;
	if (world->meanwhile != NULL)
		world->meanwhile(world);
}

static void futex_wake(void *context, const uint32_t *word, int count)
{
	struct world *world = context;

	CU_ASSERT_PTR_EQUAL(word, lock_futex(&world->word));
	CU_ASSERT_EQUAL(count, 1);
	world->wakes++;
}

static uint64_t now_ns(void *context)
{
	return ((struct world *)context)->now_ns;
}

static void world_init(struct world *world)
{
	*world = (struct world){ .waits = 0 };
	world->system = (struct system){
		.context = world,
		.alive = alive,
		.futex_wait = futex_wait,
		.futex_wake = futex_wake,
		.now_ns = now_ns,
	};
}

static void test_free(void)
{
	struct world world;

	world_init(&world);
	CU_ASSERT_EQUAL(lock_acquire(&world.word, MINE, &world.system), LOCK_TAKEN);
	CU_ASSERT_EQUAL(atomic_load(&world.word), MINE);
	CU_ASSERT_TRUE(lock_held_by(&world.word, MINE));
	CU_ASSERT_FALSE(lock_held_by(&world.word, OTHER));
	lock_release(&world.word, &world.system);
	CU_ASSERT_EQUAL(atomic_load(&world.word), 0);
	CU_ASSERT_EQUAL(world.waits + world.wakes, 0);
}

static void test_try(void)
{
	struct world world;

	world_init(&world);
	CU_ASSERT_EQUAL(lock_try(&world.word, MINE, &world.system), LOCK_TAKEN);
	CU_ASSERT_EQUAL(lock_try(&world.word, OTHER, &world.system), LOCK_BUSY);
	CU_ASSERT_EQUAL(atomic_load(&world.word), MINE);
	world.dead = MINE;
	CU_ASSERT_EQUAL(lock_try(&world.word, OTHER, &world.system), LOCK_TAKEN_OVER);
	CU_ASSERT_EQUAL(atomic_load(&world.word), OTHER);
	atomic_store(&world.word, MINE | TAG_WAITERS);
	CU_ASSERT_EQUAL(lock_try(&world.word, OTHER, &world.system), LOCK_TAKEN_OVER);
	CU_ASSERT_EQUAL(atomic_load(&world.word), OTHER | TAG_WAITERS);
	lock_release(&world.word, &world.system);
	CU_ASSERT_EQUAL(world.wakes, 1);
	CU_ASSERT_EQUAL(world.waits, 0);
}

static void holder_releases(struct world *world)
{
	if (world->waits == 3)
		lock_release(&world->word, &world->system);
}

static void test_wait_for_release(void)
{
	struct world world;

	world_init(&world);
	world.meanwhile = holder_releases;
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(lock_acquire(&world.word, MINE, &world.system), LOCK_TAKEN);
	CU_ASSERT_EQUAL(world.waits, 3);
	/* The mark was seen, and others may sleep beside us: our release wakes one of them. */
	CU_ASSERT_EQUAL(world.wakes, 1);
	CU_ASSERT_EQUAL(atomic_load(&world.word), MINE | TAG_WAITERS);
	CU_ASSERT_TRUE(lock_held_by(&world.word, MINE));
	lock_release(&world.word, &world.system);
	CU_ASSERT_EQUAL(world.wakes, 2);
}

static void holder_dies(struct world *world)
{
	if (world->waits == 2)
		world->dead = OTHER;
}

static void test_take_over(void)
{
	struct world world;

	world_init(&world);
	world.meanwhile = holder_dies;
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(lock_acquire(&world.word, MINE, &world.system), LOCK_TAKEN_OVER);
	CU_ASSERT_EQUAL(world.waits, 2);
	CU_ASSERT_EQUAL(atomic_load(&world.word), MINE | TAG_WAITERS);
}

static void other_is_faster(struct world *world)
{
	if (world->waits == 1) {
		world->dead = OTHER;
		atomic_store(&world->word, THIRD);
	} else {
		lock_release(&world->word, &world->system);
	}
}

/* The dead holder's lock was taken over by another thread: that one is waited for. */
static void test_other_takes_over(void)
{
	struct world world;

	world_init(&world);
	world.meanwhile = other_is_faster;
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(lock_acquire(&world.word, MINE, &world.system), LOCK_TAKEN);
	CU_ASSERT_EQUAL(world.waits, 2);
}

static void settle(void *argument, uint64_t dead)
{
	struct world *world = argument;

	world->settled++;
	CU_ASSERT_EQUAL(dead, OTHER);
	CU_ASSERT_TRUE(lock_held_by(&world->word, OTHER));
}

static void test_settled_before(void)
{
	struct world world;

	world_init(&world);
	world.dead = OTHER;
	atomic_store(&world.word, OTHER | TAG_WAITERS);
	CU_ASSERT_EQUAL(lock_acquire_settled(&world.word, MINE, &world.system, settle, &world),
		LOCK_TAKEN_OVER);
	CU_ASSERT_EQUAL(world.settled, 1);
	CU_ASSERT_TRUE(lock_held_by(&world.word, MINE));
}

static void settle_and_lose(void *argument, uint64_t dead)
{
	struct world *world = argument;

	CU_ASSERT_EQUAL(dead, OTHER);
	world->settled++;
	/* While we settled, somebody else took over and is still inside. */
	atomic_store(&world->word, THIRD);
	world->meanwhile = holder_releases;
	world->waits = 0;
}

static void test_settled_and_lost(void)
{
	struct world world;

	world_init(&world);
	world.dead = OTHER;
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(lock_acquire_settled(&world.word, MINE, &world.system, settle_and_lose,
				&world),
		LOCK_TAKEN);
	CU_ASSERT_EQUAL(world.settled, 1);
	CU_ASSERT_EQUAL(world.waits, 3);
}

/* --- with a deadline ------------------------------------------------------------------------ */

static enum lock_result acquire_until(struct world *world, uint64_t deadline_ns)
{
	return lock_acquire_until(&world->word, MINE, &world->system, settle, world, deadline_ns);
}

static void test_deadline(void)
{
	struct world world;

	world_init(&world);
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(acquire_until(&world, 5 * LOCK_PATIENCE_NS / 2), LOCK_BUSY);
	CU_ASSERT_EQUAL(world.waits, 3);
	CU_ASSERT_EQUAL(world.now_ns, 5 * LOCK_PATIENCE_NS / 2);
	CU_ASSERT_TRUE(lock_held_by(&world.word, OTHER));
	CU_ASSERT_EQUAL(world.settled, 0);
	/* In the past: one look. */
	CU_ASSERT_EQUAL(acquire_until(&world, 0), LOCK_BUSY);
	CU_ASSERT_EQUAL(world.waits, 3);
	world.meanwhile = holder_releases;
	world.waits = 0;
	CU_ASSERT_EQUAL(acquire_until(&world, world.now_ns + 3 * LOCK_PATIENCE_NS), LOCK_TAKEN);
	CU_ASSERT_EQUAL(world.waits, 3);
}

/* However short the time was, a dead holder is found. */
static void test_deadline_of_the_dead(void)
{
	struct world world;

	world_init(&world);
	world.dead = OTHER;
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(acquire_until(&world, 0), LOCK_TAKEN_OVER);
	CU_ASSERT_EQUAL(world.settled, 1);
	world_init(&world);
	world.meanwhile = holder_dies;
	atomic_store(&world.word, OTHER);
	CU_ASSERT_EQUAL(acquire_until(&world, 3 * LOCK_PATIENCE_NS / 2), LOCK_TAKEN_OVER);
	CU_ASSERT_EQUAL(world.settled, 1);
}

/* --- real threads -------------------------------------------------------------------------- */

#define CONTENDERS 4
#define ROUNDS 20000

static struct {
	_Atomic uint64_t word;
	struct system system;
	uint64_t counter; /* under the lock */
} contended;

static bool everybody_alive(void *context, uint64_t tag)
{
	(void)context;
	(void)tag;
	return true;
}

static void *contend(void *argument)
{
	uint64_t tag = tag_make(*(uint32_t *)argument, 1);

	for (int i = 0; i < ROUNDS; i++) {
		lock_acquire(&contended.word, tag, &contended.system);
		contended.counter++;
		lock_release(&contended.word, &contended.system);
	}
	return NULL;
}

static void test_exclusion(void)
{
	pthread_t threads[CONTENDERS];
	uint32_t slots[CONTENDERS];

	contended.counter = 0;
	contended.system = (struct system){
		.alive = everybody_alive,
		.futex_wait = system_futex_wait,
		.futex_wake = system_futex_wake,
	};
	for (uint32_t i = 0; i < CONTENDERS; i++) {
		slots[i] = i;
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, contend, &slots[i]), 0);
	}
	for (unsigned i = 0; i < CONTENDERS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(contended.counter, CONTENDERS * ROUNDS);
	CU_ASSERT_EQUAL(atomic_load(&contended.word), 0);
}

static CU_TestInfo tests[] = {
	{ "a free lock", test_free },
	{ "try", test_try },
	{ "wait for a release", test_wait_for_release },
	{ "take over from the dead", test_take_over },
	{ "somebody else takes over", test_other_takes_over },
	{ "the dead one's work is settled first", test_settled_before },
	{ "settled, and somebody else was faster", test_settled_and_lost },
	{ "deadline", test_deadline },
	{ "deadline of the dead", test_deadline_of_the_dead },
	{ "exclusion", test_exclusion },
	CU_TEST_INFO_NULL,
};

int test_lock_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "lock", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
