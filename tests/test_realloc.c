/* test_realloc.c -- blocks that grow and shrink
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/size_class.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <errno.h>
#include <signal.h>

#define LARGE_BYTES (SMALL_MAX_BYTES + 3 * PAGE_BYTES)

/* --- content ------------------------------------------------------------------------------- */

static unsigned char byte_at(sh_off seed, size_t i)
{
	return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static void paint(struct sh_heap *heap, sh_off off, size_t size, sh_off seed)
{
	unsigned char *bytes = sh_ptr(heap, off);

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(seed, i);
}

static bool is_painted(struct sh_heap *heap, sh_off off, size_t size, sh_off seed)
{
	const unsigned char *bytes = sh_ptr(heap, off);

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != byte_at(seed, i))
			return false;
	return true;
}

static sh_off painted(struct sh_heap *heap, size_t size, unsigned flags)
{
	sh_off off = sh_alloc_ex(heap, size, 0, flags);

	CU_ASSERT_FATAL(off != 0);
	paint(heap, off, size, 1);
	return off;
}

/* --- sh_realloc() -------------------------------------------------------------------------- */

static void test_arguments(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = sh_realloc(heap, 0, 100);

	CU_ASSERT_NOT_EQUAL(off, 0);
	CU_ASSERT(sh_usable_size(heap, off) >= 100);
	errno = 0;
	CU_ASSERT_EQUAL(sh_realloc(heap, off, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_realloc(heap, 0, 0), 0);
	CU_ASSERT_EQUAL(sh_realloc(heap, off + 16, 200), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_realloc(heap, UINT64_MAX, 200), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_realloc(heap, off, SIZE_MAX), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_EQUAL(sh_realloc(heap, off, FILES_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT(sh_usable_size(heap, off) >= 100);
	CU_ASSERT_EQUAL(sh_free(heap, off), 0);
	CU_ASSERT_EQUAL(sh_realloc(heap, off, 100), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_close(heap);
}

static void test_in_place(void)
{
	struct sh_heap *heap = files_new();
	sh_off small = painted(heap, 113, 0);
	sh_off large = painted(heap, LARGE_BYTES - PAGE_BYTES + 1, 0);

	CU_ASSERT_EQUAL(sh_realloc(heap, small, 128), small);
	CU_ASSERT_EQUAL(sh_realloc(heap, small, 114), small);
	CU_ASSERT_EQUAL(sh_realloc(heap, large, LARGE_BYTES), large);
	CU_ASSERT_EQUAL(sh_usable_size(heap, large), LARGE_BYTES);
	CU_ASSERT_EQUAL(sh_realloc(heap, large, LARGE_BYTES - 20), large);
	CU_ASSERT_EQUAL(sh_usable_size(heap, large), LARGE_BYTES - 16);
	CU_ASSERT_TRUE(is_painted(heap, large, LARGE_BYTES - PAGE_BYTES + 1, 1));
	files_expect_good(heap);
	files_close(heap);
}

static void test_moves(void)
{
	static const size_t sizes[] = { 1, 16, 17, 100, 1000, 5000, SMALL_MAX_BYTES,
		SMALL_MAX_BYTES + 1, LARGE_BYTES, 20 * LARGE_BYTES, 40, LARGE_BYTES, 1 };
	struct sh_heap *heap = files_new();
	sh_off off = painted(heap, sizes[0], 0);

	for (size_t i = 1; i < LENGTH_OF(sizes); i++) {
		size_t least = sizes[i] < sizes[i - 1] ? sizes[i] : sizes[i - 1];

		off = sh_realloc(heap, off, sizes[i]);
		CU_ASSERT_FATAL(off != 0);
		CU_ASSERT(sh_usable_size(heap, off) >= sizes[i]);
		CU_ASSERT_TRUE(is_painted(heap, off, least, 1));
		CU_ASSERT_EQUAL(files_live_blocks(heap), 1);
		paint(heap, off, sizes[i], 1);
	}
	files_expect_good(heap);
	files_close(heap);
}

static int find_kind(const struct sh_block *block, void *argument)
{
	*(unsigned *)argument = block->kind;
	return 0;
}

static void test_keeps_its_kind(void)
{
	static const unsigned kinds[] = { 0, SH_NOSCAN };
	static const size_t sizes[] = { 100, 2000, LARGE_BYTES, 2 * LARGE_BYTES, 50 };

	for (size_t k = 0; k < LENGTH_OF(kinds); k++) {
		struct sh_heap *heap = files_new();
		sh_off off = painted(heap, 10, kinds[k]);

		for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
			unsigned kind = ~0u;

			off = sh_realloc(heap, off, sizes[i]);
			CU_ASSERT_FATAL(off != 0);
			CU_ASSERT_EQUAL(sh_walk(heap, find_kind, &kind), 0);
			CU_ASSERT_EQUAL(kind, kinds[k]);
		}
		files_close(heap);
	}
}

static void test_full_heap(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = painted(heap, LARGE_BYTES, 0);
	sh_off small = painted(heap, 2000, 0);
	size_t size = 64 * LARGE_BYTES;

	/* Until not a page is left. */
	for (; size >= 16; size /= 2)
		while (sh_alloc(heap, size) != 0)
			;
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_EQUAL(sh_realloc(heap, off, 2 * LARGE_BYTES), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_TRUE(is_painted(heap, off, LARGE_BYTES, 1));
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), LARGE_BYTES);
	CU_ASSERT_EQUAL(sh_realloc(heap, small, 3000), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_TRUE(is_painted(heap, small, 2000, 1));
	/* Shrinking needs nothing. */
	CU_ASSERT_EQUAL(sh_realloc(heap, small, 1000), small);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, &(sh_off){ small }, 1000), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	files_expect_good(heap);
	files_close(heap);
}

static void test_beside_a_transaction(void)
{
	struct sh_heap *heap = files_new();
	sh_off freed = painted(heap, 100, 0);
	sh_off other = painted(heap, 100, 0);
	struct sh_txn *txn;
	sh_off made;

	CU_ASSERT_EQUAL_FATAL(sh_txn_begin(heap, 0, &txn), 0);
	made = sh_txn_alloc(txn, 100, 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, freed, 0), 0);
	CU_ASSERT_EQUAL(sh_realloc(heap, made, 1000), 0);
	CU_ASSERT_EQUAL(errno, EBUSY);
	CU_ASSERT_EQUAL(sh_realloc(heap, freed, 1000), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	other = sh_realloc(heap, other, 1000);
	CU_ASSERT_NOT_EQUAL(other, 0);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, sh_ptr(heap, other), 100), 0);
	CU_ASSERT_EQUAL(errno, EBUSY);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	CU_ASSERT_TRUE(is_painted(heap, other, 100, 1));
	files_close(heap);
}

/* --- sh_realloc_to() ----------------------------------------------------------------------- */

static void test_to(void)
{
	struct sh_heap *heap = files_new();
	sh_off *word = files_new_words(heap);
	sh_off bad = 12345;
	sh_off off = sh_realloc_to(heap, word, 100);

	CU_ASSERT_NOT_EQUAL(off, 0);
	CU_ASSERT_EQUAL(*word, off);
	paint(heap, off, 100, 1);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, word, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, &bad, 10), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, word, 110), off);
	off = sh_realloc_to(heap, word, LARGE_BYTES);
	CU_ASSERT_NOT_EQUAL(off, 0);
	CU_ASSERT_EQUAL(*word, off);
	CU_ASSERT_TRUE(is_painted(heap, off, 100, 1));
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, word, FILES_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_EQUAL(*word, off);
	*word = off + 16;
	CU_ASSERT_EQUAL(sh_realloc_to(heap, word, 10), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	files_expect_good(heap);
	files_close(heap);
}

static void resize_for_ever(void *argument)
{
	struct sh_heap *heap = files_child_open(0);
	struct random random = { .state = (uint64_t)(uintptr_t)argument };
	sh_off *word = files_find_words(heap);

	for (;;) {
		size_t size = 16 + (size_t)random_below(&random, 2 * LARGE_BYTES);

		REQUIRE(sh_realloc_to(heap, word, size) != 0);
	}
}

/* Whenever the process is killed: the word names a live block with its content, and no other block
 * is left. */
static void test_to_loses_nothing(void)
{
	struct random random = random_seeded("realloc_to loses nothing");
	struct sh_heap *heap = files_new();
	sh_off *word = files_new_words(heap);

	CU_ASSERT_FATAL(sh_realloc_to(heap, word, 16) != 0);
	paint(heap, *word, 16, 1);
	for (int i = 0; i < 40; i++) {
		pid_t child = files_start(resize_for_ever, (void *)(uintptr_t)random_next(&random));

		usleep((useconds_t)(4000 + random_below(&random, 20000)));
		CU_ASSERT_EQUAL(files_finish_killed(child), SIGKILL);
		CU_ASSERT_EQUAL(sh_reap(heap, NULL), 0);
		CU_ASSERT_TRUE(is_painted(heap, *word, 16, 1));
		CU_ASSERT(sh_usable_size(heap, *word) >= 16);
		CU_ASSERT_EQUAL_FATAL(files_live_blocks(heap), 2);
	}
	files_expect_good(heap);
	files_close(heap);
}

/* --- who may not --------------------------------------------------------------------------- */

static void test_read_only(void)
{
	struct sh_heap *heap = files_new();
	sh_off *word = files_new_words(heap);
	sh_off off = sh_alloc_to(heap, word, 100, 0);

	files_close(heap);
	heap = files_open(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_realloc(heap, off, 200), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_realloc_to(heap, files_find_words(heap), 200), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(*files_find_words(heap), off);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "arguments", test_arguments },
	{ "in place", test_in_place },
	{ "moves", test_moves },
	{ "keeps its kind", test_keeps_its_kind },
	{ "full heap", test_full_heap },
	{ "beside a transaction", test_beside_a_transaction },
	{ "realloc_to", test_to },
	{ "realloc_to loses nothing", test_to_loses_nothing },
	{ "read-only", test_read_only },
	CU_TEST_INFO_NULL,
};

int test_realloc_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "realloc",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
