/* test_tool.c -- spanheap(1), run as users run it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Whatever the file holds, and whoever uses it: the exit status is 0, 1, 2 or 3 and the right one,
 * no signal ends the tool, standard output is one JSON document when that was asked for, and the
 * verbs that read change no byte. */
#define _GNU_SOURCE
#include "heap/growth.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "recovery/superblock.h"
#include "shm/byte_lock.h"
#include "tests/content.h"
#include "tests/tool_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FINE 0
#define ERROR 1
#define UNCLEAN 2
#define DAMAGED 3

#define PATH runner_path

static const char *const reading_verbs[] = { "info", "dump", "stat", "map", "check" };
static const char *const all_verbs[] = { "info", "dump", "stat", "map", "check", "reap",
	"recover" };

/* --- heaps --------------------------------------------------------------------------------- */

#define BLOCKS 400u

/* Blocks of all sizes, some freed, some large, and a root. */
static void fill(struct fixture *f, uint64_t *blocks)
{
	uint64_t name[ROOT_NAME_BYTES / 8];

	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] =
			fixture_block(&f->threads[i % 3], 16 + i * (SMALL_MAX_BYTES - 16) / BLOCKS);
	for (unsigned i = 0; i < BLOCKS; i += 4)
		CU_ASSERT_EQUAL(object_free(&f->threads[i % 2], blocks[i]), 0);
	fixture_block(&f->threads[0], SMALL_MAX_BYTES + 1);
	CU_ASSERT_TRUE(root_name("tree", name));
	CU_ASSERT_EQUAL(root_set(&f->threads[0], name, blocks[1]), 0);
}

static struct fixture *clean_heap(void)
{
	struct fixture *f = fixture_open(2, 3);
	uint64_t blocks[BLOCKS];

	fill(f, blocks);
	for (unsigned i = 0; i < 3; i++)
		fixture_give_back(&f->threads[i]);
	return f;
}

static void log_some(struct thread *thread, struct transaction *transaction, const uint64_t *blocks)
{
	int error;

	transaction_begin(transaction, thread);
	for (unsigned i = 0; i < 5; i++) {
		CU_ASSERT_NOT_EQUAL(transaction_allocate(transaction, 100, false, &error), 0);
		CU_ASSERT_EQUAL(transaction_free(transaction, blocks[4 * i + 1]), 0);
		CU_ASSERT_EQUAL(transaction_store(transaction, blocks[4 * i + 2], i), 0);
		CU_ASSERT_EQUAL(transaction_add(transaction, blocks[4 * i + 3], 16), 0);
	}
}

/* The commit point was reached, and nothing after it. */
static void commit_and_die(struct thread *thread)
{
	struct log_word word = log_read(thread->log);

	word.state = LOG_COMMITTED;
	log_write(thread->log, word);
}

/* Three threads died: in an open transaction, in a committed one, in an allocation of pages. */
static struct fixture *killed_heap(void)
{
	struct fixture *f = fixture_open(2, 3);
	struct transaction transactions[2];
	uint64_t blocks[BLOCKS];
	int error;

	fill(f, blocks);
	log_some(&f->threads[0], &transactions[0], blocks);
	log_some(&f->threads[1], &transactions[1], blocks + 40);
	commit_and_die(&f->threads[1]);
	CU_ASSERT_NOT_EQUAL(pages_allocate(&f->threads[2], 2, &error), 0);
	return f;
}

/* --- the command line ---------------------------------------------------------------------- */

static void test_usage(void)
{
	struct run run = RUN("frobnicate", "x");

	CU_ASSERT_EQUAL(run.status, ERROR);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.err, "frobnicate"));
	CU_ASSERT_STRING_EQUAL(run.out, "");
	run_free(&run);
	run_expect(ERROR, (const char *const[]){ NULL });
	EXPECT(FINE, "-h");
	EXPECT(FINE, "--help");
	EXPECT(FINE, "--version");
	EXPECT(ERROR, "info");
	EXPECT(ERROR, "info", "a", "b");
	EXPECT(ERROR, "info", "--frobnicate", "a");
	EXPECT(ERROR, "info", "--blocks", "a");
	EXPECT(ERROR, "check", "--salvage", "a");
	EXPECT(ERROR, "dump", "--arena");
	EXPECT(ERROR, "dump", "--arena", "x", "a");
	EXPECT(ERROR, "dump", "--offset", "-1", "a");
	EXPECT(ERROR, "dump", "--class", "", "a");
}

static void test_help(void)
{
	for (size_t i = 0; i < LENGTH_OF(all_verbs); i++) {
		struct run run = RUN(all_verbs[i], "-h");

		CU_ASSERT_EQUAL(run.status, FINE);
		CU_ASSERT_PTR_NOT_NULL(strstr(run.out, all_verbs[i]));
		CU_ASSERT_STRING_EQUAL(run.err, "");
		run_free(&run);
	}
}

/* Output that cannot be written is an error, not a heap in order. */
static void test_full_output(void)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int error = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const char *const arguments[] = { "-h", NULL };

	CU_ASSERT_FATAL(full >= 0 && error >= 0);
	CU_ASSERT_EQUAL(wait_for_tool(start_tool(full, error, arguments)), ERROR);
	close(full);
	close(error);
}

static CU_TestInfo command_line_tests[] = {
	{ "usage", test_usage },
	{ "help", test_help },
	{ "full output", test_full_output },
	CU_TEST_INFO_NULL,
};

/* --- files that are no heaps --------------------------------------------------------------- */

static void expect_all(int status, const char *path)
{
	for (size_t i = 0; i < LENGTH_OF(all_verbs); i++)
		EXPECT(status, all_verbs[i], path);
}

static void test_no_regular_file(void)
{
	expect_all(ERROR, "/nowhere/at/all");
	expect_all(ERROR, "");
	expect_all(ERROR, "/");
	expect_all(ERROR, "/dev/zero");
	CU_ASSERT_EQUAL(mkfifo(PATH, 0600), 0);
	expect_all(ERROR, PATH);
	unlink(PATH);
	if (geteuid() == 0) {
		printf(" SKIPPED: an unreadable file: root reads everything. ");
		return;
	}
	CU_ASSERT_EQUAL(close(open(PATH, O_CREAT | O_RDWR, 0)), 0);
	expect_all(ERROR, PATH);
	unlink(PATH);
}

static void test_no_heap(void)
{
	static uint64_t noise[100000 / 8];
	struct random random = random_seeded("noise");

	for (size_t i = 0; i < LENGTH_OF(noise); i++)
		noise[i] = random_next(&random);
	write_file(PATH, "", 0);
	expect_all(DAMAGED, PATH);
	write_file(PATH, "x", 1);
	expect_all(DAMAGED, PATH);
	write_file(PATH, noise, sizeof(noise));
	expect_all(DAMAGED, PATH);
	/* Sparse, and larger than memory. */
	CU_ASSERT_EQUAL(truncate(PATH, (off_t)1 << 38), 0);
	for (size_t i = 0; i < LENGTH_OF(reading_verbs); i++)
		EXPECT(DAMAGED, reading_verbs[i], PATH);
}

/* A superblock of another format, with a right checksum, is nobody's damage. */
static void test_other_build(void)
{
	struct fixture *f = clean_heap();
	struct superblock superblock;
	struct run run;
	int copies;

	CU_ASSERT_EQUAL(superblock_read(f->image.base, f->image.bytes, &superblock, &copies), 0);
	superblock.format_version++;
	superblock_write(f->image.base, &superblock);
	write_file(PATH, f->image.base,
		heap_header_bytes(f->heap->max_bytes, f->heap->thread_slots));
	run = RUN("info", PATH);
	CU_ASSERT_EQUAL(run.status, ERROR);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.err, "format version"));
	run_free(&run);
	expect_all(ERROR, PATH);
	fixture_close(f);
}

/* --- a clean heap -------------------------------------------------------------------------- */

/* Runs a verb that reads, asserts that nothing changed and that --json gives JSON. */
static struct run look(int status, const char *verb)
{
	uint64_t digest = digest_of(PATH);
	struct run run = RUN(verb, "--json", PATH);

	CU_ASSERT_EQUAL(run.status, status);
	CU_ASSERT_TRUE(json_valid(run.out));
	EXPECT(status, verb, PATH);
	CU_ASSERT_EQUAL(digest_of(PATH), digest);
	return run;
}

static void look_at_all(int status)
{
	for (size_t i = 0; i < LENGTH_OF(reading_verbs); i++) {
		struct run run = look(status, reading_verbs[i]);

		run_free(&run);
	}
}

static void test_info(void)
{
	struct fixture *f = clean_heap();
	uint64_t end = write_image(f, LEFT_CLEAN);
	struct run run = look(FINE, "info");

	CU_ASSERT_PTR_NOT_NULL(strstr(run.out, "\"state\": \"clean\""));
	CU_ASSERT_EQUAL(json_number_of(run.out, "max_bytes"), f->heap->max_bytes);
	CU_ASSERT_EQUAL(json_number_of(run.out, "file_bytes"), end);
	CU_ASSERT_EQUAL(json_number_of(run.out, "page_bytes"), PAGE_BYTES);
	CU_ASSERT_EQUAL(json_number_of(run.out, "thread_slots"), FIXTURE_SLOTS + 1);
	CU_ASSERT_EQUAL(json_number_of(run.out, "arenas"), heap_arena_count(f->heap));
	CU_ASSERT_EQUAL(count_text(run.out, "\"name\": \"tree\""), 1);
	run_free(&run);
	fixture_close(f);
}

/* A name is any bytes: no terminal and no parser may stumble over them. */
static void test_root_names(void)
{
	static const char odd[] = "\x1b[31m\xff\"\\\n\xc3\xa4\xc2\x9b";
	struct fixture *f = clean_heap();
	uint64_t name[ROOT_NAME_BYTES / 8];
	struct run run;

	CU_ASSERT_TRUE(root_name(odd, name));
	CU_ASSERT_EQUAL(root_set(&f->threads[0], name, 64), 0);
	write_image(f, LEFT_CLEAN);
	run = look(FINE, "info");
	CU_ASSERT_EQUAL(count_text(run.out, "\\u001b[31m\\ufffd\\\"\\\\\\u000a\xc3\xa4"), 1);
	run_free(&run);
	run = RUN("info", PATH);
	CU_ASSERT_PTR_NULL(strchr(run.out, '\x1b'));
	CU_ASSERT_EQUAL(count_text(run.out, "\\x1b[31m\\xff\"\\x5c\\x0a\xc3\xa4\\xc2\\x9b"), 1);
	run_free(&run);
	fixture_close(f);
}

static void test_dump(void)
{
	struct fixture *f = clean_heap();
	uint64_t live = fixture_live_blocks(f);
	struct run run;

	write_image(f, LEFT_CLEAN);
	run = RUN("dump", "--blocks", "--json", PATH);
	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(json_valid(run.out));
	CU_ASSERT_EQUAL(count_text(run.out, "\"bytes\": "), live);
	CU_ASSERT_EQUAL(count_text(run.out, "\"purpose\": \"large\""), 1);
	CU_ASSERT_EQUAL(json_number_of(run.out, "spans"), count_text(run.out, "\"purpose\": "));
	run_free(&run);
	run = look(FINE, "dump");
	CU_ASSERT_EQUAL(count_text(run.out, "\"bytes\": "), 0);
	run_free(&run);
	fixture_close(f);
}

static uint64_t spans_shown(const char *option, uint64_t number)
{
	char text[32];
	struct run run;
	uint64_t count;

	snprintf(text, sizeof(text), "%" PRIu64, number);
	run = RUN("dump", "--json", option, text, PATH);
	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(json_valid(run.out));
	count = count_text(run.out, "\"purpose\": ");
	run_free(&run);
	return count;
}

static void test_dump_filters(void)
{
	struct fixture *f = clean_heap();
	uint64_t block = fixture_block(&f->threads[0], 100);
	struct run run;

	write_image(f, LEFT_CLEAN);
	run = RUN("dump", "--json", PATH);
	CU_ASSERT_EQUAL(spans_shown("--arena", 0), count_text(run.out, "\"purpose\": "));
	run_free(&run);
	CU_ASSERT_EQUAL(spans_shown("--offset", block + 1), 1);
	CU_ASSERT_EQUAL(spans_shown("--offset", 0), 0);
	CU_ASSERT_EQUAL(spans_shown("--offset", UINT64_MAX - 1), 0);
	CU_ASSERT_EQUAL(spans_shown("--class", SMALL_MAX_BYTES + 1), 1);
	CU_ASSERT_EQUAL(spans_shown("--class", 97), spans_shown("--class", 112));
	CU_ASSERT(spans_shown("--class", 97) >= 1);
	CU_ASSERT_EQUAL(spans_shown("--class", 0), 0);
	EXPECT(ERROR, "dump", "--arena", "1000000", PATH);
	fixture_close(f);
}

static void test_check_clean(void)
{
	struct fixture *f = clean_heap();
	struct run run;

	write_image(f, LEFT_CLEAN);
	run = look(FINE, "check");
	CU_ASSERT_EQUAL(json_number_of(run.out, "problem_count"), 0);
	CU_ASSERT_PTR_NULL(strstr(run.out, "\"recovery\""));
	run_free(&run);
	fixture_close(f);
}

/* A heap that nobody ever allocated from is a header and no arena. */
static void test_new_heap(void)
{
	struct fixture *f = fixture_open(2, 0);

	write_image(f, LEFT_CLEAN);
	look_at_all(FINE);
	fixture_close(f);
}

static CU_TestInfo file_tests[] = {
	{ "no regular file", test_no_regular_file },
	{ "no heap", test_no_heap },
	{ "another build's heap", test_other_build },
	{ "a new heap", test_new_heap },
	{ "info", test_info },
	{ "names of roots", test_root_names },
	{ "dump", test_dump },
	{ "dump with filters", test_dump_filters },
	{ "check of a clean heap", test_check_clean },
	CU_TEST_INFO_NULL,
};

/* --- heaps that were not closed ------------------------------------------------------------ */

static void test_recoverable(void)
{
	struct fixture *f = killed_heap();
	const struct reap_counts *counts = &f->image.thread.counts;
	struct run run;

	write_image(f, LEFT_RECOVERABLE);
	look_at_all(UNCLEAN);
	run = look(UNCLEAN, "dump");
	CU_ASSERT_EQUAL(count_text(run.out, "\"state\": \"open\""), 1);
	CU_ASSERT_EQUAL(count_text(run.out, "\"state\": \"committed\""), 1);
	CU_ASSERT_EQUAL(count_text(run.out, "\"operation\": \"allocate\""), 1);
	run_free(&run);
	/* What the trial says is what recovery does. */
	run = look(UNCLEAN, "check");
	CU_ASSERT_EQUAL(fixture_reopen(f, 0), 0);
	CU_ASSERT_EQUAL(counts->rolled_back, 1);
	CU_ASSERT_EQUAL(json_number_of(run.out, "rolled_back"), counts->rolled_back);
	CU_ASSERT_EQUAL(json_number_of(run.out, "rolled_forward"), counts->rolled_forward);
	CU_ASSERT_EQUAL(json_number_of(run.out, "blocks_freed"), counts->blocks_freed);
	CU_ASSERT_EQUAL(json_number_of(run.out, "operations_undone"), counts->operations_undone);
	CU_ASSERT_EQUAL(json_number_of(run.out, "spans"), f->image.recovery.spans);
	CU_ASSERT_EQUAL(json_number_of(run.out, "quarantined"), 0);
	run_free(&run);
	fixture_close(f);
}

static void expect_state(int status, const char *state, const char *reason)
{
	struct run run = look(status, "info");

	CU_ASSERT_PTR_NOT_NULL(strstr(run.out, state));
	CU_ASSERT_PTR_NOT_NULL(strstr(run.out, reason));
	if (strstr(run.out, state) == NULL || strstr(run.out, reason) == NULL)
		printf("\n    expected %s, %s:\n%.400s\n", state, reason, run.out);
	run_free(&run);
}

static void spoil_control(uint64_t offset)
{
	poke(runner_shm_path, offset, "spoiled", 8);
}

static void test_torn(void)
{
	struct fixture *f = killed_heap();

	write_image(f, LEFT_TORN);
	expect_state(DAMAGED, "torn", "no control file");
	EXPECT(DAMAGED, "check", PATH);
	EXPECT(DAMAGED, "recover", PATH);
	write_image(f, LEFT_RECOVERABLE);
	spoil_control(offsetof(struct control_header, heap_id));
	expect_state(DAMAGED, "torn", "another heap's");
	write_image(f, LEFT_RECOVERABLE);
	spoil_control(offsetof(struct control_header, nonce));
	expect_state(DAMAGED, "torn", "another run");
	write_image(f, LEFT_RECOVERABLE);
	spoil_control(offsetof(struct control_header, boot_id));
	expect_state(DAMAGED, "torn", "restarted");
	write_image(f, LEFT_RECOVERABLE);
	spoil_control(offsetof(struct control_header, stamp));
	expect_state(DAMAGED, "torn", "copied or put back");
	write_image(f, LEFT_RECOVERABLE);
	CU_ASSERT_EQUAL(truncate(runner_shm_path, 100), 0);
	expect_state(DAMAGED, "torn", "cannot be read");
	fixture_close(f);
}

/* The control file may be one stamp behind: a death between the two stores. */
static void test_stamp_behind(void)
{
	struct fixture *f = killed_heap();
	uint64_t offset = (uint64_t)((char *)&f->heap->running->stamp - f->image.base);
	uint64_t stamp = atomic_load(&f->heap->running->stamp) + 1;

	write_image(f, LEFT_RECOVERABLE);
	poke(PATH, offset, &stamp, sizeof(stamp));
	expect_state(UNCLEAN, "recoverable", "not closed");
	stamp++;
	poke(PATH, offset, &stamp, sizeof(stamp));
	expect_state(DAMAGED, "torn", "copied or put back");
	fixture_close(f);
}

/* The control file is beside the heap file, not beside a link to it. */
static void test_link(void)
{
	struct fixture *f = killed_heap();
	char name[PATH_MAX + 8];

	write_image(f, LEFT_RECOVERABLE);
	snprintf(name, sizeof(name), "%s.link", PATH);
	CU_ASSERT_EQUAL(symlink(PATH, name), 0);
	EXPECT(UNCLEAN, "info", name);
	unlink(name);
	fixture_close(f);
}

static void test_superblock_copies(void)
{
	struct fixture *f = clean_heap();
	uint64_t b = heap_superblock_b_offset(f->heap->max_bytes, f->heap->thread_slots);
	struct superblock older;

	memcpy(&older, f->image.base, sizeof(older));
	write_image(f, LEFT_CLEAN);
	poke(PATH, 100, "spoiled", 8);
	expect_state(DAMAGED, "\"copy_a\": \"damaged\"", "\"copy_b\": \"current\"");
	poke(PATH, 0, &older, sizeof(older));
	expect_state(DAMAGED, "\"copy_a\": \"older\"", "\"copy_b\": \"current\"");
	poke(PATH, b + 100, "spoiled", 8);
	expect_state(DAMAGED, "\"copy_a\": \"current\"", "\"copy_b\": \"damaged\"");
	poke(PATH, 100, "spoiled", 8);
	for (size_t i = 0; i < LENGTH_OF(reading_verbs); i++)
		EXPECT(DAMAGED, reading_verbs[i], PATH);
	/* With the proof of the control file, one copy is enough. */
	write_image(f, LEFT_RECOVERABLE);
	poke(PATH, 100, "spoiled", 8);
	expect_state(UNCLEAN, "\"copy_a\": \"damaged\"", "recoverable");
	fixture_close(f);
}

/* A death between the making of an arena and the backing of its first chunk: the frontier stands
 * where the file has not come to. */
static void test_arena_without_chunks(void)
{
	struct fixture *f = fixture_open(2, 1);

	CU_ASSERT_EQUAL(growth_make_arena(f->heap, 0), 0);
	write_image(f, LEFT_CLEAN);
	look_at_all(FINE);
	write_image(f, LEFT_RECOVERABLE);
	look_at_all(UNCLEAN);
	EXPECT(FINE, "recover", PATH);
	EXPECT(FINE, "check", PATH);
	fixture_close(f);
}

static CU_TestInfo unclean_tests[] = {
	{ "recoverable", test_recoverable },
	{ "torn", test_torn },
	{ "a stamp behind", test_stamp_behind },
	{ "behind a link", test_link },
	{ "copies of the superblock", test_superblock_copies },
	{ "an arena without chunks", test_arena_without_chunks },
	CU_TEST_INFO_NULL,
};

/* --- damage -------------------------------------------------------------------------------- */

static uint64_t offset_in(const struct fixture *f, const void *address)
{
	return (uint64_t)((const char *)address - f->image.base);
}

/* Plants one wrong word in a clean heap; the check names the offset, and puts it first. */
static void expect_problem(struct fixture *f, const void *address, uint64_t value,
	uint64_t named_offset)
{
	struct run run;

	write_image(f, LEFT_CLEAN);
	poke(PATH, offset_in(f, address), &value, sizeof(value));
	run = look(DAMAGED, "check");
	CU_ASSERT_EQUAL(json_number_of(run.out, "offset"), named_offset);
	if (json_number_of(run.out, "offset") != named_offset)
		printf("\n    %.800s\n", run.out);
	run_free(&run);
	for (size_t i = 0; i < LENGTH_OF(reading_verbs); i++) {
		run = RUN(reading_verbs[i], "--json", PATH);
		CU_ASSERT(run.status <= DAMAGED);
		CU_ASSERT_TRUE(json_valid(run.out));
		run_free(&run);
	}
}

static void test_planted_damage(void)
{
	struct fixture *f = clean_heap();
	struct heap *heap = f->heap;
	uint64_t block = fixture_block(&f->threads[0], 176);
	uint64_t head = span_find(heap, block >> PAGE_SHIFT);
	struct span *span = span_of_head(heap, head);
	/* Not a multiple of 64 blocks, so the last word has bits of none; and three pages at least, two of
	 * which share a word of the spans table. */
	unsigned last = span_size_class(heap, span->span_class)->words - 1;
	struct root *root = &heap->roots[0];

	expect_problem(f, span, 0, page_offset(head));
	expect_problem(f, span, UINT64_MAX, page_offset(head));
	expect_problem(f, &span->freed[last], UINT64_MAX, page_offset(head));
	expect_problem(f, (uint64_t *)(void *)span_table_entry(heap, (head + 1) & ~UINT64_C(1)), 0,
		page_offset(head));
	expect_problem(f, &heap->logs[3].word, 15, offset_in(f, &heap->logs[3]));
	expect_problem(f, &heap->logs[3].intent[0], run_make(RUN_FREE, 1, 1),
		offset_in(f, &heap->logs[3]));
	expect_problem(f, &root->value[atomic_load(&root->sequence) & 1], UINT64_MAX,
		offset_in(f, root));
	expect_problem(f, arena_header(heap, 0), 1, arena_zone(heap, 0));
	expect_problem(f, heap->directory, 0, offset_in(f, heap->directory));
	expect_problem(f, heap->directory, UINT64_MAX, offset_in(f, heap->directory));
	expect_problem(f, &heap->running->arena_count, UINT64_MAX, SUPERBLOCK_STRIDE);
	fixture_close(f);
}

/* Where the file is cut off does not matter: what is beyond is not looked at. */
static void test_truncated(void)
{
	struct fixture *f = clean_heap();
	const struct heap *heap = f->heap;
	uint64_t end = write_image(f, LEFT_CLEAN);
	uint64_t header = heap_header_bytes(heap->max_bytes, heap->thread_slots);
	uint64_t meta = chunk_meta_offset(heap, arena_first_chunk(heap, 0));
	uint64_t edges[] = { end, end - PAGE_BYTES, end - CHUNK_BYTES,
		arena_first_chunk(heap, 0) * CHUNK_BYTES, meta + META_STRIDE, meta,
		chunk_table_offset(heap, arena_first_chunk(heap, 0)),
		arena_zone(heap, 0) + ARENA_HEAD_BYTES, arena_zone(heap, 0) + ARENA_HEADER_BYTES,
		arena_zone(heap, 0), header, header - SUPERBLOCK_STRIDE, offset_in(f, heap->logs),
		offset_in(f, heap->roots), offset_in(f, heap->directory), SUPERBLOCK_STRIDE, 4096,
		sizeof(struct superblock), 1 };

	for (size_t i = 0; i < LENGTH_OF(edges); i++)
		for (uint64_t bytes = edges[i] + 1; bytes + 1 >= edges[i]; bytes--) {
			write_image(f, LEFT_CLEAN);
			CU_ASSERT_EQUAL(truncate(PATH, (off_t)bytes), 0);
			for (size_t v = 0; v < LENGTH_OF(reading_verbs); v++)
				EXPECT(bytes >= end ? FINE : DAMAGED, reading_verbs[v], PATH);
			if (bytes == 0)
				break;
		}
	fixture_close(f);
}

/* The tool is stopped by a full pipe in the middle of its output, and loses the file then. */
static void test_truncated_meanwhile(void)
{
	static const char *const arguments[] = { "dump", "--json", "--blocks", PATH, NULL };
	struct fixture *f = clean_heap();
	int error = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char buffer[4096];
	int pipes[2];
	pid_t tool;

	write_image(f, LEFT_CLEAN);
	CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
	fcntl(pipes[1], F_SETPIPE_SZ, sizeof(buffer));
	tool = start_tool(pipes[1], error, arguments);
	close(pipes[1]);
	CU_ASSERT_EQUAL(read(pipes[0], buffer, 1), 1);
	CU_ASSERT_EQUAL(truncate(PATH, 0), 0);
	while (read(pipes[0], buffer, sizeof(buffer)) > 0)
		;
	CU_ASSERT_EQUAL(wait_for_tool(tool), ERROR);
	close(pipes[0]);
	close(error);
	fixture_close(f);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/* Of each kind of heap. A sanitized tool takes twenty times as long to start. */
#ifdef SANITIZED
#define MUTANTS 40
#else
#define MUTANTS 300
#endif

/* Somewhere in what describes the heap. */
static uint64_t random_place(const struct fixture *f, struct random *random)
{
	const struct heap *heap = f->heap;
	uint64_t first = arena_first_chunk(heap, 0) << CHUNK_PAGES_SHIFT;
	uint64_t pages = (arena_frontier(heap, 0) << CHUNK_PAGES_SHIFT) - first;
	uint64_t page = first + random_below(random, pages);

	for (int i = 0; i < 1000 && !head_is_set(heap, page); i++)
		page = first + random_below(random, pages);
	switch (random_below(random, 7)) {
	case 0:
		return random_below(random, SUPERBLOCK_STRIDE + 256) & ~UINT64_C(7);
	case 1:
		return offset_in(f, &heap->roots[random_below(random, ROOT_COUNT)]);
	case 2:
		return offset_in(f, &heap->logs[random_below(random, 3)]) +
			8 * random_below(random, sizeof(struct slot_log) / 8);
	case 3:
		return offset_in(f, heap->log_entries) +
			8 * random_below(random, 3 * LOG_INLINE_ENTRIES * LOG_ENTRY_BYTES / 8);
	case 4:
		return offset_in(f, head_word(heap, page));
	case 5:
		return offset_in(f, span_of_head(heap, page)) + 8 * random_below(random, 16);
	default:
		return offset_in(f, span_table_entry(heap, page)) & ~UINT64_C(7);
	}
}

static uint64_t random_word(struct random *random, uint64_t before)
{
	switch (random_below(random, 4)) {
	case 0:
		return random_next(random);
	case 1:
		return random_next(random) >> random_below(random, 64);
	case 2:
		return before + random_below(random, 17) - 8;
	default:
		return before ^ UINT64_C(1) << random_below(random, 64);
	}
}

static void read_word(uint64_t offset, uint64_t *word)
{
	int fd = open(PATH, O_RDONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL_FATAL(pread(fd, word, sizeof(*word), (off_t)offset), sizeof(*word));
	close(fd);
}

static bool same_times(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_blocks == b->st_blocks &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
		a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The tool survives the file as it is, and leaves it so. */
static void survive(const char *verb, uint64_t seed)
{
	struct stat before;
	struct stat after;
	struct run run;

	CU_ASSERT_EQUAL(stat(PATH, &before), 0);
	run = RUN(verb, "--json", PATH);
	CU_ASSERT(run.status <= DAMAGED && run.status != ERROR);
	CU_ASSERT(run.out[0] == '\0' || json_valid(run.out));
	if (run.status > DAMAGED || run.status == ERROR)
		printf("\n    mutant of SH_SEED=0x%" PRIx64 ": %s: status %d\n%.2000s\n", seed,
			verb, run.status, run.err);
	CU_ASSERT_EQUAL(stat(PATH, &after), 0);
	CU_ASSERT_TRUE(same_times(&before, &after));
	run_free(&run);
}

static void mutate_and_survive(const struct fixture *f, struct random *random)
{
	uint64_t seed = random->state;
	uint64_t places[4];
	uint64_t before[4];
	uint64_t count = 1 + random_below(random, LENGTH_OF(places));

	for (uint64_t i = 0; i < count; i++) {
		uint64_t word;

		places[i] = random_place(f, random);
		read_word(places[i], &before[i]);
		word = random_word(random, before[i]);
		poke(PATH, places[i], &word, sizeof(word));
	}
	survive("check", seed);
	survive(reading_verbs[random_below(random, 3)], seed);
	for (uint64_t i = count; i-- > 0;)
		poke(PATH, places[i], &before[i], sizeof(before[i]));
}

static void survive_mutants(struct fixture *f, enum left_behind left, struct random *random)
{
	uint64_t digest;

	write_image(f, left);
	digest = digest_of(PATH);
	for (unsigned i = 0; i < MUTANTS; i++)
		mutate_and_survive(f, random);
	CU_ASSERT_EQUAL(digest_of(PATH), digest);
	fixture_close(f);
}

static void test_mutants(void)
{
	struct random random = random_seeded("mutants");

	survive_mutants(clean_heap(), LEFT_CLEAN, &random);
	survive_mutants(killed_heap(), LEFT_RECOVERABLE, &random);
	survive_mutants(killed_heap(), LEFT_TORN, &random);
}

static CU_TestInfo damage_tests[] = {
	{ "planted", test_planted_damage },
	{ "truncated", test_truncated },
	{ "truncated meanwhile", test_truncated_meanwhile },
	{ "mutants", test_mutants },
	CU_TEST_INFO_NULL,
};

/* --- heaps in use -------------------------------------------------------------------------- */

/* Whoever holds the byte uses the heap, as far as anybody can know. */
static void test_lock_means_use(void)
{
	struct fixture *f = killed_heap();
	int fd;

	write_image(f, LEFT_TORN);
	fd = open(PATH, O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(byte_lock_set(fd, BYTE_LOCK_SHARED, BYTE_ATTACHED), 0);
	look_at_all(FINE);
	expect_state(FINE, "in use", "\"in_use\": true");
	byte_lock_clear(fd, BYTE_ATTACHED);
	CU_ASSERT_EQUAL(byte_lock_set(fd, BYTE_LOCK_EXCLUSIVE, BYTE_OPENING), 0);
	expect_state(FINE, "in use", "\"in_use\": true");
	close(fd);
	expect_state(DAMAGED, "torn", "\"in_use\": false");
	fixture_close(f);
}

/* Allocates and frees until it is killed. Tells through `ready` that it is at it. */
static void work(int ready, uint64_t seed)
{
	struct random random = { .state = seed };
	sh_off blocks[500] = { 0 };
	struct sh_heap *heap;

	if (sh_open(PATH, 0, NULL, &heap) != 0 || (blocks[0] = sh_alloc(heap, 1)) == 0 ||
		write(ready, "", 1) != 1)
		_exit(1);
	for (;;) {
		uint64_t i = random_below(&random, LENGTH_OF(blocks));
		uint64_t bits = random_below(&random, 17);

		if (sh_free(heap, blocks[i]) != 0)
			_exit(1);
		blocks[i] = sh_alloc(heap, 1 + (random_next(&random) & ((1u << bits) - 1)));
	}
}

static pid_t start_worker(uint64_t seed)
{
	int pipes[2];
	char byte;
	pid_t child;

	fflush(NULL);
	CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
	child = fork();
	if (child == 0)
		work(pipes[1], seed);
	close(pipes[1]);
	CU_ASSERT_EQUAL_FATAL(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	return child;
}

static void kill_worker(pid_t child)
{
	int status;

	CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void create_heap(void)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct sh_heap *heap;

	unlink(PATH);
	unlink(runner_shm_path);
	options.max_size = UINT64_C(1) << 30;
	CU_ASSERT_EQUAL_FATAL(sh_open(PATH, SH_CREATE, &options, &heap), 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
}

#define LOOKS 20

static void test_beside_work(void)
{
	struct random random = random_seeded("beside work");
	pid_t workers[2];

	create_heap();
	for (size_t i = 0; i < LENGTH_OF(workers); i++)
		workers[i] = start_worker(random_next(&random));
	for (int i = 0; i < LOOKS; i++) {
		struct run run = RUN("check", "--json", PATH);

		CU_ASSERT_EQUAL(run.status, FINE);
		if (run.status != FINE)
			printf("\n%.2000s%s\n", run.out, run.err);
		CU_ASSERT_TRUE(json_valid(run.out));
		run_free(&run);
		EXPECT(FINE, "dump", "--blocks", PATH);
		EXPECT(FINE, "info", PATH);
		EXPECT(FINE, "stat", PATH);
		EXPECT(FINE, "map", PATH);
	}
	for (size_t i = 0; i < LENGTH_OF(workers); i++)
		kill_worker(workers[i]);
	look_at_all(UNCLEAN);
}

static void test_reap(void)
{
	pid_t living;
	struct run run;

	create_heap();
	EXPECT(FINE, "reap", PATH);
	living = start_worker(1);
	kill_worker(start_worker(2));
	run = RUN("reap", "--json", PATH);
	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(json_valid(run.out));
	/* The living one may have been faster. */
	CU_ASSERT(json_number_of(run.out, "processes") <= 1);
	run_free(&run);
	run = RUN("reap", "--json", PATH);
	CU_ASSERT_EQUAL(json_number_of(run.out, "processes"), 0);
	run_free(&run);
	kill_worker(living);
	EXPECT(UNCLEAN, "reap", PATH);
}

static void test_recover(void)
{
	struct run run;

	create_heap();
	kill_worker(start_worker(3));
	EXPECT(UNCLEAN, "check", PATH);
	run = RUN("recover", "--json", PATH);
	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(json_valid(run.out));
	CU_ASSERT_PTR_NOT_NULL(strstr(run.out, "\"state\": \"clean\""));
	CU_ASSERT(json_number_of(run.out, "nanoseconds") > 0);
	run_free(&run);
	EXPECT(FINE, "check", PATH);
	EXPECT(FINE, "recover", PATH);
}

static void test_recover_in_use(void)
{
	pid_t living;
	struct run run;

	create_heap();
	living = start_worker(4);
	run = RUN("recover", "--json", PATH);
	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.out, "\"in_use\": true"));
	run_free(&run);
	kill_worker(living);
}

static void test_salvage(void)
{
	struct run run;

	create_heap();
	kill_worker(start_worker(5));
	unlink(runner_shm_path);
	run = RUN("recover", PATH);
	CU_ASSERT_EQUAL(run.status, DAMAGED);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.err, "--salvage"));
	run_free(&run);
	EXPECT(FINE, "recover", "--salvage", PATH);
	look_at_all(FINE);
}

/* A salvaged heap is marked clean; what recovery set aside is still wrong. */
static void test_salvage_damaged(void)
{
	struct fixture *f = killed_heap();
	uint64_t block = fixture_block(&f->threads[0], 64);
	uint64_t head = span_find(f->heap, block >> PAGE_SHIFT);

	memset(span_of_head(f->heap, head), 0, 8);
	write_image(f, LEFT_TORN);
	EXPECT(DAMAGED, "recover", "--salvage", PATH);
	EXPECT(DAMAGED, "check", PATH);
	EXPECT(FINE, "info", PATH);
	fixture_close(f);
}

static CU_TestInfo use_tests[] = {
	{ "a lock means use", test_lock_means_use },
	{ "beside work", test_beside_work },
	{ "reap", test_reap },
	{ "recover", test_recover },
	{ "recover in use", test_recover_in_use },
	{ "salvage", test_salvage },
	{ "salvage of damage", test_salvage_damaged },
	CU_TEST_INFO_NULL,
};

int test_tool_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "tool, command line", .pTests = command_line_tests },
		{ .pName = "tool, files",
			.pInitFunc = runner_enter,
			.pCleanupFunc = runner_leave,
			.pTests = file_tests },
		{ .pName = "tool, unclean heaps",
			.pInitFunc = runner_enter,
			.pCleanupFunc = runner_leave,
			.pTests = unclean_tests },
		{ .pName = "tool, damage",
			.pInitFunc = runner_enter,
			.pCleanupFunc = runner_leave,
			.pTests = damage_tests },
		{ .pName = "tool, heaps in use",
			.pInitFunc = runner_enter,
			.pCleanupFunc = runner_leave,
			.pTests = use_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
