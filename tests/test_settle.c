/* test_settle.c -- logs of the dead: every state that a death can leave, set up by hand
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each state is settled in three ways, which must end alike: by a reaper beside which others live, by
 * a second reaper after the first one died behind the log, and by recovery after all died. */
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/reap.h"
#include "tests/fixture.h"

#include <stdlib.h>

enum way { REAP, REAP_TWICE, RESTART, WAYS };

#define DEAD_SLOT 1u

/* A transaction of the thread in DEAD_SLOT, recorded in this order. */
enum entry {
	ALLOC_SMALL,
	ALLOC_LARGE,
	FREE_SMALL,
	FREE_LARGE,
	STORE_A,
	STORE_B,
	ROOT,
	RANGE,
	ENTRIES = RANGE + 2, /* one raw entry follows the range */
};

/* Whose span the small block is in that the transaction frees. */
enum whose { DEADS, SURVIVORS, NOBODYS, WHOSE };

struct scene {
	struct fixture *f;
	struct thread *survivor;
	struct thread *dead;
	struct slot_log *log;
	uint64_t words; /* a block of words, all 7 */
	uint64_t freed;
	uint64_t freed_large;
	uint64_t allocated;
	uint64_t allocated_large;
	struct transaction transaction;
};

static void scene_close(struct scene *s)
{
	/* What an open transaction remembers in the process dies with its thread. */
	free(s->transaction.index.slots);
	fixture_close(s->f);
}

static uint64_t word(const struct scene *s, unsigned i)
{
	return atomic_load(fixture_word(s->f, s->words + 8 * i));
}

static void set_word(const struct scene *s, unsigned i, uint64_t value)
{
	atomic_store(fixture_word(s->f, s->words + 8 * i), value);
}

static uint64_t root(const struct scene *s)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	uint64_t value = 0;

	root_name("root", name);
	root_get(s->f->heap, name, &value);
	return value;
}

static void scene_open(struct scene *s, enum whose whose)
{
	s->transaction.index.slots = NULL;
	s->f = fixture_open(2, 3);
	s->survivor = &s->f->threads[0];
	s->dead = &s->f->threads[DEAD_SLOT];
	s->log = s->dead->log;
	s->words = fixture_block(s->survivor, 256);
	for (unsigned i = 0; i < 32; i++)
		set_word(s, i, 7);
	s->freed = fixture_block(whose == SURVIVORS ? s->survivor : s->dead, 100);
	/* The span stays, whoever's it is. */
	fixture_block(whose == SURVIVORS ? s->survivor : s->dead, 100);
	if (whose == NOBODYS)
		object_give_back(s->dead);
	s->freed_large = fixture_block(s->survivor, 20 * PAGE_BYTES);
}

static void record_all(struct scene *s)
{
	struct transaction *t = &s->transaction;
	int error;

	transaction_begin(t, s->dead);
	s->allocated = transaction_allocate(t, 200, false, &error);
	s->allocated_large = transaction_allocate(t, 17 * PAGE_BYTES, false, &error);
	CU_ASSERT_EQUAL(transaction_free(t, s->freed), 0);
	CU_ASSERT_EQUAL(transaction_free(t, s->freed_large), 0);
	CU_ASSERT_EQUAL(transaction_store(t, s->words, 8), 0);
	CU_ASSERT_EQUAL(transaction_store(t, s->words + 8, 9), 0);
	CU_ASSERT_EQUAL(transaction_root(t, "root", s->allocated), 0);
	CU_ASSERT_EQUAL(transaction_add(t, s->words + 16, 16), 0);
	CU_ASSERT_EQUAL_FATAL(log_read(s->log).count, ENTRIES);
	set_word(s, 2, 10);
	set_word(s, 3, 11);
}

static void set_log(struct scene *s, enum log_state state, uint64_t index)
{
	log_write(s->log,
		(struct log_word){
			.state = state,
			.count = log_read(s->log).count,
			.index = index,
		});
}

static void settle(struct scene *s, enum way way)
{
	struct fixture *f = s->f;

	if (way == RESTART) {
		CU_ASSERT_EQUAL_FATAL(fixture_reopen(f, 3), 0);
		return;
	}
	fixture_kill(f, DEAD_SLOT);
	if (way == REAP_TWICE) {
		/* The first reaper got as far as the end of the log. */
		transaction_settle(s->survivor, DEAD_SLOT);
		atomic_store(&f->heap->thread_slot[DEAD_SLOT].reaper, fixture_dead_tag());
	}
	reap_all(&f->threads[2]);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->thread_slot[DEAD_SLOT].owner), 0);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->thread_slot[DEAD_SLOT].reaper), 0);
}

static void expect_settled(struct scene *s)
{
	CU_ASSERT_EQUAL(log_read(s->log).state, LOG_EMPTY);
	CU_ASSERT_EQUAL(atomic_load(&s->log->applying), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->log->intent[0]), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->log->intent[1]), 0);
	for (unsigned k = 0; k < LOG_EXTENSIONS; k++)
		CU_ASSERT_EQUAL(atomic_load(&s->log->extension[k]), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->f->heap->derived->active[0]), 0);
	CU_ASSERT_EQUAL(atomic_load(&s->f->threads[DEAD_SLOT].words->limbo_count), 0);
	fixture_expect_good(s->f);
}

static void expect_forward(struct scene *s)
{
	CU_ASSERT_EQUAL(word(s, 0), 8);
	CU_ASSERT_EQUAL(word(s, 1), 9);
	CU_ASSERT_EQUAL(word(s, 2), 10);
	CU_ASSERT_EQUAL(word(s, 3), 11);
	CU_ASSERT_EQUAL(root(s), s->allocated);
	CU_ASSERT_TRUE(fixture_is_live(s->f, s->allocated));
	CU_ASSERT_TRUE(fixture_is_live(s->f, s->allocated_large));
	CU_ASSERT_FALSE(fixture_is_live(s->f, s->freed));
	CU_ASSERT_FALSE(fixture_is_live(s->f, s->freed_large));
	CU_ASSERT_EQUAL(fixture_live_blocks(s->f), 4);
	expect_settled(s);
}

static void expect_back(struct scene *s)
{
	for (unsigned i = 0; i < 32; i++)
		CU_ASSERT_EQUAL(word(s, i), 7);
	CU_ASSERT_EQUAL(root(s), 0);
	CU_ASSERT_FALSE(fixture_is_live(s->f, s->allocated));
	CU_ASSERT_FALSE(fixture_is_live(s->f, s->allocated_large));
	CU_ASSERT_TRUE(fixture_is_live(s->f, s->freed));
	CU_ASSERT_TRUE(fixture_is_live(s->f, s->freed_large));
	CU_ASSERT_EQUAL(fixture_live_blocks(s->f), 4);
	expect_settled(s);
}

/* Each way, from every stage of what the dead did last. */
static void each_stage(unsigned last, void (*play)(unsigned stage, enum way way))
{
	for (unsigned stage = 0; stage <= last; stage++)
		for (unsigned way = 0; way < WAYS; way++)
			play(stage, (enum way)way);
}

/* Each way, committed or not. */
static void each_end(void (*play)(enum log_state state, enum way way))
{
	for (unsigned way = 0; way < WAYS; way++) {
		play(LOG_COMMITTED, (enum way)way);
		play(LOG_OPEN, (enum way)way);
	}
}

/* Each way, whoever's block is freed. */
static void each_way(void (*play)(struct scene *s, enum way way))
{
	for (unsigned way = 0; way < WAYS; way++)
		for (unsigned whose = 0; whose < WHOSE; whose++) {
			struct scene s;

			scene_open(&s, (enum whose)whose);
			play(&s, (enum way)way);
			scene_close(&s);
		}
}

/* --- whole logs ------------------------------------------------------------------------------ */

static void play_open(struct scene *s, enum way way)
{
	record_all(s);
	settle(s, way);
	expect_back(s);
}

static void test_open(void)
{
	each_way(play_open);
}

static void play_committed(struct scene *s, enum way way)
{
	record_all(s);
	set_log(s, LOG_COMMITTED, 0);
	settle(s, way);
	expect_forward(s);
}

static void test_committed(void)
{
	each_way(play_committed);
}

static void play_aborting(struct scene *s, enum way way)
{
	record_all(s);
	set_log(s, LOG_ABORTING, 0);
	/* Put back in part. */
	set_word(s, 3, 7);
	settle(s, way);
	expect_back(s);
}

static void test_aborting(void)
{
	each_way(play_aborting);
}

static void play_no_entries(struct scene *s, enum way way)
{
	transaction_begin(&s->transaction, s->dead);
	settle(s, way);
	expect_settled(s);
	CU_ASSERT_TRUE(fixture_is_live(s->f, s->freed));
}

static void test_no_entries(void)
{
	each_way(play_no_entries);
}

/* --- stores and roots ------------------------------------------------------------------------ */

/* COMMITTED, `index` entries done; with `made`, the next one as well, but for the index. */
static void play_applied_up_to(uint64_t index, bool made, enum way way)
{
	struct scene s;
	uint64_t done = index + made;

	scene_open(&s, DEADS);
	record_all(&s);
	if (done > STORE_A)
		set_word(&s, 0, 8);
	if (done > STORE_B)
		set_word(&s, 1, 9);
	if (done > ROOT) {
		struct log_entry *entry = log_entry_at(s.f->heap, s.log, ROOT);
		struct root *r = &s.f->heap->roots[entry->where];
		uint64_t sequence = atomic_load(&r->sequence) + 1;

		entry->before = sequence;
		atomic_store(&r->value[sequence & 1], s.allocated);
		atomic_store(&r->sequence, sequence);
	}
	set_log(&s, LOG_COMMITTED, index);
	settle(&s, way);
	expect_forward(&s);
	scene_close(&s);
}

static void test_applied_in_part(void)
{
	for (unsigned way = 0; way < WAYS; way++)
		for (uint64_t index = 0; index <= RANGE; index++) {
			play_applied_up_to(index, false, (enum way)way);
			play_applied_up_to(index, true, (enum way)way);
		}
}

/* The store was made, a mutex passed on, and another thread stored there: that value stands. */
static void test_later_store_stands(void)
{
	for (unsigned way = 0; way < WAYS; way++) {
		struct scene s;

		scene_open(&s, DEADS);
		record_all(&s);
		set_word(&s, 0, 99);
		set_log(&s, LOG_COMMITTED, STORE_A);
		settle(&s, (enum way)way);
		CU_ASSERT_EQUAL(word(&s, 0), 99);
		CU_ASSERT_EQUAL(word(&s, 1), 9);
		expect_settled(&s);
		scene_close(&s);
	}
}

static void test_later_root_stands(void)
{
	uint64_t name[ROOT_NAME_BYTES / 8];

	root_name("root", name);
	for (unsigned way = 0; way < WAYS; way++) {
		struct scene s;
		struct log_entry *entry;

		scene_open(&s, DEADS);
		record_all(&s);
		entry = log_entry_at(s.f->heap, s.log, ROOT);
		entry->before = atomic_load(&s.f->heap->roots[entry->where].sequence) + 1;
		CU_ASSERT_EQUAL(root_set(s.survivor, name, s.allocated), 0);
		CU_ASSERT_EQUAL(root_set(s.survivor, name, s.words), 0);
		set_log(&s, LOG_COMMITTED, ROOT);
		settle(&s, (enum way)way);
		CU_ASSERT_EQUAL(root(&s), s.words);
		expect_settled(&s);
		scene_close(&s);
	}
}

/* --- frees of small blocks ------------------------------------------------------------------- */

static void set_hazard(struct scene *s, uint64_t off)
{
	atomic_store(&s->f->heap->derived->active[0], 1u << DEAD_SLOT);
	atomic_store(&s->log->applying, off);
}

/* The block's bit as the thread itself would clear it: in its own span, or in another's. */
static void free_bit(struct scene *s, uint64_t off)
{
	struct block block;

	CU_ASSERT_EQUAL_FATAL(block_find(s->f->heap, off, &block), 0);
	if (block.owner == hot_owned_by(DEAD_SLOT))
		atomic_fetch_and(span_allocated(s->f->heap, block.head, block.word), ~block.bit);
	else
		atomic_fetch_or(span_freed(s->f->heap, block.head, block.word), block.bit);
}

/* 0: nothing; 1: the hazard; 2: the bit; 3: the index; 4: the log says EMPTY, the hazard stands. */
static void play_free_small(struct scene *s, unsigned stage, enum way way)
{
	transaction_begin(&s->transaction, s->dead);
	CU_ASSERT_EQUAL(transaction_free(&s->transaction, s->freed), 0);
	set_log(s, LOG_FREEING, 0);
	if (stage >= 1)
		set_hazard(s, s->freed);
	if (stage >= 2) {
		atomic_store(&s->dead->words->touching, s->freed >> PAGE_SHIFT);
		free_bit(s, s->freed);
	}
	if (stage >= 3)
		set_log(s, LOG_FREEING, 1);
	if (stage >= 4)
		log_write(s->log, (struct log_word){ .state = LOG_EMPTY });
	settle(s, way);
	CU_ASSERT_FALSE(fixture_is_live(s->f, s->freed));
	CU_ASSERT_EQUAL(fixture_live_blocks(s->f), 3);
	expect_settled(s);
	/* It can be had again. */
	fixture_give_back(&s->f->threads[0]);
	for (unsigned i = 0; i < 2 && !fixture_is_live(s->f, s->freed); i++)
		fixture_block(&s->f->threads[2], 100);
	CU_ASSERT_TRUE(fixture_is_live(s->f, s->freed));
}

static void test_free_small(void)
{
	for (unsigned stage = 0; stage <= 4; stage++)
		for (unsigned way = 0; way < WAYS; way++)
			for (unsigned whose = 0; whose < WHOSE; whose++) {
				struct scene s;

				scene_open(&s, (enum whose)whose);
				play_free_small(&s, stage, (enum way)way);
				scene_close(&s);
			}
}

/* Whoever owns its span next can give the block out. */
static void expect_collectable(struct scene *s, uint64_t off)
{
	struct block block;

	CU_ASSERT_EQUAL_FATAL(block_find(s->f->heap, off, &block), 0);
	CU_ASSERT_TRUE_FATAL(span_claim(s->survivor, block.head, span_hot(s->f->heap, block.head)));
	CU_ASSERT_TRUE((span_collect(s->survivor, block.head, block.word) & block.bit) != 0);
	span_give_up(s->survivor, block.head);
}

/* Until the log is settled, its block is given out by nobody; nor is its span retired. */
static void test_hazard_holds(void)
{
	struct scene s;

	scene_open(&s, SURVIVORS);
	transaction_begin(&s.transaction, s.dead);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.freed), 0);
	set_log(&s, LOG_FREEING, 0);
	set_hazard(&s, s.freed);
	free_bit(&s, s.freed);
	for (unsigned i = 0; i < 4 * SPAN_MAX_OBJECTS; i++)
		CU_ASSERT_NOT_EQUAL(fixture_block(s.survivor, 100), s.freed);
	settle(&s, REAP);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.freed));
	fixture_give_back(s.survivor);
	expect_collectable(&s, s.freed);
	expect_settled(&s);
	scene_close(&s);
}

/* The last block of a span nobody owns: the reaper retires it, once. */
static void test_last_block(void)
{
	for (unsigned way = 0; way < WAYS; way++) {
		struct scene s;

		scene_open(&s, DEADS);
		s.freed = fixture_block(s.dead, 1000);
		object_give_back(s.dead);
		transaction_begin(&s.transaction, s.dead);
		CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.freed), 0);
		set_log(&s, LOG_FREEING, 0);
		set_hazard(&s, s.freed);
		free_bit(&s, s.freed);
		settle(&s, (enum way)way);
		expect_settled(&s);
		span_trim(&s.f->threads[0], UINT64_MAX);
		CU_ASSERT_EQUAL(span_find(s.f->heap, s.freed >> PAGE_SHIFT), 0);
		fixture_expect_good(s.f);
		scene_close(&s);
	}
}

/* --- frees of large blocks ------------------------------------------------------------------- */

/* What a free for the log does, up to a stage. The log's only entry names the block. */
static void free_large_up_to(struct scene *s, uint64_t off, unsigned stage)
{
	struct heap *heap = s->f->heap;
	uint64_t head = off >> PAGE_SHIFT;
	uint64_t pages = span_of_head(heap, head)->pages;
	uint64_t hot = atomic_load(&span_of_head(heap, head)->hot);

	set_hazard(s, off);
	if (stage >= 1)
		pages_open_intent(s->log, 1, RUN_FREE, head, pages);
	if (stage >= 2)
		atomic_store(&span_of_head(heap, head)->hot,
			heap_hot(heap, hot_dying_by(DEAD_SLOT), hot_class(hot)));
	if (stage >= 3)
		head_clear(heap, head);
	if (stage >= 4)
		set_log(s, log_read(s->log).state, 1);
	if (stage >= 5)
		pages_to_limbo(s->dead, DEAD_SLOT, head, pages);
	if (stage >= 6)
		pages_close_intent(s->log, 1);
	if (stage >= 7)
		log_write(s->log, (struct log_word){ .state = LOG_EMPTY });
}

#define LARGE_STAGES 7u

static void play_free_large(unsigned stage, enum way way)
{
	struct scene s;

	scene_open(&s, DEADS);
	transaction_begin(&s.transaction, s.dead);
	CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.freed_large), 0);
	set_log(&s, LOG_FREEING, 0);
	free_large_up_to(&s, s.freed_large, stage);
	if (way != RESTART)
		fixture_expect_good(s.f);
	settle(&s, way);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.freed_large));
	CU_ASSERT_TRUE(fixture_is_live(s.f, s.freed));
	CU_ASSERT_EQUAL(fixture_live_blocks(s.f), 3);
	expect_settled(&s);
	CU_ASSERT_EQUAL(page_index_count(&s.f->heap->pages, s.freed_large >> PAGE_SHIFT, 20), 20);
	scene_close(&s);
}

static void test_free_large(void)
{
	each_stage(LARGE_STAGES, play_free_large);
}

/* Another thread freed the block first (the user's error): it is not freed twice. */
static void test_free_large_lost(void)
{
	for (unsigned way = 0; way < WAYS; way++) {
		struct scene s;
		uint64_t again;

		scene_open(&s, DEADS);
		transaction_begin(&s.transaction, s.dead);
		CU_ASSERT_EQUAL(transaction_free(&s.transaction, s.freed_large), 0);
		set_log(&s, LOG_FREEING, 0);
		free_large_up_to(&s, s.freed_large, 1);
		CU_ASSERT_EQUAL(object_free(s.survivor, s.freed_large), 0);
		settle(&s, (enum way)way);
		expect_settled(&s);
		fixture_give_back(&s.f->threads[0]);
		again = fixture_block(&s.f->threads[2], 20 * PAGE_BYTES);
		CU_ASSERT_TRUE(fixture_is_live(s.f, again));
		fixture_expect_good(s.f);
		scene_close(&s);
	}
}

/* More large frees than limbo has room for. */
static void play_many_large(enum log_state state, enum way way)
{
	struct scene s;
	uint64_t blocks[2 * LIMBO_RUNS + 3];
	int error;

	scene_open(&s, DEADS);
	transaction_begin(&s.transaction, s.dead);
	for (size_t i = 0; i < LENGTH_OF(blocks); i++) {
		blocks[i] =
			transaction_allocate(&s.transaction, SMALL_MAX_BYTES + 16, false, &error);
		if (state == LOG_COMMITTED)
			CU_ASSERT_EQUAL(transaction_free(&s.transaction, blocks[i]), 0);
	}
	set_log(&s, state, 0);
	settle(&s, way);
	for (size_t i = 0; i < LENGTH_OF(blocks); i++)
		CU_ASSERT_FALSE(fixture_is_live(s.f, blocks[i]));
	expect_settled(&s);
	scene_close(&s);
}

static void test_many_large(void)
{
	each_end(play_many_large);
}

/* --- allocations under way ------------------------------------------------------------------- */

/* Named by the log, and the bit not set. */
static void test_alloc_not_published(void)
{
	for (unsigned way = 0; way < WAYS; way++) {
		struct scene s;
		struct log_entry entry = { .kind = LOG_ALLOC };
		int error;

		scene_open(&s, DEADS);
		transaction_begin(&s.transaction, s.dead);
		entry.where = object_reserve(s.dead, 4, &error);
		log_append(s.dead, entry);
		settle(&s, (enum way)way);
		CU_ASSERT_FALSE(fixture_is_live(s.f, entry.where));
		CU_ASSERT_EQUAL(fixture_live_blocks(s.f), 4);
		expect_settled(&s);
		scene_close(&s);
	}
}

/* A large block: prepared; named; with its head bit; with its intent closed. */
static void play_alloc_large(unsigned stage, enum way way)
{
	struct scene s;
	struct log_entry entry = { .kind = LOG_ALLOC, .before = SPAN_CLASS_LARGE };
	int error;
	uint64_t head;

	scene_open(&s, DEADS);
	transaction_begin(&s.transaction, s.dead);
	head = span_prepare_large(s.dead, 17 * PAGE_BYTES, SPAN_LARGE, false, &error);
	entry.where = page_offset(head);
	if (stage >= 1)
		log_append(s.dead, entry);
	if (stage >= 2)
		head_set(s.f->heap, head);
	if (stage >= 3)
		pages_close_intent(s.log, 0);
	settle(&s, way);
	CU_ASSERT_FALSE(head_is_set(s.f->heap, head));
	CU_ASSERT_EQUAL(fixture_live_blocks(s.f), 4);
	expect_settled(&s);
	scene_close(&s);
}

static void test_alloc_large(void)
{
	each_stage(3, play_alloc_large);
}

/* Rollback of a large block that died in it, at every stage. */
static void play_rollback_large(unsigned stage, enum way way)
{
	struct scene s;
	int error;

	scene_open(&s, DEADS);
	transaction_begin(&s.transaction, s.dead);
	s.allocated_large = transaction_allocate(&s.transaction, 17 * PAGE_BYTES, false, &error);
	set_log(&s, LOG_ROLLBACK, 0);
	free_large_up_to(&s, s.allocated_large, stage);
	settle(&s, way);
	CU_ASSERT_FALSE(fixture_is_live(s.f, s.allocated_large));
	CU_ASSERT_EQUAL(fixture_live_blocks(s.f), 4);
	expect_settled(&s);
	scene_close(&s);
}

static void test_rollback_large(void)
{
	each_stage(LARGE_STAGES, play_rollback_large);
}

/* --- extensions ------------------------------------------------------------------------------ */

#define MANY_STORES (3 * LOG_INLINE_ENTRIES)

static void record_many(struct scene *s, uint64_t block)
{
	transaction_begin(&s->transaction, s->dead);
	for (uint64_t i = 0; i < MANY_STORES; i++)
		CU_ASSERT_EQUAL(transaction_store(&s->transaction, block + 8 * i, i + 1), 0);
	CU_ASSERT_NOT_EQUAL(atomic_load(&s->log->extension[0]), 0);
}

static void play_long_log(enum log_state state, enum way way)
{
	struct scene s;
	uint64_t block;

	scene_open(&s, DEADS);
	block = fixture_block(s.survivor, MANY_STORES * 8);
	memset(heap_at(s.f->heap, block), 0, MANY_STORES * 8);
	record_many(&s, block);
	set_log(&s, state, 0);
	settle(&s, way);
	for (uint64_t i = 0; i < MANY_STORES; i++)
		CU_ASSERT_EQUAL(atomic_load(fixture_word(s.f, block + 8 * i)),
			state == LOG_COMMITTED ? i + 1 : 0);
	expect_settled(&s);
	/* The extension's pages are free, or in somebody's cache. */
	CU_ASSERT_EQUAL(fixture_live_blocks(s.f), 5);
	scene_close(&s);
}

static void test_long_log(void)
{
	each_end(play_long_log);
}

/* An extension in the making: prepared; named; with its head bit; with its intent closed. */
static void play_extension(unsigned stage, enum way way)
{
	struct scene s;
	int error;
	uint64_t head;

	scene_open(&s, DEADS);
	record_all(&s);
	head = span_prepare_large(s.dead, 8 * PAGE_BYTES, SPAN_LOG, true, &error);
	if (stage >= 1)
		atomic_store(&s.log->extension[0], page_offset(head));
	if (stage >= 2)
		head_set(s.f->heap, head);
	if (stage >= 3)
		pages_close_intent(s.log, 0);
	settle(&s, way);
	CU_ASSERT_FALSE(head_is_set(s.f->heap, head));
	expect_back(&s);
	scene_close(&s);
}

static void test_extension(void)
{
	/* With a head bit and no name is no state: the name comes first. */
	each_stage(3, play_extension);
}

/* An extension that goes back after the log is EMPTY. */
static void play_release_extension(unsigned stage, enum way way)
{
	struct scene s;
	struct heap *heap;
	uint64_t head;
	int error;

	scene_open(&s, DEADS);
	heap = s.f->heap;
	head = span_prepare_large(s.dead, 8 * PAGE_BYTES, SPAN_LOG, true, &error);
	atomic_store(&s.log->extension[0], page_offset(head));
	span_commit_large(s.dead, head);
	if (stage >= 1)
		pages_open_intent(s.log, 1, RUN_FREE, head, 8);
	if (stage >= 2)
		head_clear(heap, head);
	if (stage >= 3)
		atomic_store(&s.log->extension[0], 0);
	if (stage >= 4)
		pages_to_limbo(s.dead, DEAD_SLOT, head, 8);
	settle(&s, way);
	CU_ASSERT_FALSE(head_is_set(heap, head));
	expect_settled(&s);
	scene_close(&s);
}

static void test_release_extension(void)
{
	each_stage(4, play_release_extension);
}

/* --- reapers --------------------------------------------------------------------------------- */

/* What is done is counted. */
static void test_counts(void)
{
	struct scene s;

	scene_open(&s, DEADS);
	record_all(&s);
	settle(&s, REAP);
	CU_ASSERT_EQUAL(s.f->threads[2].counts.rolled_back, 1);
	CU_ASSERT_EQUAL(s.f->threads[2].counts.rolled_forward, 0);
	CU_ASSERT_EQUAL(s.f->threads[2].counts.blocks_freed, 2);
	CU_ASSERT_EQUAL(s.f->threads[2].counts.threads, 1);
	scene_close(&s);
	scene_open(&s, DEADS);
	record_all(&s);
	set_log(&s, LOG_COMMITTED, 0);
	settle(&s, RESTART);
	CU_ASSERT_EQUAL(s.f->image.thread.counts.rolled_forward, 1);
	CU_ASSERT_EQUAL(s.f->image.thread.counts.rolled_back, 0);
	CU_ASSERT_EQUAL(s.f->image.thread.counts.blocks_freed, 2);
	scene_close(&s);
}

/* A live reaper's slot is left alone; the living are not reaped; the slot can be used again. */
static void test_reaping_alone(void)
{
	struct scene s;

	scene_open(&s, DEADS);
	CU_ASSERT_FALSE(reap_slot(s.survivor, DEAD_SLOT));
	fixture_kill(s.f, DEAD_SLOT);
	atomic_store(&s.f->heap->thread_slot[DEAD_SLOT].reaper, s.f->threads[2].tag);
	CU_ASSERT_FALSE(reap_slot(s.survivor, DEAD_SLOT));
	atomic_store(&s.f->heap->thread_slot[DEAD_SLOT].reaper, 0);
	reap_thread(s.survivor, s.dead->tag);
	CU_ASSERT_EQUAL(atomic_load(&s.f->heap->thread_slot[DEAD_SLOT].owner), 0);
	reap_thread(s.survivor, s.dead->tag);
	reap_thread(s.survivor, 0);
	reap_thread(s.survivor, UINT64_MAX);
	fixture_attach(s.f, DEAD_SLOT);
	fixture_block(s.dead, 100);
	fixture_expect_good(s.f);
	scene_close(&s);
}

static void test_dead_processes(void)
{
	struct fixture *f = fixture_open(1, 3);
	struct heap *heap = f->heap;

	/* Process 0 lives; 1 is dead and has a thread and a claim in the making, 2 has none. */
	atomic_store(&heap->header->process_high_water, 3);
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&heap->process_slot[i].owner, 100 + i);
	atomic_store(&heap->thread_slot[2].process, 1);
	atomic_store(&heap->thread_slot[3].owner, THREAD_CLAIM | 1 << 1);
	atomic_store(&heap->header->thread_high_water, 4);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(atomic_load(&heap->process_slot[0].owner), 100);
	CU_ASSERT_EQUAL(atomic_load(&heap->process_slot[1].owner), 101);
	CU_ASSERT_EQUAL(atomic_load(&heap->process_slot[2].owner), 0);
	CU_ASSERT_EQUAL(atomic_load(&heap->thread_slot[3].owner), 0);
	fixture_kill(f, 2);
	reap_all(&f->threads[0]);
	CU_ASSERT_EQUAL(atomic_load(&heap->process_slot[1].owner), 0);
	CU_ASSERT_EQUAL(f->threads[0].counts.processes, 2);
	CU_ASSERT_EQUAL(f->threads[0].counts.threads, 1);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "open", test_open },
	{ "committed", test_committed },
	{ "aborting", test_aborting },
	{ "no entries", test_no_entries },
	{ "applied in part", test_applied_in_part },
	{ "a later store stands", test_later_store_stands },
	{ "a later root stands", test_later_root_stands },
	{ "free of a small block", test_free_small },
	{ "its hazard holds", test_hazard_holds },
	{ "last block of a span", test_last_block },
	{ "free of a large block", test_free_large },
	{ "somebody else freed it", test_free_large_lost },
	{ "more than limbo holds", test_many_large },
	{ "allocation not published", test_alloc_not_published },
	{ "allocation of a large block", test_alloc_large },
	{ "rollback of a large block", test_rollback_large },
	{ "long log", test_long_log },
	{ "extension in the making", test_extension },
	{ "extension going back", test_release_extension },
	{ "counts", test_counts },
	{ "who may reap", test_reaping_alone },
	{ "dead processes", test_dead_processes },
	CU_TEST_INFO_NULL,
};

int test_settle_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "logs of the dead", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
