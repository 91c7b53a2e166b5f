/* arenas.c -- runs and blocks that lie in several arenas
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Nothing is stored in most of their pages, which so stay holes, here and where images are made. */
#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/calls.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"

#define PAGE UINT64_C(8192)
#define ARENA (UINT64_C(1) << 30)
/* Leaves some 11 MiB of an arena: the spans table of where a run begins is written page by page. */
#define FILLER_BYTES (UINT64_C(976) << 20)
/* A run that begins there and ends in the next arena, or in the one after that. The first of them stays backed when
 * it is freed; the others are used again. */
#define TWO_PAGES (ARENA / PAGE)
#define THREE_PAGES (2 * ARENA / PAGE)

/* Some words are not zero: who is given these pages next must find zeros. */
static void spoil(sh_off from, size_t pages)
{
	for (size_t i = 0; i < pages; i += pages / 3)
		*call_word(from + i * PAGE) = i + 1;
}

static sh_off next_arena(sh_off off)
{
	return (off / ARENA + 1) * ARENA;
}

/* What the next run begins behind. Nothing is known of its content. */
static void fill_arena(void)
{
	sh_off off = sh_alloc(heap, FILLER_BYTES);

	MUST(off != 0 && off + FILLER_BYTES < next_arena(off));
	book_add(heap, off, 0);
}

static sh_off allocate_run(const char *name, size_t pages)
{
	sh_off off;

	fill_arena();
	off = call_pages_alloc(name, pages, 0);
	MUST(off + pages * PAGE > next_arena(off));
	spoil(off, pages);
	return off;
}

static void in_parts(void)
{
	sh_off run = allocate_run("pages: over two arenas", TWO_PAGES);
	sh_off second = next_arena(run);

	call_pages_free("pages: the front of two arenas", run, 3);
	call_pages_free("pages: the middle of two arenas", run + 5 * PAGE, 2);
	call_pages_free("pages: all from the second arena on", second,
		(run + TWO_PAGES * PAGE - second) / PAGE);
	call_pages_free("pages: the rest in the first arena", run + 7 * PAGE,
		(second - run) / PAGE - 7);
	call_pages_free("pages: what was before the middle", run + 3 * PAGE, 2);
}

static void as_a_whole(void)
{
	sh_off run = allocate_run("pages: over three arenas", THREE_PAGES);

	call_pages_free("pages: all of three arenas", run, THREE_PAGES);
}

/* A block, taken back, and published; what is known of its content is nothing. */
static void in_transactions(void)
{
	struct sh_txn *txn;
	sh_off off;

	fill_arena();
	operation_begin("transaction: over two arenas, aborted", 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	MUST(sh_txn_alloc(txn, TWO_PAGES * PAGE, 0) != 0);
	sh_txn_abort(txn);
	operation_end();
	operation_done();
	fill_arena();
	operation_begin("transaction: over two arenas, committed", 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	off = sh_txn_alloc(txn, TWO_PAGES * PAGE, 0);
	MUST(off != 0 && sh_txn_commit(txn) == 0);
	operation_end();
	book_add(heap, off, 0);
	operation_done();
	spoil(off, TWO_PAGES);
	call_free_deferred("free deferred: over two arenas", off);
	call_synchronize("synchronize: drains two arenas");
}

void operations_over_arenas(void)
{
	in_parts();
	as_a_whole();
	in_transactions();
}
