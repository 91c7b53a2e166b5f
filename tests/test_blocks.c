/* test_blocks.c -- blocks of all sizes and alignments, allocated and freed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void test_allocate(void)
{
	struct sh_heap *heap = files_new();

	for (size_t size = 1; size < 4 * SMALL_MAX_BYTES; size += 1 + size / 3) {
		sh_off off = sh_alloc(heap, size);

		CU_ASSERT_FATAL(off != 0);
		CU_ASSERT_EQUAL(off % 16, 0);
		CU_ASSERT(sh_usable_size(heap, off) >= size);
		CU_ASSERT_EQUAL(sh_usable_size(heap, off + 16), 0);
		memset(sh_ptr(heap, off), 0xff, sh_usable_size(heap, off));
		CU_ASSERT_EQUAL(sh_free(heap, off), 0);
		CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
		off = sh_alloc_ex(heap, size, 0, SH_ZERO);
		for (size_t i = 0; i < size; i++)
			if (((char *)sh_ptr(heap, off))[i] != 0)
				CU_FAIL_FATAL("SH_ZERO: not zero");
		CU_ASSERT_EQUAL(sh_free(heap, off), 0);
	}
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	CU_ASSERT_EQUAL(sh_free(heap, 0), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void test_alignment(void)
{
	struct sh_heap *heap = files_new();

	for (size_t align = 1; align <= HUGE_BYTES; align *= 2)
		for (size_t size = 1; size < 2 * SMALL_MAX_BYTES; size = size * 2 + 1) {
			sh_off off = sh_alloc_ex(heap, size, align, 0);

			CU_ASSERT_FATAL(off != 0);
			CU_ASSERT_EQUAL(off % align, 0);
			CU_ASSERT(sh_usable_size(heap, off) >= size);
		}
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_ex(heap, 10, 2 * HUGE_BYTES, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_ex(heap, 10, 48, 0), 0);
	CU_ASSERT_EQUAL(sh_alloc_ex(heap, 10, 0, 0x80), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	files_close(heap);
}

static void test_sizes_that_do_not_fit(void)
{
	static const size_t too_large[] = { FILES_MAX_BYTES, FILES_MAX_BYTES + 1, SIZE_MAX / 2,
		SIZE_MAX - 8, SIZE_MAX };
	struct sh_heap *heap = files_new();
	struct sh_txn *txn;

	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc(heap, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	for (size_t i = 0; i < LENGTH_OF(too_large); i++) {
		errno = 0;
		CU_ASSERT_EQUAL(sh_alloc(heap, too_large[i]), 0);
		CU_ASSERT_EQUAL(errno, ENOMEM);
		errno = 0;
		CU_ASSERT_EQUAL(sh_txn_alloc(txn, too_large[i], 0), 0);
		CU_ASSERT_EQUAL(errno, ENOMEM);
	}
	errno = 0;
	CU_ASSERT_EQUAL(sh_txn_alloc(txn, 0, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	sh_txn_abort(txn);
	files_expect_good(heap);
	files_close(heap);
}

static void test_bad_frees(void)
{
	struct sh_heap *heap = files_new();
	sh_off small = files_block(heap, 100);
	sh_off large = files_block(heap, 10 * SMALL_MAX_BYTES);
	const sh_off bad[] = { 1, 8, 16, 8192, small + 1, small + 16, large + 16,
		large + PAGE_BYTES, FILES_MAX_BYTES - 16, FILES_MAX_BYTES, UINT64_MAX,
		UINT64_MAX - 15, UINT64_C(1) << 63 };

	for (size_t i = 0; i < LENGTH_OF(bad); i++) {
		CU_ASSERT_EQUAL(sh_free(heap, bad[i]), SH_EBADPTR);
		CU_ASSERT_EQUAL(sh_usable_size(heap, bad[i]), 0);
	}
	CU_ASSERT_EQUAL(files_live_blocks(heap), 2);
	CU_ASSERT_EQUAL(sh_free(heap, small), 0);
	CU_ASSERT_EQUAL(sh_free(heap, small), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free(heap, large), 0);
	CU_ASSERT_EQUAL(sh_free(heap, large), SH_EDOUBLEFREE);
	files_expect_good(heap);
	files_close(heap);
}

static void test_free_in_another_process(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = files_block(heap, 100);

	files_free_elsewhere(off);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EDOUBLEFREE);
	off = files_block(heap, 10 * SMALL_MAX_BYTES);
	files_free_elsewhere(off);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_expect_good(heap);
	files_close(heap);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "allocate", test_allocate },
	{ "alignment", test_alignment },
	{ "sizes that do not fit", test_sizes_that_do_not_fit },
	{ "bad frees", test_bad_frees },
	{ "free in another process", test_free_in_another_process },
	CU_TEST_INFO_NULL,
};

int test_blocks_register(void)
{
	return places_register("blocks", tests, NULL);
}
