/* sight.h -- what a heap shows, beside what it must show
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_SIGHT_H
#define KILLK_SIGHT_H

#include "stress/killk/board.h"

#define SIGHT_BLOCKS (KNOWN_LIMIT + 16u)
#define SIGHT_RUNS 16u
#define SIGHT_MORE 2u

/* Process.
 *
 * block, run: live ones, in address order.
 * The rest is what the operation's judge expects.
 * gone: of the known blocks. more: blocks that must be there beside the known ones.
 * may_be_cut: the run may be several, that begin or end where CUT_PAGE does; cut_gone: and that part of it is
 * free. more_run, more_pages: a run that must be there beside it; 0: none. */
struct sight {
	struct sh_block block[SIGHT_BLOCKS];
	unsigned blocks;
	struct sh_pages run[SIGHT_RUNS];
	unsigned runs;
	bool gone[KNOWN_LIMIT];
	sh_off more[SIGHT_MORE];
	unsigned mores;
	bool may_be_cut;
	bool cut_gone;
	sh_off more_run;
	size_t more_pages;
};

/* Looks at the heap, and expects the known blocks. */
void sight_take(struct sh_heap *heap, struct sight *sight);

bool sight_shows(const struct sight *sight, sh_off off);

/* The blocks that are shown and not known: how many, and the last of them. */
unsigned sight_unknown(const struct sight *sight, struct sh_block *block);

void sight_expect_gone(struct sight *sight, sh_off off);
void sight_expect_more(struct sight *sight, sh_off off);

/* Fails unless it shows what is expected, and nothing else. */
void sight_compare(struct sh_heap *heap, const struct sight *sight);

/* Fails unless both show the same blocks and runs. */
void sight_expect_same(const struct sight *sight, const struct sight *other);

/* Fails unless the known blocks that are not gone have their content. */
void sight_verify_content(struct sh_heap *heap, const struct sight *sight);

#endif
