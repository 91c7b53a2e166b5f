/* test_size_class.c -- the table of size classes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/heap_layout.h"
#include "heap/size_class.h"

#include <CUnit/CUnit.h>

static struct size_class_table table;

static int init(void)
{
	size_class_table_init(&table);
	return 0;
}

static void test_every_size(void)
{
	for (uint64_t bytes = 1; bytes <= SMALL_MAX_BYTES; bytes++) {
		unsigned c = size_class_of(bytes);

		CU_ASSERT_TRUE_FATAL(c < SIZE_CLASS_COUNT);
		CU_ASSERT_TRUE_FATAL(table.of[c].bytes >= bytes);
		CU_ASSERT_TRUE_FATAL(c == 0 || table.of[c - 1].bytes < bytes);
	}
}

static void test_little_is_lost(void)
{
	for (uint64_t bytes = 1; bytes <= SMALL_MAX_BYTES; bytes++) {
		uint64_t lost = table.of[size_class_of(bytes)].bytes - bytes;

		CU_ASSERT_TRUE(lost < 16 || lost * 8 < table.of[size_class_of(bytes)].bytes);
	}
}

static void test_classes(void)
{
	for (unsigned c = 0; c < SIZE_CLASS_COUNT; c++) {
		const struct size_class *k = &table.of[c];
		uint64_t span_bytes = k->pages * PAGE_BYTES;

		CU_ASSERT_EQUAL(k->bytes % 16, 0);
		CU_ASSERT_TRUE((uint64_t)k->objects * k->bytes <= span_bytes);
		CU_ASSERT_TRUE(span_bytes < (uint64_t)(k->objects + 1) * k->bytes);
		CU_ASSERT_TRUE((span_bytes - (uint64_t)k->objects * k->bytes) * 16 <= span_bytes);
		CU_ASSERT_TRUE(k->objects >= 4 && k->objects <= SPAN_MAX_OBJECTS);
		CU_ASSERT_EQUAL(k->words, (k->objects + 63) / 64);
	}
	CU_ASSERT_EQUAL(table.of[0].bytes, 16);
	CU_ASSERT_EQUAL(table.of[SIZE_CLASS_COUNT - 1].bytes, SMALL_MAX_BYTES);
}

static void test_reciprocals(void)
{
	for (unsigned c = 0; c < SIZE_CLASS_COUNT; c++)
		for (uint64_t n = 0; n < table.of[c].pages * PAGE_BYTES; n++)
			if (n * table.of[c].reciprocal >> 32 != n / table.of[c].bytes)
				CU_FAIL_FATAL("a reciprocal divides wrongly");
}

static void test_deterministic(void)
{
	struct size_class_table again;

	size_class_table_init(&again);
	CU_ASSERT_EQUAL(again.hash, table.hash);
	CU_ASSERT_EQUAL(span_class_make(SIZE_CLASS_COUNT - 1, true), SPAN_CLASS_COUNT - 1);
	CU_ASSERT_EQUAL(span_class_make(3, false), 6);
	CU_ASSERT_TRUE(SPAN_CLASS_COUNT < SPAN_CLASS_LARGE - 1);
}

static CU_TestInfo tests[] = {
	{ "every size has its class", test_every_size },
	{ "an eighth is lost at most", test_little_is_lost },
	{ "objects fill their spans", test_classes },
	{ "reciprocals divide", test_reciprocals },
	{ "same table every time", test_deterministic },
	CU_TEST_INFO_NULL,
};

int test_size_class_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "size class", .pInitFunc = init, .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
