/* places.c -- the file systems on which tests of public functions run
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/places.h"

#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

bool mounts_own(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* --- overlayfs ----------------------------------------------------------------------------- */

static char overlay[PATH_MAX - 64];

static const char *const overlay_parts[] = { "lower", "upper", "work", "merged" };

static void overlay_part(char name[PATH_MAX], unsigned part)
{
	snprintf(name, PATH_MAX, "%s/%s", overlay, overlay_parts[part]);
}

static int leave_overlay(void)
{
	char name[PATH_MAX];

	overlay_part(name, 3);
	umount(name);
	for (unsigned i = 0; i < LENGTH_OF(overlay_parts); i++) {
		overlay_part(name, i);
		files_empty(name);
		rmdir(name);
	}
	return rmdir(overlay);
}

static bool mount_overlay(void)
{
	char options[4 * PATH_MAX];
	char name[PATH_MAX];

	for (unsigned i = 0; i < LENGTH_OF(overlay_parts); i++) {
		overlay_part(name, i);
		if (mkdir(name, 0700) != 0)
			return false;
	}
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		overlay, overlay, overlay);
	return mount("overlay", name, "overlay", 0, options) == 0;
}

static bool make_overlay(void)
{
	snprintf(overlay, sizeof(overlay), "%s/spanheap-overlay-XXXXXX", files_disk());
	if (!mounts_own() || mkdtemp(overlay) == NULL)
		return false;
	if (mount_overlay())
		return true;
	leave_overlay();
	return false;
}

/* Whether the machine lets us mount one; says once that it does not. */
static bool have_overlay(void)
{
	static enum { UNKNOWN, HAVE, LACK } known;

	if (known == UNKNOWN) {
		known = make_overlay() && leave_overlay() == 0 ? HAVE : LACK;
		if (known == LACK)
			printf("SKIPPED: the tests on overlayfs want root, and a file system it "
			       "can stand on.\n");
	}
	return known == HAVE;
}

static int use_overlay(void)
{
	char name[PATH_MAX];

	if (!make_overlay())
		return -1;
	overlay_part(name, 3);
	return files_enter_below(name);
}

static int end_overlay(void)
{
	int error = files_leave();

	return leave_overlay() != 0 ? -1 : error;
}

/* --- suites -------------------------------------------------------------------------------- */

static int register_suite(const char *name, const char *place, int (*enter)(void),
	int (*leave)(void), CU_TestInfo *tests)
{
	char title[80];
	CU_SuiteInfo suites[] = {
		{ .pName = title, .pInitFunc = enter, .pCleanupFunc = leave, .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	snprintf(title, sizeof(title), "%s, %s", name, place);
	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}

int places_register(const char *name, CU_TestInfo *tests, CU_TestInfo *overlay_tests)
{
	if (register_suite(name, "on disk", files_enter_disk, files_leave, tests) != 0 ||
		register_suite(name, "in memory", files_enter, files_leave, tests) != 0)
		return -1;
	if (overlay_tests == NULL || !have_overlay())
		return 0;
	return register_suite(name, "on overlayfs", use_overlay, end_overlay, overlay_tests);
}
