/* content.c -- a heap whose content tells whether anything was lost
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/faults/content.h"

#include "heap/geometry.h"
#include "stress/faults/case.h"

#include <errno.h>
#include <string.h>

/* A bank, its blocks, and no other. */
#define BLOCKS_OF_ALL (1u + CONTENT_BLOCKS)

/* From 16 bytes to some pages; the last one is larger than any class. */
static size_t size_of(unsigned i)
{
	return i + 1 == CONTENT_BLOCKS ? 80000 : 16 + (size_t)i * i * 11;
}

static unsigned char pattern_of(unsigned i)
{
	return (unsigned char)(i * 37 + 1);
}

static sh_off new_block(struct sh_heap *heap, unsigned i, const char *who)
{
	sh_off block = sh_alloc(heap, size_of(i));

	if (block == 0)
		bad("%s: no block of %zu bytes: %s", who, size_of(i), sh_strerror(errno));
	memset(sh_ptr(heap, block), pattern_of(i), size_of(i));
	return block;
}

void content_make(struct sh_heap *heap)
{
	sh_off bank_off = sh_alloc_ex(heap, sizeof(struct bank), 0, SH_ZERO);
	struct bank *bank = sh_ptr(heap, bank_off);
	sh_off run = sh_pages_alloc(heap, CONTENT_RUN_PAGES, SH_IO);

	EXPECT(bank_off != 0 && run != 0);
	for (unsigned i = 0; i < CONTENT_BLOCKS; i++)
		bank->block[i] = new_block(heap, i, "prepare");
	for (uint64_t i = 0; i < sizeof(bank->word) / sizeof(bank->word[0]); i++)
		bank->word[i] = i;
	memset(sh_ptr(heap, run), 0x77, CONTENT_RUN_PAGES * PAGE_BYTES);
	EXPECT(sh_root_set(heap, "run", run) == 0);
	EXPECT(sh_root_set(heap, "first", bank->block[0]) == 0);
	EXPECT(sh_root_set(heap, "bank", bank_off) == 0);
}

struct bank *content_bank(struct sh_heap *heap)
{
	sh_off off;

	EXPECT(sh_root_get(heap, "bank", &off) == 0);
	EXPECT(sh_usable_size(heap, off) >= sizeof(struct bank));
	return sh_ptr(heap, off);
}

/* --- looking ------------------------------------------------------------------------------- */

static bool is_filled(const unsigned char *bytes, unsigned char pattern, size_t count)
{
	return bytes[0] == pattern && memcmp(bytes, bytes + 1, count - 1) == 0;
}

static void look_at_block(struct sh_heap *heap, const struct bank *bank, unsigned i,
	const char *who)
{
	if (sh_usable_size(heap, bank->block[i]) < size_of(i))
		bad("%s: block %u is not live", who, i);
	if (!is_filled(sh_ptr(heap, bank->block[i]), pattern_of(i), size_of(i)))
		bad("%s: block %u does not hold what it held", who, i);
}

static void look_at_words(const struct bank *bank, const char *who)
{
	uint64_t more = bank->word[0];

	for (uint64_t i = 0; i < sizeof(bank->word) / sizeof(bank->word[0]); i++)
		if (bank->word[i] != i + more || more > 1)
			bad("%s: of a long transaction, word %u is %u", who, (unsigned)i,
				(unsigned)bank->word[i]);
}

void content_look(struct sh_heap *heap, const char *who)
{
	const struct bank *bank = content_bank(heap);
	sh_off run;

	for (unsigned i = 0; i < CONTENT_BLOCKS; i++)
		look_at_block(heap, bank, i, who);
	EXPECT(sh_root_get(heap, "run", &run) == 0);
	if (!is_filled(sh_ptr(heap, run), 0x77, CONTENT_RUN_PAGES * PAGE_BYTES))
		bad("%s: the run of pages does not hold what it held", who);
}

static int first_problem(const struct sh_problem *problem, void *who)
{
	bad("%s: sh_check: at %llx: %s", (const char *)who, (unsigned long long)problem->off,
		problem->text);
}

static int count_block(const struct sh_block *block, void *count)
{
	(void)block;
	++*(uint64_t *)count;
	return 0;
}

static void expect_number(const char *who, const char *what, uint64_t got, uint64_t wanted)
{
	if (got != wanted)
		bad("%s: %s: %llu, not %llu", who, what, (unsigned long long)got,
			(unsigned long long)wanted);
}

static void check_stats(struct sh_heap *heap, uint64_t pages, const char *who)
{
	struct sh_stats stats = SH_STATS_INIT;
	int error = sh_stats(heap, &stats);

	if (error != 0)
		bad("%s: sh_stats: %s", who, sh_strerror(error));
	expect_number(who, "bytes of runs", stats.manual_bytes,
		(CONTENT_RUN_PAGES + pages) * PAGE_BYTES);
	expect_number(who, "open transactions", stats.open_transactions, 0);
	expect_number(who, "bytes of logs", stats.log_bytes, 0);
	expect_number(who, "bytes set aside", stats.damaged_bytes, 0);
	expect_number(who, "blocks in limbo", stats.limbo_blocks, 0);
	expect_number(who, "processes", stats.processes, 1);
	expect_number(who, "threads", stats.threads, 1);
	expect_number(who, "bytes of data", stats.data_bytes,
		stats.free_bytes + stats.small_span_bytes + stats.large_span_bytes +
			stats.manual_bytes + stats.log_bytes + stats.damaged_bytes);
}

void content_check(struct sh_heap *heap, uint64_t blocks, uint64_t pages, const char *who)
{
	struct bank *bank = content_bank(heap);
	uint64_t count = 0;
	int error = sh_reap(heap, NULL);

	if (error != 0)
		bad("%s: sh_reap: %s", who, sh_strerror(error));
	error = sh_mutex_lock(heap, &bank->mutex);
	if (error != 0 && error != SH_EOWNERDIED)
		bad("%s: sh_mutex_lock: %s", who, sh_strerror(error));
	if (bank->left + bank->right != 0)
		bad("%s: the bank's sums differ by %lld", who,
			(long long)(bank->left + bank->right));
	look_at_words(bank, who);
	content_look(heap, who);
	EXPECT(sh_mutex_unlock(heap, &bank->mutex) == 0);
	EXPECT(sh_synchronize(heap) == 0);
	EXPECT(sh_check(heap, 0, first_problem, (void *)(uintptr_t)who, NULL) == 0);
	EXPECT(sh_walk(heap, count_block, &count) == 0);
	expect_number(who, "live blocks", count, BLOCKS_OF_ALL + blocks);
	check_stats(heap, pages, who);
}

/* --- work ---------------------------------------------------------------------------------- */

static void expect_done(const char *who, const char *what, int error)
{
	if (error != 0)
		bad("%s: %s: %s", who, what, sh_strerror(error));
}

static void move_amount(struct sh_txn *txn, struct bank *bank, const char *who)
{
	expect_done(who, "sh_txn_add", sh_txn_add(txn, &bank->left, 2 * sizeof(bank->left)));
	bank->left += 5;
	bank->right -= 5;
}

/* Replaces a block by another one of its kind. */
static void replace(struct sh_heap *heap, struct sh_txn *txn, struct bank *bank, unsigned i,
	const char *who)
{
	sh_off block = sh_txn_alloc(txn, size_of(i), 0);

	if (block == 0)
		bad("%s: sh_txn_alloc: %s", who, sh_strerror(errno));
	memset(sh_ptr(heap, block), pattern_of(i), size_of(i));
	expect_done(who, "sh_txn_free", sh_txn_free(txn, bank->block[i], i & 1 ? SH_DEFERRED : 0));
	expect_done(who, "sh_txn_store", sh_txn_store(txn, &bank->block[i], block));
}

static void work_in_transaction(struct sh_heap *heap, struct bank *bank, const char *who)
{
	struct sh_txn *txn;
	int error = sh_mutex_lock(heap, &bank->mutex);

	if (error != 0 && error != SH_EOWNERDIED)
		bad("%s: sh_mutex_lock: %s", who, sh_strerror(error));
	expect_done(who, "sh_txn_begin", sh_txn_begin(heap, 0, &txn));
	move_amount(txn, bank, who);
	replace(heap, txn, bank, 7, who);
	replace(heap, txn, bank, 20, who);
	expect_done(who, "sh_txn_commit", sh_txn_commit(txn));
	expect_done(who, "sh_mutex_unlock", sh_mutex_unlock(heap, &bank->mutex));
}

void content_work(struct sh_heap *heap, const char *who)
{
	struct bank *bank = content_bank(heap);
	sh_off block;
	sh_off run;

	work_in_transaction(heap, bank, who);
	block = sh_alloc(heap, 300);
	run = sh_pages_alloc(heap, 2, 0);
	if (block == 0 || run == 0)
		bad("%s: sh_alloc: %s", who, sh_strerror(errno));
	expect_done(who, "sh_read_lock", sh_read_lock(heap));
	content_look(heap, who);
	sh_read_unlock(heap);
	expect_done(who, "sh_free", sh_free(heap, block));
	expect_done(who, "sh_pages_free", sh_pages_free(heap, run, 2));
	expect_done(who, "sh_synchronize", sh_synchronize(heap));
}

void content_begin_all(struct sh_heap *heap)
{
	struct bank *bank = content_bank(heap);
	struct sh_txn *txn;
	struct sh_txn *detached;

	expect_done("casualty", "sh_mutex_lock", sh_mutex_lock(heap, &bank->mutex));
	expect_done("casualty", "sh_read_lock", sh_read_lock(heap));
	expect_done("casualty", "sh_txn_begin", sh_txn_begin(heap, SH_DETACHED, &detached));
	expect_done("casualty", "sh_txn_begin", sh_txn_begin(heap, 0, &txn));
	move_amount(txn, bank, "casualty");
	replace(heap, txn, bank, 3, "casualty");
	replace(heap, txn, bank, CONTENT_BLOCKS - 1, "casualty");
	expect_done("casualty", "sh_txn_add", sh_txn_add(detached, bank->word, sizeof(bank->word)));
	memset(bank->word, 0xee, sizeof(bank->word));
}
