/* resize.c -- blocks that grow and shrink, where they are or by moving
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kill/actor.h"

#include <errno.h>

#define LEAST_BYTES UINT64_C(16)
#define MOST_BYTES (UINT64_C(100) << 10)

/* --- planning ------------------------------------------------------------------------------ */

/* A third stays near, mostly where it is; a third takes some other size; the rest is large, grows into the
 * pages behind it if they are free, and gives some back when it shrinks. */
static uint64_t pick_new_size(struct actor *actor, uint64_t size, uint64_t other)
{
	uint64_t percent = 70 + chance_below(&actor->random, 60);
	uint64_t chance = chance_below(&actor->random, 3);
	uint64_t new_size = chance == 0 ? size * percent / 100 : other;

	if (chance == 1)
		new_size = chance_below(&actor->random, MOST_BYTES);
	if (new_size < LEAST_BYTES)
		return LEAST_BYTES;
	return new_size < MOST_BYTES ? new_size : MOST_BYTES;
}

static struct held plan_resized(struct actor *actor, const struct held *before)
{
	struct held block = plan_block(actor, 0);

	if (before->off != 0) {
		block.kind = before->kind;
		block.size = pick_new_size(actor, before->size, block.size);
	} else {
		block.kind = 0;
	}
	return block;
}

/* What is wrong with the result, besides want of space. A block always shrinks, at worst to what it is. */
static void expect_result(struct actor *actor, sh_off off, const char *call)
{
	const struct step *step = &actor->seat->record.steps[0];

	if (off != 0)
		expect_resized(actor->heap, actor->seat, off, call);
	else if (step->block.size <= step->before.size)
		fail(CHECK_CALLS, "seat %u: %s from %llu to %llu bytes: %s",
			seat_number(actor->seat), call, (unsigned long long)step->before.size,
			(unsigned long long)step->block.size, sh_strerror(errno));
	else
		expect_ok(actor, errno, call);
}

/* --- calls --------------------------------------------------------------------------------- */

void operation_realloc(struct actor *actor)
{
	uint32_t at = find_held(actor, 0);
	struct step step;
	sh_off off;

	if (at == ENTRIES)
		return;
	step = plan_entry(STEP_RESIZE, at);
	step.before = step.block;
	step.block = plan_resized(actor, &step.before);
	expect_pattern(actor, &step.before);
	begin_step(actor, OPERATION_REALLOC, step);
	off = sh_realloc(actor->heap, step.before.off, step.block.size);
	atomic_store(&actor->seat->record.result, off);
	expect_result(actor, off, "sh_realloc");
	end(actor, off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}

/* Of a word that names a block, nearly always. */
void operation_realloc_to(struct actor *actor)
{
	uint32_t at = find_word(actor, !chance_once_in(&actor->random, 16));
	struct step step = { .kind = STEP_RESIZE_TO, .at = at };
	sh_off off;

	if (at == DIRECTORY_WORDS)
		return;
	step.before = actor->seat->published[at];
	step.block = plan_resized(actor, &step.before);
	if (step.before.off != 0)
		expect_pattern(actor, &step.before);
	begin_step(actor, OPERATION_REALLOC_TO, step);
	off = sh_realloc_to(actor->heap, &seat_directory(actor->heap, actor->seat)->block[at],
		step.block.size);
	atomic_store(&actor->seat->record.result, off);
	expect_result(actor, off, "sh_realloc_to");
	end(actor, off != 0 ? OUTCOME_DONE : OUTCOME_NOTHING);
}
