/* error.c -- texts of results, and what they become in errno
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 128

static const char *const texts[] = {
	[-SH_EBADHEAP] =
		"SH_EBADHEAP: not a heap file, or it is truncated, or both copies of its "
		"superblock are damaged; check the path, or restore the file from a backup",
	[-SH_EVERSION] =
		"SH_EVERSION: the file was made, or is in use, by a library with another format, "
		"geometry, ABI or C library; open it with that one",
	[-SH_ETORN] =
		"SH_ETORN: the heap was not closed cleanly, and the machine restarted, the control "
		"file "
		"is gone or the file was copied since; restore a backup, or open with SH_SALVAGE",
	[-SH_ECONTROL] =
		"SH_ECONTROL: live processes use another control file than is found here, or more "
		"users "
		"may access it than the heap file; open the heap by the path and the control_dir "
		"that "
		"they use, or stop them first; give it the heap file's owner, group and mode",
	[-SH_EBADPTR] = "SH_EBADPTR: the offset is not the start of a block; nothing was changed; "
			"pass what an allocation returned",
	[-SH_EDOUBLEFREE] = "SH_EDOUBLEFREE: the block is free already; nothing was changed; free "
			    "each block once",
	[-SH_ENOTFOUND] = "SH_ENOTFOUND: no root has this name; set it with sh_root_set()",
	[-SH_EOWNERDIED] =
		"SH_EOWNERDIED: the mutex is locked by you, its last holder died inside; "
		"check what it protects, then go on",
	[-SH_ESLOTS] =
		"SH_ESLOTS: all process slots or thread slots are in use; end some, or create "
		"the heap with larger max_processes or max_threads",
	[-SH_EFULL] = "SH_EFULL: the table of roots is full; remove roots by setting them to 0",
	[-SH_EBARRIER] =
		"SH_EBARRIER: the processes that have this heap open rely on membarrier(2), which "
		"is refused to this one; allow it (seccomp), or have the first one open the heap "
		"with SH_BARRIER_READER",
	[-SH_ESTOPPED] = "SH_ESTOPPED: a callback asked to stop; nothing is wrong",
};

#define TEXT_COUNT ((int)(sizeof(texts) / sizeof(texts[0])))

const char *sh_strerror(int error)
{
	static _Thread_local char text[TEXT_BYTES];

	if (error < 0 && error > -TEXT_COUNT)
		return texts[-error];
	if (error >= 0)
		return strerror_r(error, text, sizeof(text));
	snprintf(text, sizeof(text), "unknown result %d of libspanheap", error);
	return text;
}

int error_to_errno(int error)
{
	if (error > 0)
		return error;
	return error == SH_ESLOTS ? EAGAIN : EINVAL;
}

sh_off error_no_block(int error)
{
	errno = error_to_errno(error);
	return 0;
}
