/* oracle.h -- opens an image, and tells whether what it shows may be true
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The image is recovered as sh_open() does when everybody is dead: the heap file as it is, a control
 * file laid anew. Then
 *   - the check finds nothing, every page in exactly one place;
 *   - blocks, their content, page runs and roots are as before the operation or as afterwards, as a
 *     whole, or as the documentation allows besides;
 *   - a second recovery, one that examines every span, shows the same;
 *   - further operations work and give out nothing that is in use.
 *
 * Or both files are as they are, the process that used them is dead with all its threads, and another one,
 * which was idle, reaps them. Then the same must hold, but for the second recovery. */
#ifndef CRASHLOG_ORACLE_H
#define CRASHLOG_ORACLE_H

#include "recovery/image.h"
#include "stress/crashlog/expected.h"
#include "stress/crashlog/replay.h"

#define WHY_BYTES 256

/* Which results are allowed, and how closely is looked. */
#define JUDGE_BEFORE 1u  /* as before */
#define JUDGE_BETWEEN 2u /* what is allowed besides */
#define JUDGE_AFTER 4u   /* as afterwards */
#define JUDGE_ANY (JUDGE_BEFORE | JUDGE_BETWEEN | JUDGE_AFTER)
#define JUDGE_QUICKLY 8u /* no second recovery, no further operations */

/* Process. */
struct oracle {
	struct replay *replay;
	struct image image;
	struct image survivor;
	struct thread worker;
	char why[WHY_BYTES]; /* what is wrong with the last image that was */
};

/* Judges what stands in replay->work, which is changed. False: oracle->why says why not. */
bool oracle_judge(struct oracle *oracle, const struct operation *operation, unsigned flags);

/* The same of a survivor's reaping, in both files of replay->work. */
bool oracle_judge_reaping(struct oracle *oracle, const struct operation *operation, unsigned flags);

/* Opens what stands in replay->work, and no more. 0 or an error. */
int oracle_open(struct oracle *oracle, bool trusts);

/* The check and the content of a heap that somebody has opened. */
bool oracle_judge_heap(struct oracle *oracle, struct heap *heap, struct thread *thread,
	const struct operation *operation, unsigned flags);

#endif
