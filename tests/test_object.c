/* test_object.c -- blocks: allocation, free, and every free that must be refused
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/object.h"

#include "heap/pages.h"
#include "heap/span.h"
#include "tests/fixture.h"

#include <errno.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>

/* --- each class ---------------------------------------------------------------------------- */

/* More blocks than a span holds: distinct, aligned, inside the heap, neighbours intact. */
static void play_class(struct fixture *f, unsigned span_class)
{
	const struct size_class *size_class = span_size_class(f->heap, span_class);
	unsigned count = size_class->objects + 1;
	uint64_t *blocks = calloc(count, sizeof(*blocks));
	int error;

	CU_ASSERT_PTR_NOT_NULL_FATAL(blocks);
	for (unsigned i = 0; i < count; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-*): a fatal assertion ends the test before */
		blocks[i] = object_allocate(&f->threads[0], span_class, &error);
		CU_ASSERT_NOT_EQUAL_FATAL(blocks[i], 0);
		CU_ASSERT_EQUAL(blocks[i] % 16, 0);
		memset(heap_at(f->heap, blocks[i]), (int)i, size_class->bytes);
	}
	for (unsigned i = 0; i < count; i++) {
		const unsigned char *bytes = heap_at(f->heap, blocks[i]);
		struct block block;

		for (uint32_t j = 0; j < size_class->bytes; j++)
			if (bytes[j] != (unsigned char)i)
				CU_FAIL_FATAL("blocks overlap");
		CU_ASSERT_EQUAL(block_find(f->heap, blocks[i], &block), 0);
		CU_ASSERT_TRUE(block_is_live(&block));
		CU_ASSERT_EQUAL(block.bytes, size_class->bytes);
		CU_ASSERT_EQUAL(block.span_class, span_class);
	}
	for (unsigned i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(object_free(&f->threads[i & 1], blocks[i]), 0);
		CU_ASSERT_EQUAL(object_free(&f->threads[0], blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(object_free(&f->threads[1], blocks[i]), SH_EDOUBLEFREE);
	}
	free(blocks);
}

static void test_each_class(void)
{
	struct fixture *f = fixture_open(2, 2);

	for (unsigned span_class = 0; span_class < SPAN_CLASS_COUNT; span_class++)
		play_class(f, span_class);
	fixture_expect_good(f);
	fixture_give_back(&f->threads[0]);
	fixture_give_back(&f->threads[1]);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), 0);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_kinds_do_not_mix(void)
{
	struct fixture *f = fixture_open(1, 1);
	int error;
	uint64_t scanned = object_allocate(&f->threads[0], 4, &error);
	uint64_t unscanned = object_allocate(&f->threads[0], 5, &error);

	CU_ASSERT_NOT_EQUAL(scanned >> PAGE_SHIFT, unscanned >> PAGE_SHIFT);
	fixture_close(f);
}

static void test_large(void)
{
	struct fixture *f = fixture_open(2, 2);
	uint64_t sizes[] = { SMALL_MAX_BYTES + 16, 5 * PAGE_BYTES, 16 * PAGE_BYTES,
		CHUNK_BYTES - 16, CHUNK_BYTES, 3 * CHUNK_BYTES + 48 };
	uint64_t blocks[LENGTH_OF(sizes)];

	for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
		struct block block;

		blocks[i] = fixture_block(&f->threads[0], sizes[i]);
		memset(heap_at(f->heap, blocks[i]), (int)i, sizes[i]);
		CU_ASSERT_EQUAL(block_find(f->heap, blocks[i], &block), 0);
		CU_ASSERT_EQUAL(block.bytes, sizes[i]);
		CU_ASSERT_EQUAL(block.bit, 0);
	}
	for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
		const unsigned char *bytes = heap_at(f->heap, blocks[i]);

		CU_ASSERT_EQUAL(bytes[0], i);
		CU_ASSERT_EQUAL(bytes[sizes[i] - 1], i);
		CU_ASSERT_EQUAL(object_free(&f->threads[i & 1], blocks[i] + PAGE_BYTES),
			SH_EBADPTR);
		CU_ASSERT_EQUAL(object_free(&f->threads[i & 1], blocks[i] + 16), SH_EBADPTR);
		CU_ASSERT_EQUAL(object_free(&f->threads[i & 1], blocks[i]), 0);
		CU_ASSERT_EQUAL(object_free(&f->threads[0], blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(object_free(&f->threads[1], blocks[i]), SH_EDOUBLEFREE);
	}
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- refusals ------------------------------------------------------------------------------ */

static void test_wrong_offsets(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct thread *thread = &f->threads[0];
	uint64_t block = fixture_block(thread, 100);
	uint64_t frontier = arena_frontier(f->heap, 0) * CHUNK_BYTES;
	uint64_t wrong[] = { 0, 1, 16, SUPERBLOCK_STRIDE, arena_zone(f->heap, 0),
		page_offset(fixture_first_page(f)) - 16, frontier - 16, frontier, frontier + 16,
		ARENA_BYTES, 2 * ARENA_BYTES, UINT64_C(1) << 46, UINT64_MAX, UINT64_MAX - 15,
		block + 1, block + 8, block + 16, block - 16, block + PAGE_BYTES,
		/* page numbers beyond 32 bits, whose low bits are those of the block */
		block | UINT64_C(1) << (32 + PAGE_SHIFT), block | UINT64_C(1) << 63 };

	for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
		int error = object_free(thread, wrong[i]);

		CU_ASSERT_EQUAL(error, SH_EBADPTR);
		if (error != SH_EBADPTR)
			printf("\n    offset %zu gives %d\n", i, error);
	}
	CU_ASSERT_TRUE(fixture_is_live(f, block));
	fixture_expect_good(f);
	fixture_close(f);
}

/* Every offset of a page around two blocks: only their starts are blocks. */
static void test_every_offset(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t first = fixture_block(thread, 48);
	uint64_t second = fixture_block(thread, 48);
	uint64_t page = first & ~(PAGE_BYTES - 1);
	uint64_t end = page + f->heap->classes.of[size_class_of(48)].objects * 48;
	struct block block;

	for (uint64_t off = page; off < page + PAGE_BYTES; off++) {
		int error = block_find(f->heap, off, &block);
		bool live = error == 0 && block_is_live(&block);

		CU_ASSERT_EQUAL(live, off == first || off == second);
		if ((off - page) % 48 != 0 || off >= end)
			CU_ASSERT_EQUAL(error, SH_EBADPTR);
	}
	fixture_close(f);
}

/* Never allocated, or free again: in the thread's span, another's, nobody's, a retired one. */
static void test_double_frees(void)
{
	struct fixture *f = fixture_open(1, 3);
	struct thread *one = &f->threads[0];
	struct thread *other = &f->threads[1];
	uint64_t kept = fixture_block(one, 48);
	uint64_t block = fixture_block(one, 48);

	CU_ASSERT_EQUAL(object_free(one, block + 48), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(other, block + 48), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(other, block), 0);
	CU_ASSERT_EQUAL(object_free(one, block), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(other, block), SH_EDOUBLEFREE);
	object_give_back(one);
	CU_ASSERT_EQUAL(object_free(one, block), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(other, block), SH_EDOUBLEFREE);
	CU_ASSERT_TRUE(fixture_is_live(f, kept));
	CU_ASSERT_EQUAL(object_free(other, kept), 0);
	/* That was the last block: the span is gone. */
	CU_ASSERT_FALSE(head_is_set(f->heap, kept >> PAGE_SHIFT));
	CU_ASSERT_EQUAL(object_free(one, kept), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(one, kept + 16), SH_EBADPTR);
	pages_give_back(other);
	CU_ASSERT_EQUAL(object_free(one, kept), SH_EDOUBLEFREE);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_double_free_after_reopen(void)
{
	struct fixture *f = fixture_open(1, 1);
	uint64_t kept = fixture_block(&f->threads[0], 48);
	uint64_t block = fixture_block(&f->threads[0], 48);
	uint64_t large = fixture_block(&f->threads[0], 9 * PAGE_BYTES);

	CU_ASSERT_EQUAL(object_free(&f->threads[0], block), 0);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], large), 0);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], block), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], large), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], kept), 0);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], kept), SH_EDOUBLEFREE);
	fixture_expect_good(f);
	fixture_close(f);
}

/* The pages of a run that a log uses are no block. */
static void test_log_run_is_no_block(void)
{
	struct fixture *f = fixture_open(1, 1);
	int error;
	uint64_t head = span_prepare_large(&f->threads[0], 8 * PAGE_BYTES, SPAN_LOG, true, &error);

	span_commit_large(&f->threads[0], head);
	CU_ASSERT_EQUAL(object_free(&f->threads[0], page_offset(head)), SH_EBADPTR);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_FALSE(head_is_set(f->heap, head));
	CU_ASSERT_EQUAL(object_free(&f->threads[0], page_offset(head)), SH_EBADPTR);
	fixture_close(f);
}

/* --- two steps and strays ------------------------------------------------------------------ */

static void test_reserve(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	int error;
	uint64_t off = object_reserve(thread, 4, &error);
	uint64_t next;

	CU_ASSERT_FALSE(fixture_is_live(f, off));
	next = object_reserve(thread, 4, &error);
	CU_ASSERT_NOT_EQUAL(next, off);
	object_cancel(thread, 4, off);
	CU_ASSERT_EQUAL(object_allocate(thread, 4, &error), off);
	object_publish(thread, 4, next);
	CU_ASSERT_TRUE(fixture_is_live(f, off));
	CU_ASSERT_TRUE(fixture_is_live(f, next));
	fixture_expect_good(f);
	fixture_close(f);
}

/* The second of two racing frees landed late: the next holder's block must not look free. */
static void test_stray_is_dropped(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t kept = fixture_block(thread, 48);
	uint64_t head = kept >> PAGE_SHIFT;
	uint64_t next;

	atomic_fetch_or(span_freed(f->heap, head, 0), UINT64_C(1) << 1);
	next = fixture_block(thread, 48);
	CU_ASSERT_EQUAL(next, kept + 48);
	CU_ASSERT_TRUE(fixture_is_live(f, next));
	CU_ASSERT_EQUAL(atomic_load(span_freed(f->heap, head, 0)), 0);
	fixture_close(f);
}

/* What others freed is found again before fresh pages are taken. */
static void test_remote_frees_are_reused(void)
{
	struct fixture *f = fixture_open(1, 2);
	unsigned objects = span_size_class(f->heap, 0)->objects;
	uint64_t *blocks = calloc(objects, sizeof(*blocks));

	CU_ASSERT_PTR_NOT_NULL_FATAL(blocks);
	for (int round = 0; round < 50; round++) {
		for (unsigned i = 0; i < objects; i++)
			/* NOLINTNEXTLINE(clang-analyzer-*): a fatal assertion ends the test before */
			blocks[i] = fixture_block(&f->threads[0], 16);
		for (unsigned i = 0; i < objects; i++)
			CU_ASSERT_EQUAL(object_free(&f->threads[1], blocks[i]), 0);
	}
	CU_ASSERT_TRUE(fixture_data_pages(f) - fixture_free_pages(f) <= 2 * WORD_PAGES);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), 0);
	fixture_expect_good(f);
	free(blocks);
	fixture_close(f);
}

static void test_give_back(void)
{
	struct fixture *f = fixture_open(1, 2);
	uint64_t block = fixture_block(&f->threads[0], 48);
	uint64_t next;

	fixture_block(&f->threads[0], 200);
	fixture_give_back(&f->threads[0]);
	for (unsigned place = 1; place <= f->threads[0].words->owned_limit; place++)
		CU_ASSERT_EQUAL(atomic_load(heap_owned(f->heap, 0, place)), 0);
	fixture_expect_good(f);
	next = fixture_block(&f->threads[1], 48);
	CU_ASSERT_EQUAL(next, block + 48);
	fixture_close(f);
}

static void test_disk_full(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct thread *thread = &f->threads[0];
	uint64_t first = fixture_block(thread, 1000);
	int error = 0;
	uint64_t blocks = 1;

	f->disk_full = true;
	while (fixture_allocate(thread, 1000, &error) != 0)
		blocks++;
	CU_ASSERT_EQUAL(error, ENOSPC);
	CU_ASSERT_EQUAL(fixture_allocate(thread, 1000, &error), 0);
	CU_ASSERT_EQUAL(fixture_allocate(thread, CHUNK_BYTES, &error), 0);
	CU_ASSERT_EQUAL(error, ENOSPC);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), blocks);
	fixture_expect_good(f);
	CU_ASSERT_EQUAL(object_free(&f->threads[1], first), 0);
	CU_ASSERT_EQUAL(fixture_allocate(thread, 1000, &error), first);
	f->disk_full = false;
	fixture_block(thread, 1000);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- against a model ----------------------------------------------------------------------- */

#define MODEL_BLOCKS 3000u
#define MODEL_THREADS 4u
#define MODEL_STEPS 60000

/* Process. What is allocated; every block is filled with a byte of its own. */
struct model {
	struct fixture *f;
	struct random random;
	struct {
		uint64_t off;
		uint64_t bytes;
		unsigned char fill;
	} blocks[MODEL_BLOCKS];
	unsigned count;
};

static struct thread *model_thread(struct model *m)
{
	return &m->f->threads[random_below(&m->random, MODEL_THREADS)];
}

static uint64_t model_size(struct model *m)
{
	uint64_t kind = random_below(&m->random, 100);

	if (kind < 3)
		return 1 + random_below(&m->random, 3 * SMALL_MAX_BYTES);
	return 1 + random_below(&m->random, kind < 20 ? SMALL_MAX_BYTES : 300);
}

static void model_allocate(struct model *m)
{
	uint64_t bytes = model_size(m);
	uint64_t off = fixture_block(model_thread(m), bytes);
	unsigned char fill = (unsigned char)random_next(&m->random);

	memset(heap_at(m->f->heap, off), fill, bytes);
	m->blocks[m->count].off = off;
	m->blocks[m->count].bytes = bytes;
	m->blocks[m->count++].fill = fill;
}

static void model_free(struct model *m)
{
	unsigned i = (unsigned)random_below(&m->random, m->count);
	const unsigned char *content = heap_at(m->f->heap, m->blocks[i].off);

	for (uint64_t j = 0; j < m->blocks[i].bytes; j++)
		if (content[j] != m->blocks[i].fill)
			CU_FAIL_FATAL("somebody else wrote into a block");
	CU_ASSERT_EQUAL(object_free(model_thread(m), m->blocks[i].off), 0);
	CU_ASSERT_EQUAL(object_free(model_thread(m), m->blocks[i].off), SH_EDOUBLEFREE);
	m->blocks[i] = m->blocks[--m->count];
}

static void model_step(struct model *m)
{
	if (m->count == 0 || (m->count < MODEL_BLOCKS && random_below(&m->random, 100) < 55))
		model_allocate(m);
	else
		model_free(m);
	if (random_below(&m->random, 500) == 0)
		fixture_give_back(model_thread(m));
}

static void model_reopen(struct model *m)
{
	CU_ASSERT_EQUAL_FATAL(fixture_reopen(m->f, MODEL_THREADS), 0);
	for (unsigned i = 0; i < m->count; i++)
		CU_ASSERT_TRUE(fixture_is_live(m->f, m->blocks[i].off));
	CU_ASSERT_EQUAL(fixture_live_blocks(m->f), m->count);
}

static void test_model(void)
{
	static struct model m;

	m.random = random_seeded("objects model");
	m.f = fixture_open(4, MODEL_THREADS);
	m.count = 0;
	for (int i = 0; i < MODEL_STEPS; i++) {
		model_step(&m);
		if (i % 5000 == 0)
			fixture_expect_good(m.f);
		if (i % 20000 == 19999)
			model_reopen(&m);
	}
	CU_ASSERT_EQUAL(fixture_live_blocks(m.f), m.count);
	while (m.count != 0)
		model_free(&m);
	for (unsigned i = 0; i < MODEL_THREADS; i++)
		fixture_give_back(&m.f->threads[i]);
	/* Spans that were emptied before the last reopening. */
	span_trim(&m.f->threads[0], UINT64_MAX);
	fixture_give_back(&m.f->threads[0]);
	CU_ASSERT_EQUAL(fixture_free_pages(m.f), fixture_data_pages(m.f));
	fixture_expect_good(m.f);
	fixture_close(m.f);
}

static CU_TestInfo tests[] = {
	{ "each class", test_each_class },
	{ "kinds do not mix", test_kinds_do_not_mix },
	{ "large", test_large },
	{ "wrong offsets", test_wrong_offsets },
	{ "every offset", test_every_offset },
	{ "double frees", test_double_frees },
	{ "double frees after a restart", test_double_free_after_reopen },
	{ "runs of logs", test_log_run_is_no_block },
	{ "reserve, publish, cancel", test_reserve },
	{ "stray free", test_stray_is_dropped },
	{ "frees by others are reused", test_remote_frees_are_reused },
	{ "give back", test_give_back },
	{ "disk full", test_disk_full },
	{ "against a model", test_model },
	CU_TEST_INFO_NULL,
};

int test_object_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "object", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
