/* test_run.c -- what is packed into one word: runs, tags, hot words, log words
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/hot.h"
#include "heap/log.h"
#include "heap/run.h"
#include "shm/tag.h"
#include "tests/fixture.h"

#define RUN_PAGE_LAST ((UINT64_C(1) << RUN_PAGE_BITS) - 1)
#define RUN_PAGES_LAST ((UINT64_C(1) << RUN_LENGTH_BITS) - 1)

static void test_run_fields(void)
{
	static const uint64_t pages[] = { 1, 2, 63, 64, 65, ARENA_PAGES, RUN_PAGES_LAST };
	static const uint64_t firsts[] = { 0, 1, 64, ARENA_PAGES + 7, RUN_PAGE_LAST };

	for (unsigned op = RUN_PLAIN; op <= RUN_FREE; op++)
		for (size_t i = 0; i < LENGTH_OF(pages); i++)
			for (size_t j = 0; j < LENGTH_OF(firsts); j++) {
				uint64_t run =
					run_make((enum run_operation)op, firsts[j], pages[i]);

				CU_ASSERT_EQUAL(run_page(run), firsts[j]);
				CU_ASSERT_EQUAL(run_pages(run), pages[i]);
				CU_ASSERT_EQUAL(run_operation(run), op);
			}
}

static uint64_t naive_mask(uint64_t first, uint64_t pages, uint64_t base)
{
	uint64_t mask = 0;

	for (uint64_t i = 0; i < WORD_PAGES; i++)
		if (base + i >= first && base + i < first + pages)
			mask |= UINT64_C(1) << i;
	return mask;
}

static void test_run_mask(void)
{
	for (uint64_t first = 60; first < 260; first++)
		for (uint64_t pages = 0; pages < 200; pages += 1 + pages / 8) {
			uint64_t run = run_make(RUN_FREE, first, pages);

			for (uint64_t base = 0; base < 512; base += WORD_PAGES)
				if (run_mask(run, base) != naive_mask(first, pages, base))
					CU_FAIL_FATAL("the mask of a run is wrong");
		}
	CU_ASSERT_EQUAL(run_mask(0, 0), 0);
}

static void test_tags(void)
{
	static const uint32_t slots[] = { 0, 1, 511, TAG_SLOT_LIMIT - 1 };
	static const uint64_t serials[] = { 1, 2, UINT64_C(1) << 32, TAG_SERIAL_LIMIT };

	for (size_t i = 0; i < LENGTH_OF(slots); i++)
		for (size_t j = 0; j < LENGTH_OF(serials); j++) {
			uint64_t tag = tag_make(slots[i], serials[j]);

			CU_ASSERT_EQUAL(tag_slot(tag), slots[i]);
			CU_ASSERT_EQUAL(tag_serial(tag), serials[j]);
			CU_ASSERT_EQUAL(tag & TAG_WAITERS, 0);
			CU_ASSERT_TRUE(tag_plausible(tag, slots[i] + 1));
			CU_ASSERT_FALSE(tag_plausible(tag, slots[i]));
			CU_ASSERT_EQUAL(tag_slot(tag | TAG_WAITERS), slots[i]);
		}
	CU_ASSERT_FALSE(tag_plausible(0, 512));
	CU_ASSERT_FALSE(tag_plausible(UINT64_C(1) << 16, 512));
	CU_ASSERT_FALSE(tag_plausible(2, 512));
}

static void test_hot_words(void)
{
	uint64_t hot = hot_make(UINT64_C(0x1234567890), hot_owned_by(17), 141);

	CU_ASSERT_EQUAL(hot_owner(hot), 18);
	CU_ASSERT_EQUAL(hot_class(hot), 141);
	CU_ASSERT_TRUE(hot_laid(hot, UINT64_C(0x1234567890)));
	CU_ASSERT_FALSE(hot_laid(hot, UINT64_C(0x1234567891)));
	CU_ASSERT_FALSE(hot_laid(0, 1));
	/* The greatest slot is no state, alive or dying. */
	CU_ASSERT_TRUE(hot_owned_by(TAG_SLOT_LIMIT - 1) < HOT_DYING);
	CU_ASSERT_TRUE(hot_dying_by(TAG_SLOT_LIMIT - 1) > HOT_DYING);
	CU_ASSERT_TRUE(hot_dying_by(TAG_SLOT_LIMIT - 1) != HOT_UNOWNED);
	CU_ASSERT_TRUE(hot_dying_by(TAG_SLOT_LIMIT - 1) != HOT_LARGE);
	CU_ASSERT_TRUE(hot_dying_by(DEFAULT_THREAD_SLOTS) < HOT_QUARANTINE);
}

static void test_log_words(void)
{
	static struct slot_log log;
	struct log_word word = {
		.state = LOG_ROLLBACK,
		.count = LOG_COUNT_LIMIT,
		.index = LOG_COUNT_LIMIT - 1,
	};

	log_write(&log, word);
	CU_ASSERT_EQUAL(log_read(&log).state, LOG_ROLLBACK);
	CU_ASSERT_EQUAL(log_read(&log).count, LOG_COUNT_LIMIT);
	CU_ASSERT_EQUAL(log_read(&log).index, LOG_COUNT_LIMIT - 1);
	log_write(&log, (struct log_word){ .state = LOG_EMPTY });
	CU_ASSERT_EQUAL(atomic_load(&log.word), 0);
}

static CU_TestInfo tests[] = {
	{ "fields of a run", test_run_fields },
	{ "mask of a run", test_run_mask },
	{ "tags", test_tags },
	{ "hot words", test_hot_words },
	{ "log words", test_log_words },
	CU_TEST_INFO_NULL,
};

int test_run_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "words", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
