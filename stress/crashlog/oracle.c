/* oracle.c -- opens an image, and tells whether what it shows may be true
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/oracle.h"

#include "heap/manual.h"
#include "heap/object.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "recovery/reap.h"
#include "stress/crashlog/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 8192u
#define RUNS 512u
#define ROOTS 128u

/* Process. What an image shows. */
struct findings {
	struct snapshot_block blocks[BLOCKS];
	struct snapshot_run runs[RUNS];
	struct snapshot_root roots[ROOTS];
	struct truth truth;
	const struct heap *heap;
};

static const struct replayed_file *zeroed_file; /* whose `work` is the image */
static struct findings first_findings;
static struct findings second_findings;

static bool wrong(struct oracle *oracle, const char *text)
{
	snprintf(oracle->why, sizeof(oracle->why), "%s", text);
	return false;
}

/* --- what an image shows ------------------------------------------------------------------- */

static int find_block(const struct sh_block *block, void *argument)
{
	struct findings *findings = argument;

	if (findings->truth.block_count == BLOCKS)
		return 1;
	findings->blocks[findings->truth.block_count++] = (struct snapshot_block){
		.off = block->off,
		.bytes = block->size,
		.kind = block->kind,
		.known = UINT64_MAX,
	};
	return 0;
}

static int find_run(const struct sh_pages *pages, void *argument)
{
	struct findings *findings = argument;

	if (findings->truth.run_count == RUNS)
		return 1;
	findings->runs[findings->truth.run_count++] = (struct snapshot_run){
		.off = pages->off,
		.pages = pages->npages,
		.flags = pages->flags,
	};
	return 0;
}

static int compare_roots(const void *a, const void *b)
{
	return strcmp(((const struct snapshot_root *)a)->name,
		((const struct snapshot_root *)b)->name);
}

static void find_roots(struct findings *findings)
{
	for (unsigned i = 0; i < ROOT_COUNT && findings->truth.root_count < ROOTS; i++) {
		const struct root *root = &findings->heap->roots[i];
		uint64_t sequence = atomic_load_explicit(&root->sequence, memory_order_relaxed);
		uint64_t value =
			atomic_load_explicit(&root->value[sequence & 1], memory_order_relaxed);
		struct snapshot_root *found;

		if (sequence == 0 || value == 0)
			continue;
		found = &findings->roots[findings->truth.root_count++];
		found->value = value;
		memcpy(found->name, (const void *)root->name, sizeof(found->name));
		found->name[sizeof(found->name) - 1] = '\0';
	}
	qsort(findings->roots, findings->truth.root_count, sizeof(findings->roots[0]),
		compare_roots);
}

/* False: there is more than any operation leaves. */
static bool find(struct findings *findings, struct heap *heap)
{
	findings->heap = heap;
	findings->truth = (struct truth){
		.base = heap->base,
		.blocks = findings->blocks,
		.runs = findings->runs,
		.roots = findings->roots,
	};
	find_roots(findings);
	return walk_heap(heap, NULL, find_block, findings) == 0 &&
		walk_manual(heap, NULL, find_run, findings) == 0;
}

/* --- checks -------------------------------------------------------------------------------- */

static int note_problem(const struct sh_problem *problem, void *argument)
{
	struct oracle *oracle = argument;

	snprintf(oracle->why, sizeof(oracle->why), "the check: at %" PRIx64 ": %s", problem->off,
		problem->text);
	return 1;
}

static bool check(struct oracle *oracle, struct heap *heap, struct thread *thread)
{
	uint64_t problems = 0;

	check_heap(heap, thread, note_problem, oracle, &problems);
	return problems == 0;
}

static bool agrees(struct oracle *oracle, const struct operation *operation,
	const struct truth *found, const struct truth *allowed)
{
	const struct truth *last = &operation->allowed[operation->record.snapshots - 1];

	if (operation->record.flags & OPERATION_CUTS_RUNS)
		return truth_agrees_but_cuts(found, allowed,
			allowed == last ? &operation->allowed[0] : last, oracle->why,
			sizeof(oracle->why));
	return truth_agrees(found, allowed, oracle->why, sizeof(oracle->why));
}

static bool is_allowed(struct oracle *oracle, const struct operation *operation,
	const struct truth *found, unsigned flags)
{
	uint32_t last = operation->record.snapshots - 1;

	for (uint32_t i = 0; i <= last; i++) {
		unsigned which = i == 0 ? JUDGE_BEFORE : i == last ? JUDGE_AFTER : JUDGE_BETWEEN;

		if ((flags & which) != 0 &&
			agrees(oracle, operation, found, &operation->allowed[i]))
			return true;
	}
	return false;
}

/* --- further operations -------------------------------------------------------------------- */

static bool meets_block(const struct truth *truth, uint64_t off, uint64_t bytes)
{
	uint32_t low = 0;
	uint32_t high = truth->block_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (truth->blocks[middle].off + truth->blocks[middle].bytes <= off)
			low = middle + 1;
		else
			high = middle;
	}
	return low < truth->block_count && truth->blocks[low].off < off + bytes;
}

static bool meets(const struct truth *truth, uint64_t off, uint64_t bytes)
{
	for (uint32_t i = 0; i < truth->run_count; i++)
		if (truth->runs[i].off < off + bytes &&
			off < truth->runs[i].off + truth->runs[i].pages * PAGE_BYTES)
			return true;
	return meets_block(truth, off, bytes);
}

static bool allocate_small(struct oracle *oracle, struct heap *heap, const struct truth *truth)
{
	static const uint32_t sizes[] = { 16, 48, 48, 200, 1000, 1536, 8000 };
	uint64_t off[sizeof(sizes) / sizeof(sizes[0])];
	struct block block;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int error;

		off[i] = object_allocate(&oracle->worker,
			span_class_make(size_class_of(sizes[i]), false), &error);
		if (off[i] == 0)
			return wrong(oracle, "afterwards no block can be allocated");
		if (meets(truth, off[i], sizes[i]))
			return wrong(oracle, "afterwards a block is handed out twice");
	}
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i += 2)
		if (object_free(&oracle->worker, off[i]) != 0 ||
			(block_find(heap, off[i], &block) == 0 && block_is_live(&block)))
			return wrong(oracle, "afterwards a block cannot be freed");
	return true;
}

static bool allocate_pages(struct oracle *oracle, const struct truth *truth)
{
	int error;
	uint64_t large =
		span_prepare_large(&oracle->worker, 5 * PAGE_BYTES, SPAN_LARGE, false, &error);
	uint64_t run;

	if (large == 0)
		return wrong(oracle, "afterwards no large block can be allocated");
	span_commit_large(&oracle->worker, large);
	run = manual_allocate(&oracle->worker, 3, 0, &error);
	if (run == 0)
		return wrong(oracle, "afterwards no page run can be allocated");
	if (meets(truth, page_offset(large), 5 * PAGE_BYTES) ||
		meets(truth, page_offset(run), 3 * PAGE_BYTES))
		return wrong(oracle, "afterwards pages are handed out twice");
	if (object_free(&oracle->worker, page_offset(large)) != 0 ||
		manual_free(&oracle->worker, run, 3) != 0)
		return wrong(oracle, "afterwards pages cannot be freed");
	return true;
}

/* Frees every so many of the blocks that there are. */
static bool free_some(struct oracle *oracle, const struct truth *truth)
{
	uint32_t step = truth->block_count / 4 + 1;

	for (uint32_t i = step / 2; i < truth->block_count; i += step)
		if (object_free(&oracle->worker, truth->blocks[i].off) != 0)
			return wrong(oracle, "afterwards a live block cannot be freed");
	return true;
}

static bool goes_on(struct oracle *oracle, struct heap *heap, const struct truth *truth)
{
	return allocate_small(oracle, heap, truth) && allocate_pages(oracle, truth) &&
		free_some(oracle, truth) && check(oracle, heap, &oracle->worker);
}

/* --- judgements ---------------------------------------------------------------------------- */

/* Stack. */
struct zeroing {
	char *work;
	uint64_t begin;
	uint64_t end;
};

static void zero_page(const struct replayed_file *file, uint64_t offset, void *argument)
{
	const struct zeroing *zeroing = argument;

	(void)file;
	for (uint64_t at = offset; at < offset + 4096; at += sizeof(uint64_t)) {
		uint64_t *word = (uint64_t *)(void *)(zeroing->work + at);

		if (at >= zeroing->begin && at < zeroing->end && *word != 0)
			*word = 0;
	}
}

/* What is made zero are continuations of runs. A recovery stores nothing there itself: where the file has holes,
 * there are zeros. */
static void make_zero(const struct image *image, uint64_t offset, uint64_t bytes)
{
	struct zeroing zeroing = {
		.work = image->base,
		.begin = offset,
		.end = offset + bytes,
	};

	replay_each_page_of(zeroed_file, offset, offset + bytes, zero_page, &zeroing);
}

int oracle_open(struct oracle *oracle, bool trusts)
{
	struct replay *replay = oracle->replay;
	struct image *image = &oracle->image;

	memset(image, 0, sizeof(*image));
	image->base = replay->files[FILE_HEAP].work;
	image->bytes = replay->files[FILE_HEAP].bytes;
	image->control = replay->blank;
	image->control_bytes = replay->files[FILE_CONTROL].bytes;
	image->recovery.trusts = trusts;
	image->make_zero = make_zero;
	zeroed_file = &replay->files[FILE_HEAP];
	return image_open(image, NULL);
}

bool oracle_judge_heap(struct oracle *oracle, struct heap *heap, struct thread *thread,
	const struct operation *operation, unsigned flags)
{
	if (!check(oracle, heap, thread))
		return false;
	if (!find(&first_findings, heap))
		return wrong(oracle, "there are more blocks or runs than were ever made");
	return is_allowed(oracle, operation, &first_findings.truth, flags);
}

static bool recovers_again(struct oracle *oracle)
{
	work_reset_blank(oracle->replay);
	if (oracle_open(oracle, false) != 0 || oracle->image.recovery.quarantined != 0)
		return wrong(oracle, "a second recovery finds damage");
	if (!find(&second_findings, &oracle->image.heap) ||
		!truth_agrees(&second_findings.truth, &first_findings.truth, oracle->why,
			sizeof(oracle->why)))
		return wrong(oracle, "a second recovery shows something else");
	return true;
}

static bool judge_recovery(struct oracle *oracle, const struct operation *operation, unsigned flags)
{
	struct image *image = &oracle->image;

	if (oracle_open(oracle, true) != 0)
		return wrong(oracle, "the image cannot be opened");
	if (image->recovery.quarantined != 0)
		return wrong(oracle, "a span is set aside");
	if (!oracle_judge_heap(oracle, &image->heap, &image->thread, operation, flags))
		return false;
	if (flags & JUDGE_QUICKLY)
		return true;
	if (!recovers_again(oracle))
		return false;
	image_attach_thread(image, &oracle->worker, 0);
	return goes_on(oracle, &image->heap, &second_findings.truth);
}

/* --- a survivor ---------------------------------------------------------------------------- */

/* Nobody takes it before: the last one but that of recoveries. */
static uint32_t survivor_slot(const struct heap *heap)
{
	return recover_own_slot(heap->thread_slots) - 1;
}

static bool is_survivor(void *context, uint64_t tag)
{
	const struct image *image = context;

	return tag_slot(tag) == survivor_slot(&image->heap) &&
		atomic_load_explicit(&image->heap.thread_slot[tag_slot(tag)].owner,
			memory_order_relaxed) == tag;
}

static bool no_process_lives(void *context, uint32_t process)
{
	(void)context;
	(void)process;
	return false;
}

/* There is one thread. */
static int order_nobody(void *context)
{
	(void)context;
	return 0;
}

/* Both files as one that is attached to them sees them. */
static void make_survivor(struct oracle *oracle)
{
	struct replay *replay = oracle->replay;
	struct image *survivor = &oracle->survivor;

	*survivor = oracle->image;
	survivor->control = replay->files[FILE_CONTROL].work;
	survivor->heap.control = survivor->control;
	survivor->heap.incarnation = replay_incarnation(replay);
	survivor->heap.system.context = survivor;
	survivor->heap.system.alive = is_survivor;
	survivor->heap.system.process_alive = no_process_lives;
	survivor->heap.system.order_all = order_nobody;
	heap_view_init(&survivor->heap);
	image_attach_thread(survivor, &oracle->worker, survivor_slot(&survivor->heap));
}

static bool all_are_reaped(const struct heap *heap)
{
	for (uint32_t slot = 0; slot < heap->thread_slots; slot++)
		if (slot != survivor_slot(heap) &&
			atomic_load_explicit(&heap->thread_slot[slot].owner,
				memory_order_relaxed) != 0)
			return false;
	return true;
}

static bool judge_reaping(struct oracle *oracle, const struct operation *operation, unsigned flags)
{
	struct heap *heap = &oracle->survivor.heap;

	if (oracle->image.base == NULL)
		/* For the table of the system. */
		(void)oracle_open(oracle, true);
	work_reset(oracle->replay);
	make_survivor(oracle);
	reap_all(&oracle->worker);
	if (!all_are_reaped(heap))
		return wrong(oracle, "reaping: a dead thread has a slot still");
	if (!oracle_judge_heap(oracle, heap, &oracle->worker, operation, flags))
		return false;
	return (flags & JUDGE_QUICKLY) != 0 || goes_on(oracle, heap, &first_findings.truth);
}

/* --- guarded ------------------------------------------------------------------------------- */

/* Stack. A judgement under way. */
struct judgement {
	struct oracle *oracle;
	const struct operation *operation;
	unsigned flags;
	bool (*judge)(struct oracle *oracle, const struct operation *operation, unsigned flags);
	bool held;
};

static void carry_out(void *argument)
{
	struct judgement *judgement = argument;

	judgement->held =
		judgement->judge(judgement->oracle, judgement->operation, judgement->flags);
}

static bool holds(struct judgement judgement)
{
	const char *end = guarded_run(carry_out, &judgement);

	return end == NULL ? judgement.held : wrong(judgement.oracle, end);
}

bool oracle_judge(struct oracle *oracle, const struct operation *operation, unsigned flags)
{
	return holds((struct judgement){ oracle, operation, flags, judge_recovery, false });
}

bool oracle_judge_reaping(struct oracle *oracle, const struct operation *operation, unsigned flags)
{
	return holds((struct judgement){ oracle, operation, flags, judge_reaping, false });
}
