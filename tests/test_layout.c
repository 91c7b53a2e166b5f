/* test_layout.c -- pins every offset and size that two builds, or a file and a build, share
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The numbers are written out once more, with the version of the format they belong to: whoever
 * changes a structure changes FORMAT_VERSION and adds a column, or breaks every existing file. */
#include "heap/derived_layout.h"
#include "heap/heap.h"
#include "heap/heap_layout.h"
#include "shm/control_layout.h"

#include <CUnit/CUnit.h>

#define FORMAT_VERSION_V1 1u
#define SUPERBLOCK_MAGIC_V1 UINT64_C(0x3130706165686e73)
#define ARENA_MAGIC_V1 UINT64_C(0x616e657261687300)
#define CONTROL_MAGIC_V1 UINT64_C(0x6c74632d70616873)

#ifdef SH_GEOMETRY_SMALL
#define PAGE_BYTES_V1 1024u
#define CHUNK_PAGES_V1 64u
#define ARENA_CHUNKS_V1 32u
#define ROOT_COUNT_V1 64u
#define SPAN_CLASS_COUNT_V1 96u
#define CLASS_HASH_V1 UINT64_C(0x0b1ebdb6dec6c2a7)
#define ARENA_HEAD_BYTES_V1 4608u
#define ARENA_META_OFFSET_V1 12800u
#define META_STRIDE_V1 17536u
#define ZONE_BYTES_V1 647680u
#define ZONE_CHUNKS_V1 10u
#define SLOT_WORDS_BYTES_V1 584u
#define SLOT_WORDS_STRIDE_V1 640u
#define SLOT_WORDS_PINS_V1 576u
#define HEADER_BYTES_V1 163840u
#define SUPERBLOCK_B_V1 155648u
#else
#define PAGE_BYTES_V1 8192u
#define CHUNK_PAGES_V1 512u
#define ARENA_CHUNKS_V1 256u
#define ROOT_COUNT_V1 1024u
#define SPAN_CLASS_COUNT_V1 144u
#define CLASS_HASH_V1 UINT64_C(0x4fdef63720778d9f)
#define ARENA_HEAD_BYTES_V1 36864u
#define ARENA_META_OFFSET_V1 561152u
#define META_STRIDE_V1 132224u
#define ZONE_BYTES_V1 34484224u
#define ZONE_CHUNKS_V1 9u
#define SLOT_WORDS_BYTES_V1 704u
#define SLOT_WORDS_STRIDE_V1 768u
#define SLOT_WORDS_PINS_V1 576u
#define HEADER_BYTES_V1 1216512u
#define SUPERBLOCK_B_V1 1208320u
#endif

#define PIN_SIZE(type, bytes) CU_ASSERT_EQUAL(sizeof(struct type), bytes)
#define PIN(type, field, at) CU_ASSERT_EQUAL(offsetof(struct type, field), at)

static void test_geometry(void)
{
	CU_ASSERT_EQUAL(FORMAT_VERSION, FORMAT_VERSION_V1);
	CU_ASSERT_EQUAL(SUPERBLOCK_MAGIC, SUPERBLOCK_MAGIC_V1);
	CU_ASSERT_EQUAL(ARENA_MAGIC, ARENA_MAGIC_V1);
	CU_ASSERT_EQUAL(CONTROL_MAGIC, CONTROL_MAGIC_V1);
	CU_ASSERT_EQUAL(PAGE_BYTES, PAGE_BYTES_V1);
	CU_ASSERT_EQUAL(CHUNK_PAGES, CHUNK_PAGES_V1);
	CU_ASSERT_EQUAL(ARENA_CHUNKS, ARENA_CHUNKS_V1);
	CU_ASSERT_EQUAL(ROOT_COUNT, ROOT_COUNT_V1);
	CU_ASSERT_EQUAL(SPAN_CLASS_COUNT, SPAN_CLASS_COUNT_V1);
	CU_ASSERT_EQUAL(SUPERBLOCK_STRIDE, 8192);
	CU_ASSERT_EQUAL(RUNNING_BYTES, 4096);
	CU_ASSERT_EQUAL(ARENA_HEAD_BYTES, ARENA_HEAD_BYTES_V1);
	CU_ASSERT_EQUAL(ARENA_TABLE_OFFSET, ARENA_HEAD_BYTES_V1);
	CU_ASSERT_EQUAL(ARENA_META_OFFSET, ARENA_META_OFFSET_V1);
	CU_ASSERT_EQUAL(META_STRIDE, META_STRIDE_V1);
	CU_ASSERT_EQUAL(ZONE_BYTES, ZONE_BYTES_V1);
	CU_ASSERT_EQUAL(ZONE_CHUNKS, ZONE_CHUNKS_V1);
	CU_ASSERT_EQUAL(heap_header_bytes(DEFAULT_MAX_BYTES, DEFAULT_THREAD_SLOTS),
		HEADER_BYTES_V1);
	CU_ASSERT_EQUAL(heap_superblock_b_offset(DEFAULT_MAX_BYTES, DEFAULT_THREAD_SLOTS),
		SUPERBLOCK_B_V1);
}

static void test_superblock(void)
{
	PIN_SIZE(superblock, 200);
	PIN(superblock, magic, 0);
	PIN(superblock, format_version, 8);
	PIN(superblock, header_bytes, 12);
	PIN(superblock, abi, 16);
	PIN(superblock, class_hash, 24);
	PIN(superblock, heap_id, 32);
	PIN(superblock, max_bytes, 48);
	PIN(superblock, page_shift, 56);
	PIN(superblock, chunk_pages_shift, 60);
	PIN(superblock, arena_chunks_shift, 64);
	PIN(superblock, process_slot_count, 68);
	PIN(superblock, thread_slot_count, 72);
	PIN(superblock, root_count, 76);
	PIN(superblock, sequence, 80);
	PIN(superblock, incarnation, 88);
	PIN(superblock, nonce, 96);
	PIN(superblock, clean, 112);
	PIN(superblock, boot_id, 120);
	PIN(superblock, end_copy, 160);
	PIN(superblock, reserved, 168);
	PIN(superblock, checksum, 192);
}

static void test_header(void)
{
	PIN_SIZE(running, 64);
	PIN(running, arena_count, 0);
	PIN(running, stamp, 8);
	PIN(running, next_serial, 16);
	PIN_SIZE(arena_entry, 16);
	PIN(arena_entry, frontier, 0);
	PIN(arena_entry, touched, 8);
	PIN_SIZE(root, 128);
	PIN(root, sequence, 0);
	PIN(root, value, 8);
	PIN(root, name, 64);
	PIN_SIZE(arena_header, 64);
	PIN(arena_header, magic, 0);
	PIN(arena_header, arena, 8);
	PIN(arena_header, incarnation, 16);
}

static void test_log(void)
{
	PIN_SIZE(log_entry, 32);
	PIN(log_entry, kind, 0);
	PIN(log_entry, where, 8);
	PIN(log_entry, before, 16);
	PIN(log_entry, after, 24);
	CU_ASSERT_EQUAL(LOG_BYTES, 2048);
	PIN_SIZE(slot_log, 192);
	PIN(slot_log, word, 0);
	PIN(slot_log, applying, 8);
	PIN(slot_log, intent, 16);
	PIN(slot_log, extension, 64);
	CU_ASSERT_EQUAL(LOG_INLINE_ENTRIES, 58);
	CU_ASSERT_EQUAL(LOG_EXTENSIONS, 16);
}

static void test_span(void)
{
	PIN_SIZE(span, 128);
	PIN(span, pages, 0);
	PIN(span, span_class, 4);
	PIN(span, purpose, 5);
	PIN(span, place, 6);
	PIN(span, run_flags, 6);
	PIN(span, generation, 8);
	PIN(span, hot, 16);
	PIN(span, bytes, 24);
	PIN(span, allocated, 32);
	PIN(span, freed, 64);
	PIN(span, limbo, 96);
	PIN_SIZE(span_more, 128);
	PIN(span_more, allocated, 32);
	PIN(span_more, freed, 64);
	PIN(span_more, limbo, 96);
	CU_ASSERT_EQUAL(META_PAIRS_OFFSET, 0);
	CU_ASSERT_EQUAL(META_MORE_OFFSET, CHUNK_PAGES_V1 * 128);
	CU_ASSERT_EQUAL(META_BYTES, CHUNK_PAGES_V1 * 256);
	CU_ASSERT_EQUAL(TABLE_CHUNK_BYTES, CHUNK_PAGES_V1 * 4);
	CU_ASSERT_EQUAL(SPAN_OBJECTS, 1);
	CU_ASSERT_EQUAL(SPAN_LARGE, 2);
	CU_ASSERT_EQUAL(SPAN_LOG, 3);
	CU_ASSERT_EQUAL(SPAN_MANUAL, 4);
	CU_ASSERT_EQUAL(RUN_IO, 1);
	CU_ASSERT_EQUAL(RUN_HUGE, 2);
	CU_ASSERT_EQUAL(SPAN_CLASS_LARGE, 255);
}

static void test_control(void)
{
	PIN_SIZE(control_header, 168);
	PIN(control_header, magic, 0);
	PIN(control_header, format, 8);
	PIN(control_header, heap_id, 16);
	PIN(control_header, nonce, 32);
	PIN(control_header, incarnation, 48);
	PIN(control_header, process_slot_count, 56);
	PIN(control_header, thread_slot_count, 60);
	PIN(control_header, control_bytes, 64);
	PIN(control_header, boot_id, 72);
	PIN(control_header, stamp, 128);
	PIN(control_header, process_high_water, 136);
	PIN(control_header, thread_high_water, 140);
	PIN(control_header, next_reader_serial, 144);
	PIN(control_header, nonce_before, 152);
	PIN_SIZE(process_slot, 64);
	PIN(process_slot, owner, 0);
	PIN(process_slot, pid, 8);
	PIN_SIZE(thread_slot, 64);
	PIN(thread_slot, owner, 0);
	PIN(thread_slot, reaper, 8);
	PIN(thread_slot, liveness_tag, 16);
	PIN(thread_slot, process, 24);
	PIN(thread_slot, thread_id, 28);
	PIN(thread_slot, section, 32);
	PIN(thread_slot, held, 40);
	PIN(thread_slot, held_ns, 48);
	PIN_SIZE(rcu_words, 128);
	PIN(rcu_words, fenced, 0);
	PIN(rcu_words, waiting, 8);
	PIN(rcu_words, fences, 12);
	PIN(rcu_words, begun, 64);
	PIN(rcu_words, completed, 72);
	CU_ASSERT_EQUAL(CONTROL_RCU_OFFSET, 1024);
	CU_ASSERT_EQUAL(CONTROL_READERS_OFFSET, 4096);
	CU_ASSERT_EQUAL(CONTROL_READER_WORDS, 512);
	CU_ASSERT_EQUAL(SECTION_NESTING_BITS, 16);
	CU_ASSERT_EQUAL(control_process_slots_offset(), 8192);
	CU_ASSERT_EQUAL(control_thread_slots_offset(256), 8192 + 256 * 64);
	CU_ASSERT_EQUAL(control_liveness_offset(256, 512), 65536);
	CU_ASSERT_EQUAL(control_derived_offset(256, 512), 131072);
}

static void test_derived(void)
{
	PIN_SIZE(parked_sets, 64);
	PIN(parked_sets, filling, 0);
	PIN(parked_sets, tag, 8);
	PIN(parked_sets, pages, 24);
	PIN_SIZE(drain, 64);
	PIN(drain, lock, 0);
	PIN(drain, state, 8);
	PIN(drain, tag, 16);
	PIN(drain, count, 24);
	PIN(drain, capacity, 32);
	PIN(drain, next_page, 40);
	PIN_SIZE(deferred_entry, 24);
	PIN_SIZE(derived_header, 4864);
	PIN(derived_header, page_lock, 0);
	PIN(derived_header, journal_count, 8);
	PIN(derived_header, journal, 64);
	PIN(derived_header, parked, 384);
	PIN(derived_header, drain, 448);
	PIN(derived_header, growth_lock, 512);
	PIN(derived_header, root_lock, 576);
	PIN(derived_header, active, 640);
	PIN(derived_header, recovery, 4736);
	PIN_SIZE(control_place, 2048);
	CU_ASSERT_EQUAL(CONTROL_PLACE_OFFSET, 8192 + 2048);
	PIN_SIZE(recovery_record, 128);
	PIN(recovery_record, recovered, 0);
	PIN(recovery_record, nanoseconds, 8);
	PIN(recovery_record, counts, 16);
	PIN_SIZE(slot_words, SLOT_WORDS_BYTES_V1);
	PIN(slot_words, cache_base, 0);
	PIN(slot_words, cache_mask, 8);
	PIN(slot_words, touching, 16);
	PIN(slot_words, searching, 24);
	PIN(slot_words, limbo_count, 32);
	PIN(slot_words, limbo, 64);
	PIN(slot_words, owned, 320);
	PIN(slot_words, owned_limit, 40);
	PIN(slot_words, root_pins, SLOT_WORDS_PINS_V1);
	CU_ASSERT_EQUAL(SLOT_WORDS_STRIDE, SLOT_WORDS_STRIDE_V1);
	CU_ASSERT_EQUAL(LIMBO_RUNS, 32);
	CU_ASSERT_EQUAL(JOURNAL_RUNS, 36);
}

static void test_class_table(void)
{
	struct size_class_table table;

	size_class_table_init(&table);
	CU_ASSERT_EQUAL(table.hash, CLASS_HASH_V1);
}

/* Pairs of neighbouring pages are mixed; no two pages may share one. */
static void test_pair_index(void)
{
	bool seen[CHUNK_PAGES] = { false };

	for (uint64_t page = 0; page < CHUNK_PAGES; page++) {
		uint64_t index = pair_index(7 * CHUNK_PAGES + page);

		CU_ASSERT_TRUE_FATAL(index < CHUNK_PAGES);
		CU_ASSERT_FALSE(seen[index]);
		seen[index] = true;
	}
}

static CU_TestInfo tests[] = {
	{ "geometry and magics", test_geometry },
	{ "superblock", test_superblock },
	{ "header of the heap file", test_header },
	{ "log", test_log },
	{ "span records", test_span },
	{ "head of the control file", test_control },
	{ "derived state", test_derived },
	{ "table of size classes", test_class_table },
	{ "pair index is a permutation", test_pair_index },
	CU_TEST_INFO_NULL,
};

int test_layout_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "layout", .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
