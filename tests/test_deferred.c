/* test_deferred.c -- blocks that are freed when no reader can find them any more
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/deferred.h"
#include "heap/pages.h"
#include "heap/parked.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/reap.h"
#include "shm/lock.h"
#include "tests/fixture.h"

#include <errno.h>
#include <spanheap.h>
#include <stdlib.h>

#define OWNER 0
#define OTHER 1
#define READER 2
#define REAPER 3
#define SMALL 64u
#define LARGE (5 * PAGE_BYTES)

/* Stack. A small and a large block of OWNER's. */
struct scene {
	struct fixture *f;
	struct thread *owner;
	struct thread *other;
	struct thread *reader;
	struct thread *reaper;
	uint64_t small;
	uint64_t large;
};

static struct scene scene_open(void)
{
	struct scene s = { .f = fixture_open(2, 4) };

	s.owner = &s.f->threads[OWNER];
	s.other = &s.f->threads[OTHER];
	s.reader = &s.f->threads[READER];
	s.reaper = &s.f->threads[REAPER];
	s.small = fixture_block(s.owner, SMALL);
	s.large = fixture_block(s.owner, LARGE);
	return s;
}

static void scene_close(struct scene *s)
{
	fixture_expect_good(s->f);
	fixture_close(s->f);
}

static struct block block_at(const struct scene *s, uint64_t off)
{
	struct block block = { .bit = 0 };

	CU_ASSERT_EQUAL(block_find(s->f->heap, off, &block), 0);
	return block;
}

static bool in_limbo(const struct scene *s, uint64_t off)
{
	struct block block = block_at(s, off);

	return (atomic_load(block_limbo(&block)) & block_limbo_bit(&block)) != 0;
}

/* Allocates blocks of the size until `off` comes up again, at most `tries`; frees the others. */
static bool is_reused(struct thread *thread, uint64_t off, uint64_t bytes, unsigned tries)
{
	uint64_t *blocks = calloc(tries, sizeof(*blocks));
	bool found = false;
	unsigned count = 0;

	while (count < tries && !found) {
		blocks[count] = fixture_block(thread, bytes);
		found = blocks[count++] == off;
	}
	for (unsigned i = 0; i < count; i++)
		CU_ASSERT_EQUAL(object_free(thread, blocks[i]), 0);
	free(blocks);
	return found;
}

static void test_section_keeps(struct scene *s, uint64_t off, uint64_t bytes)
{
	thread_begin_reading(s->reader);
	CU_ASSERT_EQUAL(deferred_free(s->owner, off), 0);
	CU_ASSERT_TRUE(in_limbo(s, off));
	CU_ASSERT_FALSE(fixture_is_live(s->f, off));
	deferred_drain_all(s->owner);
	CU_ASSERT_TRUE(in_limbo(s, off));
	CU_ASSERT_FALSE(is_reused(s->owner, off, bytes, 3));
	thread_end_reading(s->reader);
	deferred_drain_all(s->owner);
	pages_give_back(s->owner);
	parked_release(s->owner);
	CU_ASSERT_TRUE(is_reused(s->owner, off, bytes, 600));
}

static void test_small(void)
{
	struct scene s = scene_open();

	test_section_keeps(&s, s.small, SMALL);
	scene_close(&s);
}

static void test_large(void)
{
	struct scene s = scene_open();

	test_section_keeps(&s, s.large, LARGE);
	scene_close(&s);
}

/* Each way to free a block that is in limbo already, or free already. */
static void test_refused(void)
{
	struct scene s = scene_open();
	uint64_t blocks[] = { s.small, s.large };
	struct transaction transaction;

	thread_begin_reading(s.reader);
	for (unsigned i = 0; i < LENGTH_OF(blocks); i++) {
		CU_ASSERT_EQUAL(deferred_free(s.other, blocks[i]), 0);
		CU_ASSERT_EQUAL(deferred_free(s.other, blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(deferred_free(s.owner, blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(object_free(s.owner, blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(object_free(s.other, blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(deferred_free(s.owner, blocks[i] + 16), SH_EBADPTR);
		transaction_begin(&transaction, s.other);
		CU_ASSERT_EQUAL(transaction_free(&transaction, blocks[i]), SH_EDOUBLEFREE);
		CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, blocks[i]), SH_EDOUBLEFREE);
		transaction_abort(&transaction);
	}
	thread_end_reading(s.reader);
	deferred_drain_all(s.owner);
	CU_ASSERT_EQUAL(deferred_free(s.owner, s.small), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(deferred_free(s.owner, s.large), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(deferred_free(s.owner, 0), SH_EBADPTR);
	CU_ASSERT_EQUAL(deferred_free(s.owner, UINT64_MAX), SH_EBADPTR);
	scene_close(&s);
}

static void test_plain_then_deferred(void)
{
	struct scene s = scene_open();

	CU_ASSERT_EQUAL(object_free(s.owner, s.small), 0);
	CU_ASSERT_EQUAL(deferred_free(s.other, s.small), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(object_free(s.owner, s.large), 0);
	CU_ASSERT_EQUAL(deferred_free(s.other, s.large), SH_EDOUBLEFREE);
	scene_close(&s);
}

/* What is deferred while the batch waits goes with a later one, not with this one. */
static void test_two_batches(void)
{
	struct scene s = scene_open();
	uint64_t second = fixture_block(s.owner, SMALL);

	thread_begin_reading(s.reader);
	CU_ASSERT_EQUAL(deferred_free(s.owner, s.small), 0);
	CU_ASSERT_TRUE(deferred_drain(s.owner)); /* the first one is copied */
	CU_ASSERT_FALSE(deferred_drain(s.owner));
	thread_end_reading(s.reader);
	thread_begin_reading(s.reaper);
	CU_ASSERT_EQUAL(deferred_free(s.owner, second), 0);
	CU_ASSERT_TRUE(deferred_drain(s.owner));
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	CU_ASSERT_TRUE(in_limbo(&s, second));
	CU_ASSERT_FALSE(deferred_drain(s.owner));
	thread_end_reading(s.reaper);
	CU_ASSERT_TRUE(deferred_drain(s.owner));
	CU_ASSERT_FALSE(in_limbo(&s, second));
	scene_close(&s);
}

/* More words than the batch holds: nothing is left behind. */
static void test_many(void)
{
	struct scene s = scene_open();
	enum { COUNT = 1200 };
	uint64_t *blocks = calloc(COUNT, sizeof(*blocks));
	uint64_t live = fixture_live_blocks(s.f);

	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = fixture_block(s.owner, 16 + i % 40 * 48);
	thread_begin_reading(s.reader);
	for (unsigned i = 0; i < COUNT; i++)
		CU_ASSERT_EQUAL(deferred_free(i % 2 ? s.owner : s.other, blocks[i]), 0);
	CU_ASSERT_EQUAL(fixture_live_blocks(s.f), live);
	thread_end_reading(s.reader);
	deferred_drain_all(s.other);
	for (unsigned i = 0; i < COUNT; i++) {
		struct block block = { .bit = 0 };

		/* Its span may be gone. */
		if (block_find(s.f->heap, blocks[i], &block) == 0)
			CU_ASSERT_EQUAL(atomic_load(block_limbo(&block)) & block.bit, 0);
	}
	free(blocks);
	scene_close(&s);
}

/* The holder of the drain lock dies with a batch that waits: it is discarded, the bits are not. */
static void test_drainer_dies(void)
{
	struct scene s = scene_open();
	struct drain *drain = &s.f->heap->derived->drain;

	thread_begin_reading(s.reader);
	CU_ASSERT_EQUAL(deferred_free(s.owner, s.small), 0);
	CU_ASSERT_TRUE(deferred_drain(s.other));
	CU_ASSERT_EQUAL(lock_try(&drain->lock, s.other->tag, &s.f->heap->system), LOCK_TAKEN);
	CU_ASSERT_FALSE(deferred_drain(s.owner));
	fixture_kill(s.f, OTHER);
	/* A reaper does not open the lock. */
	CU_ASSERT_TRUE(reap_slot(s.reaper, OTHER));
	CU_ASSERT_TRUE(lock_held_by(&drain->lock, s.other->tag));
	CU_ASSERT_TRUE(deferred_drain(s.owner)); /* copied anew */
	CU_ASSERT_TRUE(in_limbo(&s, s.small));
	thread_end_reading(s.reader);
	deferred_drain_all(s.owner);
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	scene_close(&s);
}

/* A death between bit and note: the reaper notes the span. */
static void test_note_lost(void)
{
	struct scene s = scene_open();
	struct block block = block_at(&s, s.small);

	slot_touch(s.f->heap, OTHER, block.head);
	atomic_fetch_or(block_limbo(&block), block.bit);
	fixture_kill(s.f, OTHER);
	CU_ASSERT_FALSE(deferred_is_noted(s.f->heap, block.head));
	CU_ASSERT_TRUE(reap_slot(s.reaper, OTHER));
	CU_ASSERT_TRUE(deferred_is_noted(s.f->heap, block.head));
	deferred_drain_all(s.owner);
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	scene_close(&s);
}

static void test_transaction(void)
{
	struct scene s = scene_open();
	struct transaction transaction;

	thread_begin_reading(s.reader);
	transaction_begin(&transaction, s.other);
	CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, s.small), 0);
	CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, s.large), 0);
	CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, s.small), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(transaction_free(&transaction, s.large), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(transaction_names(&transaction, s.small), LOG_FREE);
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.small));
	transaction_commit(&transaction);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.small));
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.large));
	deferred_drain_all(s.owner);
	CU_ASSERT_TRUE(in_limbo(&s, s.small));
	CU_ASSERT_TRUE(in_limbo(&s, s.large));
	thread_end_reading(s.reader);
	deferred_drain_all(s.owner);
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	scene_close(&s);
}

static void test_abort(void)
{
	struct scene s = scene_open();
	struct transaction transaction;

	transaction_begin(&transaction, s.other);
	CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, s.small), 0);
	transaction_abort(&transaction);
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.small));
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	scene_close(&s);
}

/* A committed deferred free is finished by the reaper. */
static void test_commit_dies(void)
{
	struct scene s = scene_open();
	struct transaction transaction;
	struct log_word word;

	transaction_begin(&transaction, s.other);
	CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, s.small), 0);
	CU_ASSERT_EQUAL(transaction_free_deferred(&transaction, s.large), 0);
	word = log_read(s.other->log);
	word.state = LOG_COMMITTED;
	log_write(s.other->log, word);
	fixture_kill(s.f, OTHER);
	CU_ASSERT_TRUE(reap_slot(s.reaper, OTHER));
	CU_ASSERT_TRUE(in_limbo(&s, s.small));
	CU_ASSERT_TRUE(in_limbo(&s, s.large));
	deferred_drain_all(s.owner);
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	scene_close(&s);
}

/* A log that may set the bit again keeps a large block from the drain. */
static void test_hazard_of_large(void)
{
	struct scene s = scene_open();
	_Atomic uint64_t *active = &s.f->heap->derived->active[0];

	atomic_fetch_or(active, UINT64_C(1) << OTHER);
	atomic_store(&s.other->log->applying, s.large);
	CU_ASSERT_EQUAL(deferred_free(s.owner, s.large), 0);
	for (unsigned i = 0; i < 3; i++)
		deferred_drain(s.owner);
	CU_ASSERT_TRUE(in_limbo(&s, s.large));
	atomic_store(&s.other->log->applying, 0);
	atomic_fetch_and(active, ~(UINT64_C(1) << OTHER));
	deferred_drain_all(s.owner);
	CU_ASSERT_EQUAL(object_free(s.owner, s.large), SH_EDOUBLEFREE);
	CU_ASSERT_FALSE(head_is_set(s.f->heap, s.large >> PAGE_SHIFT));
	scene_close(&s);
}

static void test_restart(void)
{
	struct scene s = scene_open();
	uint64_t kept = fixture_block(s.owner, SMALL);

	CU_ASSERT_EQUAL(deferred_free(s.owner, s.small), 0);
	CU_ASSERT_EQUAL(deferred_free(s.owner, s.large), 0);
	s.f->trusted = true;
	CU_ASSERT_EQUAL(fixture_reopen(s.f, 4), 0);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.small));
	CU_ASSERT_TRUE(fixture_is_live(s.f, kept));
	CU_ASSERT_FALSE(head_is_set(s.f->heap, s.large >> PAGE_SHIFT));
	CU_ASSERT_EQUAL(object_free(s.other, s.small), SH_EDOUBLEFREE);
	CU_ASSERT_TRUE(deferred_is_noted(s.f->heap, block_at(&s, s.small).head));
	deferred_drain_all(s.owner);
	CU_ASSERT_FALSE(in_limbo(&s, s.small));
	CU_ASSERT_TRUE(is_reused(s.owner, s.small, SMALL, 600));
	scene_close(&s);
}

/* A deferred free needs no memory, and what waits is found when there is none. */
static void test_full_heap(void)
{
	struct scene s = scene_open();
	int error = 0;
	uint64_t last = 0;
	uint64_t off;

	while ((off = fixture_allocate(s.owner, LARGE, &error)) != 0)
		last = off;
	CU_ASSERT_EQUAL(error, ENOMEM);
	CU_ASSERT_EQUAL(deferred_free(s.owner, last), 0);
	thread_begin_reading(s.reader);
	CU_ASSERT_EQUAL(fixture_allocate(s.owner, LARGE, &error), 0);
	thread_end_reading(s.reader);
	CU_ASSERT_EQUAL(fixture_allocate(s.owner, LARGE, &error), last);
	scene_close(&s);
}

/* Under steady load limbo stays bounded without anybody asking for it. */
static void test_steady(void)
{
	struct scene s = scene_open();
	uint64_t pages = 0;

	for (unsigned i = 0; i < 100000; i++) {
		thread_begin_reading(s.reader);
		CU_ASSERT_EQUAL(deferred_free(s.owner, fixture_block(s.owner, SMALL)), 0);
		thread_end_reading(s.reader);
		if (i == 10000)
			pages = fixture_data_pages(s.f) - fixture_free_pages(s.f);
	}
	/* What was deferred since the drain before the last: each is due when 1 MiB is, or 8,192 blocks of 128
	 * bytes or less. */
	CU_ASSERT_TRUE(fixture_data_pages(s.f) - fixture_free_pages(s.f) <=
		pages + UINT64_C(2) * 8192 * SMALL / PAGE_BYTES);
	scene_close(&s);
}

static CU_TestInfo tests[] = {
	{ "a section keeps a small block", test_small },
	{ "a section keeps a large block", test_large },
	{ "second frees are refused", test_refused },
	{ "free already", test_plain_then_deferred },
	{ "two batches", test_two_batches },
	{ "more than a batch holds", test_many },
	{ "the drainer dies", test_drainer_dies },
	{ "a note is lost", test_note_lost },
	{ "commit", test_transaction },
	{ "abort", test_abort },
	{ "a commit dies", test_commit_dies },
	{ "a log may repeat it", test_hazard_of_large },
	{ "restart", test_restart },
	{ "a full heap", test_full_heap },
	{ "steady load", test_steady },
	CU_TEST_INFO_NULL,
};

int test_deferred_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "deferred frees", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
