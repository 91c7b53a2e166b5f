/* target.c -- the heap under test: its files, what stands in it from the start
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/target.h"

#include "stress/kill/model.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN_BYTES (UINT64_C(80) << 20)
#define STEP_BYTES (UINT64_C(16) << 20)
#define STEPS_MORE 4

/* --- files --------------------------------------------------------------------------------- */

void target_path(const struct target *target, char path[PATH_BYTES], const char *name)
{
	snprintf(path, PATH_BYTES, "%s/%s", target->folder, name);
}

bool target_make_folder(struct target *target, const char *parent)
{
	snprintf(target->folder, FOLDER_BYTES, "%s/kill_stress.XXXXXX", parent);
	if (mkdtemp(target->folder) == NULL) {
		fail(CHECK_CALLS, "mkdtemp: %s: %s", target->folder, strerror(errno));
		return false;
	}
	target_path(target, target->path, "heap");
	return true;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void target_remove_folder(const struct target *target)
{
	nftw(target->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- the heap ------------------------------------------------------------------------------- */

bool target_open(struct target *target, unsigned flags, enum check check)
{
	struct sh_options options = SH_OPTIONS_INIT;
	int error;

	options.max_size = target->bytes;
	error = sh_open(target->path, flags, &options, &target->heap);
	if (error != 0)
		fail(check, "sh_open: %s", sh_strerror(error));
	return error == 0;
}

void target_close(struct target *target)
{
	int error = sh_close(target->heap);

	if (error != 0)
		fail(CHECK_CALLS, "sh_close: %s", sh_strerror(error));
	target->heap = NULL;
}

/* --- laying out ---------------------------------------------------------------------------- */

/* A zeroed block and its root, in one transaction. */
static sh_off make_block(struct target *target, size_t size, const char *root)
{
	struct sh_txn *txn;
	sh_off off = 0;
	int error = sh_txn_begin(target->heap, 0, &txn);

	if (error == 0) {
		off = sh_txn_alloc(txn, size, SH_ZERO);
		error = off == 0 ? errno : sh_txn_root(txn, root, off);
	}
	if (error == 0)
		error = sh_txn_commit(txn);
	if (error != 0)
		fail(CHECK_CALLS, "making %s: %s", root, sh_strerror(error));
	return off;
}

static void lay_out(struct target *target)
{
	char name[ROOT_TEXT_BYTES];

	for (unsigned seat = 0; seat < SEATS; seat++)
		shared->seats[seat].directory =
			make_block(target, sizeof(struct directory), root_of_directory(name, seat));
	for (unsigned pair = 0; pair < PAIRS; pair++)
		shared->pairs[pair] =
			make_block(target, sizeof(struct pair), root_of_pair(name, pair));
}

static void expect_root(struct target *target, const char *name, sh_off expected)
{
	sh_off off = 0;

	sh_root_get(target->heap, name, &off);
	if (off != expected)
		fail(CHECK_MODEL, "root %s is %#llx, not %#llx", name, (unsigned long long)off,
			(unsigned long long)expected);
}

void target_expect_layout(struct target *target)
{
	char name[ROOT_TEXT_BYTES];

	for (unsigned seat = 0; seat < SEATS; seat++)
		expect_root(target, root_of_directory(name, seat), shared->seats[seat].directory);
	for (unsigned pair = 0; pair < PAIRS; pair++)
		expect_root(target, root_of_pair(name, pair), shared->pairs[pair]);
}

bool target_make(struct target *target, struct chance *random)
{
	unlink(target->path);
	memset(shared->seats, 0, sizeof(shared->seats));
	memset(shared->entries, 0, sizeof(shared->entries));
	shared->few_sizes = chance_once_in(random, 2);
	target->bytes = MIN_BYTES + chance_below(random, STEPS_MORE) * STEP_BYTES;
	if (!target_open(target, SH_CREATE | SH_EXCL, CHECK_CALLS))
		return false;
	lay_out(target);
	return true;
}
