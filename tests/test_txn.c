/* test_txn.c -- transactions of the public functions, alone and with deaths; named roots
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* --- transactions -------------------------------------------------------------------------- */

static void test_commit(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *word = files_new_words(heap);
	sh_off old = files_block(heap, 100);
	struct sh_txn *txn = files_begin(heap, 0);
	sh_off off = sh_txn_alloc(txn, 100, SH_ZERO | SH_NOSCAN);
	sh_off large = sh_txn_alloc(txn, 3 * SMALL_MAX_BYTES, 0);
	sh_off found;

	CU_ASSERT(off != 0 && large != 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &word[0], 1), 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &word[0], off), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "a", large), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_write(txn, &word[1], "12345678", 8), 0);
	CU_ASSERT_EQUAL(word[0], 0);
	CU_ASSERT_EQUAL(memcmp(&word[1], "12345678", 8), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), SH_ENOTFOUND);
	CU_ASSERT(sh_usable_size(heap, old) >= 100);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(word[0], off);
	CU_ASSERT_EQUAL(memcmp(&word[1], "12345678", 8), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), 0);
	CU_ASSERT_EQUAL(found, large);
	CU_ASSERT_EQUAL(sh_free(heap, old), SH_EDOUBLEFREE);
	files_expect_good(heap);
	files_close(heap);
}

static void test_abort(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *word = files_new_words(heap);
	sh_off old = files_block(heap, 100);
	struct sh_txn *txn = files_begin(heap, 0);
	sh_off off = sh_txn_alloc(txn, 100, 0);
	sh_off found;

	word[1] = 5;
	CU_ASSERT_EQUAL(sh_txn_store(txn, &word[0], off), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "a", off), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_add(txn, &word[1], 8), 0);
	word[1] = 6;
	CU_ASSERT_EQUAL(sh_txn_write(txn, &word[1], &(uint64_t){ 7 }, 8), 0);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(word[0], 0);
	CU_ASSERT_EQUAL(word[1], 5);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), SH_ENOTFOUND);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(sh_free(heap, old), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void test_transaction_errors(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *word = files_new_words(heap);
	sh_off old = files_block(heap, 100);
	struct sh_txn *other;
	struct sh_txn *txn;
	sh_off off;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0x100, &txn), EINVAL);
	CU_ASSERT_PTR_NULL(txn);
	txn = files_begin(heap, 0);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &other), EBUSY);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], 10, 0), 0);
	CU_ASSERT_EQUAL(errno, EBUSY);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[0]), EBUSY);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_free(txn, 0, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old + 1, 0), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free(heap, old), SH_EDOUBLEFREE);
	off = sh_txn_alloc(txn, 10, 0);
	CU_ASSERT_EQUAL(sh_free(heap, off), EBUSY);
	CU_ASSERT_EQUAL(sh_txn_alloc(txn, 10, 0x80), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, (uint64_t *)(void *)((char *)word + 4), 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, (uint64_t *)(void *)sh_base(heap), 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &(uint64_t){ 0 }, 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, &(uint64_t){ 0 }, 8), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, sh_base(heap), 8), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, word, SIZE_MAX), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, word, FILES_MAX_BYTES), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, word, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "", 16), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_root(txn, NULL, 16), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	/* The handle is used up. */
	CU_ASSERT_EQUAL(sh_txn_commit(txn), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, word, 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_alloc(txn, 10, 0), 0);
	sh_txn_abort(txn);
	files_expect_good(heap);
	files_close(heap);
}

static void test_long_transaction(void)
{
	struct sh_heap *heap = files_new();
	uint64_t before = files_live_blocks(heap);
	struct sh_txn *txn = files_begin(heap, 0);
	char *bytes = sh_ptr(heap, files_block(heap, 100000));
	unsigned count = 20000;

	for (unsigned i = 0; i < count; i++)
		if (sh_txn_alloc(txn, 16, 0) == 0)
			CU_FAIL_FATAL("sh_txn_alloc");
	CU_ASSERT_EQUAL(sh_txn_add(txn, bytes, 100000), 0);
	memset(bytes, 1, 100000);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(bytes[0], 0x5a);
	CU_ASSERT_EQUAL(bytes[99999], 0x5a);
	CU_ASSERT_EQUAL(files_live_blocks(heap), before + 1);
	txn = files_begin(heap, 0);
	for (unsigned i = 0; i < count; i++)
		if (sh_txn_alloc(txn, 16, 0) == 0)
			CU_FAIL_FATAL("sh_txn_alloc");
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), before + 1 + count);
	files_expect_good(heap);
	files_close(heap);
}

static void test_alloc_to_and_free_from(void)
{
	struct sh_heap *heap = files_new();
	uint64_t *word = files_new_words(heap);
	sh_off off = sh_alloc_to(heap, &word[0], 100, SH_ZERO);
	sh_off outside = 0;

	CU_ASSERT_NOT_EQUAL(off, 0);
	CU_ASSERT_EQUAL(word[0], off);
	CU_ASSERT_EQUAL(*(char *)sh_ptr(heap, off), 0);
	CU_ASSERT_NOT_EQUAL(sh_alloc_to(heap, &word[1], 10 * SMALL_MAX_BYTES, 0), 0);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[0]), 0);
	CU_ASSERT_EQUAL(word[0], 0);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[0]), 0);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[1]), 0);
	CU_ASSERT_EQUAL(word[1], 0);
	word[2] = off;
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[2]), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(word[2], off);
	word[2] = 24;
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[2]), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_free_from(heap, &outside), EINVAL);
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &outside, 100, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], 0, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], 10, 0x80), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], SIZE_MAX, 0), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 1);
	files_close(heap);
}

static void alloc_to_until_killed(void *unused)
{
	struct sh_heap *heap = files_child_open(0);
	uint64_t *word = files_find_words(heap);

	(void)unused;
	for (;;) {
		REQUIRE(sh_free_from(heap, &word[0]) == 0);
		REQUIRE(sh_alloc_to(heap, &word[0], 64, 0) != 0);
		REQUIRE(sh_free_from(heap, &word[1]) == 0);
		REQUIRE(sh_alloc_to(heap, &word[1], 3 * SMALL_MAX_BYTES, 0) != 0);
	}
}

static void test_alloc_to_loses_nothing(void)
{
	struct random random = random_seeded("alloc_to");
	struct sh_heap *heap = files_new();

	files_new_words(heap);
	files_close(heap);
	for (int i = 0; i < 40; i++) {
		pid_t child = files_start(alloc_to_until_killed, NULL);
		uint64_t *word;

		random_sleep(&random, 5000);
		CU_ASSERT_EQUAL(files_finish_killed(child), SIGKILL);
		heap = files_open(0);
		word = files_find_words(heap);
		CU_ASSERT_EQUAL(files_live_blocks(heap), 1u + (word[0] != 0) + (word[1] != 0));
		CU_ASSERT(word[0] == 0 || sh_usable_size(heap, word[0]) != 0);
		CU_ASSERT(word[1] == 0 || sh_usable_size(heap, word[1]) != 0);
		files_close(heap);
	}
}

/* --- roots --------------------------------------------------------------------------------- */

static void test_roots(void)
{
	char name[80];
	struct sh_heap *heap = files_new();
	struct sh_txn *txn;
	sh_off off = 1;

	CU_ASSERT_EQUAL(sh_root_get(heap, "none", &off), SH_ENOTFOUND);
	CU_ASSERT_EQUAL(off, 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "none", 0), 0);
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 16), EINVAL);
	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), SH_ENOTFOUND);
	CU_ASSERT_EQUAL(sh_root_set(heap, "", 16), EINVAL);
	name[63] = '\0';
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 16), 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 32), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), 0);
	CU_ASSERT_EQUAL(off, 32);
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 0), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), SH_ENOTFOUND);
	for (unsigned i = 0; i < ROOT_COUNT; i++) {
		snprintf(name, sizeof(name), "root %u", i);
		CU_ASSERT_EQUAL(sh_root_set(heap, name, 16 + i), 0);
	}
	CU_ASSERT_EQUAL(sh_root_set(heap, "one more", 16), SH_EFULL);
	txn = files_begin(heap, 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "one more", 16), SH_EFULL);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(sh_root_set(heap, "root 7", 0), 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "one more", 16), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "root 8", &off), 0);
	CU_ASSERT_EQUAL(off, 24);
	files_expect_good(heap);
	files_close(heap);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "commit", test_commit },
	{ "abort", test_abort },
	{ "transaction errors", test_transaction_errors },
	{ "long transaction", test_long_transaction },
	{ "alloc_to, free_from", test_alloc_to_and_free_from },
	{ "alloc_to loses nothing", test_alloc_to_loses_nothing },
	{ "roots", test_roots },
	CU_TEST_INFO_NULL,
};

int test_txn_register(void)
{
	return places_register("txn", tests, NULL);
}
