/* image_target.c -- any bytes as a heap file: looked at, opened, used
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/fuzz/image_target.h"

#include "heap/deferred.h"
#include "heap/manual.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "recovery/proof.h"
#include "recovery/stats.h"
#include "recovery/superblock.h"
#include "stress/fuzz/arena.h"
#include "stress/fuzz/edits.h"
#include "stress/fuzz/extent.h"

#include <errno.h>
#include <spanheap.h>
#include <string.h>

#define CALLS 40u

/* --- looking, where a store is a signal ----------------------------------------------------- */

static int look_at_span(void *argument, uint64_t head)
{
	const struct heap *heap = argument;
	struct span_record record = span_record_read(heap, head);
	struct block block;

	span_record_plausible(heap, head, &record);
	block_find_by_record(heap, page_offset(head), &block);
	block_find_by_record(heap, page_offset(head) + 64, &block);
	manual_find(heap, head);
	return 0;
}

static void look_at_roots(const struct heap *heap)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	uint64_t value;
	struct block block;

	if (root_name("root1", name) && root_get(heap, name, &value))
		block_find_by_record(heap, value, &block);
	for (uint64_t i = 0; i < ROOT_COUNT; i++)
		block_find_by_record(heap, atomic_load(&heap->roots[i].value[0]), &block);
}

static int ignore_block(const struct sh_block *block, void *unused)
{
	(void)block;
	(void)unused;
	return 0;
}

static int ignore_pages(const struct sh_pages *pages, void *unused)
{
	(void)pages;
	(void)unused;
	return 0;
}

/* What check, dump, stat, info and a reader do with a file that nobody has open. */
static void look(void)
{
	static struct sh_stats stats;
	static struct heap heap;
	struct superblock superblock;
	uint64_t problems;
	int copies;

	if (superblock_read(fuzz_heap.image.base, fuzz_heap.image.bytes, &superblock, &copies) != 0)
		return;
	fuzz_view(&heap, &superblock);
	if (!proof_directory_inside(&heap, fuzz_heap.image.bytes))
		return;
	recover_arenas_older(&heap, &superblock);
	check_heap(&heap, NULL, NULL, NULL, &problems);
	check_reading(&heap, NULL, NULL, NULL, &problems);
	stats = (struct sh_stats)SH_STATS_INIT;
	stats_count(&heap, NULL, &stats);
	check_each_span(&heap, NULL, look_at_span, &heap);
	walk_heap(&heap, NULL, ignore_block, NULL);
	walk_manual(&heap, NULL, ignore_pages, NULL);
	look_at_roots(&heap);
}

/* --- using --------------------------------------------------------------------------------- */

static uint64_t allocate(struct thread *thread, uint64_t bytes)
{
	int error = 0;
	uint64_t head;

	if (size_is_small(bytes))
		return object_allocate(thread, span_class_make(size_class_of(bytes), false),
			&error);
	head = span_prepare_large(thread, bytes, SPAN_LARGE, false, &error);
	if (head != 0)
		span_commit_large(thread, head);
	return page_offset(head);
}

static void allocate_some(struct chance *chance, struct extents *extents)
{
	for (unsigned i = 0; i < CALLS; i++) {
		struct thread *thread = &fuzz_heap.threads[chance_below(chance, 2)];
		uint64_t bytes =
			1 + chance_below(chance, chance_once_in(chance, 6) ? 20 * PAGE_BYTES : 600);
		uint64_t off = allocate(thread, bytes);
		int error;

		if (off != 0)
			extents_add(extents, off, bytes);
		if (i % 10 != 0)
			continue;
		off = page_offset(manual_allocate(thread, 1 + i, 0, &error));
		if (off != 0)
			extents_add(extents, off, (1 + i) * PAGE_BYTES);
	}
}

static void free_some(const struct extents *extents)
{
	for (unsigned i = 0; i < extents->count; i++) {
		struct thread *thread = &fuzz_heap.threads[i & 1];

		if (i % 5 == 4)
			deferred_free(thread, extents->extent[i].off);
		else
			object_free(thread, extents->extent[i].off);
		if (i % 3 == 0)
			manual_free(thread, extents->extent[i].off >> PAGE_SHIFT, 1);
	}
	for (uint64_t i = 0; i < ROOT_COUNT; i++)
		object_free(&fuzz_heap.threads[0],
			atomic_load(&fuzz_heap.image.heap.roots[i].value[0]));
}

static int add_block(const struct sh_block *block, void *extents)
{
	extents_add(extents, block->off, block->size);
	return 0;
}

static int add_pages(const struct sh_pages *pages, void *extents)
{
	extents_add(extents, pages->off, pages->npages * PAGE_BYTES);
	return 0;
}

/* What allocation goes by; what the file says itself may be anything. That a page is free, or cached, and in use
 * may be said of one behind a span that is set aside: entries of the spans table that name it stay there. */
static int expect_derived(const struct sh_problem *problem, void *unused)
{
	static const char *const fatal[] = { "lost, neither", "summaries" };

	(void)unused;
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (strstr(problem->text, fatal[i]) != NULL)
			fuzz_fail("opened: 0x%llx: %s", (unsigned long long)problem->off,
				problem->text);
	return 0;
}

static void use(struct chance *chance, bool trusts)
{
	static struct extents extents;
	struct heap *heap = &fuzz_heap.image.heap;
	struct thread *thread = &fuzz_heap.threads[0];
	uint64_t problems;

	extents.count = 0;
	check_heap(heap, thread, trusts ? NULL : expect_derived, NULL, &problems);
	if (!trusts) {
		walk_heap(heap, thread, add_block, &extents);
		walk_manual(heap, thread, add_pages, &extents);
		extents_expect_disjoint(&extents, "as it was opened");
	}
	allocate_some(chance, &extents);
	if (!trusts)
		extents_expect_disjoint(&extents, "when some are allocated");
	free_some(&extents);
	check_heap(heap, thread, trusts ? NULL : expect_derived, NULL, &problems);
	for (unsigned i = 0; i < 2; i++) {
		object_give_back(&fuzz_heap.threads[i]);
		pages_give_back(&fuzz_heap.threads[i]);
	}
}

static bool is_documented(int error)
{
	return error == SH_EBADHEAP || error == SH_EVERSION || error == ENOMEM || error == ENOSPC;
}

/* As sh_open() does before a salvage: serial numbers that the file may hold, in logs and tags, do not come
 * again. */
static void skip_serials(void)
{
	static struct heap heap;
	struct superblock superblock;
	int copies;

	if (superblock_read(fuzz_heap.image.base, fuzz_heap.image.bytes, &superblock, &copies) != 0)
		return;
	fuzz_view(&heap, &superblock);
	atomic_fetch_add(&heap.running->next_serial, UINT64_C(1) << 32);
}

/* Slots for recovery and for two threads. */
static bool has_slots(void)
{
	return fuzz_heap.image.heap.thread_slots >= 3;
}

void image_target(const uint8_t *data, size_t size)
{
	struct chance chance = chance_of_bytes(data, size);
	bool trusts = (edits_apply(data, size) & EDITS_TRUSTED) != 0;
	int error;

	fuzz_protect(true);
	look();
	fuzz_protect(false);
	if (!trusts)
		skip_serials();
	error = fuzz_open(trusts, 0);
	if (error != 0 && !is_documented(error))
		fuzz_fail("image_open says %d", error);
	if (error != 0 || !has_slots())
		return;
	for (uint32_t slot = 0; slot < 2; slot++)
		image_attach_thread(&fuzz_heap.image, &fuzz_heap.threads[slot], slot);
	use(&chance, trusts);
	if (fuzz_open(false, 0) != 0)
		fuzz_fail("what was open cannot be opened again");
}
