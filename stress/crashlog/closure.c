/* closure.c -- recoveries that die, and those of what they leave, to any depth
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/closure.h"

#include "recovery/superblock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_LIMIT (UINT64_C(1) << 18)

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
	hash_set_clear(&closure->judged);
	hash_set_clear(&closure->stepped);
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

/* Which copies of the superblock are the ones that an opener goes by. */
static uint64_t superblock_state(const struct replay *replay)
{
	const char *base = replay->files[FILE_HEAP].work;
	uint64_t b = heap_superblock_b_offset(replay->view.max_bytes, replay->view.thread_slots);
	struct superblock superblock;
	int copies;

	if (superblock_read(base, replay->files[FILE_HEAP].bytes, &superblock, &copies) != 0)
		return 0;
	return 1 + 2 * (uint64_t)(memcmp(base, &superblock, sizeof(superblock)) == 0) +
		4 * (uint64_t)(memcmp(base + b, &superblock, sizeof(superblock)) == 0);
}

static struct image_hash judged_key(const struct replay *replay, struct image_hash truth)
{
	truth.half[1] ^= superblock_state(replay) << 60;
	return truth;
}

/* Runs the recovery of the node's image; its steps stand behind the node's. Returns how many. */
static uint64_t step_through(struct closure *closure, const struct node *node)
{
	struct replayed_file *file = &closure->oracle->replay->files[FILE_HEAP];
	uint64_t at = node->first + node->count;
	uint64_t count;

	make_image(closure, node->first, node->count);
	count = stepper_run(file->work, file->bytes, recover_image, closure->oracle,
		closure->steps + at, STEP_LIMIT - at);
	closure->recoveries++;
	closure->stores += count;
	return count;
}

static bool explore(const struct question *question, const struct node *node);

static bool judge_node(const struct question *question, const struct node *node)
{
	struct closure *closure = question->closure;

	closure->images++;
	make_image(closure, node->first, node->count);
	return oracle_judge(closure->oracle, question->operation, question->flags) &&
		explore(question, node);
}

/* The child's steps are copied behind all that stand there: its recovery's come behind them. */
static bool judge_child(const struct question *question, const struct node *node, uint64_t made,
	uint64_t count, struct image_hash truth)
{
	struct closure *closure = question->closure;
	struct node child = {
		.first = node->first + node->count + count,
		.count = node->count + made,
		.truth = truth,
		.depth = node->depth + 1,
	};

	if (child.first + child.count > STEP_LIMIT)
		return true;
	closure->died_after[node->depth % 64] = made;
	closure->deaths = child.depth;
	if (child.depth > closure->deepest)
		closure->deepest = child.depth;
	memcpy(&closure->steps[child.first], &closure->steps[node->first],
		child.count * sizeof(closure->steps[0]));
	return judge_node(question, &child);
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
	uint64_t count;

	if (node->depth >= closure->depth_limit || !hash_set_add(&closure->stepped, node->truth))
		return true;
	count = step_through(closure, node);
	for (uint64_t made = 1; made <= count; made++) {
		const struct step *step = &steps[made - 1];
		bool is_new;

		/* Judging spoils the copy. */
		make_image(closure, node->first, node->count + made - 1);
		hash_change(&replay->view, &truth, true, work, step->where, step->content,
			step->bytes);
		memcpy(work + step->where, step->content, step->bytes);
		is_new = hash_set_add(&closure->judged, judged_key(replay, truth));
		if ((is_new || all) && !judge_child(question, node, made, count, truth))
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

	work_reset(closure->oracle->replay);
	hash_set_add(&closure->judged, judged_key(closure->oracle->replay, node.truth));
	closure->deaths = 0;
	return explore(&question, &node);
}
