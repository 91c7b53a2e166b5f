/* operations.c -- what is killed: single calls, and how to see whether they happened
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/killk/operations.h"

#include "heap/size_class.h"
#include "stress/killk/target.h"

#define OWN_BYTES 64u
#define EDITED_WORDS 2u
#define MAGIC UINT64_C(0x6b696c6c6b)
#define RUN_ALLOCATED 4u

/* Of the process that prepares. */
static struct field *field;

static bool returned(void)
{
	return atomic_load(&board->returned) != 0;
}

/* --- sh_alloc() ---------------------------------------------------------------------------- */

/* A death inside may leave a block whose offset nobody has. */
static bool judge_one_more(struct sight *sight, uint64_t bytes)
{
	struct sh_block block = { .off = 0 };
	unsigned count = sight_unknown(sight, &block);

	if (count > 1)
		fail(__FILE__, __LINE__, "one call left %u blocks", count);
	if (returned() && (board->result == 0 || block.off != board->result))
		fail(__FILE__, __LINE__, "the call returned %llx; %llx is there",
			(unsigned long long)board->result, (unsigned long long)block.off);
	if (count == 0)
		return false;
	if (block.size < bytes || block.size > bytes + bytes / 4)
		fail(__FILE__, __LINE__, "a block of %zu bytes, not of %llu", block.size,
			(unsigned long long)bytes);
	sight_expect_more(sight, block.off);
	return true;
}

static void prepare_own(struct sh_heap *heap)
{
	board->subject = known_allocate(heap, OWN_BYTES);
	known_allocate(heap, OWN_BYTES);
}

static uint64_t act_alloc(struct sh_heap *heap)
{
	return sh_alloc(heap, OWN_BYTES);
}

static bool judge_alloc(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	return judge_one_more(sight, OWN_BYTES);
}

static uint64_t act_alloc_span(struct sh_heap *heap)
{
	return sh_alloc(heap, UNUSED_BYTES);
}

static bool judge_alloc_span(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	return judge_one_more(sight, UNUSED_BYTES);
}

static uint64_t act_alloc_claim(struct sh_heap *heap)
{
	return sh_alloc(heap, PARTLY_BYTES);
}

static bool judge_alloc_claim(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	return judge_one_more(sight, PARTLY_BYTES);
}

#define LARGE_BYTES (SMALL_MAX_BYTES + SMALL_MAX_BYTES / 2)

static uint64_t act_alloc_large(struct sh_heap *heap)
{
	return sh_alloc(heap, LARGE_BYTES);
}

static bool judge_alloc_large(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	return judge_one_more(sight, LARGE_BYTES);
}

/* More pages than a thread keeps at hand: from the free pages at once. */
#define WIDE_BYTES ((WORD_PAGES + 8) * PAGE_BYTES)

static uint64_t act_alloc_wide(struct sh_heap *heap)
{
	return sh_alloc(heap, WIDE_BYTES);
}

static bool judge_alloc_wide(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	return judge_one_more(sight, WIDE_BYTES);
}

/* More than the chunk that is there. */
#define GROWTH_BYTES CHUNK_BYTES

static uint64_t act_alloc_growth(struct sh_heap *heap)
{
	return sh_alloc(heap, GROWTH_BYTES);
}

static bool judge_alloc_growth(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	return judge_one_more(sight, GROWTH_BYTES);
}

/* --- sh_free() ----------------------------------------------------------------------------- */

static uint64_t act_free(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_free(heap, board->subject), 0);
	return 0;
}

static bool judge_free(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	if (sight_shows(sight, board->subject))
		return false;
	sight_expect_gone(sight, board->subject);
	return true;
}

static void survive_with_block(struct sh_heap *heap)
{
	board->subject = known_allocate(heap, OWN_BYTES);
	known_allocate(heap, OWN_BYTES);
}

/* Without a survivor nobody owns the block's span. */
static void prepare_others(struct sh_heap *heap)
{
	(void)heap;
	if (board->subject == 0)
		board->subject = known_of_bytes(PARTLY_BYTES);
}

/* Puts the spans of an earlier run in order, so that they are listed or not as they have room. */
static void survive_searching(struct sh_heap *heap)
{
	known_allocate(heap, PARTLY_BYTES);
}

static void prepare_unowned(struct sh_heap *heap)
{
	(void)heap;
	board->subject = known_of_bytes(FULL_BYTES);
}

static void prepare_large(struct sh_heap *heap)
{
	board->subject = known_allocate(heap, LARGE_BYTES);
}

/* Of its content the beginning tells. */
static void prepare_wide(struct sh_heap *heap)
{
	board->subject = sh_alloc(heap, WIDE_BYTES);
	EXPECT(board->subject != 0);
	known_add(heap, board->subject, OWN_BYTES);
}

/* --- transactions -------------------------------------------------------------------------- */

#define LINKED_BYTES 300u
#define EARLIER_BLOCKS 4u

/* A log that was used before holds entries that would do harm: of a block that lives on. */
static void transact_before(struct sh_heap *heap)
{
	struct sh_txn *txn;
	sh_off block;

	EXPECT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	for (unsigned i = 0; i < EARLIER_BLOCKS; i++) {
		block = sh_txn_alloc(txn, LINKED_BYTES, 0);
		EXPECT(block != 0);
		known_add(heap, block, LINKED_BYTES);
	}
	EXPECT_EQUAL(sh_txn_commit(txn), 0);
}

static void prepare_linked(struct sh_heap *heap)
{
	field = field_of(heap);
	transact_before(heap);
	board->subject = known_allocate(heap, LINKED_BYTES);
	field->word[0] = board->subject;
}

/* One that ended leaves its slot for the next one. */
static void prepare_linked_detached(struct sh_heap *heap)
{
	struct sh_txn *txn;

	prepare_linked(heap);
	EXPECT_EQUAL(sh_txn_begin(heap, SH_DETACHED, &txn), 0);
	sh_txn_abort(txn);
}

/* Replaces the block that a word names, edits two words beside it and sets a root. */
static struct sh_txn *transact(struct sh_heap *heap, sh_off *block, unsigned flags)
{
	static const uint64_t edited[EDITED_WORDS] = { MAGIC, MAGIC + 1 };
	struct sh_txn *txn;

	EXPECT_EQUAL(sh_txn_begin(heap, flags, &txn), 0);
	*block = sh_txn_alloc(txn, LINKED_BYTES, 0);
	EXPECT(*block != 0);
	*(uint64_t *)sh_ptr(heap, *block) = MAGIC;
	EXPECT_EQUAL(sh_txn_write(txn, field->plain, edited, sizeof(edited)), 0);
	EXPECT_EQUAL(sh_txn_store(txn, &field->word[0], *block), 0);
	EXPECT_EQUAL(sh_txn_free(txn, board->subject, 0), 0);
	EXPECT_EQUAL(sh_txn_root(txn, ROOT_SWITCH, board->known.at[1].off), 0);
	return txn;
}

static uint64_t transact_and_commit(struct sh_heap *heap, unsigned flags)
{
	sh_off block;
	struct sh_txn *txn = transact(heap, &block, flags);

	EXPECT_EQUAL(sh_txn_commit(txn), 0);
	return block;
}

static uint64_t act_commit(struct sh_heap *heap)
{
	return transact_and_commit(heap, 0);
}

static uint64_t act_commit_detached(struct sh_heap *heap)
{
	return transact_and_commit(heap, SH_DETACHED);
}

static uint64_t act_abort(struct sh_heap *heap)
{
	sh_off block;

	sh_txn_abort(transact(heap, &block, 0));
	return 0;
}

static uint64_t act_abort_detached(struct sh_heap *heap)
{
	sh_off block;

	sh_txn_abort(transact(heap, &block, SH_DETACHED));
	return 0;
}

static bool judge_commit(struct sh_heap *heap, struct sight *sight)
{
	const struct field *seen = field_of(heap);
	bool happened = seen->word[0] != board->subject;

	for (unsigned i = 0; i < EDITED_WORDS; i++)
		EXPECT_EQUAL(seen->plain[i], happened ? MAGIC + i : 0);
	EXPECT_EQUAL(root_of(heap, ROOT_SWITCH), board->known.at[happened ? 1 : 0].off);
	if (!happened)
		return false;
	if (returned())
		EXPECT_EQUAL(seen->word[0], board->result);
	sight_expect_gone(sight, board->subject);
	sight_expect_more(sight, seen->word[0]);
	EXPECT_EQUAL(*(uint64_t *)sh_ptr(heap, seen->word[0]), MAGIC);
	return true;
}

/* Nothing ever happens. */
static bool judge_abort(struct sh_heap *heap, struct sight *sight)
{
	EXPECT(!judge_commit(heap, sight));
	return true;
}

/* --- one step with a word ------------------------------------------------------------------ */

static void prepare_word(struct sh_heap *heap)
{
	field = field_of(heap);
}

static void prepare_linked_large(struct sh_heap *heap)
{
	field = field_of(heap);
	board->subject = known_allocate(heap, LARGE_BYTES);
	field->word[0] = board->subject;
}

static uint64_t act_alloc_to(struct sh_heap *heap)
{
	return sh_alloc_to(heap, &field->word[0], LINKED_BYTES, 0);
}

static uint64_t act_alloc_to_large(struct sh_heap *heap)
{
	return sh_alloc_to(heap, &field->word[0], LARGE_BYTES, 0);
}

static bool judge_alloc_to(struct sh_heap *heap, struct sight *sight)
{
	sh_off off = field_of(heap)->word[0];

	if (returned())
		EXPECT(off == board->result && off != 0);
	if (off == 0)
		return false;
	sight_expect_more(sight, off);
	return true;
}

static uint64_t act_free_from(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_free_from(heap, &field->word[0]), 0);
	return 0;
}

static bool judge_free_from(struct sh_heap *heap, struct sight *sight)
{
	if (field_of(heap)->word[0] == board->subject)
		return false;
	EXPECT_EQUAL(field_of(heap)->word[0], 0);
	sight_expect_gone(sight, board->subject);
	return true;
}

static uint64_t act_realloc_to(struct sh_heap *heap)
{
	return sh_realloc_to(heap, &field->word[0], 3 * LINKED_BYTES);
}

static bool judge_realloc_to(struct sh_heap *heap, struct sight *sight)
{
	sh_off off = field_of(heap)->word[0];

	if (off == board->subject)
		return false;
	if (returned())
		EXPECT_EQUAL(off, board->result);
	sight_expect_gone(sight, board->subject);
	sight_expect_more(sight, off);
	EXPECT(sh_usable_size(heap, off) >= 3 * LINKED_BYTES);
	EXPECT(words_agree(sh_ptr(heap, off), LINKED_BYTES, mix(board->subject)));
	return true;
}

static void prepare_linked_wide(struct sh_heap *heap)
{
	field = field_of(heap);
	prepare_wide(heap);
	field->word[0] = board->subject;
}

static uint64_t act_shrink_to(struct sh_heap *heap)
{
	return sh_realloc_to(heap, &field->word[0], LARGE_BYTES);
}

/* A large block stays where it is. */
static bool judge_shrink_to(struct sh_heap *heap, struct sight *sight)
{
	uint64_t bytes = sh_usable_size(heap, board->subject);

	(void)sight;
	EXPECT_EQUAL(field_of(heap)->word[0], board->subject);
	EXPECT(bytes == WIDE_BYTES || bytes == LARGE_BYTES);
	return bytes == LARGE_BYTES;
}

/* --- sh_realloc() -------------------------------------------------------------------------- */

#define LONGER_BYTES (4 * OWN_BYTES)

/* Leaves no room behind the block. */
static void prepare_large_before_another(struct sh_heap *heap)
{
	prepare_large(heap);
	known_allocate(heap, LARGE_BYTES);
}

static uint64_t act_realloc_stays(struct sh_heap *heap)
{
	return sh_realloc(heap, board->subject, OWN_BYTES - 1);
}

static uint64_t act_realloc_moves(struct sh_heap *heap)
{
	return sh_realloc(heap, board->subject, LONGER_BYTES);
}

static uint64_t act_realloc_shrinks(struct sh_heap *heap)
{
	return sh_realloc(heap, board->subject, LARGE_BYTES);
}

static uint64_t act_realloc_grows(struct sh_heap *heap)
{
	return sh_realloc(heap, board->subject, LARGE_BYTES + 2 * PAGE_BYTES);
}

/* The block stays where it is, and has one of both sizes. */
static bool judge_resized(struct sh_heap *heap, uint64_t before, uint64_t afterwards)
{
	uint64_t bytes = sh_usable_size(heap, board->subject);

	EXPECT(bytes == before || bytes == afterwards);
	if (returned())
		EXPECT(board->result == board->subject && bytes == afterwards);
	return bytes == afterwards;
}

static bool judge_realloc_stays(struct sh_heap *heap, struct sight *sight)
{
	(void)sight;
	return judge_resized(heap, OWN_BYTES, OWN_BYTES);
}

static bool judge_realloc_shrinks(struct sh_heap *heap, struct sight *sight)
{
	(void)sight;
	return judge_resized(heap, WIDE_BYTES, LARGE_BYTES);
}

/* The old block, the new one with the content of the old one, or both, the new one with any content. */
static bool judge_moved(struct sh_heap *heap, struct sight *sight, uint64_t before,
	uint64_t afterwards)
{
	struct sh_block block = { .off = 0 };
	unsigned count = sight_unknown(sight, &block);
	bool is_there = sight_shows(sight, board->subject);

	EXPECT(count <= 1 && (count == 1 || is_there));
	if (count == 1) {
		EXPECT(block.size >= afterwards);
		sight_expect_more(sight, block.off);
	}
	if (is_there)
		return false;
	sight_expect_gone(sight, board->subject);
	EXPECT(words_agree(sh_ptr(heap, block.off), before, mix(board->subject)));
	if (returned())
		EXPECT_EQUAL(block.off, board->result);
	return true;
}

static bool judge_realloc_moves(struct sh_heap *heap, struct sight *sight)
{
	return judge_moved(heap, sight, OWN_BYTES, LONGER_BYTES);
}

/* In place, where there were free pages behind it, or not. */
static bool judge_realloc_grows(struct sh_heap *heap, struct sight *sight)
{
	uint64_t bytes = LARGE_BYTES + 2 * PAGE_BYTES;

	if (sh_usable_size(heap, board->subject) == bytes)
		return judge_resized(heap, LARGE_BYTES, bytes);
	return judge_moved(heap, sight, LARGE_BYTES, bytes);
}

/* --- a mutex ------------------------------------------------------------------------------- */

static uint64_t act_mutex(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_mutex_lock(heap, &field->mutex), 0);
	field->word[1] = MAGIC;
	EXPECT_EQUAL(sh_mutex_unlock(heap, &field->mutex), 0);
	return 0;
}

/* A busy survivor may have taken it over by now. */
static bool judge_mutex(struct sh_heap *heap, struct sight *sight)
{
	struct field *seen = field_of(heap);
	bool held = seen->mutex.word != 0;

	(void)sight;
	EXPECT(seen->word[1] == 0 || seen->word[1] == MAGIC);
	EXPECT(!(returned() && held));
	EXPECT_EQUAL(sh_mutex_lock(heap, &seen->mutex), held ? SH_EOWNERDIED : 0);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &seen->mutex), 0);
	return seen->word[1] == MAGIC;
}

/* --- roots --------------------------------------------------------------------------------- */

#define ROOT_FRESH "fresh"

static uint64_t act_root_set(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_root_set(heap, ROOT_SWITCH, board->known.at[1].off), 0);
	return 0;
}

static bool judge_root_set(struct sh_heap *heap, struct sight *sight)
{
	sh_off off = root_of(heap, ROOT_SWITCH);

	(void)sight;
	EXPECT(off == board->known.at[0].off || off == board->known.at[1].off);
	return off == board->known.at[1].off;
}

static uint64_t act_root_new(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_root_set(heap, ROOT_FRESH, board->known.at[1].off), 0);
	return 0;
}

static bool judge_root_new(struct sh_heap *heap, struct sight *sight)
{
	sh_off off;

	(void)sight;
	if (sh_root_get(heap, ROOT_FRESH, &off) == SH_ENOTFOUND)
		return false;
	EXPECT_EQUAL(off, board->known.at[1].off);
	return true;
}

/* --- sh_free_deferred() -------------------------------------------------------------------- */

/* In two calls: when the first one has returned the block is free, whatever becomes of the second. */
static uint64_t act_free_deferred(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_free_deferred(heap, board->subject), 0);
	board->result = board->subject;
	atomic_signal_fence(memory_order_seq_cst);
	EXPECT_EQUAL(sh_synchronize(heap), 0);
	return board->subject;
}

static bool judge_free_deferred(struct sh_heap *heap, struct sight *sight)
{
	bool happened = judge_free(heap, sight);

	if (board->result != 0 && !happened)
		fail(__FILE__, __LINE__, "a deferred free had returned, and the block is live");
	return happened;
}

/* --- page runs ----------------------------------------------------------------------------- */

static uint64_t act_pages_alloc(struct sh_heap *heap)
{
	return sh_pages_alloc(heap, RUN_ALLOCATED, 0);
}

static bool judge_pages_alloc(struct sh_heap *heap, struct sight *sight)
{
	sh_off run = root_of(heap, ROOT_RUN);

	for (unsigned i = 0; i < sight->runs; i++)
		if (sight->run[i].off != run)
			sight->more_run = sight->run[i].off;
	sight->more_pages = RUN_ALLOCATED;
	if (returned())
		EXPECT(board->result != 0 && sight->more_run == board->result);
	return sight->more_run != 0;
}

static void prepare_run(struct sh_heap *heap)
{
	board->subject = root_of(heap, ROOT_RUN) + CUT_PAGE * PAGE_BYTES;
}

static uint64_t act_pages_free(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_pages_free(heap, board->subject, CUT_PAGES), 0);
	return 0;
}

static bool judge_pages_free(struct sh_heap *heap, struct sight *sight)
{
	(void)heap;
	sight->may_be_cut = true;
	sight->cut_gone = true;
	for (unsigned i = 0; i < sight->runs; i++)
		if (sight->run[i].off <= board->subject &&
			board->subject - sight->run[i].off < sight->run[i].npages * PAGE_BYTES)
			sight->cut_gone = false;
	return sight->cut_gone;
}

/* --- */

const struct operation operations[] = {
	{ "alloc", NULL, prepare_own, act_alloc, judge_alloc, false },
	{ "alloc-span", NULL, NULL, act_alloc_span, judge_alloc_span, false },
	{ "alloc-claim", NULL, NULL, act_alloc_claim, judge_alloc_claim, false },
	{ "alloc-large", NULL, NULL, act_alloc_large, judge_alloc_large, false },
	{ "alloc-wide", NULL, NULL, act_alloc_wide, judge_alloc_wide, false },
	{ "alloc-growth", NULL, NULL, act_alloc_growth, judge_alloc_growth, false },
	{ "free-own", NULL, prepare_own, act_free, judge_free, false },
	{ "free-other", survive_with_block, prepare_others, act_free, judge_free, false },
	{ "free-unowned", survive_searching, prepare_unowned, act_free, judge_free, false },
	{ "free-large", NULL, prepare_large, act_free, judge_free, false },
	{ "free-wide", NULL, prepare_wide, act_free, judge_free, false },
	{ "commit", NULL, prepare_linked, act_commit, judge_commit, false },
	{ "abort", NULL, prepare_linked, act_abort, judge_abort, false },
	{ "commit-detached", NULL, prepare_linked_detached, act_commit_detached, judge_commit,
		true },
	{ "abort-detached", NULL, prepare_linked_detached, act_abort_detached, judge_abort, true },
	{ "alloc-to", NULL, prepare_word, act_alloc_to, judge_alloc_to, false },
	{ "alloc-to-large", NULL, prepare_word, act_alloc_to_large, judge_alloc_to, false },
	{ "free-from-large", NULL, prepare_linked_large, act_free_from, judge_free_from, false },
	{ "free-from", NULL, prepare_linked, act_free_from, judge_free_from, false },
	{ "realloc-to", NULL, prepare_linked, act_realloc_to, judge_realloc_to, false },
	{ "shrink-to", NULL, prepare_linked_wide, act_shrink_to, judge_shrink_to, false },
	{ "realloc", NULL, prepare_own, act_realloc_stays, judge_realloc_stays, false },
	{ "realloc-move", NULL, prepare_own, act_realloc_moves, judge_realloc_moves, false },
	{ "realloc-shrink", NULL, prepare_wide, act_realloc_shrinks, judge_realloc_shrinks, false },
	{ "realloc-grow", NULL, prepare_large, act_realloc_grows, judge_realloc_grows, false },
	{ "realloc-large", NULL, prepare_large_before_another, act_realloc_grows,
		judge_realloc_grows, false },
	{ "mutex", NULL, prepare_word, act_mutex, judge_mutex, false },
	{ "root-set", NULL, NULL, act_root_set, judge_root_set, false },
	{ "root-new", NULL, NULL, act_root_new, judge_root_new, false },
	{ "deferred-own", NULL, prepare_own, act_free_deferred, judge_free_deferred, false },
	{ "deferred-unowned", survive_searching, prepare_unowned, act_free_deferred,
		judge_free_deferred, false },
	{ "pages-alloc", NULL, NULL, act_pages_alloc, judge_pages_alloc, false },
	{ "pages-free", NULL, prepare_run, act_pages_free, judge_pages_free, false },
};

const unsigned operation_count = sizeof(operations) / sizeof(operations[0]);
