/* test_log.c -- the log of a slot: entries, extensions, raw bytes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/log.h"

#include "heap/pages.h"
#include "heap/span.h"
#include "tests/fixture.h"

#include <errno.h>
#include <stdlib.h>

static void open_log(struct thread *thread)
{
	log_write(thread->log, (struct log_word){ .state = LOG_OPEN });
}

static void end_log(struct thread *thread)
{
	log_write(thread->log, (struct log_word){ .state = LOG_EMPTY });
	log_release_extensions(thread, thread->slot, 1);
}

static struct log_entry numbered(uint64_t i)
{
	return (struct log_entry){
		.kind = LOG_STORE,
		.where = i,
		.before = ~i,
		.after = i * 3,
	};
}

static bool is_numbered(const struct log_entry *entry, uint64_t i)
{
	return entry != NULL && entry->kind == LOG_STORE && entry->where == i &&
		entry->before == ~i && entry->after == i * 3;
}

static unsigned extensions(const struct thread *thread)
{
	unsigned count = 0;

	for (unsigned k = 0; k < LOG_EXTENSIONS; k++)
		count += atomic_load(&thread->log->extension[k]) != 0;
	return count;
}

static void append_numbered(struct thread *thread, uint64_t count)
{
	for (uint64_t i = log_read(thread->log).count; i < count; i++) {
		struct log_entry entry = numbered(i);

		CU_ASSERT_EQUAL_FATAL(log_reserve(thread, 1), 0);
		log_append(thread, entry);
	}
}

/* Entries of the first extension, of the first two, ... follow those in the slot. */
#define FIRST_ENTRIES (8 * PAGE_BYTES / LOG_ENTRY_BYTES)

static void test_entries(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t last = LOG_INLINE_ENTRIES + 7 * FIRST_ENTRIES + 1;

	open_log(thread);
	append_numbered(thread, LOG_INLINE_ENTRIES);
	CU_ASSERT_EQUAL(extensions(thread), 0);
	append_numbered(thread, LOG_INLINE_ENTRIES + 1);
	CU_ASSERT_EQUAL(extensions(thread), 1);
	append_numbered(thread, LOG_INLINE_ENTRIES + FIRST_ENTRIES);
	CU_ASSERT_EQUAL(extensions(thread), 1);
	append_numbered(thread, LOG_INLINE_ENTRIES + 3 * FIRST_ENTRIES + 1);
	CU_ASSERT_EQUAL(extensions(thread), 3);
	append_numbered(thread, last);
	CU_ASSERT_EQUAL(extensions(thread), 4);
	CU_ASSERT_EQUAL(log_read(thread->log).count, last);
	for (uint64_t i = 0; i < last; i++)
		if (!is_numbered(log_entry_at(f->heap, thread->log, i), i))
			CU_FAIL_FATAL("an entry was overwritten");
	fixture_expect_good(f);
	end_log(thread);
	CU_ASSERT_EQUAL(extensions(thread), 0);
	pages_give_back(thread);
	CU_ASSERT_EQUAL(fixture_free_pages(f), fixture_data_pages(f));
	fixture_expect_good(f);
	fixture_close(f);
}

/* One call may need several extensions at once. */
static void test_reserve_many(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];

	open_log(thread);
	CU_ASSERT_EQUAL(log_reserve(thread, LOG_INLINE_ENTRIES), 0);
	CU_ASSERT_EQUAL(extensions(thread), 0);
	CU_ASSERT_EQUAL(log_reserve(thread, LOG_INLINE_ENTRIES + 3 * FIRST_ENTRIES), 0);
	CU_ASSERT_EQUAL(extensions(thread), 2);
	CU_ASSERT_EQUAL(log_read(thread->log).count, 0);
	CU_ASSERT_EQUAL(log_reserve(thread, LOG_COUNT_LIMIT + 1), ENOMEM);
	CU_ASSERT_EQUAL(log_reserve(thread, LOG_COUNT_LIMIT), ENOMEM);
	CU_ASSERT_EQUAL(log_reserve(thread, UINT64_MAX), ENOMEM);
	end_log(thread);
	fixture_expect_good(f);
	fixture_close(f);
}

static void test_disk_full(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t count = LOG_INLINE_ENTRIES + FIRST_ENTRIES;
	int error;

	open_log(thread);
	append_numbered(thread, count);
	f->disk_full = true;
	while (fixture_allocate(thread, 16 * PAGE_BYTES, &error) != 0)
		;
	CU_ASSERT_EQUAL(log_reserve(thread, 1), ENOSPC);
	CU_ASSERT_EQUAL(log_reserve(thread, 1), ENOSPC);
	CU_ASSERT_EQUAL(log_read(thread->log).count, count);
	for (uint64_t i = 0; i < count; i++)
		CU_ASSERT_TRUE(is_numbered(log_entry_at(f->heap, thread->log, i), i));
	CU_ASSERT_EQUAL(atomic_load(&thread->log->intent[0]), 0);
	fixture_expect_good(f);
	f->disk_full = false;
	append_numbered(thread, count + 1);
	CU_ASSERT_EQUAL(extensions(thread), 2);
	end_log(thread);
	fixture_expect_good(f);
	fixture_close(f);
}

static void append_range(struct thread *thread, const char *content, uint64_t bytes)
{
	struct log_entry entry = { .kind = bytes << 8 | LOG_RANGE, .where = 4096 };

	CU_ASSERT_EQUAL_FATAL(log_reserve(thread, 1 + log_raw_entries(bytes)), 0);
	log_append_bytes(thread, &entry, content);
}

/* Ranges of every length across the edge of the slot's entries and of an extension. */
static void test_bytes(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	uint64_t edges[] = { LOG_INLINE_ENTRIES, LOG_INLINE_ENTRIES + FIRST_ENTRIES };
	char content[5 * LOG_ENTRY_BYTES];
	char copy[sizeof(content)];

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * 7 + 1);
	for (size_t e = 0; e < LENGTH_OF(edges); e++)
		for (uint64_t bytes = 0; bytes <= sizeof(content); bytes++) {
			uint64_t at = edges[e] - 3;

			open_log(thread);
			append_numbered(thread, at);
			append_range(thread, content, bytes);
			CU_ASSERT_EQUAL(log_read(thread->log).count, at + 1 + (bytes + 31) / 32);
			CU_ASSERT_EQUAL(log_entry_bytes(log_entry_at(f->heap, thread->log, at)),
				bytes);
			memset(copy, 0, sizeof(copy));
			CU_ASSERT_TRUE(log_copy_bytes(f->heap, thread->log, at, copy, bytes));
			CU_ASSERT_EQUAL(memcmp(copy, content, bytes), 0);
			CU_ASSERT_TRUE(bytes == sizeof(copy) || copy[bytes] == 0);
			end_log(thread);
		}
	fixture_expect_good(f);
	fixture_close(f);
}

/* What a damaged file holds instead of an extension. */
static void test_extension_not_there(void)
{
	struct fixture *f = fixture_open(1, 1);
	struct thread *thread = &f->threads[0];
	struct slot_log *log = thread->log;
	uint64_t block = fixture_block(thread, 8 * PAGE_BYTES);
	uint64_t wrong[] = { 0, 1, 4096, UINT64_MAX, block, block + PAGE_BYTES,
		f->image.bytes - PAGE_BYTES };
	char copy[64];

	CU_ASSERT_PTR_NOT_NULL(log_entry_at(f->heap, log, LOG_INLINE_ENTRIES - 1));
	for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
		atomic_store(&log->extension[0], wrong[i]);
		CU_ASSERT_PTR_NULL(log_entry_at(f->heap, log, LOG_INLINE_ENTRIES));
		CU_ASSERT_FALSE(log_copy_bytes(f->heap, log, LOG_INLINE_ENTRIES - 2, copy, 64));
	}
	CU_ASSERT_PTR_NULL(log_entry_at(f->heap, log, LOG_COUNT_LIMIT));
	CU_ASSERT_PTR_NULL(log_entry_at(f->heap, log, UINT64_MAX / 64));
	log_release_extensions(thread, 0, 1);
	CU_ASSERT_TRUE(fixture_is_live(f, block));
	fixture_expect_good(f);
	fixture_close(f);
}

static CU_TestInfo tests[] = {
	{ "entries over several extensions", test_entries },
	{ "room for many entries", test_reserve_many },
	{ "disk full", test_disk_full },
	{ "raw bytes", test_bytes },
	{ "extension that is not there", test_extension_not_there },
	CU_TEST_INFO_NULL,
};

int test_log_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "log", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
