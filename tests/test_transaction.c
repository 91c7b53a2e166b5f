/* test_transaction.c -- transactions of a living thread: recording, commit, abort
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/transaction.h"

#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "tests/fixture.h"

#include <errno.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t word(const struct fixture *f, uint64_t off)
{
	return atomic_load(fixture_word(f, off));
}

static void set_word(const struct fixture *f, uint64_t off, uint64_t value)
{
	atomic_store(fixture_word(f, off), value);
}

static uint64_t root(const struct fixture *f, const char *text)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	uint64_t value = 0;

	CU_ASSERT_TRUE(root_name(text, name));
	root_get(f->heap, name, &value);
	return value;
}

/* Blocks that each kind of entry is tried on. */
struct scene {
	struct fixture *f;
	struct thread *thread;
	uint64_t words;  /* a block of words, all 7 */
	uint64_t doomed; /* blocks that the transaction frees */
	uint64_t doomed_large;
	uint64_t fresh; /* blocks that it allocates */
	uint64_t fresh_large;
	struct transaction transaction;
};

static void scene_open(struct scene *s)
{
	int error;

	s->f = fixture_open(2, 2);
	s->thread = &s->f->threads[0];
	s->words = fixture_block(s->thread, 256);
	for (unsigned i = 0; i < 32; i++)
		set_word(s->f, s->words + 8 * i, 7);
	s->doomed = fixture_block(s->thread, 100);
	s->doomed_large = fixture_block(s->thread, 20 * PAGE_BYTES);
	transaction_begin(&s->transaction, s->thread);
	s->fresh = transaction_allocate(&s->transaction, 100, false, &error);
	s->fresh_large = transaction_allocate(&s->transaction, 17 * PAGE_BYTES, false, &error);
	CU_ASSERT_NOT_EQUAL_FATAL(s->fresh, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(s->fresh_large, 0);
	CU_ASSERT_EQUAL(transaction_free(&s->transaction, s->doomed), 0);
	CU_ASSERT_EQUAL(transaction_free(&s->transaction, s->doomed_large), 0);
	CU_ASSERT_EQUAL(transaction_store(&s->transaction, s->words, 8), 0);
	CU_ASSERT_EQUAL(transaction_add(&s->transaction, s->words + 8, 16), 0);
	set_word(s->f, s->words + 8, 9);
	CU_ASSERT_EQUAL(transaction_root(&s->transaction, "fresh", s->fresh), 0);
}

static void scene_close(struct scene *s)
{
	CU_ASSERT_EQUAL(log_read(s->thread->log).state, LOG_EMPTY);
	CU_ASSERT_EQUAL(atomic_load(&s->thread->log->applying), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->f->heap->derived->active[0]), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->thread->log->intent[0]), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->thread->log->intent[1]), 0);
	for (unsigned i = 0; i < ROOT_PIN_WORDS; i++)
		CU_ASSERT_EQUAL(atomic_load(&s->thread->words->root_pins[i]), 0);
	fixture_expect_good(s->f);
	fixture_close(s->f);
}

static void test_nothing_before_commit(void)
{
	struct scene s;

	scene_open(&s);
	CU_ASSERT_EQUAL(word(s.f, s.words), 7);
	CU_ASSERT_EQUAL(root(s.f, "fresh"), 0);
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.doomed));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.doomed_large));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.fresh));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.fresh_large));
	fixture_expect_good(s.f);
	transaction_abort(&s.transaction);
	scene_close(&s);
}

static void test_commit(void)
{
	struct scene s;

	scene_open(&s);
	transaction_commit(&s.transaction);
	CU_ASSERT_EQUAL(word(s.f, s.words), 8);
	CU_ASSERT_EQUAL(word(s.f, s.words + 8), 9);
	CU_ASSERT_EQUAL(root(s.f, "fresh"), s.fresh);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.doomed));
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.doomed_large));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.fresh));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.fresh_large));
	CU_ASSERT_EQUAL(s.thread->counts.blocks_freed, 2);
	scene_close(&s);
}

static void test_abort(void)
{
	struct scene s;

	scene_open(&s);
	transaction_abort(&s.transaction);
	CU_ASSERT_EQUAL(word(s.f, s.words), 7);
	CU_ASSERT_EQUAL(word(s.f, s.words + 8), 7);
	CU_ASSERT_EQUAL(root(s.f, "fresh"), 0);
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.doomed));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.doomed_large));
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.fresh));
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.fresh_large));
	scene_close(&s);
}

static void test_empty(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct transaction transaction;

	for (int i = 0; i < 4; i++) {
		transaction_begin(&transaction, &f->threads[0]);
		if (i & 1)
			transaction_commit(&transaction);
		else
			transaction_abort(&transaction);
	}
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- what is refused, what replaces ---------------------------------------------------------- */

static void test_names(void)
{
	struct scene s;
	uint64_t other;

	scene_open(&s);
	other = fixture_block(s.thread, 100);
	CU_ASSERT_EQUAL(transaction_names(&s.transaction, s.fresh), LOG_ALLOC);
	CU_ASSERT_EQUAL(transaction_names(&s.transaction, s.fresh_large), LOG_ALLOC);
	CU_ASSERT_EQUAL(transaction_names(&s.transaction, s.doomed), LOG_FREE);
	CU_ASSERT_EQUAL(transaction_names(&s.transaction, other), 0);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.fresh), 0);
	CU_ASSERT_EQUAL(transaction_names(&s.transaction, s.fresh), LOG_FREE);
	transaction_commit(&s.transaction);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.fresh));
	CU_ASSERT_TRUE(fixture_is_live(s.f, other));
	scene_close(&s);
}

static void test_refusals(void)
{
	struct scene s;
	uint64_t count;
	uint64_t dead;

	scene_open(&s);
	dead = fixture_block(s.thread, 100);
	CU_ASSERT_EQUAL(object_free(s.thread, dead), 0);
	count = log_read(s.thread->log).count;
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.doomed), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.doomed_large), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, dead), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, 0), SH_EBADPTR);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.words + 8), SH_EBADPTR);
	CU_ASSERT_EQUAL(transaction_root(&s.transaction, "", 16), EINVAL);
	CU_ASSERT_EQUAL(transaction_root(&s.transaction, NULL, 16), EINVAL);
	CU_ASSERT_EQUAL(log_read(s.thread->log).count, count);
	transaction_abort(&s.transaction);
	scene_close(&s);
}

/* Allocated and freed in one transaction: gone either way. */
static void test_allocated_and_freed(void)
{
	for (int commit = 0; commit < 2; commit++) {
		struct scene s;

		scene_open(&s);
		CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.fresh), 0);
		CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.fresh_large), 0);
		CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.fresh), SH_EDOUBLEFREE);
		if (commit)
			transaction_commit(&s.transaction);
		else
			transaction_abort(&s.transaction);
		CU_ASSERT_FALSE(fixture_is_live(s.f, s.fresh));
		CU_ASSERT_FALSE(fixture_is_live(s.f, s.fresh_large));
		CU_ASSERT_EQUAL(object_free(s.thread, s.fresh), SH_EDOUBLEFREE);
		scene_close(&s);
	}
}

static void test_second_store_replaces(void)
{
	struct scene s;
	uint64_t count;

	scene_open(&s);
	count = log_read(s.thread->log).count;
	CU_ASSERT_EQUAL(transaction_store(&s.transaction, s.words, 10), 0);
	CU_ASSERT_EQUAL(transaction_root(&s.transaction, "fresh", s.words), 0);
	CU_ASSERT_EQUAL(log_read(s.thread->log).count, count);
	CU_ASSERT_EQUAL(transaction_root(&s.transaction, "other", s.words), 0);
	CU_ASSERT_EQUAL(log_read(s.thread->log).count, count + 1);
	transaction_commit(&s.transaction);
	CU_ASSERT_EQUAL(word(s.f, s.words), 10);
	CU_ASSERT_EQUAL(root(s.f, "fresh"), s.words);
	CU_ASSERT_EQUAL(root(s.f, "other"), s.words);
	scene_close(&s);
}

/* A removed root, and one that was never set. */
static void test_roots(void)
{
	struct scene s;

	scene_open(&s);
	transaction_commit(&s.transaction);
	transaction_begin(&s.transaction, s.thread);
	CU_ASSERT_EQUAL(transaction_root(&s.transaction, "fresh", 0), 0);
	CU_ASSERT_EQUAL(transaction_root(&s.transaction, "nobody", 0), 0);
	CU_ASSERT_EQUAL(root(s.f, "fresh"), s.fresh);
	transaction_commit(&s.transaction);
	CU_ASSERT_EQUAL(root(s.f, "fresh"), 0);
	CU_ASSERT_EQUAL(root(s.f, "nobody"), 0);
	scene_close(&s);
}

/* The entry of an open transaction is nobody else's until it ends. */
static void test_roots_are_pinned(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct transaction transaction;
	uint64_t name[ROOT_NAME_BYTES / 8];
	char text[32];

	for (unsigned i = 0; i + 1 < ROOT_COUNT; i++) {
		snprintf(text, sizeof(text), "%u", i);
		CU_ASSERT_TRUE(root_name(text, name));
		CU_ASSERT_EQUAL(root_set(&f->threads[1], name, 16), 0);
	}
	transaction_begin(&transaction, &f->threads[0]);
	CU_ASSERT_EQUAL(transaction_root(&transaction, "mine", 32), 0);
	CU_ASSERT_EQUAL(transaction_root(&transaction, "too many", 32), SH_EFULL);
	CU_ASSERT_TRUE(root_name("yours", name));
	CU_ASSERT_EQUAL(root_set(&f->threads[1], name, 48), SH_EFULL);
	transaction_commit(&transaction);
	CU_ASSERT_EQUAL(root(f, "mine"), 32);
	CU_ASSERT_EQUAL(root(f, "too many"), 0);
	fixture_close(f);
}

/* Ranges that overlap are put back last first, or an inner state would come back. */
static void test_ranges_last_first(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct transaction transaction;
	uint64_t off = fixture_block(&f->threads[0], 256);
	unsigned char *bytes = heap_at(f->heap, off);

	memset(bytes, 1, 256);
	transaction_begin(&transaction, &f->threads[0]);
	for (unsigned i = 0; i < 40; i++) {
		CU_ASSERT_EQUAL(transaction_add(&transaction, off + i, 200 - i), 0);
		memset(bytes + i, (int)(2 + i), 200 - i);
	}
	/* Neither aligned nor a multiple of an entry. */
	CU_ASSERT_EQUAL(transaction_add(&transaction, off + 201, 33), 0);
	memset(bytes + 201, 99, 33);
	transaction_abort(&transaction);
	for (unsigned i = 0; i < 256; i++)
		CU_ASSERT_EQUAL(bytes[i], 1);
	fixture_expect_good(f);
	fixture_close(f);
}

/* A range of no bytes does not keep those before it from being put back. */
static void test_empty_range(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct transaction transaction;
	uint64_t off = fixture_block(&f->threads[0], 256);

	CU_ASSERT_EQUAL_FATAL(off, page_offset(fixture_first_page(f)));
	set_word(f, off + 16, 7);
	transaction_begin(&transaction, &f->threads[0]);
	CU_ASSERT_EQUAL(transaction_add(&transaction, off + 16, 8), 0);
	CU_ASSERT_EQUAL(transaction_add(&transaction, off, 0), 0);
	set_word(f, off + 16, 8);
	transaction_abort(&transaction);
	CU_ASSERT_EQUAL(word(f, off + 16), 7);
	fixture_close(f);
}

/* --- long logs ----------------------------------------------------------------------------- */

#define LONG_STORES 3000u

static void play_long_log(bool commit)
{
	struct fixture *f = fixture_open(2, 1);
	struct thread *thread = &f->threads[0];
	uint64_t words = fixture_block(thread, LONG_STORES * 8);
	struct transaction transaction;
	uint64_t *blocks = calloc(LONG_STORES, sizeof(*blocks));
	unsigned char *bytes = heap_at(f->heap, fixture_block(thread, 60000));
	uint64_t live = fixture_live_blocks(f);
	int error;

	CU_ASSERT_PTR_NOT_NULL_FATAL(blocks);
	memset(heap_at(f->heap, words), 0, LONG_STORES * 8);
	memset(bytes, 1, 60000);
	transaction_begin(&transaction, thread);
	for (unsigned i = 0; i < LONG_STORES; i++) {
		CU_ASSERT_EQUAL(transaction_store(&transaction, words + 8 * i, i + 1), 0);
		/* NOLINTNEXTLINE(clang-analyzer-*): a fatal assertion ends the test before */
		blocks[i] = transaction_allocate(&transaction, 1 + i % 500, false, &error);
		CU_ASSERT_NOT_EQUAL_FATAL(blocks[i], 0);
		if (i % 3 == 0)
			CU_ASSERT_EQUAL(transaction_free(&transaction, blocks[i]), 0);
		if (i % 1000 == 0) {
			CU_ASSERT_EQUAL(transaction_add(&transaction,
						(uint64_t)((char *)bytes - f->image.base), 60000),
				0);
			memset(bytes, (int)(2 + i / 1000), 60000);
		}
	}
	CU_ASSERT_NOT_EQUAL(atomic_load(&thread->log->extension[2]), 0);
	for (unsigned i = 0; i < LONG_STORES; i += 7) {
		CU_ASSERT_EQUAL(transaction_names(&transaction, blocks[i]),
			i % 3 == 0 ? LOG_FREE : LOG_ALLOC);
		CU_ASSERT_EQUAL(transaction_store(&transaction, words + 8 * i, 5), 0);
	}
	fixture_expect_good(f);
	if (commit)
		transaction_commit(&transaction);
	else
		transaction_abort(&transaction);
	for (unsigned i = 0; i < LONG_STORES; i++)
		CU_ASSERT_EQUAL(word(f, words + 8 * i), !commit ? 0 : i % 7 == 0 ? 5 : i + 1);
	CU_ASSERT_EQUAL(bytes[0], commit ? 4 : 1);
	CU_ASSERT_EQUAL(bytes[59999], commit ? 4 : 1);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), commit ? live + LONG_STORES / 3 * 2 : live);
	CU_ASSERT_EQUAL(atomic_load(&thread->log->extension[0]), 0);
	fixture_expect_good(f);
	free(blocks);
	fixture_close(f);
}

static void test_long_commit(void)
{
	play_long_log(true);
}

static void test_long_abort(void)
{
	play_long_log(false);
}

/* A full disk while something is recorded: what was recorded before stands, either way. */
static void play_disk_full(bool commit)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t words = fixture_block(thread, 64 * 1024);
	struct transaction transaction;
	uint64_t count = 0;
	uint64_t head;
	int error = 0;

	memset(heap_at(f->heap, words), 0, 64 * 1024);
	transaction_begin(&transaction, thread);
	for (; count < LOG_INLINE_ENTRIES; count++)
		CU_ASSERT_EQUAL(transaction_store(&transaction, words + 8 * count, count + 1), 0);
	f->disk_full = true;
	/* A span of one page is the last that fits. */
	while ((head = span_prepare_large(thread, PAGE_BYTES, SPAN_LARGE, false, &error)) != 0)
		span_commit_large(thread, head);
	CU_ASSERT_EQUAL(error, ENOSPC);
	CU_ASSERT_EQUAL(transaction_store(&transaction, words + 8 * count, 1), ENOSPC);
	CU_ASSERT_EQUAL(transaction_add(&transaction, words, 8), ENOSPC);
	CU_ASSERT_EQUAL(transaction_free(&transaction, words), ENOSPC);
	CU_ASSERT_EQUAL(transaction_root(&transaction, "root", words), ENOSPC);
	CU_ASSERT_EQUAL(transaction_allocate(&transaction, 16, false, &error), 0);
	CU_ASSERT_EQUAL(error, ENOSPC);
	CU_ASSERT_EQUAL(transaction_store(&transaction, words, 77), 0);
	fixture_expect_good(f);
	if (commit)
		transaction_commit(&transaction);
	else
		transaction_abort(&transaction);
	CU_ASSERT_EQUAL(word(f, words), commit ? 77 : 0);
	for (uint64_t i = 1; i < count; i++)
		CU_ASSERT_EQUAL(word(f, words + 8 * i), commit ? i + 1 : 0);
	CU_ASSERT_EQUAL(word(f, words + 8 * count), 0);
	CU_ASSERT_TRUE(fixture_is_live(f, words));
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_disk_full(void)
{
	play_disk_full(true);
	play_disk_full(false);
}

/* --- with others ---------------------------------------------------------------------------- */

/* Blocks of others' spans are freed by the commit; their owners collect them. */
static void test_others_blocks(void)
{
	struct fixture *f = fixture_open(1, 3);
	struct transaction transaction;
	uint64_t theirs[100];

	for (unsigned i = 0; i < LENGTH_OF(theirs); i++)
		theirs[i] = fixture_block(&f->threads[1 + i % 2], 100);
	transaction_begin(&transaction, &f->threads[0]);
	for (unsigned i = 0; i < LENGTH_OF(theirs); i++)
		CU_ASSERT_EQUAL(transaction_free(&transaction, theirs[i]), 0);
	fixture_give_back(&f->threads[2]);
	transaction_commit(&transaction);
	CU_ASSERT_EQUAL(fixture_live_blocks(f), 0);
	fixture_expect_good(f);
	fixture_give_back(&f->threads[0]);
	fixture_give_back(&f->threads[1]);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- against a model ------------------------------------------------------------------------ */

#define MODEL_WORDS 64u
#define MODEL_BLOCKS 500u

/* Process. */
struct model {
	struct fixture *f;
	struct random random;
	uint64_t words; /* a block */
	uint64_t values[MODEL_WORDS];
	uint64_t blocks[MODEL_BLOCKS];
	unsigned count;
	uint64_t root;
};

static void model_check(struct model *m)
{
	for (unsigned i = 0; i < MODEL_WORDS; i++)
		CU_ASSERT_EQUAL(word(m->f, m->words + 8 * i), m->values[i]);
	for (unsigned i = 0; i < m->count; i++)
		CU_ASSERT_TRUE(fixture_is_live(m->f, m->blocks[i]));
	CU_ASSERT_EQUAL(fixture_live_blocks(m->f), m->count + 1);
	CU_ASSERT_EQUAL(root(m->f, "root"), m->root);
}

static void model_record(struct model *m, struct transaction *transaction, struct model *after)
{
	unsigned i = (unsigned)random_below(&m->random, MODEL_WORDS);
	uint64_t value = random_next(&m->random);
	int error;

	switch (random_below(&m->random, 6)) {
	case 0:
		/* A word of the second half is changed in place, one of the first by a store. */
		if (i >= MODEL_WORDS / 2) {
			CU_ASSERT_EQUAL(transaction_add(transaction, m->words + 8 * i, 8), 0);
			set_word(m->f, m->words + 8 * i, value);
		} else {
			CU_ASSERT_EQUAL(transaction_store(transaction, m->words + 8 * i, value), 0);
		}
		after->values[i] = value;
		break;
	case 1:
		after->root = random_below(&m->random, 4) * 16;
		CU_ASSERT_EQUAL(transaction_root(transaction, "root", after->root), 0);
		break;
	case 2:
	case 3:
		if (after->count == 0)
			break;
		i = (unsigned)random_below(&m->random, after->count);
		CU_ASSERT_EQUAL(transaction_free(transaction, after->blocks[i]), 0);
		after->blocks[i] = after->blocks[--after->count];
		break;
	default:
		if (after->count == MODEL_BLOCKS)
			break;
		after->blocks[after->count] = transaction_allocate(transaction,
			1 + random_below(&m->random, 2 * SMALL_MAX_BYTES), false, &error);
		CU_ASSERT_NOT_EQUAL_FATAL(after->blocks[after->count], 0);
		after->count++;
	}
}

static void model_transaction(struct model *m)
{
	static struct model after;
	struct transaction transaction;
	struct thread *thread = &m->f->threads[random_below(&m->random, 3)];
	uint64_t steps = random_below(&m->random, random_below(&m->random, 10) == 0 ? 300 : 30);

	after = *m;
	transaction_begin(&transaction, thread);
	while (steps-- > 0)
		model_record(m, &transaction, &after);
	if (random_below(&m->random, 3) == 0) {
		transaction_abort(&transaction);
		return;
	}
	transaction_commit(&transaction);
	after.random = m->random;
	*m = after;
}

static void test_model(void)
{
	static struct model m;

	memset(&m, 0, sizeof(m));
	m.random = random_seeded("transactions model");
	m.f = fixture_open(8, 3);
	m.words = fixture_block(&m.f->threads[0], MODEL_WORDS * 8);
	memset(heap_at(m.f->heap, m.words), 0, MODEL_WORDS * 8);
	for (int i = 0; i < 600; i++) {
		model_transaction(&m);
		if (i % 20 == 0)
			model_check(&m);
		if (i % 100 == 0)
			fixture_expect_good(m.f);
		if (i % 200 == 199)
			CU_ASSERT_EQUAL_FATAL(fixture_reopen(m.f, 3), 0);
	}
	model_check(&m);
	fixture_expect_good(m.f);
	fixture_close(m.f);
}

static CU_TestInfo tests[] = {
	{ "nothing before the commit", test_nothing_before_commit },
	{ "commit", test_commit },
	{ "abort", test_abort },
	{ "empty", test_empty },
	{ "what it names", test_names },
	{ "refusals", test_refusals },
	{ "allocated and freed", test_allocated_and_freed },
	{ "a second store replaces the first", test_second_store_replaces },
	{ "roots", test_roots },
	{ "roots are pinned", test_roots_are_pinned },
	{ "ranges, last first", test_ranges_last_first },
	{ "an empty range", test_empty_range },
	{ "long log, commit", test_long_commit },
	{ "long log, abort", test_long_abort },
	{ "disk full", test_disk_full },
	{ "blocks of others", test_others_blocks },
	{ "against a model", test_model },
	CU_TEST_INFO_NULL,
};

int test_transaction_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "transaction", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
