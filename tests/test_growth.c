/* test_growth.c -- backing chunks: reserving space, arenas that are made, a full disk
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/growth.h"

#include "heap/pages.h"
#include "tests/fixture.h"

#include <errno.h>

static uint64_t backed_chunks(const struct fixture *f)
{
	uint64_t chunks = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(f->heap); arena++)
		chunks += arena_frontier(f->heap, arena) - arena_first_chunk(f->heap, arena);
	return chunks;
}

/* Takes a run and keeps it as a block. */
static void use(struct thread *thread, uint64_t npages)
{
	fixture_block(thread, npages * PAGE_BYTES);
}

static void test_reserve(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t calls;

	CU_ASSERT_EQUAL(growth_reserve(thread, 3 * CHUNK_PAGES - 5), 0);
	CU_ASSERT_EQUAL(pages_count_free(thread), 3 * CHUNK_PAGES);
	CU_ASSERT_EQUAL(backed_chunks(f), 3);
	calls = atomic_load(&f->back_calls);
	/* What is there already is not backed again, and what is used later needs no backing. */
	CU_ASSERT_EQUAL(growth_reserve(thread, 3 * CHUNK_PAGES), 0);
	CU_ASSERT_EQUAL(growth_reserve(thread, 0), 0);
	use(thread, 3 * CHUNK_PAGES);
	CU_ASSERT_EQUAL(atomic_load(&f->back_calls), calls);
	CU_ASSERT_EQUAL(growth_reserve(thread, 1), 0);
	CU_ASSERT_EQUAL(pages_count_free(thread), CHUNK_PAGES);
	fixture_expect_good(f);
	fixture_close(f);
}

/* Through several arenas, of which each has less room than is asked for. */
static void test_reserve_arenas(void)
{
	struct fixture *f = fixture_open(3, 1);
	struct thread *thread = &f->threads[0];
	uint64_t room = (2 * ARENA_CHUNKS - f->heap->zone_chunks[0] - ZONE_CHUNKS) * CHUNK_PAGES;

	CU_ASSERT_EQUAL(growth_reserve(thread, room + 1), 0);
	CU_ASSERT_EQUAL(pages_count_free(thread), room + CHUNK_PAGES);
	CU_ASSERT_EQUAL(heap_arena_count(f->heap), 3);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * room), ENOMEM);
	CU_ASSERT_EQUAL(pages_count_free(thread), fixture_data_pages(f));
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_reserve_disk_full(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];

	use(thread, 5);
	f->disk_full = true;
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * CHUNK_PAGES), ENOSPC);
	f->disk_full = false;
	CU_ASSERT_EQUAL(growth_reserve(thread, 2 * CHUNK_PAGES), 0);
	f->disk_full = true;
	use(thread, 2 * CHUNK_PAGES - 70);
	fixture_expect_good(f);
	fixture_close(f);
}

/* What was in the way: the thread's own cache and limbo count as free. */
static void test_reserve_gives_back(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];

	use(thread, 5);
	CU_ASSERT_EQUAL(growth_reserve(thread, CHUNK_PAGES - 5), 0);
	CU_ASSERT_EQUAL(backed_chunks(f), 1);
	fixture_expect_good(f);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "reserve", test_reserve },
	{ "reserve, several arenas", test_reserve_arenas },
	{ "reserve, disk full", test_reserve_disk_full },
	{ "reserve, cached pages", test_reserve_gives_back },
	CU_TEST_INFO_NULL,
};

int test_growth_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "growth", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
