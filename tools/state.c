/* state.c -- is a heap file clean, recoverable or torn?
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/state.h"

#include "recovery/proof.h"
#include "recovery/recover.h"
#include "recovery/superblock.h"

#include <errno.h>

/* Whether the file ends with the copy that its superblock names, or neither has one. */
static bool end_copy_agrees(const struct view *view)
{
	const struct superblock *superblock = &view->superblock;
	struct superblock copy;

	if (superblock->end_copy == 0)
		return true;
	return superblock->end_copy == proof_end(&view->heap) &&
		input_read(&view->input, superblock->end_copy, &copy, sizeof(copy)) &&
		superblock_same_writing(superblock, &copy);
}

/* Why the file is not clean; NULL when it is. */
static const char *why_unclean(const struct view *view)
{
	if (view->superblock.clean != 1)
		return "it was not closed";
	if (view->copies[0] != COPY_CURRENT || view->copies[1] != COPY_CURRENT)
		return "one copy of the superblock is not current";
	if (view->wrong.count != 0)
		return "its arena directory is damaged";
	if (!recover_arenas_older(&view->heap, &view->superblock))
		return "an arena is newer than the superblock, or its header is damaged";
	if (!end_copy_agrees(view))
		return "its end is of another time than its start";
	return NULL;
}

static int whole_copies(const struct view *view)
{
	return (view->copies[0] == COPY_CURRENT) + (view->copies[1] == COPY_CURRENT);
}

/* Why the control file does not prove that all users died in this boot, and nothing else happened
 * to the heap file; NULL when it does. */
static const char *why_unproved(const struct view *view)
{
	struct control_header header;
	char boot_id[BOOT_ID_BYTES];
	int error = input_control_header(&view->input, view->superblock.heap_id, &header);

	if (error == ENOENT)
		return "there is no control file where the heap file says";
	if (error == ESTALE)
		return "the file or its control file is a copy";
	if (error != 0)
		return "its control file cannot be read";
	if (superblock_boot_id(boot_id) != 0)
		return "the kernel's boot id cannot be read";
	return proof_gap(&view->superblock, whole_copies(view), view->stamp, &header, boot_id);
}

void state_find(struct view *view, bool in_use)
{
	const char *unclean = why_unclean(view);

	if (in_use) {
		view->state = STATE_IN_USE;
		view->reason = "a process is attached, or opens or closes it";
		return;
	}
	if (unclean == NULL) {
		view->state = STATE_CLEAN;
		view->reason = "the last process closed it";
		return;
	}
	view->reason = why_unproved(view);
	view->state = view->reason == NULL ? STATE_RECOVERABLE : STATE_TORN;
	if (view->reason == NULL)
		view->reason = unclean;
}

const char *state_name(enum heap_state state)
{
	switch (state) {
	case STATE_IN_USE:
		return "in use";
	case STATE_CLEAN:
		return "clean";
	case STATE_RECOVERABLE:
		return "recoverable";
	default:
		return "torn";
	}
}
