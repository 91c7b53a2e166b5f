/* test_recover.c -- opening after everybody died: twice the same, and whatever the file holds
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * test_settle.c has the states of a log. Here: the image as a whole, the two copies of the
 * superblock, spans that cannot be true, and damage of any kind. */
#include "heap/manual.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/check.h"
#include "recovery/superblock.h"
#include "tests/fixture.h"

#include <errno.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a heap with something of everything ----------------------------------------------------- */

#define THREADS 3u

/* A page run, of which a part is freed again. */
static void leave_run(struct thread *thread, struct random *random)
{
	uint64_t npages = 3 + random_below(random, 30);
	int error = 0;
	uint64_t head = manual_allocate(thread, npages, RUN_IO, &error);

	CU_ASSERT_NOT_EQUAL_FATAL(head, 0);
	CU_ASSERT_EQUAL(manual_free(thread, head + 1, npages - 2), 0);
}

static void fill(struct fixture *f, struct random *random, unsigned steps)
{
	uint64_t blocks[100] = { 0 };

	for (unsigned i = 0; i < steps; i++) {
		struct thread *thread = &f->threads[random_below(random, THREADS)];
		uint64_t *block = &blocks[random_below(random, LENGTH_OF(blocks))];
		uint64_t limit = random_below(random, 10) == 0 ? 3 * SMALL_MAX_BYTES : 400;

		if (*block != 0)
			CU_ASSERT_EQUAL(object_free(thread, *block), 0);
		*block = fixture_block(thread, 1 + random_below(random, limit));
		if (i % 25 == 0)
			leave_run(thread, random);
	}
}

/* An open log in slot 0, a committed one in slot 1, a long one in slot 2. */
static void leave_logs(struct fixture *f)
{
	static struct transaction open[THREADS];
	uint64_t words = fixture_block(&f->threads[0], 2000);
	int error;

	for (unsigned i = 0; i < THREADS; i++) {
		transaction_begin(&open[i], &f->threads[i]);
		for (unsigned j = 0; j < (i == 2 ? 100 : 10); j++) {
			uint64_t bytes = j % 8 == 7 ? SMALL_MAX_BYTES + 1 : 10 + 100 * (j % 20);
			uint64_t off = transaction_allocate(&open[i], bytes, false, &error);

			CU_ASSERT_NOT_EQUAL(off, 0);
			if (j % 3 == 0)
				CU_ASSERT_EQUAL(transaction_free(&open[i], off), 0);
		}
		CU_ASSERT_EQUAL(transaction_add(&open[i], words + 400 * i, 100), 0);
		CU_ASSERT_EQUAL(transaction_store(&open[i], words + 1200 + 8 * i, i), 0);
		CU_ASSERT_EQUAL(transaction_root(&open[i], "root", words), 0);
	}
	log_write(f->threads[1].log,
		(struct log_word){
			.state = LOG_COMMITTED,
			.count = log_read(f->threads[1].log).count,
		});
	/* What they remember in the process dies with their threads. */
	for (unsigned i = 0; i < THREADS; i++)
		free(open[i].index.slots);
}

/* --- twice the same -------------------------------------------------------------------------- */

/* What differs from one incarnation to the next by design: superblocks, stamps of the arenas. */
static void blank_stamps(const struct fixture *f, char *copy)
{
	uint64_t b = heap_superblock_b_offset(f->heap->max_bytes, f->heap->thread_slots);

	memset(copy, 0, sizeof(struct superblock));
	memset(copy + b, 0, sizeof(struct superblock));
	for (uint64_t arena = 0; arena < heap_arena_count(f->heap); arena++)
		memset(copy + arena_zone(f->heap, arena) +
				offsetof(struct arena_header, incarnation),
			0, sizeof(uint64_t));
}

static char *copy_image(const struct fixture *f, uint64_t bytes)
{
	char *copy = malloc(bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	/* NOLINTNEXTLINE(clang-analyzer-*): a fatal assertion ends the test before */
	memcpy(copy, f->image.base, bytes);
	blank_stamps(f, copy);
	return copy;
}

/* The heap file is as it was when it was copied; frees the copy. */
static void expect_same_image(const struct fixture *f, char *before, uint64_t bytes)
{
	char *now = copy_image(f, bytes);

	CU_ASSERT_EQUAL(memcmp(before, now, bytes), 0);
	free(before);
	free(now);
}

/* Fills the heap, and leaves nothing with its threads. */
static void fill_and_give_back(struct fixture *f, struct random *random, unsigned steps)
{
	fill(f, random, steps);
	for (unsigned i = 0; i < THREADS; i++)
		fixture_give_back(&f->threads[i]);
}

static void test_twice_the_same(void)
{
	struct random random = random_seeded("recovered twice");
	struct fixture *f = fixture_open(2, THREADS);
	uint64_t bytes;
	uint64_t spans;
	uint64_t free_pages;
	char *once;

	fill(f, &random, 500);
	leave_logs(f);
	CU_ASSERT_EQUAL(fixture_reopen(f, 0), 0);
	CU_ASSERT_EQUAL(f->image.thread.counts.rolled_back, 2);
	CU_ASSERT_EQUAL(f->image.thread.counts.rolled_forward, 1);
	spans = f->image.recovery.spans;
	free_pages = fixture_free_pages(f);
	bytes = atomic_load(&f->backed_end);
	once = copy_image(f, bytes);
	CU_ASSERT_EQUAL(fixture_reopen(f, 0), 0);
	CU_ASSERT_EQUAL(f->image.thread.counts.rolled_back, 0);
	CU_ASSERT_EQUAL(f->image.thread.counts.rolled_forward, 0);
	CU_ASSERT_EQUAL(f->image.thread.counts.operations_finished, 0);
	CU_ASSERT_EQUAL(f->image.thread.counts.operations_undone, 0);
	CU_ASSERT_EQUAL(f->image.recovery.spans, spans);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	expect_same_image(f, once, bytes);
	fixture_attach(f, 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A clean heap: nothing but stamps is written. */
static void test_clean_is_left_alone(void)
{
	struct random random = random_seeded("clean");
	struct fixture *f = fixture_open(1, THREADS);
	uint64_t bytes;
	char *before;

	fill_and_give_back(f, &random, 300);
	bytes = atomic_load(&f->backed_end);
	before = copy_image(f, bytes);
	CU_ASSERT_EQUAL(fixture_reopen(f, 0), 0);
	expect_same_image(f, before, bytes);
	fixture_close(f);
}

/* Free pages are derived as the living had them. */
static void test_free_pages_derived(void)
{
	struct random random = random_seeded("free pages");
	struct fixture *f = fixture_open(2, THREADS);
	uint64_t pages;
	uint64_t *words;
	uint64_t bytes;

	fill_and_give_back(f, &random, 2000);
	bytes = (atomic_load(&f->heap->published[0]) << CHUNK_PAGES_SHIFT) / 8;
	pages = fixture_free_pages(f);
	words = malloc(bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(words);
	/* NOLINTNEXTLINE(clang-analyzer-*): a fatal assertion ends the test before */
	memcpy(words, f->heap->pages.free_words, bytes);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(fixture_free_pages(f), pages);
	CU_ASSERT_EQUAL(memcmp(words, f->heap->pages.free_words, bytes), 0);
	CU_ASSERT_TRUE(page_index_valid(&f->heap->pages));
	free(words);
	fixture_expect_good(f);
	fixture_close(f);
}

/* What the last incarnation left in volatile words says nothing. */
static void test_incarnations(void)
{
	struct fixture *f = fixture_open(1, THREADS);
	uint64_t incarnation = f->heap->incarnation;
	uint64_t block = fixture_block(&f->threads[1], 48);
	uint64_t next;
	uint64_t tag = f->threads[0].tag;

	fixture_kill(f, 2);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->heap->incarnation, incarnation + 1);
	CU_ASSERT_NOT_EQUAL(f->threads[0].tag, tag);
	CU_ASSERT_FALSE(f->heap->system.alive(f->heap->system.context, tag));
	CU_ASSERT_EQUAL(atomic_load(&f->heap->thread_slot[1].owner), 0);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->thread_slot[2].owner), 0);
	/* Slot 1 owned the span, and owns nothing. */
	next = fixture_block(&f->threads[0], 48);
	CU_ASSERT_EQUAL(next >> PAGE_SHIFT, block >> PAGE_SHIFT);
	CU_ASSERT_TRUE(fixture_is_live(f, block));
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_new_heap(void)
{
	struct fixture *f = fixture_open(1, 0);

	CU_ASSERT_EQUAL(heap_arena_count(f->heap), 0);
	CU_ASSERT_EQUAL(f->image.recovery.spans, 0);
	CU_ASSERT_EQUAL(f->heap->header->thread_slot_count, FIXTURE_SLOTS);
	CU_ASSERT_EQUAL(f->heap->header->magic, CONTROL_MAGIC);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_control_file_full(void)
{
	struct fixture *f = fixture_open(2, 1);
	bool failed = true;

	fixture_block(&f->threads[0], 100);
	for (uint64_t k = 1; failed; k++) {
		atomic_store(&f->back_calls, 0);
		f->fail_at = k;
		failed = fixture_reopen(f, 0) != 0;
	}
	CU_ASSERT_TRUE(f->fail_at > 1);
	f->disk_full = true;
	CU_ASSERT_EQUAL(fixture_reopen(f, 0), ENOSPC);
	f->disk_full = false;
	f->fail_at = 0;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- superblocks ----------------------------------------------------------------------------- */

static struct superblock *copy_a(const struct fixture *f)
{
	return (struct superblock *)(void *)f->image.base;
}

static struct superblock *copy_b(const struct fixture *f)
{
	return (struct superblock *)(void *)(f->image.base +
		heap_superblock_b_offset(f->heap->max_bytes, f->heap->thread_slots));
}

static int read_superblock(const struct fixture *f, struct superblock *superblock, int *copies)
{
	return superblock_read(f->image.base, f->image.bytes, superblock, copies);
}

/* Any byte of either copy is changed: the other one is read. */
static void test_damaged_copy(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct superblock good;
	struct superblock superblock;
	int copies;

	CU_ASSERT_EQUAL(read_superblock(f, &good, &copies), 0);
	CU_ASSERT_EQUAL(copies, 2);
	for (size_t i = 0; i < sizeof(struct superblock); i++) {
		char *a = (char *)copy_a(f) + i;
		char *b = (char *)copy_b(f) + i;

		*a ^= 0x40;
		CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), 0);
		CU_ASSERT_EQUAL(copies, 1);
		CU_ASSERT_EQUAL(memcmp(&superblock, &good, sizeof(good)), 0);
		*b ^= 0x40;
		CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), SH_EBADHEAP);
		*a ^= 0x40;
		CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), 0);
		CU_ASSERT_EQUAL(copies, 1);
		CU_ASSERT_EQUAL(memcmp(&superblock, &good, sizeof(good)), 0);
		*b ^= 0x40;
	}
	fixture_close(f);
}

/* Opened from the copy that is left, and both are whole afterwards. */
static void test_open_from_one_copy(void)
{
	for (int which = 0; which < 2; which++) {
		struct fixture *f = fixture_open(1, 1);
		uint64_t block = fixture_block(&f->threads[0], 100);
		struct superblock superblock;
		int copies;

		memset(which == 0 ? copy_a(f) : copy_b(f), 0xee, sizeof(superblock));
		CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
		CU_ASSERT_TRUE(fixture_is_live(f, block));
		CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), 0);
		CU_ASSERT_EQUAL(copies, 2);
		fixture_expect_good(f);
		fixture_close(f);
	}
}

/* A death between the two copies: the newer one counts, and the next write leaves two whole ones. */
static void test_one_copy_older(void)
{
	for (int which = 0; which < 2; which++) {
		struct fixture *f = fixture_open(1, 0);
		struct superblock older;
		struct superblock newest;
		struct superblock superblock;
		int copies;

		memcpy(&older, copy_a(f), sizeof(older));
		memcpy(&newest, &older, sizeof(newest));
		newest.clean = 1;
		superblock_write(f->image.base, &newest);
		memcpy(which == 0 ? copy_a(f) : copy_b(f), &older, sizeof(older));
		CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), 0);
		CU_ASSERT_EQUAL(copies, 1);
		CU_ASSERT_EQUAL(superblock.sequence, newest.sequence);
		CU_ASSERT_EQUAL(superblock.clean, 1);
		superblock_write(f->image.base, &superblock);
		CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), 0);
		CU_ASSERT_EQUAL(copies, 2);
		fixture_close(f);
	}
}

static void expect_version(struct superblock changed, const char *difference)
{
	struct fixture *f = fixture_open(1, 0);
	struct superblock superblock;
	int copies;

	changed.sequence = copy_a(f)->sequence;
	superblock_write(f->image.base, &changed);
	CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), SH_EVERSION);
	CU_ASSERT_PTR_NOT_NULL_FATAL(superblock_difference(&superblock));
	CU_ASSERT_PTR_NOT_NULL(strstr(superblock_difference(&superblock), difference));
	CU_ASSERT_EQUAL(fixture_reopen(f, 0), SH_EVERSION);
	memset(copy_a(f), 0, sizeof(superblock));
	CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), SH_EVERSION);
	fixture_close(f);
}

static void test_versions(void)
{
	struct superblock good;
	struct superblock changed;

	superblock_init(&good, ARENA_BYTES, FIXTURE_PROCESSES, FIXTURE_SLOTS + 1);
	CU_ASSERT_PTR_NULL(superblock_difference(&good));
	changed = good;
	changed.format_version++;
	expect_version(changed, "format");
	changed = good;
	changed.page_shift++;
	expect_version(changed, "geometry");
	changed = good;
	changed.chunk_pages_shift++;
	expect_version(changed, "geometry");
	changed = good;
	changed.arena_chunks_shift--;
	expect_version(changed, "geometry");
	changed = good;
	changed.class_hash++;
	expect_version(changed, "size classes");
	changed = good;
	changed.abi++;
	expect_version(changed, "layout");
	changed = good;
	changed.root_count++;
	expect_version(changed, "layout");
}

/* Right by its checksum, and still not to be believed. */
static void test_insane(void)
{
	uint64_t sizes[] = { 0, 1, CHUNK_BYTES - 1, CHUNK_BYTES + 1, UINT64_C(1) << 62,
		UINT64_MAX };
	uint32_t slots[] = { 0, 1, TAG_SLOT_LIMIT + 1, UINT32_MAX };
	static char base[1 << 20];
	struct superblock good;
	struct superblock superblock;
	int copies;

	superblock_init(&good, ARENA_BYTES, FIXTURE_PROCESSES, 4);
	for (size_t i = 0; i < LENGTH_OF(sizes) + LENGTH_OF(slots); i++) {
		struct superblock wrong = good;

		memset(base, 0, sizeof(base));
		superblock_write(base, &wrong);
		memcpy(&wrong, base, sizeof(wrong));
		if (i < LENGTH_OF(sizes))
			wrong.max_bytes = sizes[i];
		else
			wrong.thread_slot_count = slots[i - LENGTH_OF(sizes)];
		/* The checksum is made by writing both copies at the good places. */
		memset(base, 0, sizeof(base));
		superblock = wrong;
		superblock.max_bytes = good.max_bytes;
		superblock.thread_slot_count = good.thread_slot_count;
		superblock_write(base, &superblock);
		CU_ASSERT_EQUAL(superblock_read(base, sizeof(base), &superblock, &copies), 0);
		memcpy(base, &wrong, sizeof(wrong));
		CU_ASSERT_EQUAL(superblock_read(base, sizeof(base), &superblock, &copies), 0);
		CU_ASSERT_EQUAL(copies, 1);
	}
}

static void test_short_files(void)
{
	struct fixture *f = fixture_open(1, 0);
	uint64_t header = heap_header_bytes(f->heap->max_bytes, f->heap->thread_slots);
	uint64_t lengths[] = { 0, 1, sizeof(struct superblock) - 1, sizeof(struct superblock), 4096,
		header - SUPERBLOCK_STRIDE, header - 1 };
	struct superblock superblock;
	int copies;

	for (size_t i = 0; i < LENGTH_OF(lengths); i++) {
		char *file = malloc(lengths[i] + 1);

		memcpy(file, f->image.base, lengths[i]);
		CU_ASSERT_EQUAL(superblock_read(file, lengths[i], &superblock, &copies),
			SH_EBADHEAP);
		free(file);
	}
	CU_ASSERT_EQUAL(superblock_read(f->image.base, header, &superblock, &copies), 0);
	fixture_close(f);
}

/* --- spans that cannot be true --------------------------------------------------------------- */

static void make_all_writable(struct fixture *f)
{
	CU_ASSERT_EQUAL_FATAL(mprotect(f->image.base, f->image.bytes, PROT_READ | PROT_WRITE), 0);
}

/* Two spans overlap: the first is set aside, nothing of either is given out, the rest works. */
static void test_overlap(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t first = fixture_block(&f->threads[0], 20 * PAGE_BYTES) >> PAGE_SHIFT;
	uint64_t second = fixture_block(&f->threads[0], 20 * PAGE_BYTES) >> PAGE_SHIFT;

	CU_ASSERT_EQUAL_FATAL(second, first + 20);
	span_of_head(f->heap, first)->pages = 25;
	span_of_head(f->heap, first)->bytes = 25 * PAGE_BYTES;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 1);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], page_offset(first)), SH_EBADPTR);
	CU_ASSERT_TRUE(fixture_is_live(f, page_offset(second)));
	/* Nobody is shown what cannot be freed, and lies over others. */
	CU_ASSERT_EQUAL(fixture_live_blocks(f), 1);
	for (int i = 0; i < 50; i++) {
		uint64_t page = fixture_block(&f->threads[0], 5 * PAGE_BYTES) >> PAGE_SHIFT;

		CU_ASSERT_TRUE(page + 5 <= first || page >= first + 40);
	}
	CU_ASSERT_EQUAL(object_free(&f->threads[0], page_offset(second)), 0);
	fixture_close(f);
}

/* The spans table is derived from the records. */
static void test_table_is_mended(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t block = fixture_block(&f->threads[0], 20 * PAGE_BYTES);
	uint64_t head = block >> PAGE_SHIFT;

	for (uint64_t i = 0; i < 20; i++)
		atomic_store(span_table_entry(f->heap, head + i), (uint32_t)(i * 77));
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	for (uint64_t i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(span_find(f->heap, head + i), head);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A log names a block of a span that the spans table does not name, as it does pages behind it: settled before
 * the table is mended. */
static void test_table_and_log(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct transaction open;
	int error;
	uint64_t head;

	fixture_block(&f->threads[0], 5000);
	transaction_begin(&open, &f->threads[0]);
	head = transaction_allocate(&open, 200, false, &error) >> PAGE_SHIFT;
	CU_ASSERT_NOT_EQUAL_FATAL(head, 0);
	for (uint64_t page = head; page < head + SPAN_OBJECTS_MOST_PAGES; page++)
		atomic_store(span_table_entry(f->heap, page), (uint32_t)head);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 0);
	fixture_expect_good(f);
	fixture_close(f);
	free(open.index.slots);
}

/* Blocks of many sizes, every second one freed: spans of every kind, free pages between them. */
static void scatter(struct fixture *f)
{
	uint64_t blocks[200];

	for (size_t i = 0; i < LENGTH_OF(blocks); i++)
		blocks[i] = fixture_block(&f->threads[0], 1 + i * i * PAGE_BYTES / 2000);
	for (size_t i = 0; i < LENGTH_OF(blocks); i += 2)
		CU_ASSERT_EQUAL(object_free(&f->threads[0], blocks[i]), 0);
	fixture_give_back(&f->threads[0]);
}

/* By the spans table or by the records: the same free pages and spans. */
static void test_trusted(void)
{
	struct fixture *f = fixture_open(2, 1);
	uint64_t blocks;
	uint64_t free_pages;
	uint64_t spans;

	scatter(f);
	blocks = fixture_live_blocks(f);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	free_pages = fixture_free_pages(f);
	spans = f->image.recovery.spans;
	f->trusted = true;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 0);
	CU_ASSERT_EQUAL(f->image.recovery.spans, spans);
	CU_ASSERT_EQUAL(fixture_free_pages(f), free_pages);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), blocks);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A trusted file whose spans table is damaged all the same: the records are asked. */
static void test_trusted_damaged(void)
{
	static const uint32_t wrong[] = { TABLE_OBJECTS, TABLE_OBJECTS | 17, UINT32_MAX,
		TABLE_OBJECTS | 16 };

	for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
		struct fixture *f = fixture_open(1, 1);
		uint64_t head = fixture_block(&f->threads[0], 64) >> PAGE_SHIFT;
		uint64_t blocks;

		/* Another span begins right behind it. */
		fixture_block(&f->threads[0], 80);
		blocks = fixture_live_blocks(f);
		atomic_store(span_table_entry(f->heap, head), wrong[i]);
		f->trusted = true;
		CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
		CU_ASSERT_EQUAL(f->image.recovery.quarantined, 0);
		CU_ASSERT_EQUAL(span_find(f->heap, head), head);
		CU_ASSERT_EQUAL(fixture_live_blocks(f), blocks);
		fixture_expect_good(f);
		fixture_close(f);
	}
}

/* A trusted file with a damaged record: nothing is served from the span, nothing given out. */
static void test_trusted_record(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t block = fixture_block(&f->threads[0], 64);
	uint64_t head = block >> PAGE_SHIFT;

	span_of_head(f->heap, head)->pages = 9;
	f->trusted = true;
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], block), SH_EBADPTR);
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_NOT_EQUAL(fixture_block(&f->threads[0], 64) >> PAGE_SHIFT, head);
	CU_ASSERT_TRUE(fixture_problems(f, &f->threads[0]) >= 1);
	fixture_close(f);
}

/* Told of each span that is set aside, and of progress. */
static unsigned problems_told;
static unsigned progress_told;

static int count_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	problems_told += problem->off != 0 && problem->text != NULL;
	return 0;
}

static void count_progress(const char *phase, uint64_t done, uint64_t total, void *argument)
{
	(void)argument;
	progress_told += phase != NULL && done <= total;
}

static void test_told(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct system system = fixture_system(f);
	uint64_t first = fixture_block(&f->threads[0], 100) >> PAGE_SHIFT;
	uint64_t second = fixture_block(&f->threads[0], 1000) >> PAGE_SHIFT;

	span_of_head(f->heap, first)->pages = 0;
	span_of_head(f->heap, second)->purpose = 9;
	problems_told = progress_told = 0;
	memset(&f->image.recovery, 0, sizeof(f->image.recovery));
	f->image.recovery.problem = count_problem;
	f->image.recovery.progress = count_progress;
	memset(f->image.control, 0, f->image.control_bytes);
	CU_ASSERT_EQUAL(image_open(&f->image, &system), 0);
	CU_ASSERT_EQUAL(f->image.recovery.quarantined, 2);
	CU_ASSERT_EQUAL(problems_told, 2);
	CU_ASSERT_TRUE(progress_told > 0);
	fixture_close(f);
}

/* --- damage of any kind ------------------------------------------------------------------------ */

/* Runs in a process of its own: what must not happen is a death by signal. */
static bool survives(void (*play)(void *argument), void *argument)
{
	pid_t child;
	int status = 0;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		play(argument);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Opens what is there and uses what can be opened. */
static void open_and_use(struct fixture *f)
{
	int error;
	uint64_t problems;

	if (fixture_reopen(f, 2) != 0)
		return;
	check_heap(f->heap, NULL, NULL, NULL, &problems);
	check_heap(f->heap, &f->threads[0], NULL, NULL, &problems);
	fixture_live_blocks(f);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t off = fixture_allocate(&f->threads[i & 1], 16 + 300 * i, &error);

		if (off != 0)
			object_free(&f->threads[0], off);
	}
	for (uint64_t page = 0; page < 2 * ARENA_PAGES; page += 1 + page % 7)
		manual_free(&f->threads[page & 1], page, 1 + page % 5);
	manual_allocate(&f->threads[0], ARENA_PAGES - ARENA_PAGES / 4, 0, &error);
	for (unsigned i = 0; i < ROOT_COUNT; i++)
		object_free(&f->threads[0], atomic_load(&f->heap->roots[i].value[1]));
	fixture_give_back(&f->threads[0]);
	fixture_give_back(&f->threads[1]);
}

/* Where damage of a kind lands. */
enum damage {
	DAMAGE_LOGS,
	DAMAGE_ENTRIES,
	DAMAGE_HEADER,
	DAMAGE_HEADS,
	DAMAGE_TABLE,
	DAMAGE_RECORDS,
	DAMAGE_KINDS
};

static uint64_t damaged_offset(struct fixture *f, struct random *random, enum damage damage)
{
	uint64_t zone = arena_zone(f->heap, 0);
	uint64_t chunk = arena_first_chunk(f->heap, 0);
	uint64_t logs = (uint64_t)((char *)f->heap->logs - f->image.base);

	switch (damage) {
	case DAMAGE_LOGS:
		return logs + random_below(random, 4 * sizeof(struct slot_log));
	case DAMAGE_ENTRIES:
		return (uint64_t)((char *)f->heap->log_entries - f->image.base) +
			random_below(random, 4 * LOG_INLINE_ENTRIES * LOG_ENTRY_BYTES);
	case DAMAGE_HEADER:
		return SUPERBLOCK_STRIDE + random_below(random, logs - SUPERBLOCK_STRIDE);
	case DAMAGE_HEADS:
		return zone + random_below(random, ARENA_HEAD_BYTES);
	case DAMAGE_TABLE:
		return chunk_table_offset(f->heap, chunk) + random_below(random, TABLE_CHUNK_BYTES);
	default:
		return chunk_meta_offset(f->heap, chunk) + random_below(random, META_BYTES);
	}
}

/* Wrong values that are more likely to lead somewhere than random ones. */
static uint64_t wrong_value(struct fixture *f, struct random *random)
{
	uint64_t value = random_next(random);

	switch (random_below(random, 8)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return value & 15;
	case 3:
		return value % (f->image.bytes * 2);
	case 4:
		return page_offset(fixture_first_page(f)) + value % CHUNK_BYTES;
	case 5:
		return run_make(RUN_FREE, value % (2 * ARENA_PAGES), value >> 40 & 63);
	case 6:
		return UINT64_C(1) << (value & 63);
	default:
		return value;
	}
}

#define DAMAGES_PER_CHILD 10

/* Stack. */
struct damages {
	struct random random;
	enum damage damage;
};

static void play_damage(struct random *random, enum damage damage)
{
	struct fixture *f = fixture_open(2, THREADS);

	fill(f, random, 60);
	leave_logs(f);
	make_all_writable(f);
	for (uint64_t i = 1 + random_below(random, 20); i > 0; i--) {
		uint64_t off = damaged_offset(f, random, damage) & ~UINT64_C(7);

		atomic_store(fixture_word(f, off), wrong_value(f, random));
	}
	open_and_use(f);
	fixture_close(f);
}

static void play_damages(void *argument)
{
	struct damages *damages = argument;

	for (int i = 0; i < DAMAGES_PER_CHILD; i++)
		play_damage(&damages->random, damages->damage);
}

static void expect_survived(const char *name, enum damage damage)
{
	struct damages damages = { .random = random_seeded(name), .damage = damage };

	for (int i = 0; i < 8; i++) {
		if (!survives(play_damages, &damages)) {
			CU_FAIL("a damaged heap killed its reader");
			printf("\n    %s: SH_SEED=0x%llx\n", name,
				(unsigned long long)damages.random.state);
		}
		random_next(&damages.random);
	}
}

static void test_damaged_logs(void)
{
	expect_survived("logs", DAMAGE_LOGS);
}

static void test_damaged_entries(void)
{
	expect_survived("entries", DAMAGE_ENTRIES);
}

static void test_damaged_header(void)
{
	expect_survived("header", DAMAGE_HEADER);
}

static void test_damaged_heads(void)
{
	expect_survived("heads", DAMAGE_HEADS);
}

static void test_damaged_table(void)
{
	expect_survived("spans table", DAMAGE_TABLE);
}

static void test_damaged_records(void)
{
	expect_survived("records", DAMAGE_RECORDS);
}

static void set_frontier(void *argument)
{
	struct fixture *f = argument;
	static const uint64_t frontiers[] = { 0, 1, ARENA_CHUNKS - 1, ARENA_CHUNKS, UINT64_MAX,
		ARENA_GIVEN_BACK, ARENA_CONTINUES | UINT64_C(1) << ARENA_ORIGIN_BITS,
		ARENA_CONTINUES | ARENA_CHUNKS << ARENA_ORIGIN_BITS | 7 };

	for (size_t i = 0; i < LENGTH_OF(frontiers); i++)
		for (uint64_t arena = 0; arena < 2; arena++) {
			atomic_store(&f->heap->directory[arena].frontier, frontiers[i]);
			open_and_use(f);
		}
}

static void set_arena_count(void *argument)
{
	struct fixture *f = argument;
	static const uint64_t counts[] = { 0, 2, 3, UINT64_MAX };

	for (size_t i = 0; i < LENGTH_OF(counts); i++) {
		atomic_store(&f->heap->running->arena_count, counts[i]);
		open_and_use(f);
	}
}

static void test_damaged_directory(void)
{
	struct fixture *f = fixture_open(2, THREADS);

	fixture_block(&f->threads[0], 100);
	make_all_writable(f);
	CU_ASSERT_TRUE(survives(set_frontier, f));
	CU_ASSERT_TRUE(survives(set_arena_count, f));
	fixture_close(f);
}

/* --- arenas and stamps ------------------------------------------------------------------------- */

static void test_stamps(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct superblock superblock;
	int copies;

	CU_ASSERT_NOT_EQUAL(fixture_block(&f->threads[0], 100), 0);
	while (heap_arena_count(f->heap) < 2)
		fixture_block(&f->threads[0], CHUNK_BYTES);
	CU_ASSERT_EQUAL(read_superblock(f, &superblock, &copies), 0);
	CU_ASSERT_TRUE(recover_arenas_older(f->heap, &superblock));
	for (uint64_t arena = 0; arena < 2; arena++)
		CU_ASSERT_EQUAL(atomic_load(&arena_header(f->heap, arena)->incarnation),
			f->heap->incarnation);
	atomic_store(&arena_header(f->heap, 1)->incarnation, superblock.incarnation + 1);
	CU_ASSERT_FALSE(recover_arenas_older(f->heap, &superblock));
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(atomic_load(&arena_header(f->heap, 1)->incarnation), f->heap->incarnation);
	arena_header(f->heap, 1)->magic ^= 1;
	CU_ASSERT_FALSE(recover_arenas_older(f->heap, &superblock));
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "a new heap", test_new_heap },
	{ "twice the same", test_twice_the_same },
	{ "a clean heap is left alone", test_clean_is_left_alone },
	{ "free pages", test_free_pages_derived },
	{ "incarnations", test_incarnations },
	{ "no room for the control file", test_control_file_full },
	{ "overlapping spans", test_overlap },
	{ "spans table", test_table_is_mended },
	{ "spans table, and a log", test_table_and_log },
	{ "by the spans table", test_trusted },
	{ "by a damaged spans table", test_trusted_damaged },
	{ "a damaged record, not looked at", test_trusted_record },
	{ "problems and progress are told", test_told },
	{ "stamps", test_stamps },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo superblock_tests[] = {
	{ "a damaged copy", test_damaged_copy },
	{ "opened from one copy", test_open_from_one_copy },
	{ "one copy is older", test_one_copy_older },
	{ "other versions", test_versions },
	{ "wrong sizes", test_insane },
	{ "short files", test_short_files },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo damage_tests[] = {
	{ "logs", test_damaged_logs },
	{ "entries", test_damaged_entries },
	{ "header", test_damaged_header },
	{ "heads", test_damaged_heads },
	{ "spans table", test_damaged_table },
	{ "records", test_damaged_records },
	{ "directory", test_damaged_directory },
	CU_TEST_INFO_NULL,
};

int test_recover_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "recovery", .pTests = tests },
		{ .pName = "superblock", .pTests = superblock_tests },
		{ .pName = "damage", .pTests = damage_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
