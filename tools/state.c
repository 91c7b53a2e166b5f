/* state.c -- is a heap file clean, recoverable or torn?
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/state.h"

#include "recovery/recover.h"
#include "recovery/superblock.h"

#include <errno.h>
#include <string.h>

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
	return NULL;
}

static bool same_boot(const struct superblock *superblock)
{
	static const char unknown[BOOT_ID_BYTES];
	char boot_id[BOOT_ID_BYTES];

	superblock_boot_id(boot_id);
	return memcmp(boot_id, unknown, BOOT_ID_BYTES) == 0 ||
		memcmp(boot_id, superblock->boot_id, BOOT_ID_BYTES) == 0;
}

/* Why the control file does not prove that all users died in this boot, and nothing else happened
 * to the heap file; NULL when it does. */
static const char *why_unproved(const struct view *view)
{
	const struct superblock *superblock = &view->superblock;
	struct control_header header;
	int error = input_control_header(&view->input, &header);
	uint64_t stamp;

	if (error == ENOENT)
		return "there is no control file beside it";
	if (error != 0)
		return "the control file beside it cannot be read";
	if (memcmp(header.heap_id, superblock->heap_id, sizeof(header.heap_id)) != 0)
		return "the control file beside it is another heap's";
	if (memcmp(header.nonce, superblock->nonce, sizeof(header.nonce)) != 0)
		return "the control file beside it is of another run";
	if (memcmp(header.boot_id, superblock->boot_id, BOOT_ID_BYTES) != 0 ||
		!same_boot(superblock))
		return "the machine was restarted since";
	stamp = atomic_load_explicit(&header.stamp, memory_order_relaxed);
	if (stamp != view->stamp && stamp + 1 != view->stamp)
		return "the file was copied or put back while the heap was in use";
	return NULL;
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
