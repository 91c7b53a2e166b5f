/* work.c -- what else is done with the heap: afterwards, meanwhile, beside a stopped process
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/killk/work.h"

#include "heap/size_class.h"
#include "stress/killk/target.h"

#include <errno.h>
#include <string.h>

#define LIGHT_BYTES 48u
#define LIGHT_BLOCKS 4u
#define ROOT_WORK "work"

/* --- blocks -------------------------------------------------------------------------------- */

/* A block of the process's own. Stack. */
struct own {
	sh_off off;
	uint64_t bytes;
};

static struct own take(struct sh_heap *heap, uint64_t bytes)
{
	struct own own = { .off = sh_alloc(heap, bytes), .bytes = bytes };

	if (own.off == 0)
		fail(__FILE__, __LINE__, "no block of %llu bytes: %s", (unsigned long long)bytes,
			strerror(errno));
	words_fill(sh_ptr(heap, own.off), bytes, ~mix(own.off));
	return own;
}

/* Whether nobody else has written it. */
static void look_at(struct sh_heap *heap, const struct own *own)
{
	if (!words_agree(sh_ptr(heap, own->off), own->bytes, ~mix(own->off)))
		fail(__FILE__, __LINE__, "block %llx of %llu bytes is somebody else's, too",
			(unsigned long long)own->off, (unsigned long long)own->bytes);
}

static void give(struct sh_heap *heap, struct own *own)
{
	look_at(heap, own);
	EXPECT_EQUAL(sh_free(heap, own->off), 0);
	own->off = 0;
}

static void give_later(struct sh_heap *heap, struct own *own)
{
	look_at(heap, own);
	EXPECT_EQUAL(sh_free_deferred(heap, own->off), 0);
	own->off = 0;
}

#define ROUND_BLOCKS 3u

static const unsigned sizes[] = { 16, 64, PARTLY_BYTES, 300, PAGE_BYTES / 8, UNUSED_BYTES,
	FULL_BYTES, SMALL_MAX_BYTES + PAGE_BYTES };

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void work_on_blocks(struct sh_heap *heap, bool deferred)
{
	struct own own[SIZES * ROUND_BLOCKS];

	for (size_t i = 0; i < SIZES * ROUND_BLOCKS; i++)
		own[i] = take(heap, sizes[i / ROUND_BLOCKS]);
	for (size_t i = 0; i < SIZES * ROUND_BLOCKS; i++)
		look_at(heap, &own[i]);
	for (size_t i = 0; i < SIZES * ROUND_BLOCKS; i++)
		if (deferred && i % ROUND_BLOCKS == 0)
			give_later(heap, &own[i]);
		else
			give(heap, &own[i]);
}

/* --- the rest ------------------------------------------------------------------------------ */

static void work_on_transaction(struct sh_heap *heap, uint64_t bytes)
{
	struct field *field = field_of(heap);
	struct sh_txn *txn;
	sh_off block;

	EXPECT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	block = sh_txn_alloc(txn, bytes, 0);
	EXPECT(block != 0);
	EXPECT_EQUAL(sh_txn_store(txn, &field->word[2], block), 0);
	EXPECT_EQUAL(sh_txn_commit(txn), 0);
	EXPECT_EQUAL(field->word[2], block);
	EXPECT_EQUAL(sh_free_from(heap, &field->word[2]), 0);
	EXPECT_EQUAL(field->word[2], 0);
}

static void work_on_root(struct sh_heap *heap)
{
	sh_off off;

	EXPECT_EQUAL(sh_root_set(heap, ROOT_WORK, board->known.at[2].off), 0);
	EXPECT_EQUAL(root_of(heap, ROOT_WORK), board->known.at[2].off);
	EXPECT_EQUAL(sh_root_set(heap, ROOT_WORK, 0), 0);
	EXPECT_EQUAL(sh_root_get(heap, ROOT_WORK, &off), SH_ENOTFOUND);
}

static void work_on_pages(struct sh_heap *heap)
{
	sh_off run = sh_pages_alloc(heap, 3, 0);

	EXPECT(run != 0);
	words_fill(sh_ptr(heap, run), 3 * PAGE_BYTES, run);
	EXPECT(words_agree(sh_ptr(heap, run), 3 * PAGE_BYTES, run));
	EXPECT_EQUAL(sh_pages_free(heap, run, 3), 0);
}

static void expect_nothing_in_limbo(struct sh_heap *heap)
{
	struct sh_stats stats = SH_STATS_INIT;

	EXPECT_EQUAL(sh_synchronize(heap), 0);
	EXPECT_EQUAL(sh_stats(heap, &stats), 0);
	EXPECT_EQUAL(stats.limbo_blocks, 0);
	EXPECT_EQUAL(stats.open_transactions, 0);
}

void work_all(struct sh_heap *heap, bool deferred)
{
	work_on_blocks(heap, deferred);
	work_on_transaction(heap, PAGE_BYTES / 8);
	work_on_root(heap);
	work_on_pages(heap);
	if (deferred)
		expect_nothing_in_limbo(heap);
}

/* --- without locks ------------------------------------------------------------------------- */

void work_light(struct sh_heap *heap)
{
	struct own own[LIGHT_BLOCKS];

	for (unsigned i = 0; i < LIGHT_BLOCKS; i++)
		own[i] = take(heap, LIGHT_BYTES);
	for (unsigned i = 0; i < LIGHT_BLOCKS; i++)
		give(heap, &own[i]);
	work_on_transaction(heap, LIGHT_BYTES);
	EXPECT_EQUAL(sh_read_lock(heap), 0);
	EXPECT(root_of(heap, ROOT_FIELD) != 0);
	sh_read_unlock(heap);
}

/* A block of the class stays, or its span would go with the last one. */
void work_warm_up(struct sh_heap *heap)
{
	known_allocate(heap, LIGHT_BYTES);
	work_light(heap);
}

/* --- at random ----------------------------------------------------------------------------- */

#define RING 24u

static void look_at_field(struct sh_heap *heap)
{
	struct field *field = field_of(heap);
	sh_off off = root_of(heap, ROOT_SWITCH);
	int error = sh_mutex_lock(heap, &field->mutex);

	EXPECT(error == 0 || error == SH_EOWNERDIED);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &field->mutex), 0);
	EXPECT(off == board->known.at[0].off || off == board->known.at[1].off);
}

static void work_once(struct sh_heap *heap, struct own *own, uint64_t random)
{
	if (own->off == 0)
		*own = take(heap,
			random % 64 == 0 ? SMALL_MAX_BYTES + 16
					 : 16 + random / 64 % (PAGE_BYTES / 2));
	else if (random % 8 == 0)
		give_later(heap, own);
	else
		give(heap, own);
	if (random / 8 % 16 == 0)
		look_at_field(heap);
	if (random / 128 % 16 == 0)
		work_on_pages(heap);
}

void work_until_ordered(struct sh_heap *heap)
{
	struct own ring[RING] = { { .off = 0 } };
	uint64_t random = mix(board->seed ^ board->step);

	while (atomic_load(&board->order) == 0) {
		random = mix(random);
		work_once(heap, &ring[random / 4096 % RING], random);
	}
	for (unsigned i = 0; i < RING; i++)
		if (ring[i].off != 0)
			give(heap, &ring[i]);
}
