/* directed.c -- each kind of operation, in each of its ways
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "shm/tag.h"
#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/calls.h"
#include "stress/crashlog/scenario/helper.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/scenario/operation.h"
#include "stress/crashlog/snapshot.h"

#include <string.h>

#define PAGE 8192u
#define SMALL 48u
#define MEDIUM 1536u
/* Two pages less are still more than the largest class. */
#define LARGE 50000u
#define HUGE_PAGES 256u
/* A long log: more entries than stand in a slot. */
#define MANY_STORES 62u
#define RANGE_BYTES 4000u
/* Its content takes more entries of 32 bytes than the first extension has, of 8 pages. */
#define LONGEST_RANGE_BYTES (8 * PAGE + 2048)

/* Words for others to be stored in, and offsets for the helper's jobs. */
static sh_off words;
static sh_off handed[4];

static sh_off new_words(unsigned count)
{
	size_t bytes = count * sizeof(uint64_t);

	return book_zero(book_add(heap, sh_alloc_ex(heap, bytes, 0, SH_ZERO), 0), bytes);
}

static sh_off word(unsigned i)
{
	return words + i * sizeof(uint64_t);
}

/* --- blocks -------------------------------------------------------------------------------- */

static void blocks(void)
{
	sh_off first = call_alloc("alloc: first of a class", SMALL, 0, 0);
	sh_off second = call_alloc("alloc: from the thread's span", SMALL, 0, 0);
	sh_off medium = call_alloc("alloc: a span of several pages", MEDIUM, 0, 0);
	sh_off zero = call_alloc("alloc: zeros", 4096, 0, SH_ZERO);
	sh_off kind = call_alloc("alloc: no offsets", SMALL, 0, SH_NOSCAN);
	sh_off aligned = call_alloc("alloc: aligned to a line", 200, 64, 0);
	sh_off pages = call_alloc("alloc: aligned to 64 KiB", 200, 65536, 0);

	call_free("free: by the owner", second);
	call_free("free: last of its span", medium);
	call_free("free: aligned", aligned);
	call_free("free: aligned to 64 KiB", pages);
	call_free("free: zeros", zero);
	call_free("free: no offsets", kind);
	call_free("free: the other one of the span", first);
}

static void large_blocks(void)
{
	sh_off first = call_alloc("alloc: large", LARGE, 0, 0);
	sh_off second = call_alloc("alloc: larger than the page cache", 80 * PAGE, 0, 0);
	sh_off zero = call_alloc("alloc: large, zeros", LARGE, 0, SH_ZERO);

	call_free("free: large", first);
	call_free("free: larger than the page cache", second);
	second = call_alloc("alloc: large, from freed pages", LARGE - PAGE, 0, SH_NOSCAN);
	call_free("free: large, from freed pages", second);
	call_free("free: large, zeros", zero);
}

/* A whole span of blocks, so that there is one that is full. */
static void full_span(void)
{
	sh_off off[PAGE / 1024 + 2];
	unsigned count = sizeof(off) / sizeof(off[0]);

	for (unsigned i = 0; i < count; i++)
		off[i] = call_alloc("alloc: until a span is full", 1000, 0, 0);
	for (unsigned i = 0; i < count; i += 2)
		call_free("free: in a full span", off[i]);
	for (unsigned i = 1; i < count; i += 2)
		call_free("free: until a span is empty", off[i]);
}

/* --- the blocks of another thread ---------------------------------------------------------- */

static void helper_allocates(void)
{
	handed[0] = call_alloc("alloc: a new thread's first", SMALL, 0, 0);
	handed[1] = call_alloc("alloc: a new thread's second", SMALL, 0, 0);
	handed[2] = call_alloc("alloc: a new thread's large", LARGE, 0, 0);
	handed[3] = call_alloc("alloc: a new thread's medium", MEDIUM, 0, 0);
}

static void helper_frees(void)
{
	call_free("free: another's, in its own span", handed[0]);
	call_free("free: another's, large", handed[1]);
}

static void helper_ends(void)
{
	operation_begin("thread: ends", 0);
}

static void other_threads(void)
{
	helper_start();
	helper_do(helper_allocates);
	call_free("free: of another thread", handed[0]);
	call_free("free: of another thread, large", handed[2]);
	call_free_deferred("free deferred: of another thread", handed[1]);
	call_free("free: of another thread, last of its span", handed[3]);
	handed[0] = call_alloc("alloc: for another thread", SMALL, 0, 0);
	handed[1] = call_alloc("alloc: large, for another thread", LARGE, 0, 0);
	helper_do(helper_frees);
	helper_end_after(helper_ends);
	operation_end();
	operation_done();
}

/* --- page runs ----------------------------------------------------------------------------- */

static void page_runs(void)
{
	sh_off run = call_pages_alloc("pages: allocated", 7, 0);
	sh_off io = call_pages_alloc("pages: allocated for I/O", 3, SH_IO);
	sh_off huge = call_pages_alloc("pages: huge", HUGE_PAGES, SH_HUGE);
	sh_off zero = call_pages_alloc("pages: zeros", 2, SH_ZERO);

	call_pages_free("pages: freed at the front", run, 1);
	call_pages_free("pages: freed at the end", run + 6 * PAGE, 1);
	call_pages_free("pages: freed in the middle", run + 3 * PAGE, 1);
	call_pages_free("pages: freed, the rest", run + PAGE, 2);
	call_pages_free("pages: freed, the other rest", run + 4 * PAGE, 2);
	call_pages_free("pages: freed, for I/O", io, 3);
	call_pages_free("pages: freed, huge", huge, HUGE_PAGES);
	call_pages_free("pages: freed, zeros", zero, 2);
}

/* Two runs that lie side by side, freed by one call, wholly and in part. */
static void runs_together(void)
{
	sh_off whole = call_pages_alloc("pages: for a cut", 9, SH_IO);
	sh_off first;

	call_pages_free("pages: cut out of a run for I/O", whole + 4 * PAGE, 1);
	first = call_pages_alloc("pages: in the gap", 1, 0);
	if (first == whole + 4 * PAGE) {
		call_pages_free("pages: freed over three runs", whole + 3 * PAGE, 3);
	} else {
		call_pages_free("pages: not in the gap", first, 1);
		call_pages_free("pages: freed beside the gap", whole + 3 * PAGE, 1);
		call_pages_free("pages: freed behind the gap", whole + 5 * PAGE, 1);
	}
	call_pages_free("pages: freed before the gap", whole, 3);
	call_pages_free("pages: freed after the gap", whole + 6 * PAGE, 3);
}

/* --- resizing ------------------------------------------------------------------------------ */

static void resizing(void)
{
	sh_off off =
		call_realloc("realloc: of nothing", call_alloc("alloc: to resize", 40, 0, 0), 44);

	off = call_realloc("realloc: to a larger class", off, 400);
	off = call_realloc("realloc: to a smaller class", off, 100);
	off = call_realloc("realloc: small to large", off, LARGE);
	off = call_realloc("realloc: large, grows", off, LARGE + 3 * PAGE);
	off = call_realloc("realloc: large, shrinks", off, LARGE - 2 * PAGE);
	off = call_realloc("realloc: large to small", off, 200);
	call_free("free: resized", off);
}

static void through_words(void)
{
	call_alloc_to("alloc to: small", word(0), SMALL, 0);
	call_alloc_to("alloc to: large", word(1), LARGE, 0);
	call_alloc_to("alloc to: zeros", word(2), 300, SH_ZERO | SH_NOSCAN);
	call_realloc_to("realloc to: stays", word(0), SMALL - 8);
	call_realloc_to("realloc to: larger class", word(0), 700);
	call_realloc_to("realloc to: small to large", word(0), LARGE);
	call_realloc_to("realloc to: large, shrinks", word(0), LARGE - 2 * PAGE);
	call_realloc_to("realloc to: large to small", word(0), 64);
	call_free_from("free from: small", word(0));
	call_free_from("free from: large", word(1));
	call_free_from("free from: no offsets", word(2));
}

/* --- transactions -------------------------------------------------------------------------- */

/* One of every kind of entry. What it frees are handed[0..2]. */
static sh_off record_all(struct sh_txn *txn, sh_off large[1])
{
	static const char text[] = "some bytes of no alignment";
	uint64_t *edited = sh_ptr(heap, word(8));
	sh_off small = sh_txn_alloc(txn, SMALL, 0);

	*large = sh_txn_alloc(txn, LARGE, SH_NOSCAN);
	MUST(small != 0 && *large != 0);
	MUST(sh_txn_store(txn, call_word(word(4)), small) == 0);
	MUST(sh_txn_add(txn, edited, 3 * sizeof(*edited)) == 0);
	for (unsigned i = 0; i < 3; i++)
		edited[i] = 77 + i;
	MUST(sh_txn_write(txn, sh_ptr(heap, word(12) + 3), text, sizeof(text)) == 0);
	MUST(sh_txn_root(txn, "in a transaction", small) == 0);
	MUST(sh_txn_free(txn, handed[0], 0) == 0);
	MUST(sh_txn_free(txn, handed[1], SH_DEFERRED) == 0);
	MUST(sh_txn_free(txn, handed[2], 0) == 0);
	MUST(sh_txn_store(txn, call_word(word(5)), *large) == 0);
	return small;
}

static void book_all(sh_off small, sh_off large)
{
	static const char text[] = "some bytes of no alignment";

	book_add(heap, small, 0);
	book_add(heap, large, SH_NOSCAN);
	book_store(word(4), small);
	for (unsigned i = 0; i < 3; i++)
		book_store(word(8 + i), 77 + i);
	book_write(word(12) + 3, text, sizeof(text));
	book_root("in a transaction", small);
	for (unsigned i = 0; i < 3; i++)
		book_remove(handed[i]);
	book_store(word(5), large);
}

static void prepare_all(void)
{
	handed[0] = call_alloc("alloc: for a transaction", MEDIUM, 0, 0);
	handed[1] = call_alloc("alloc: for a transaction", SMALL, 0, 0);
	handed[2] = call_alloc("alloc: for a transaction, large", LARGE, 0, 0);
}

static void undo_all(sh_off small, sh_off large)
{
	book_fill(heap, small);
	book_fill(heap, large);
	call_root_set("root: removed", "in a transaction", 0);
	call_free_from("free from: of a transaction", word(4));
	call_free_from("free from: of a transaction, large", word(5));
}

static void all_entries(const char *committed, const char *aborted, unsigned flags)
{
	struct sh_txn *txn;
	sh_off small;
	sh_off large;

	prepare_all();
	operation_begin(aborted, 0);
	MUST(sh_txn_begin(heap, flags, &txn) == 0);
	record_all(txn, &large);
	sh_txn_abort(txn);
	operation_end();
	operation_done();
	operation_begin(committed, 0);
	MUST(sh_txn_begin(heap, flags, &txn) == 0);
	small = record_all(txn, &large);
	MUST(sh_txn_commit(txn) == 0);
	operation_end();
	book_all(small, large);
	operation_done();
	undo_all(small, large);
}

static void long_log(bool commits)
{
	sh_off array = new_words(MANY_STORES);
	struct sh_txn *txn;

	operation_begin(commits ? "transaction: long, committed" : "transaction: long, aborted", 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	for (unsigned i = 0; i < MANY_STORES; i++)
		MUST(sh_txn_store(txn, call_word(array) + i, i + 1) == 0);
	if (commits)
		MUST(sh_txn_commit(txn) == 0);
	else
		sh_txn_abort(txn);
	operation_end();
	for (unsigned i = 0; commits && i < MANY_STORES; i++)
		book_store(array + i * sizeof(uint64_t), i + 1);
	operation_done();
	call_free("free: after a long transaction", array);
}

/* A range of the block handed[0] that is longer than the log in the slot; `stores` come behind it. */
static void large_range(const char *name, size_t bytes, unsigned stores, bool commits)
{
	static char content[LONGEST_RANGE_BYTES];
	sh_off edited = handed[0] + 40;
	struct sh_txn *txn;

	memset(content, 0x5c, bytes);
	operation_begin(name, 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	MUST(sh_txn_write(txn, sh_ptr(heap, edited), content, bytes) == 0);
	for (unsigned i = 0; i < stores; i++)
		MUST(sh_txn_store(txn, call_word(word(16 + i)), i + 1) == 0);
	if (commits)
		MUST(sh_txn_commit(txn) == 0);
	else
		sh_txn_abort(txn);
	operation_end();
	if (commits)
		book_write(edited, content, bytes);
	for (unsigned i = 0; commits && i < stores; i++)
		book_store(word(16 + i), i + 1);
	operation_done();
}

static void long_ranges(void)
{
	handed[0] = call_alloc("alloc: for a long range", 6000, 0, 0);
	large_range("transaction: long range, aborted", RANGE_BYTES, 0, false);
	large_range("transaction: long range, committed", RANGE_BYTES, 0, true);
	call_free("free: after a long range", handed[0]);
}

void operations_with_longest_log(void)
{
	words = new_words(32);
	handed[0] =
		call_alloc("alloc: for a range of two extensions", LONGEST_RANGE_BYTES + 40, 0, 0);
	large_range("transaction: two extensions, aborted", LONGEST_RANGE_BYTES, 3, false);
	large_range("transaction: two extensions, committed", LONGEST_RANGE_BYTES, 3, true);
	call_free("free: after two extensions", handed[0]);
}

static void empty_transactions(void)
{
	struct sh_txn *txn;

	operation_begin("transaction: empty, committed", 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0 && sh_txn_commit(txn) == 0);
	operation_end();
	operation_done();
	operation_begin("transaction: empty, aborted", 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	sh_txn_abort(txn);
	operation_end();
	operation_done();
}

static void transactions(void)
{
	empty_transactions();
	all_entries("transaction: committed", "transaction: aborted", 0);
	all_entries("detached: committed", "detached: aborted", SH_DETACHED);
	long_log(true);
	long_log(false);
	long_ranges();
}

/* --- mutexes, roots ------------------------------------------------------------------------ */

static void mutexes(void)
{
	sh_off off = new_words(2);
	struct sh_mutex *mutex = sh_ptr(heap, off);

	operation_begin("mutex: locked", 0);
	MUST(sh_mutex_lock(heap, mutex) == 0);
	operation_end();
	book_store(off, mutex->word);
	operation_done();
	operation_begin("mutex: unlocked", 0);
	MUST(sh_mutex_unlock(heap, mutex) == 0);
	operation_end();
	book_store(off, 0);
	operation_done();
}

static void roots(void)
{
	call_root_set("root: set", "first", word(0));
	call_root_set("root: changed", "first", word(1));
	call_root_set("root: a second one", "a name of more than sixteen bytes", word(2));
	call_root_set("root: removed", "first", 0);
	call_root_set("root: set again", "first", word(3));
	call_root_set("root: removed for good", "first", 0);
	call_root_set("root: the second one removed", "a name of more than sixteen bytes", 0);
}

/* --- readers ------------------------------------------------------------------------------- */

static void deferred(void)
{
	sh_off small = call_alloc("alloc: to be deferred", SMALL, 0, 0);
	sh_off medium = call_alloc("alloc: to be deferred", MEDIUM, 0, 0);
	sh_off large = call_alloc("alloc: to be deferred, large", LARGE, 0, 0);

	call_free_deferred("free deferred: small", small);
	call_free_deferred("free deferred: medium", medium);
	call_free_deferred("free deferred: large", large);
	call_synchronize("synchronize: drains");
	call_synchronize("synchronize: nothing to do");
}

/* Enough of it for a drain by the free itself. */
static void deferred_until_drained(void)
{
	sh_off off[20];

	for (unsigned i = 0; i < 20; i++)
		off[i] = call_alloc("alloc: large, to be drained", LARGE, 0, 0);
	for (unsigned i = 0; i < 20; i++)
		call_free_deferred("free deferred: large, drains", off[i]);
	call_synchronize("synchronize: drains large ones");
}

/* --- growth -------------------------------------------------------------------------------- */

static void growth(void)
{
	sh_off large;

	call_reserve("reserve: two chunks", 8u << 20);
	large = call_alloc("alloc: grows", 10u << 20, 2u << 20, SH_ZERO);
	call_free("free: more than a chunk", large);
}

/* --- the dead ------------------------------------------------------------------------------ */

static struct sh_mutex *held;

/* The mutex at `off`, of a dead holder. Who waits for it leaves a mark. */
static void lock_of_dead(const char *name, sh_off off)
{
	book_store(off, held->word);
	operation_begin(name, 0);
	MUST(sh_mutex_lock(heap, held) == SH_EOWNERDIED);
	operation_end();
	book_store(off, *(const uint64_t *)book_content(off) | TAG_WAITERS);
	operation_may_leave();
	book_store(off, held->word);
	operation_done();
	MUST(sh_mutex_unlock(heap, held) == 0);
	book_store(off, 0);
}

/* Begins what its thread does not live to finish. */
static void die_in_transaction(void)
{
	struct sh_txn *txn;
	sh_off off;

	MUST(sh_mutex_lock(heap, held) == 0);
	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	off = sh_txn_alloc(txn, SMALL, 0);
	MUST(off != 0 && sh_txn_alloc(txn, LARGE, 0) != 0);
	MUST(sh_txn_store(txn, call_word(word(6)), off) == 0);
	MUST(sh_txn_write(txn, call_word(word(7)), &off, sizeof(off)) == 0);
	MUST(sh_txn_free(txn, handed[0], 0) == 0);
}

static void reaping(void)
{
	sh_off off = new_words(2);
	struct sh_reap_report report;

	held = sh_ptr(heap, off);
	handed[0] = call_alloc("alloc: for the dead", SMALL, 0, 0);
	helper_start();
	helper_die_after(die_in_transaction);
	book_store(off, held->word);
	operation_begin("reap: a dead thread's transaction", 0);
	MUST(sh_reap(heap, &report) == 0);
	operation_end();
	operation_done();
	MUST(report.threads == 1 && report.rolled_back == 1);
	lock_of_dead("mutex: of the dead", off);
	call_free("free: for the dead", handed[0]);
}

/* The same, but whoever wants its mutex finds the dead. */
static void reaping_for_mutex(void)
{
	sh_off off = new_words(2);

	held = sh_ptr(heap, off);
	handed[0] = call_alloc("alloc: for the dead", SMALL, 0, 0);
	helper_start();
	helper_die_after(die_in_transaction);
	lock_of_dead("mutex: its holder is reaped", off);
	call_free("free: for the dead", handed[0]);
}

void operations_directed(void)
{
	words = new_words(32);
	blocks();
	large_blocks();
	full_span();
	other_threads();
	page_runs();
	runs_together();
	resizing();
	through_words();
	transactions();
	mutexes();
	roots();
	deferred();
	deferred_until_drained();
	growth();
	reaping();
	reaping_for_mutex();
}
