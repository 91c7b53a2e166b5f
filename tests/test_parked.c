/* test_parked.c -- freed pages wait until no reader can look at them
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/object.h"
#include "heap/page_bits.h"
#include "heap/pages.h"
#include "heap/parked.h"
#include "recovery/reap.h"
#include "tests/fixture.h"

#define WRITER 0
#define READER 1
#define REAPER 2
#define BLOCKS 6u
#define BLOCK_PAGES 5u /* larger than the classes */

/* Stack. Large blocks of the writer, and a reader in a section or not. */
struct scene {
	struct fixture *f;
	struct thread *writer;
	struct thread *reader;
	uint64_t blocks[BLOCKS];
};

static struct scene scene_open(void)
{
	struct scene s = { .f = fixture_open(1, 3) };

	s.writer = &s.f->threads[WRITER];
	s.reader = &s.f->threads[READER];
	for (unsigned i = 0; i < BLOCKS; i++)
		s.blocks[i] = fixture_block(s.writer, BLOCK_PAGES * PAGE_BYTES);
	return s;
}

static bool is_parked(const struct scene *s, unsigned block)
{
	uint64_t page = s->blocks[block] >> PAGE_SHIFT;

	return parked_mask(s->f->heap, page & ~(WORD_PAGES - 1)) >> (page & 63) & 1;
}

static bool is_free(const struct scene *s, unsigned block)
{
	return page_bits_range_is_set(s->f->heap->pages.free_words, s->blocks[block] >> PAGE_SHIFT,
		BLOCK_PAGES);
}

static void free_block(const struct scene *s, unsigned block)
{
	CU_ASSERT_EQUAL(object_free(s->writer, s->blocks[block]), 0);
	pages_give_back(s->writer);
}

static void test_nobody_reads(void)
{
	struct scene s = scene_open();

	free_block(&s, 0);
	CU_ASSERT_TRUE(is_free(&s, 0));
	CU_ASSERT_EQUAL(parked_count(s.f->heap), 0);
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

static void test_section(void)
{
	struct scene s = scene_open();

	thread_begin_reading(s.reader);
	free_block(&s, 0);
	CU_ASSERT_TRUE(is_parked(&s, 0));
	CU_ASSERT_FALSE(is_free(&s, 0));
	CU_ASSERT_EQUAL(parked_count(s.f->heap), BLOCK_PAGES);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_parked(&s, 0));
	fixture_expect_good(s.f);
	thread_end_reading(s.reader);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_free(&s, 0));
	CU_ASSERT_FALSE(is_parked(&s, 0));
	CU_ASSERT_EQUAL(parked_count(s.f->heap), 0);
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

/* Sections that overlap for ever do not keep what was freed before them. */
static void test_no_starvation(void)
{
	struct scene s = scene_open();
	struct thread *other = &s.f->threads[REAPER];

	thread_begin_reading(s.reader);
	free_block(&s, 0);
	parked_release(s.writer);
	thread_begin_reading(other);
	thread_end_reading(s.reader);
	free_block(&s, 1);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_free(&s, 0));
	CU_ASSERT_FALSE(is_free(&s, 1));
	thread_begin_reading(s.reader);
	thread_end_reading(other);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_free(&s, 1));
	thread_end_reading(s.reader);
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

/* What is freed while the other set waits does not go with it. */
static void test_two_sets(void)
{
	struct scene s = scene_open();
	struct thread *other = &s.f->threads[REAPER];

	thread_begin_reading(s.reader);
	free_block(&s, 0);
	parked_release(s.writer); /* block 0 waits, the other set is filled */
	thread_begin_reading(other);
	free_block(&s, 1);
	thread_end_reading(s.reader);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_free(&s, 0));
	CU_ASSERT_TRUE(is_parked(&s, 1));
	thread_end_reading(other);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_free(&s, 1));
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

/* A reader costs space, never an allocation that another chunk can satisfy. */
static void test_memory_short(void)
{
	struct scene s = scene_open();
	uint64_t pages = fixture_data_pages(s.f);

	thread_begin_reading(s.reader);
	for (unsigned i = 0; i < BLOCKS; i++)
		free_block(&s, i);
	/* More than the free pages of the first chunk. */
	CU_ASSERT_NOT_EQUAL(fixture_block(s.writer, (pages - 1) * PAGE_BYTES), 0);
	CU_ASSERT_TRUE(fixture_data_pages(s.f) > pages);
	CU_ASSERT_TRUE(is_parked(&s, 0));
	thread_end_reading(s.reader);
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

/* The pages come back by themselves when an allocation needs them. */
static void test_allocation_releases(void)
{
	struct scene s = scene_open();
	uint64_t pages = fixture_data_pages(s.f);

	thread_begin_reading(s.reader);
	for (unsigned i = 0; i < BLOCKS; i++)
		free_block(&s, i);
	thread_end_reading(s.reader);
	CU_ASSERT_NOT_EQUAL(fixture_block(s.writer, (pages - 1) * PAGE_BYTES), 0);
	CU_ASSERT_EQUAL(fixture_data_pages(s.f), pages);
	CU_ASSERT_EQUAL(parked_count(s.f->heap), 0);
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

/* The pages of a dead one's limbo and unfinished frees wait, too; its cache does not. */
static void test_dead_writer(void)
{
	struct scene s = scene_open();

	thread_begin_reading(s.reader);
	CU_ASSERT_EQUAL(object_free(s.writer, s.blocks[0]), 0);
	fixture_kill(s.f, WRITER);
	CU_ASSERT_TRUE(reap_slot(&s.f->threads[REAPER], WRITER));
	CU_ASSERT_TRUE(is_parked(&s, 0));
	fixture_expect_good(s.f);
	thread_end_reading(s.reader);
	parked_release(&s.f->threads[REAPER]);
	CU_ASSERT_TRUE(is_free(&s, 0));
	fixture_expect_good(s.f);
	fixture_close(s.f);
}

/* A dead reader holds the pages until it is reaped. */
static void test_dead_reader(void)
{
	struct scene s = scene_open();

	thread_begin_reading(s.reader);
	free_block(&s, 0);
	fixture_kill(s.f, READER);
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_parked(&s, 0));
	CU_ASSERT_TRUE(reap_slot(s.writer, READER));
	parked_release(s.writer);
	CU_ASSERT_TRUE(is_free(&s, 0));
	fixture_close(s.f);
}

static CU_TestInfo tests[] = {
	{ "nobody reads", test_nobody_reads },
	{ "a section", test_section },
	{ "sections without end", test_no_starvation },
	{ "two sets", test_two_sets },
	{ "memory is short beside a reader", test_memory_short },
	{ "an allocation takes what is over", test_allocation_releases },
	{ "a dead writer", test_dead_writer },
	{ "a dead reader", test_dead_reader },
	CU_TEST_INFO_NULL,
};

int test_parked_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "parked pages", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
