/* opening.c -- sh_open() and sh_close(), of one process alone and beside another one
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/calls.h"
#include "stress/crashlog/scenario/coming.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"
#include "stress/crashlog/snapshot.h"

#define SMALL 48u
#define LARGE 50000u

static void open_heap(const char *name, unsigned flags)
{
	operation_begin(name, OPERATION_IN_FILES | flags);
	heap = coming_open();
	operation_end();
	operation_done();
}

static void close_heap(const char *name, unsigned flags)
{
	operation_begin(name, OPERATION_IN_FILES | flags);
	MUST(sh_close(heap) == 0);
	operation_end();
	operation_done();
}

/* What a process does between coming and going: spans of its own, pages at hand, a log that was used. */
static void work(void)
{
	sh_off word = book_zero(book_add(heap, sh_alloc_ex(heap, SMALL, 0, SH_ZERO), 0), SMALL);
	sh_off large = call_alloc("alloc: after an open", LARGE, 0, 0);

	call_alloc_to("alloc to: after an open", word, SMALL, 0);
	call_free("free: after an open", large);
	call_free_deferred("free deferred: before a close",
		call_alloc("alloc: to be deferred", SMALL, 0, 0));
}

void operations_on_closed(void)
{
	struct sh_heap *first;

	open_heap("open: a clean heap", OPERATION_ALONE | OPERATION_CLEAN_BEFORE);
	work();
	first = heap;
	open_heap("open: a second handle", 0);
	MUST(heap == first);
	close_heap("close: a second handle", 0);
	close_heap("close: the last process", OPERATION_ALONE | OPERATION_CLEAN_AFTER);
	open_heap("open: a clean heap, again", OPERATION_ALONE | OPERATION_CLEAN_BEFORE);
	close_heap("close: nothing was done", OPERATION_ALONE | OPERATION_CLEAN_AFTER);
}

void operations_on_killed(void)
{
	open_heap("open: a killed heap", OPERATION_ALONE);
	work();
	close_heap("close: after a recovery", OPERATION_ALONE | OPERATION_CLEAN_AFTER);
}

void operations_beside_another(void)
{
	open_heap("open: beside another process", 0);
	work();
	close_heap("close: beside another process", 0);
}
