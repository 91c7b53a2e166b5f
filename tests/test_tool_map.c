/* test_tool_map.c -- spanheap map: what it counts is what the heap holds, and what it draws is a document
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/manual.h"
#include "heap/object.h"
#include "tests/content.h"
#include "tests/tool_runner.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FINE = 0, ERROR = 1, DAMAGED = 3 };

#define PATH runner_path
#define KEY_LIMIT 32

/* --- what it says -------------------------------------------------------------------------- */

/* A number of the object in the list that has this text; UINT64_MAX: there is none. */
static uint64_t number_beside(const char *text, const char *wanted, const char *key)
{
	const char *at = strstr(text, wanted);

	return at == NULL ? UINT64_MAX : json_number_of(at, key);
}

static uint64_t pages_used_as(const struct run *run, const char *use)
{
	char wanted[KEY_LIMIT];

	snprintf(wanted, sizeof(wanted), "\"use\": \"%s\"", use);
	return number_beside(run->out, wanted, "pages");
}

static uint64_t live_bytes_used_as(const struct run *run, const char *use)
{
	char wanted[KEY_LIMIT];

	snprintf(wanted, sizeof(wanted), "\"use\": \"%s\"", use);
	return number_beside(run->out, wanted, "live_bytes");
}

/* The list of patches, and what is behind it. */
static const char *patches_of(const struct run *run)
{
	const char *at = strstr(run->out, "\"patches\"");

	CU_ASSERT_PTR_NOT_NULL(at);
	return at != NULL ? at : "";
}

/* All numbers of a key there. */
static uint64_t sum_in_patches(const struct run *run, const char *key)
{
	const char *at = patches_of(run);
	char wanted[KEY_LIMIT];
	uint64_t sum = 0;

	snprintf(wanted, sizeof(wanted), "\"%s\": ", key);
	while ((at = strstr(at, wanted)) != NULL) {
		at += strlen(wanted);
		sum += strtoull(at, NULL, 10);
	}
	return sum;
}

static struct run map_of(const char *option, uint64_t number)
{
	char text[KEY_LIMIT];
	struct run run;

	snprintf(text, sizeof(text), "%" PRIu64, number);
	run = option == NULL ? RUN("map", "--json", PATH)
			     : RUN("map", "--json", option, text, PATH);
	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(json_valid(run.out));
	/* Patches lie side by side, and have everything that is counted. */
	CU_ASSERT_EQUAL(sum_in_patches(&run, "pages"), json_number_of(run.out, "pages"));
	CU_ASSERT_EQUAL(sum_in_patches(&run, "live_bytes"),
		live_bytes_used_as(&run, "objects") + live_bytes_used_as(&run, "large") +
			live_bytes_used_as(&run, "run") + live_bytes_used_as(&run, "log"));
	return run;
}

/* Whether it agrees with `spanheap stat`, which counts in another way. */
static void expect_statistics(const struct run *map)
{
	struct run stat = RUN("stat", "--json", PATH);

	CU_ASSERT_EQUAL(stat.status, FINE);
	CU_ASSERT_EQUAL(pages_used_as(map, "objects") * PAGE_BYTES,
		json_number_of(stat.out, "small_span_bytes"));
	CU_ASSERT_EQUAL(pages_used_as(map, "large") * PAGE_BYTES,
		json_number_of(stat.out, "large_span_bytes"));
	CU_ASSERT_EQUAL(pages_used_as(map, "run") * PAGE_BYTES,
		json_number_of(stat.out, "manual_bytes"));
	CU_ASSERT_EQUAL(pages_used_as(map, "free") * PAGE_BYTES,
		json_number_of(stat.out, "free_bytes"));
	CU_ASSERT_EQUAL(live_bytes_used_as(map, "objects"),
		json_number_of(stat.out, "small_block_bytes"));
	CU_ASSERT_EQUAL(live_bytes_used_as(map, "large"),
		json_number_of(stat.out, "large_block_bytes"));
	run_free(&stat);
}

/* --- heaps --------------------------------------------------------------------------------- */

#define RUN_PAGES 7u

/* Blocks of all sizes, a third of them freed, large ones, and a page run. */
static void fill(struct thread *thread)
{
	uint64_t page;
	int error;

	for (unsigned i = 0; i < 600; i++) {
		uint64_t block = fixture_block(thread, 16 + i * 53 % SMALL_MAX_BYTES);

		if (i % 3 == 0)
			CU_ASSERT_EQUAL(object_free(thread, block), 0);
	}
	fixture_block(thread, SMALL_MAX_BYTES + 1);
	fixture_block(thread, 10 * SMALL_MAX_BYTES);
	page = manual_allocate(thread, RUN_PAGES, 0, &error);
	CU_ASSERT_NOT_EQUAL(page, 0);
}

static struct fixture *filled_heap(void)
{
	struct fixture *f = fixture_open(2, 1);

	fill(&f->threads[0]);
	fixture_give_back(&f->threads[0]);
	write_image(f, LEFT_CLEAN);
	return f;
}

/* --- counting ------------------------------------------------------------------------------ */

static void test_counts(void)
{
	struct fixture *f = filled_heap();
	struct run run = map_of(NULL, 0);

	expect_statistics(&run);
	CU_ASSERT_EQUAL(pages_used_as(&run, "run"), RUN_PAGES);
	CU_ASSERT_EQUAL(pages_used_as(&run, "damaged"), 0);
	CU_ASSERT_EQUAL(json_number_of(run.out, "first_page"), fixture_first_page(f));
	CU_ASSERT_EQUAL(json_number_of(run.out, "pages"), fixture_data_pages(f));
	run_free(&run);
	fixture_close(f);
}

/* An arena, and runs that go on through others, in a cell the pages of many blocks. */
static void test_arenas(void)
{
	struct fixture *f = fixture_open(4, 1);
	struct thread *thread = &f->threads[0];
	struct run run;

	fill(thread);
	fixture_block(thread, ARENA_BYTES + ARENA_BYTES / 2);
	fixture_give_back(thread);
	write_image(f, LEFT_CLEAN);
	run = map_of(NULL, 0);
	expect_statistics(&run);
	run_free(&run);
	run = map_of("--arena", 0);
	CU_ASSERT(pages_used_as(&run, "large") < ARENA_PAGES);
	CU_ASSERT_EQUAL(pages_used_as(&run, "metadata"), 0);
	run_free(&run);
	run = map_of("--arena", 1);
	CU_ASSERT_EQUAL(json_number_of(run.out, "first_page"), ARENA_PAGES);
	CU_ASSERT_EQUAL(pages_used_as(&run, "large"), json_number_of(run.out, "pages"));
	run_free(&run);
	EXPECT(ERROR, "map", "--arena", "4", PATH);
	fixture_close(f);
}

/* The pages around a block, each in a cell: its span is one patch. */
static void test_offset(void)
{
	struct fixture *f = fixture_open(2, 1);
	struct thread *thread = &f->threads[0];
	uint64_t block = fixture_block(thread, 3 * PAGE_BYTES + 1);
	char wanted[KEY_LIMIT];
	struct run run;

	fill(thread);
	fixture_give_back(thread);
	write_image(f, LEFT_CLEAN);
	run = map_of("--offset", block + PAGE_BYTES);
	snprintf(wanted, sizeof(wanted), "\"page\": %" PRIu64 ",", block >> PAGE_SHIFT);
	CU_ASSERT_EQUAL(json_number_of(run.out, "cell_pages"), 1);
	CU_ASSERT_EQUAL(number_beside(run.out, wanted, "head"), block >> PAGE_SHIFT);
	CU_ASSERT(number_beside(run.out, wanted, "live_bytes") > 3 * PAGE_BYTES);
	run_free(&run);
	EXPECT(ERROR, "map", "--offset", "0", PATH);
	EXPECT(ERROR, "map", "--offset", "0xffffffffffff", PATH);
	EXPECT(ERROR, "map", "--html", "--json", PATH);
	fixture_close(f);
}

/* A record that cannot be true is a patch of its own, whatever is beside it. */
static void test_damage(void)
{
	struct fixture *f = fixture_open(2, 1);
	uint64_t head = fixture_block(&f->threads[0], 2 * SMALL_MAX_BYTES) >> PAGE_SHIFT;
	struct run run;

	fill(&f->threads[0]);
	fixture_give_back(&f->threads[0]);
	span_of_head(f->heap, head)->pages = UINT32_MAX;
	write_image(f, LEFT_CLEAN);
	run = RUN("map", "--json", PATH);
	CU_ASSERT_EQUAL(run.status, DAMAGED);
	CU_ASSERT_EQUAL(pages_used_as(&run, "damaged"), 1);
	CU_ASSERT_EQUAL(sum_in_patches(&run, "pages"), json_number_of(run.out, "pages"));
	CU_ASSERT_EQUAL(count_text(patches_of(&run), "\"use\": \"damaged\""), 1);
	run_free(&run);
	run = RUN("map", "--html", PATH);
	CU_ASSERT_EQUAL(run.status, DAMAGED);
	CU_ASSERT_EQUAL(count_text(run.out, "<strong>"), 1);
	run_free(&run);
	fixture_close(f);
}

/* --- documents ----------------------------------------------------------------------------- */

#define DEPTH 16u

static size_t name_bytes(const char *at)
{
	size_t bytes = 0;

	while (isalnum((unsigned char)at[bytes]))
		bytes++;
	return bytes;
}

/* Process. Elements that are open, outermost first. */
struct elements {
	const char *names[DEPTH];
	size_t depth;
};

/* Takes the tag at `at` in; returns its end, or NULL when it does not fit. */
static const char *take_tag(struct elements *open, const char *at)
{
	const char *end = strchr(at, '>');
	bool closes = at[1] == '/';
	const char *name = at + 1 + closes;

	if (end == NULL || name_bytes(name) == 0)
		return NULL;
	if (closes) {
		const char *opened = open->depth == 0 ? "" : open->names[--open->depth];

		return name_bytes(opened) == name_bytes(name) &&
				memcmp(opened, name, name_bytes(name)) == 0
			? end
			: NULL;
	}
	if (end[-1] == '/')
		return end;
	if (open->depth == DEPTH)
		return NULL;
	open->names[open->depth++] = name;
	return end;
}

/* Whether tags fit together, and everything stands in the first element. Of text, an ampersand is an entity's. */
static bool document_valid(const char *at)
{
	static const char doctype[] = "<!DOCTYPE html>";
	struct elements open = { .depth = 0 };
	bool outside = false;

	if (strncmp(at, doctype, strlen(doctype)) == 0)
		at += strlen(doctype);
	for (; *at != '\0'; at++) {
		if (*at == '&' && at[1 + name_bytes(at + 1)] != ';')
			return false;
		if (*at == '<') {
			at = outside ? NULL : take_tag(&open, at);
			if (at == NULL)
				return false;
			outside = open.depth == 0;
		} else if (*at != '\n' && ((unsigned char)*at < 0x20 || open.depth == 0)) {
			return false;
		}
	}
	return outside;
}

static void test_documents(void)
{
	CU_ASSERT_TRUE(document_valid("<a b=\"c\"><d/>&lt;<e>x</e></a>\n"));
	CU_ASSERT_FALSE(document_valid("<a><e>x</a></e>"));
	CU_ASSERT_FALSE(document_valid("<a>x"));
	CU_ASSERT_FALSE(document_valid("<a/>x"));
	CU_ASSERT_FALSE(document_valid("<a></a><b></b>"));
	CU_ASSERT_FALSE(document_valid("<a>\x1b</a>"));
	CU_ASSERT_FALSE(document_valid("<a>x & y</a>"));
	CU_ASSERT_FALSE(document_valid(""));
}

static void expect_document(const char *option, const char *path, const char *wanted)
{
	struct run run = option == NULL ? RUN("map", path) : RUN("map", option, path);

	CU_ASSERT_EQUAL(run.status, FINE);
	CU_ASSERT_TRUE(document_valid(run.out));
	CU_ASSERT(count_text(run.out, "<rect ") > 10);
	CU_ASSERT(count_text(run.out, wanted) >= 1);
	run_free(&run);
}

static void test_drawing(void)
{
	struct fixture *f = filled_heap();
	struct run run;

	expect_document(NULL, PATH, "<svg ");
	expect_document("--html", PATH, "<html ");
	run = RUN("map", PATH);
	/* Who points at a patch learns what it is. */
	CU_ASSERT(count_text(run.out, " bytes live; live: ") >= 1);
	CU_ASSERT(count_text(run.out, "<title>") > 10);
	CU_ASSERT_EQUAL(count_text(run.out, "page runs: 7 pages"), 0);
	CU_ASSERT(count_text(run.out, "page runs at page ") >= 1);
	run_free(&run);
	fixture_close(f);
}

/* A name of a file is any bytes: no document may stumble over them. */
static void test_names(void)
{
	struct fixture *f = filled_heap();
	char odd[PATH_MAX + 64];

	snprintf(odd, sizeof(odd), "%s<&\">\x1b\xff\xc2\x9b\xef\xbf\xbf\xc3\xa4", PATH);
	CU_ASSERT_EQUAL_FATAL(rename(PATH, odd), 0);
	expect_document(NULL, odd,
		"&lt;&amp;&quot;&gt;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4");
	expect_document("--html", odd, "&lt;&amp;&quot;&gt;");
	unlink(odd);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "counts", test_counts },
	{ "arenas", test_arenas },
	{ "offset", test_offset },
	{ "damage", test_damage },
	{ "documents", test_documents },
	{ "drawing", test_drawing },
	{ "names", test_names },
	CU_TEST_INFO_NULL,
};

int test_tool_map_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "tool, map",
			.pInitFunc = runner_enter,
			.pCleanupFunc = runner_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
