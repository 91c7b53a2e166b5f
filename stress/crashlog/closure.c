/* closure.c -- recoveries that die, and those of what they leave, to any depth
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/closure.h"

#include "recovery/superblock.h"
#include "stress/crashlog/streak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_LIMIT (UINT64_C(1) << 18)
#define PREAMBLE_PAGES 3u
/* Of the images that the first recovery leaves, if it makes more stores than that, those near its begin and
 * its end are recovered store by store in their turn, and every so many in between; of those that later
 * ones leave, none. All are judged. */
#define FOLLOWED_ALL 40u
#define FOLLOWED_ENDS 8u
#define FOLLOWED_STEP 16u
/* At most so many pieces of it change. */
#define PREAMBLE_STEPS (PREAMBLE_PAGES * STEP_PAGE_BYTES / STEP_BYTES)

/* Stack. What is asked of every image. */
struct question {
	struct closure *closure;
	const struct operation *operation;
	unsigned flags;
	bool all;
};

/* Stack. An image: replay->now, and `count` steps from `first` on. */
struct node {
	uint64_t first;
	uint64_t count;
	struct image_hash truth;
	unsigned depth;
};

void closure_init(struct closure *closure, struct oracle *oracle, unsigned depth_limit)
{
	*closure = (struct closure){ .oracle = oracle, .depth_limit = depth_limit };
	closure->steps = malloc(STEP_LIMIT * sizeof(closure->steps[0]));
	if (closure->steps == NULL) {
		perror("crashlog: malloc");
		exit(2);
	}
}

void closure_forget(struct closure *closure)
{
	hash_set_clear(&closure->seen);
}

void closure_free(struct closure *closure)
{
	closure_forget(closure);
	free(closure->steps);
}

static void make_image(const struct closure *closure, uint64_t first, uint64_t count)
{
	struct replay *replay = closure->oracle->replay;

	work_reset(replay);
	for (uint64_t i = first; i < first + count; i++)
		memcpy(replay->files[FILE_HEAP].work + closure->steps[i].where,
			closure->steps[i].content, closure->steps[i].bytes);
}

static void recover_image(void *argument)
{
	oracle_open(argument, true);
}

/* The pages with nothing but what a recovery stores before all else. */
static void find_preamble(const struct replay *replay, uint64_t pages[PREAMBLE_PAGES])
{
	const struct heap *view = &replay->view;

	pages[0] = 0;
	pages[1] = heap_superblock_b_offset(view->max_bytes, view->thread_slots);
	pages[2] = arena_zone(view, 0);
}

/* Notes how a page differs from what it was. Returns how many steps that makes. */
static uint64_t note_page(const char *work, uint64_t page, const char *before, struct step *steps)
{
	uint64_t count = 0;

	for (uint64_t at = 0; at < STEP_PAGE_BYTES; at += STEP_BYTES) {
		if (memcmp(work + page + at, before + at, STEP_BYTES) == 0)
			continue;
		steps[count] = (struct step){ .where = page + at, .bytes = STEP_BYTES };
		memcpy(steps[count++].content, work + page + at, STEP_BYTES);
	}
	return count;
}

/* Runs the recovery of the node's image; its steps stand behind the node's. Returns how many. */
static uint64_t step_through(struct closure *closure, const struct node *node, bool all)
{
	struct replay *replay = closure->oracle->replay;
	struct replayed_file *file = &replay->files[FILE_HEAP];
	static char before[PREAMBLE_PAGES][STEP_PAGE_BYTES];
	uint64_t preamble[PREAMBLE_PAGES];
	struct step_area area = {
		.memory = file->work,
		.bytes = file->bytes,
		.open = preamble,
		.open_count = all ? 0 : PREAMBLE_PAGES,
	};
	struct step *steps = &closure->steps[node->first + node->count];
	uint64_t limit = STEP_LIMIT - node->first - node->count - PREAMBLE_STEPS;
	uint64_t first = 0;
	uint64_t count;

	make_image(closure, node->first, node->count);
	find_preamble(replay, preamble);
	for (unsigned i = 0; i < area.open_count; i++)
		memcpy(before[i], file->work + preamble[i], STEP_PAGE_BYTES);
	count = stepper_run(&area, recover_image, closure->oracle, steps + PREAMBLE_STEPS, limit);
	for (unsigned i = 0; i < area.open_count; i++)
		first += note_page(file->work, preamble[i], before[i], steps + first);
	memmove(steps + first, steps + PREAMBLE_STEPS, count * sizeof(steps[0]));
	closure->recoveries++;
	closure->stores += count;
	return first + count;
}

static bool explore(const struct question *question, const struct node *node);

/* Whether the recovery of what a recovery left after `made` of its stores is gone through as well. In the
 * middle of a long loop, or of a copy that a second recovery makes again, it would be the rest of it. */
static bool is_followed(const struct question *question, const struct node *node, uint64_t made,
	uint64_t count)
{
	const struct closure *closure = question->closure;
	uint64_t where = closure->steps[node->first + node->count + made - 1].where;

	if (closure->all_images)
		return true;
	if (node->depth > 0 && streak_may_have(&closure->oracle->replay->view, where))
		return false;
	if (count <= FOLLOWED_ALL)
		return true;
	return node->depth == 0 &&
		(made <= FOLLOWED_ENDS || count - made < FOLLOWED_ENDS ||
			made % FOLLOWED_STEP == 0);
}

/* `is_new`: its recovery may leave something that nobody has seen. */
static bool judge_node(const struct question *question, const struct node *node, bool is_new)
{
	struct closure *closure = question->closure;

	closure->images++;
	make_image(closure, node->first, node->count);
	return oracle_judge(closure->oracle, question->operation, question->flags) &&
		(!is_new || explore(question, node));
}

/* The child's steps are copied behind all that stand there: its recovery's come behind them. */
static bool judge_child(const struct question *question, const struct node *node, uint64_t made,
	uint64_t count, struct image_hash truth, bool is_new)
{
	struct closure *closure = question->closure;
	struct node child = {
		.first = node->first + node->count + count,
		.count = node->count + made,
		.truth = truth,
		.depth = node->depth + 1,
	};

	if (child.first + child.count + STEP_LIMIT / 4 > STEP_LIMIT) {
		closure->cut_off++;
		return true;
	}
	if (node->depth < CLOSURE_DEATHS)
		closure->died_after[node->depth] = made;
	closure->deaths = child.depth;
	if (child.depth > closure->deepest)
		closure->deepest = child.depth;
	memcpy(&closure->steps[child.first], &closure->steps[node->first],
		child.count * sizeof(closure->steps[0]));
	return judge_node(question, &child, is_new);
}

/* Explores what the recovery of the node's image leaves when it dies. */
static bool explore(const struct question *question, const struct node *node)
{
	struct closure *closure = question->closure;
	struct replay *replay = closure->oracle->replay;
	char *work = replay->files[FILE_HEAP].work;
	struct image_hash truth = node->truth;
	struct step *steps = &closure->steps[node->first + node->count];
	bool all = question->all && node->depth == 0;
	struct streak streak = { 0 };
	bool spoilt = false;
	uint64_t count;

	if (node->depth >= closure->depth_limit)
		return true;
	count = step_through(closure, node, all);
	for (uint64_t made = 1; made <= count; made++) {
		const struct step *step = &steps[made - 1];
		bool is_new;

		/* The image before the step: judging spoils the copy. */
		if (made == 1 || spoilt)
			make_image(closure, node->first, node->count + made - 1);
		hash_change(&replay->view, &truth, true, work, step->where, step->content,
			step->bytes);
		memcpy(work + step->where, step->content, step->bytes);
		is_new = !streak_leaves_out(&streak, &replay->view, step->where,
				 made < count ? steps[made].where : STREAK_NO_STORE) ||
			closure->all_images;
		is_new = is_new && hash_set_add(&closure->seen, truth);
		spoilt = is_new || all;
		if (spoilt &&
			!judge_child(question, node, made, count, truth,
				is_new && is_followed(question, node, made, count)))
			return false;
	}
	return true;
}

bool closure_judge(struct closure *closure, const struct operation *operation, unsigned flags,
	bool all)
{
	struct question question = {
		.closure = closure,
		.operation = operation,
		.flags = flags,
		.all = all,
	};
	struct node node = { .truth = closure->oracle->replay->truth };

	closure->deaths = 0;
	if (!hash_set_add(&closure->seen, node.truth))
		return true;
	return explore(&question, &node);
}
