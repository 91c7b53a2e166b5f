/* calls.c -- calls of the library as operations: marked, and entered in the book
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/scenario/calls.h"

#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"
#include "stress/crashlog/snapshot.h"

sh_off *call_word(sh_off off)
{
	return sh_ptr(heap, off);
}

sh_off call_alloc(const char *name, size_t bytes, size_t align, unsigned flags)
{
	sh_off off;

	operation_begin(name, 0);
	off = align == 0 && flags == 0 ? sh_alloc(heap, bytes)
				       : sh_alloc_ex(heap, bytes, align, flags);
	operation_end();
	/* A block that reads as zeros does so when the call returns: a death may leave anything. */
	book_add(heap, off, flags & SH_NOSCAN);
	operation_done();
	return flags & SH_ZERO ? book_zero(off, bytes) : book_fill(heap, off);
}

void call_free(const char *name, sh_off off)
{
	operation_begin(name, 0);
	MUST(sh_free(heap, off) == 0);
	operation_end();
	book_remove(off);
	operation_done();
}

void call_free_deferred(const char *name, sh_off off)
{
	operation_begin(name, 0);
	MUST(sh_free_deferred(heap, off) == 0);
	operation_end();
	book_remove(off);
	operation_done();
}

/* The documentation allows a death to leave both blocks, the new one with any content. */
static void may_leave_both(sh_off from, sh_off to)
{
	if (to == from)
		return;
	book_add(heap, to, book_kind(from));
	operation_may_leave();
	book_remove(to);
}

sh_off call_realloc(const char *name, sh_off off, size_t bytes)
{
	sh_off moved;

	operation_begin(name, 0);
	moved = sh_realloc(heap, off, bytes);
	operation_end();
	MUST(moved != 0);
	may_leave_both(off, moved);
	book_move(heap, off, moved, bytes);
	operation_done();
	return book_fill(heap, moved);
}

sh_off call_alloc_to(const char *name, sh_off word, size_t bytes, unsigned flags)
{
	sh_off off;

	operation_begin(name, 0);
	off = sh_alloc_to(heap, call_word(word), bytes, flags);
	operation_end();
	book_add(heap, off, flags & SH_NOSCAN);
	if (flags & SH_ZERO)
		book_zero(off, bytes);
	book_store(word, off);
	operation_done();
	return book_fill(heap, off);
}

void call_free_from(const char *name, sh_off word)
{
	sh_off off = *call_word(word);

	operation_begin(name, 0);
	MUST(sh_free_from(heap, call_word(word)) == 0);
	operation_end();
	book_remove(off);
	book_store(word, 0);
	operation_done();
}

sh_off call_realloc_to(const char *name, sh_off word, size_t bytes)
{
	sh_off off = *call_word(word);
	sh_off moved;

	operation_begin(name, 0);
	moved = sh_realloc_to(heap, call_word(word), bytes);
	operation_end();
	MUST(moved != 0);
	book_move(heap, off, moved, bytes);
	book_store(word, moved);
	operation_done();
	return book_fill(heap, moved);
}

sh_off call_pages_alloc(const char *name, size_t pages, unsigned flags)
{
	sh_off off;

	operation_begin(name, 0);
	off = sh_pages_alloc(heap, pages, flags);
	operation_end();
	MUST(off != 0);
	book_add_run(off, pages, flags & (SH_IO | SH_HUGE));
	operation_done();
	return off;
}

void call_pages_free(const char *name, sh_off off, size_t pages)
{
	operation_begin(name, OPERATION_CUTS_RUNS);
	MUST(sh_pages_free(heap, off, pages) == 0);
	operation_end();
	book_cut_runs(off, pages);
	operation_done();
}

void call_root_set(const char *name, const char *root, sh_off off)
{
	operation_begin(name, 0);
	MUST(sh_root_set(heap, root, off) == 0);
	operation_end();
	book_root(root, off);
	operation_done();
}

void call_synchronize(const char *name)
{
	operation_begin(name, 0);
	MUST(sh_synchronize(heap) == 0);
	operation_end();
	operation_done();
}

void call_reserve(const char *name, size_t bytes)
{
	operation_begin(name, 0);
	MUST(sh_reserve(heap, bytes) == 0);
	operation_end();
	operation_done();
}
