/* test_root.c -- named roots: as many as fit, removal, reuse, pins
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/root.h"

#include "heap/log.h"
#include "tests/fixture.h"

#include <spanheap.h>
#include <stdio.h>

#define NAME_WORDS (ROOT_NAME_BYTES / 8)

/* A name, as the words of an entry. */
struct name {
	uint64_t words[NAME_WORDS];
};

static struct name named(const char *text)
{
	struct name name;

	CU_ASSERT_TRUE_FATAL(root_name(text, name.words));
	/* cppcheck-suppress uninitvar ; filled in by root_name */
	return name;
}

static struct name numbered(unsigned i)
{
	char text[32];

	snprintf(text, sizeof(text), "root %u", i);
	return named(text);
}

static uint64_t get(const struct fixture *f, struct name name)
{
	uint64_t value = 0;
	bool found = root_get(f->heap, name.words, &value);

	CU_ASSERT_EQUAL(found, value != 0);
	return value;
}

static int set(struct thread *thread, struct name name, uint64_t value)
{
	return root_set(thread, name.words, value);
}

static void test_names(void)
{
	char text[ROOT_NAME_BYTES + 8];
	struct name name;

	CU_ASSERT_FALSE(root_name(NULL, name.words));
	CU_ASSERT_FALSE(root_name("", name.words));
	memset(text, 'x', sizeof(text));
	text[ROOT_NAME_BYTES - 1] = '\0';
	CU_ASSERT_TRUE(root_name(text, name.words));
	CU_ASSERT_EQUAL(memcmp(name.words, text, ROOT_NAME_BYTES), 0);
	text[ROOT_NAME_BYTES - 1] = 'x';
	text[ROOT_NAME_BYTES] = '\0';
	CU_ASSERT_FALSE(root_name(text, name.words));
	CU_ASSERT_TRUE(root_name("a", name.words));
	CU_ASSERT_EQUAL(name.words[0], 'a');
	for (unsigned i = 1; i < NAME_WORDS; i++)
		CU_ASSERT_EQUAL(name.words[i], 0);
}

static void test_set_and_get(void)
{
	struct fixture *f = fixture_open(1, 2);

	CU_ASSERT_EQUAL(get(f, named("a")), 0);
	CU_ASSERT_EQUAL(set(&f->threads[0], named("a"), 0), 0);
	CU_ASSERT_EQUAL(set(&f->threads[0], named("a"), 16), 0);
	CU_ASSERT_EQUAL(get(f, named("a")), 16);
	CU_ASSERT_EQUAL(get(f, named("b")), 0);
	CU_ASSERT_EQUAL(set(&f->threads[1], named("a"), 32), 0);
	CU_ASSERT_EQUAL(get(f, named("a")), 32);
	CU_ASSERT_EQUAL(fixture_reopen(f, 1), 0);
	CU_ASSERT_EQUAL(get(f, named("a")), 32);
	CU_ASSERT_EQUAL(set(&f->threads[0], named("a"), 0), 0);
	CU_ASSERT_EQUAL(get(f, named("a")), 0);
	fixture_expect_good(f);
	fixture_close(f);
}

static void fill_table(struct fixture *f)
{
	for (unsigned i = 0; i < ROOT_COUNT; i++)
		CU_ASSERT_EQUAL_FATAL(set(&f->threads[0], numbered(i), 16 + 16 * i), 0);
}

static void test_full(void)
{
	struct fixture *f = fixture_open(1, 1);

	fill_table(f);
	for (unsigned i = 0; i < ROOT_COUNT; i++)
		CU_ASSERT_EQUAL(get(f, numbered(i)), 16 + 16 * i);
	CU_ASSERT_EQUAL(get(f, numbered(ROOT_COUNT)), 0);
	CU_ASSERT_EQUAL(set(&f->threads[0], numbered(ROOT_COUNT), 16), SH_EFULL);
	CU_ASSERT_EQUAL(set(&f->threads[0], numbered(ROOT_COUNT), 0), 0);
	CU_ASSERT_EQUAL(set(&f->threads[0], numbered(3), 48), 0);
	CU_ASSERT_EQUAL(get(f, numbered(3)), 48);
	fixture_expect_good(f);
	fixture_close(f);
}

/* Every entry is removed and gets another name; the old names are gone, the others stand. */
static void test_reuse(void)
{
	struct fixture *f = fixture_open(1, 1);

	fill_table(f);
	for (unsigned i = 0; i < ROOT_COUNT; i++) {
		CU_ASSERT_EQUAL(set(&f->threads[0], numbered(i), 0), 0);
		CU_ASSERT_EQUAL(get(f, numbered(i)), 0);
		CU_ASSERT_EQUAL(set(&f->threads[0], numbered(ROOT_COUNT + i), 16), 0);
		CU_ASSERT_EQUAL(set(&f->threads[0], numbered(2 * ROOT_COUNT), 16), SH_EFULL);
		CU_ASSERT_EQUAL(get(f, numbered(ROOT_COUNT + i)), 16);
		CU_ASSERT_EQUAL(get(f, numbered(ROOT_COUNT - 1)),
			i + 1 < ROOT_COUNT ? 16 + 16 * (ROOT_COUNT - 1) : 0);
	}
	for (unsigned i = 0; i < ROOT_COUNT; i++)
		CU_ASSERT_EQUAL(get(f, numbered(ROOT_COUNT + i)), 16);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_pins(void)
{
	struct fixture *f = fixture_open(1, 2);
	struct name pinned = named("pinned");
	struct name other = named("other");
	uint64_t index;
	uint64_t again;

	fill_table(f);
	CU_ASSERT_EQUAL(root_pin(&f->threads[1], pinned.words, &index), SH_EFULL);
	CU_ASSERT_EQUAL(set(&f->threads[0], numbered(5), 0), 0);
	CU_ASSERT_EQUAL(root_pin(&f->threads[1], pinned.words, &index), 0);
	CU_ASSERT_TRUE(index < ROOT_COUNT);
	CU_ASSERT_EQUAL(get(f, pinned), 0);
	/* It has no value, but nobody else may have the entry. */
	CU_ASSERT_EQUAL(set(&f->threads[0], other, 16), SH_EFULL);
	CU_ASSERT_EQUAL(root_pin(&f->threads[0], other.words, &again), SH_EFULL);
	CU_ASSERT_EQUAL(root_pin(&f->threads[0], pinned.words, &again), 0);
	CU_ASSERT_EQUAL(again, index);
	root_unpin_all(f->heap, 1);
	CU_ASSERT_EQUAL(set(&f->threads[0], other, 16), SH_EFULL);
	root_unpin_all(f->heap, 0);
	CU_ASSERT_EQUAL(set(&f->threads[0], other, 16), 0);
	CU_ASSERT_EQUAL(get(f, other), 16);
	fixture_expect_good(f);
	fixture_close(f);
}

/* --- entries of a log ---------------------------------------------------------------------- */

static unsigned retired;

static void retire(void *argument)
{
	(void)argument;
	retired++;
}

/* The intent to give the root "a", which is 16, the value 48. */
static struct log_entry pinned(struct thread *thread, struct name name)
{
	struct log_entry entry = { .kind = LOG_ROOT, .after = 48 };

	CU_ASSERT_EQUAL(set(thread, name, 16), 0);
	CU_ASSERT_EQUAL(root_pin(thread, name.words, &entry.where), 0);
	return entry;
}

/* Applied once, also when a death repeats it; and never over a later change. */
static void test_apply_once(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	struct name name = named("a");
	struct log_entry entry = pinned(thread, name);

	retired = 0;
	root_apply(thread, &entry, retire, thread->log);
	CU_ASSERT_EQUAL(get(f, name), 48);
	CU_ASSERT_EQUAL(set(thread, name, 64), 0);
	root_apply(thread, &entry, retire, thread->log);
	CU_ASSERT_EQUAL(get(f, name), 64);
	CU_ASSERT_EQUAL(retired, 2);
	fixture_close(f);
}

/* The sequence was noted, the change not made. */
static void test_apply_noted(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	struct name name = named("a");
	struct log_entry entry = pinned(thread, name);

	entry.before = atomic_load(&f->heap->roots[entry.where].sequence) + 1;
	root_apply(thread, &entry, retire, thread->log);
	CU_ASSERT_EQUAL(get(f, name), 48);
	fixture_close(f);
}

static void test_lock_of_the_dead(void)
{
	struct fixture *f = fixture_open(1, 1);

	atomic_store(&f->heap->derived->root_lock, fixture_dead_tag());
	CU_ASSERT_EQUAL(set(&f->threads[0], named("a"), 16), 0);
	CU_ASSERT_TRUE(f->threads[0].met_dead);
	CU_ASSERT_EQUAL(atomic_load(&f->heap->derived->root_lock), 0);
	fixture_close(f);
}

/* Names half written by the dead: no root. */
static void test_half_a_name(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct name name = named("a name of more than one word");
	uint64_t index;

	CU_ASSERT_EQUAL(root_pin(&f->threads[0], name.words, &index), 0);
	root_unpin_all(f->heap, 0);
	atomic_store(&f->heap->roots[index].sequence, 0);
	atomic_store(&f->heap->roots[index].name[2], 0);
	CU_ASSERT_EQUAL(get(f, name), 0);
	CU_ASSERT_EQUAL(set(&f->threads[0], name, 16), 0);
	CU_ASSERT_EQUAL(get(f, name), 16);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "names", test_names },
	{ "set and get", test_set_and_get },
	{ "full table", test_full },
	{ "removal and reuse", test_reuse },
	{ "pins", test_pins },
	{ "applied once", test_apply_once },
	{ "applied after it was noted", test_apply_noted },
	{ "root lock of the dead", test_lock_of_the_dead },
	{ "half a name", test_half_a_name },
	CU_TEST_INFO_NULL,
};

int test_root_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "root", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
